//! `kill -9`, of gateways and of clients.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use mp_manager::gateway::Address;
use mp_manager::gateway::remote::{RemoteDict, RemoteList, RemoteLock, RemoteQueue};
use mp_manager::{Any, Error, Gateway, List, Manager};
use mp_process::Process;
use mp_queue::Queue;

use crate::common::{KEY, anywhere, rounds, soon};

/// A gateway in a process of its own, at an address that stays.
fn serve(
    address: String,
    ready: Queue<String>,
    list: List<Any>,
    queue: Queue<Any>,
) -> mp_manager::Result<()> {
    let gateway = loop {
        match Gateway::bind(address.parse::<Address>()?, KEY) {
            Ok(gateway) => break gateway,
            // The last one's address is still in use for a moment.
            Err(Error::Os { kind, .. }) if kind == "AddrInUse" => {
                std::thread::sleep(Duration::from_millis(5))
            }
            Err(error) => return Err(error),
        }
    };
    gateway.offer("the list", &list.into())?;
    gateway.offer("the queue", &queue.into())?;
    ready.put(gateway.address().to_string())?;
    gateway.serve()
}

/// What one client did, and what it was told.
#[derive(Default)]
struct Told {
    done: Vec<i64>,
    in_doubt: Vec<i64>,
}

fn writer(address: &str, number: i64, stop: &AtomicBool) -> Told {
    let manager = Manager::connect(address.parse::<Address>().unwrap(), KEY).unwrap();
    let list: RemoteList<i64> = manager.open("the list").unwrap();
    let queue: RemoteQueue<i64> = manager.open("the queue").unwrap();
    let mut told = Told::default();
    let mut n = number << 32;
    while !stop.load(SeqCst) {
        n += 1;
        let result = if n % 3 == 0 { queue.put(n) } else { list.append(n) };
        match result {
            Ok(()) => told.done.push(n),
            Err(Error::InDoubt { .. }) => told.in_doubt.push(n),
            Err(error) => panic!("{error}"),
        }
    }
    told
}

#[test]
#[cfg_attr(windows, ignore = "hung under wine: see docs/platforms.md")]
fn what_a_killed_gateway_acknowledged_was_done_once() {
    let kills = rounds(8);
    let (list, queue, ready) =
        (List::<Any>::new().unwrap(), Queue::<Any>::new().unwrap(), Queue::<String>::new().unwrap());
    let start = |address: String| {
        let gateway = Process::spawn(serve, (address, ready.clone(), list.clone(), queue.clone())).unwrap();
        let address = ready
            .get_timeout(Duration::from_secs(60))
            .unwrap_or_else(|error| panic!("{error}: {:?}", gateway.join()));
        (gateway, address)
    };
    let (mut gateway, address) = start(anywhere().to_string());
    let stop = AtomicBool::new(false);
    let told: Vec<Told> = std::thread::scope(|s| {
        let writers: Vec<_> = (1..4)
            .map(|number| {
                s.spawn({
                    let (address, stop) = (&address, &stop);
                    move || writer(address, number, stop)
                })
            })
            .collect();
        let mut seen = 0;
        for kill in 0..kills {
            // In the middle of traffic, whatever that is doing.
            soon("the writers write", || list.len().unwrap() > seen + 20);
            std::thread::sleep(Duration::from_micros(u64::from(kill) * 377 % 5000));
            gateway.kill().unwrap();
            assert!(gateway.join().is_err());
            seen = list.len().unwrap();
            gateway = start(address.clone()).0;
        }
        soon("the writers write again", || list.len().unwrap() > seen + 20);
        stop.store(true, SeqCst);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    gateway.kill().unwrap();
    let mut times: HashMap<i64, u32> = HashMap::new();
    let mut found: Vec<Any> = list.to_vec().unwrap();
    while let Ok(value) = queue.try_get() {
        found.push(value);
    }
    for value in found {
        *times.entry(value.try_into().unwrap()).or_default() += 1;
    }
    let (mut done, mut in_doubt) = (0, 0);
    for told in &told {
        for n in &told.done {
            assert_eq!(times.remove(n), Some(1), "{n:#x} was acknowledged");
            done += 1;
        }
        for n in &told.in_doubt {
            assert!(times.remove(n).is_none_or(|times| times == 1), "{n:#x} is in doubt");
            in_doubt += 1;
        }
    }
    assert!(times.is_empty(), "{times:?} were never acknowledged, nor in doubt");
    println!("{kills} kills, {done} calls done once, {in_doubt} in doubt");
    assert!(in_doubt <= kills * 3, "at most the calls that were being done");
}

/// A client that takes a lock and says so.
fn take(address: String, ready: Queue<String>) -> mp_manager::Result<()> {
    let manager = Manager::connect(address.parse::<Address>()?, KEY)?;
    let names: RemoteDict<String, Any> = manager.open("names")?;
    let lock: RemoteLock = manager.open_from(&names.get("lock".into())?.unwrap())?;
    let _held = lock.lock()?;
    let _referred_to = [manager.list::<i64>()?, manager.list()?];
    ready.put("held".into())?;
    loop {
        std::thread::park();
    }
}

#[test]
fn locks_and_references_of_a_killed_client_end_within_a_second() {
    let gateway = Gateway::bind(anywhere(), KEY).unwrap();
    gateway.offer("names", &mp_manager::Dict::<Any, Any>::new().unwrap().into()).unwrap();
    let manager = Manager::connect(gateway.address().clone(), KEY).unwrap();
    let (names, lock) = (manager.open::<RemoteDict<String, Any>>("names").unwrap(), manager.lock().unwrap());
    names.insert("lock".into(), Any::from(&lock)).unwrap();
    let ready = Queue::<String>::new().unwrap();
    let client = Process::spawn(take, (gateway.address().to_string(), ready.clone())).unwrap();
    ready.get_timeout(Duration::from_secs(60)).unwrap();
    assert!(!lock.try_acquire().unwrap());
    assert_eq!(gateway.number_of_objects(), 4);
    client.kill().unwrap();
    let killed = Instant::now();
    assert!(lock.acquire_timeout(Duration::from_secs(30)).unwrap());
    println!("free after {:?}", killed.elapsed());
    assert!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());
    soon("its references are dropped", || gateway.number_of_objects() == 2);
    println!("forgotten after {:?}", killed.elapsed());
}

#[test]
fn a_lock_is_held_through_the_death_of_the_gateway() {
    let (list, queue, ready) =
        (List::<Any>::new().unwrap(), Queue::<Any>::new().unwrap(), Queue::<String>::new().unwrap());
    let start = |address: String| {
        let gateway =
            Process::spawn(serve_other, (address, ready.clone(), list.clone(), queue.clone())).unwrap();
        let address = ready
            .get_timeout(Duration::from_secs(60))
            .unwrap_or_else(|error| panic!("{error}: {:?}", gateway.join()));
        (gateway, address)
    };
    let (gateway, address) = start(anywhere().to_string());
    let connect = || Manager::connect(address.parse::<Address>().unwrap(), KEY).unwrap();
    let (manager, other) = (connect(), connect());
    let (lock, list) = (manager.lock().unwrap(), manager.list::<Any>().unwrap());
    list.append(Any::from(&lock)).unwrap();
    lock.acquire().unwrap();
    gateway.kill().unwrap();
    assert!(gateway.join().is_err());
    let (gateway, _) = start(address.clone());
    // It has come back, holds its lock, and its handles mean what they meant.
    let theirs: RemoteLock = other.open_from(&list.get(0).unwrap().unwrap()).unwrap();
    assert!(!theirs.try_acquire().unwrap());
    use mp_manager::gateway::remote::Release;
    lock.release().unwrap();
    assert!(theirs.try_acquire().unwrap());
    gateway.kill().unwrap();
}

fn serve_other(
    address: String,
    ready: Queue<String>,
    list: List<Any>,
    queue: Queue<Any>,
) -> mp_manager::Result<()> {
    serve(address, ready, list, queue)
}
