//! Containers between processes that are started in every way, and killed.
//!
//! The names D35 to D37 and the acceptance test 17 are those of the defects of Python's managers that these tests show to be absent.

use std::time::{Duration, Instant};

use mp_manager::{
    Any, Dict, Guarded, Host, Hosted, Keeper, List, Manager, Namespace, Result, Service, Set, Value,
};
use mp_process::{Process, StartMethod};
use mp_queue::{Receiver, Sender};
use mp_session::Session;
use mp_sync::{Lock, Semaphore};
use mp_wire::Error;
use serde::{Deserialize, Serialize};

mp_process::enable_in_tests!();

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Serialize, Deserialize)]
struct All {
    dict: Dict<String, u64>,
    list: List<String>,
    set: Set<u32>,
    namespace: Namespace,
    value: Value<Vec<u8>>,
}

impl All {
    fn new() -> Result<All> {
        Ok(All {
            dict: Dict::new()?,
            list: List::new()?,
            set: Set::new()?,
            namespace: Namespace::new()?,
            value: Value::new(Vec::new())?,
        })
    }
}

fn fill(all: All, me: u32) -> Result<()> {
    for n in 0..50 {
        all.dict.entry("sum").and_modify(|sum| *sum += 1).or_insert(1)?;
        all.dict.insert(&format!("{me}/{n}"), u64::from(n))?;
        all.set.add(&n)?;
        all.value.update(|bytes| bytes.push(me as u8))?;
    }
    all.list.extend((0..10).map(|n| format!("{me}/{n}")))?;
    all.namespace.set(&format!("p{me}"), me)
}

#[test]
fn children_of_every_kind_fill_the_same_containers() {
    for method in StartMethod::available() {
        let all = All::new().unwrap();
        let children: Vec<_> = (0..3_u32)
            .map(|me| Process::builder().start_method(*method).spawn(fill, (all.clone(), me)).unwrap())
            .collect();
        children.iter().for_each(|child| child.join().unwrap());
        assert_eq!(all.dict.get("sum").unwrap(), Some(150), "{method}");
        assert_eq!(all.dict.len().unwrap(), 151);
        assert_eq!(all.set.len().unwrap(), 50);
        assert_eq!(all.value.get().unwrap().len(), 150);
        assert_eq!(all.list.len().unwrap(), 30);
        let list = all.list.to_vec().unwrap();
        // What was put in together lies together.
        assert!(list.chunks(10).all(|c| c[0].ends_with("/0") && c.iter().all(|x| x[..2] == c[0][..2])));
        let mut names = all.namespace.names().unwrap();
        names.sort();
        assert_eq!(names, ["p0", "p1", "p2"]);
    }
}

/// Puts the same numbers into both, in pairs that must stay together, until it is killed.
fn pairs(
    dict: Dict<u64, (u64, String)>,
    list: List<(u64, String)>,
    seed: u64,
    ready: Sender<()>,
) -> Result<()> {
    let text = |n: u64| if n.is_multiple_of(5) { "x".repeat(1500) } else { n.to_string() };
    let mut n = seed;
    ready.put(())?;
    loop {
        n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let key = n >> 33 & 0x3F;
        match n >> 40 & 7 {
            0 => dict.update([(key, (key, text(key))), (key + 64, (key + 64, text(key + 64)))])?,
            1 => drop(dict.pop(&(key + 128))?),
            2 => dict.insert(&(key + 128), (key + 128, text(key + 128)))?,
            3 => list.append((key, text(key)))?,
            4 => list.insert(key as usize, (key, text(key)))?,
            5 => drop(list.pop_at(key as usize)?),
            6 if key == 0 => dict.clear()?,
            6 => drop(list.splice(10..30, [])?),
            _ => drop(dict.pop_item()?),
        }
    }
}

#[test]
fn a_kill_at_any_time_leaves_whole_entries_and_blocks_nobody() {
    let session = Session::current().unwrap();
    let (dict, list) = (Dict::<u64, (u64, String)>::new().unwrap(), List::new().unwrap());
    let rounds = std::env::var("MP_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(25);
    let (ready, is_ready) = mp_queue::unbounded().unwrap();
    for round in 0..rounds {
        let children: Vec<_> = (0..2)
            .map(|i| {
                let arguments = (dict.clone(), list.clone(), round * 2 + i, ready.clone());
                Process::builder().daemon(true).spawn(pairs, arguments).unwrap()
            })
            .collect();
        (0..2).for_each(|_| is_ready.get_timeout(PATIENCE).unwrap());
        std::thread::sleep(Duration::from_micros(round * 137 % 3000));
        children.iter().for_each(|child| child.kill().unwrap());
        for child in &children {
            child.wait().unwrap();
        }
        let begin = Instant::now();
        let items = dict.items().unwrap();
        assert_eq!(items.len(), dict.len().unwrap());
        for (key, (again, text)) in &items {
            assert!(key == again && (text.len() == 1500 || *text == key.to_string()), "{key} {again}");
            assert!(dict.contains(key).unwrap());
        }
        for (key, text) in list.to_vec().unwrap() {
            assert!(text.len() == 1500 || text == key.to_string());
        }
        assert!(begin.elapsed() < PATIENCE / 2);
    }
    drop((dict, list));
    assert!(session.stats().objects < 200, "{:?}", session.stats());
}

/// What a victim holds: a lock, a permit, and a thousand references.
fn hold(lock: Lock, permits: Semaphore, things: List<List<u64>>, ready: Sender<()>) -> Result<()> {
    let kept = things.to_vec()?;
    let _guard = lock.lock()?;
    let _permit = permits.acquire_guard()?;
    ready.put(())?;
    std::thread::park();
    drop(kept);
    Ok(())
}

/// Acceptance test 17, and D37: a lock that was taken by a killed client does not stay locked. D36: its references do not leak.
#[test]
fn d36_d37_what_a_killed_client_held_is_released_within_a_second() {
    let manager = Manager::new().unwrap();
    let session = Session::current().unwrap();
    let (lock, permits) = (manager.lock().unwrap(), manager.semaphore(1).unwrap());
    let things = manager.list().unwrap();
    things.extend((0..1000).map(|_| List::<u64>::new().unwrap())).unwrap();
    let (ready, is_ready) = mp_queue::unbounded().unwrap();
    let arguments = (lock.clone(), permits.clone(), things.clone(), ready);
    let victim = Process::builder().daemon(true).spawn(hold, arguments).unwrap();
    is_ready.get_timeout(PATIENCE).unwrap();
    assert!(lock.try_lock().unwrap().is_none());
    // The container lets go of its references: the victim's are the only ones.
    things.clear().unwrap();
    let held = session.stats().objects;
    victim.kill().unwrap();
    let begin = Instant::now();
    let guard = lock.lock_timeout(PATIENCE).unwrap().expect("the lock passes on");
    assert!(guard.owner_died().is_some());
    assert!(permits.acquire_guard_timeout(PATIENCE).unwrap().is_some());
    while session.stats().objects + 1000 > held {
        session.notice_deaths().unwrap();
        assert!(begin.elapsed() < PATIENCE, "{:?}, {held} before", session.stats());
        std::thread::yield_now();
    }
    println!("released after {:?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 }));
    victim.wait().unwrap();
}

fn look_into(things: Receiver<Dict<u8, List<u32>>>) -> Result<u32> {
    let dict = things.get()?;
    Ok(dict.get(&1)?.map_or(Ok(None), |list| list.get(0))?.unwrap_or(0))
}

/// D36: a handle in a message keeps its object, though the sender drops its own at once.
#[test]
fn d36_a_handle_in_flight_holds_its_object() {
    let (sender, receiver) = mp_queue::unbounded().unwrap();
    let dict = Dict::new().unwrap();
    dict.insert(&1_u8, List::from_values([7_u32]).unwrap()).unwrap();
    sender.put(dict).unwrap(); // moved: this process has none any more
    let child = Process::spawn(look_into, (receiver,)).unwrap();
    assert_eq!(child.join().unwrap(), 7);
}

fn make_and_publish(name: String) -> Result<()> {
    let manager = Manager::new()?;
    let dict = manager.dict::<Any, Any>()?;
    dict.insert("inner", Any::from(manager.list::<Any>()?))?;
    manager.publish(&name, &dict)
}

/// D35: whoever made the data may die; nobody served it, so it is still there.
#[test]
fn d35_data_outlives_its_maker() {
    let manager = Manager::new().unwrap();
    let child = Process::spawn(make_and_publish, ("d35".to_owned(),)).unwrap();
    child.join().unwrap();
    let dict: Dict<Any, Any> = manager.lookup("d35").unwrap().expect("published by one that is gone");
    let list = List::<Any>::try_from(dict.get("inner").unwrap().unwrap()).unwrap();
    list.append(Any::from(1)).unwrap();
    assert_eq!(list.len().unwrap(), 1);
    assert!(manager.unpublish("d35").unwrap());
}

#[derive(Serialize, Deserialize)]
struct Pair {
    left: Value<u64>,
    right: Value<u64>,
}

fn step(pair: Guarded<Pair>, ready: Sender<()>) -> Result<()> {
    let held = pair.lock()?;
    held.left.update(|n| *n += 1)?;
    ready.put(())?;
    std::thread::park();
    Ok(())
}

#[test]
fn methods_of_a_structure_run_under_its_lock_and_a_death_between_steps_is_told() {
    let pair = Guarded::new(Pair { left: Value::new(0).unwrap(), right: Value::new(0).unwrap() }).unwrap();
    let (ready, is_ready) = mp_queue::unbounded().unwrap();
    let child = Process::builder().daemon(true).spawn(step, (pair.clone(), ready)).unwrap();
    is_ready.get_timeout(PATIENCE).unwrap();
    child.kill().unwrap();
    let held = pair.lock().unwrap();
    assert_eq!(held.owner_died().map(|who| who.pid), Some(child.pid()));
    assert_eq!((held.left.get().unwrap(), held.right.get().unwrap()), (1, 0));
    child.wait().unwrap();
}

/// A service whose state outlives its server.
struct Counter(u64);

#[derive(Serialize, Deserialize)]
enum Ask {
    Add(u64),
    Pid,
    Fail,
    Die,
}

impl Service for Counter {
    type Setup = bool;
    type Call = Ask;
    type Reply = u64;
    type Snapshot = u64;

    fn start(works: bool, keeper: &Keeper<u64>) -> Result<Counter> {
        if !works {
            return Err(Error::msg("no such file"));
        }
        Ok(Counter(keeper.last()?.unwrap_or(0)))
    }

    fn call(&mut self, ask: Ask, keeper: &Keeper<u64>) -> Result<u64> {
        match ask {
            Ask::Add(n) => {
                self.0 += n;
                keeper.save(&self.0)?;
                Ok(self.0)
            }
            Ask::Pid => Ok(u64::from(std::process::id())),
            Ask::Fail => Err(Error::msg("as asked")),
            Ask::Die => std::process::abort(),
        }
    }
}

fn add_many(counter: Hosted<Counter>) -> Result<()> {
    (0..20).try_for_each(|_| counter.call(Ask::Add(1)).map(|_| ()))
}

#[test]
fn a_hosted_object_is_restarted_and_restores_itself() {
    let host = Host::<Counter>::start(true).unwrap();
    let counter = host.handle();
    let children: Vec<_> = (0..2).map(|_| Process::spawn(add_many, (counter.clone(),)).unwrap()).collect();
    children.iter().for_each(|child| child.join().unwrap());
    assert_eq!(counter.call(Ask::Add(2)).unwrap(), 42);
    assert!(counter.call(Ask::Fail).unwrap_err().to_string().contains("as asked"));
    for round in 0..3 {
        let pid = counter.call(Ask::Pid).unwrap();
        let told = counter.call(Ask::Die).unwrap_err();
        assert!(told.is_death() && told.who().is_some_and(|who| u64::from(who.pid) == pid), "{told:?}");
        assert_ne!(counter.call(Ask::Pid).unwrap(), pid);
        assert_eq!(counter.call(Ask::Add(1)).unwrap(), 43 + round);
    }
    drop(host);
    assert!(matches!(counter.call(Ask::Pid), Err(Error::Disconnected { .. })));
}

#[test]
fn a_hosted_object_that_cannot_start_is_given_up() {
    let host = Host::<Counter>::start(false).unwrap();
    let told = host.handle().call(Ask::Pid).unwrap_err();
    assert!(matches!(&told, Error::Broken { why, .. } if why.contains("no such file")), "{told:?}");
}
