//! Real processes, by every start method, and `kill -9`.

mod common;

use std::sync::atomic::{AtomicU64, Ordering::*};
use std::time::{Duration, Instant};

use common::{LIMIT, until};
use mp_process::{Process, StartMethod};
use mp_queue::{Queue, Sender};
use mp_session::{Kind, Session};
use mp_shared::{
    Array, Error, Frozen, LockError, RawArray, ShareableList, Shared, SharedMemory, SharedVec, Slice, Value,
};

mp_process::enable_in_tests!();

/// How soon a death must be known; generous, for the machine may be busy.
const PROMPT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Shared)]
#[repr(C)]
struct Point {
    x: f64,
    y: f64,
}

/// How many objects of that kind there are.
fn live(kind: Kind) -> usize {
    Session::current().unwrap().objects().iter().filter(|(_, k, ..)| *k == kind).count()
}

fn change(
    value: Value<u64>,
    array: Array<Point>,
    part: Slice<Point>,
    vec: SharedVec<u32>,
    list: ShareableList,
    memory: SharedMemory,
) -> mp_shared::Result<()> {
    for _ in 0..1000 {
        *value.lock()? += 1;
        vec.push(7)?;
    }
    array.lock()?.iter_mut().for_each(|p| p.x += 1.0);
    part.lease()?.iter_mut().for_each(|p| p.y += 1.0);
    list.set(0, "changed\0")?;
    memory.write(5, b"here")
}

#[test]
fn children_change_data_in_place() {
    for method in StartMethod::available() {
        let value = Value::new(0).unwrap();
        let array = Array::from_fn(100, |i| Point { x: i as f64, y: 0.0 }).unwrap();
        let (vec, list) = (SharedVec::new().unwrap(), ShareableList::with_room([""], 16).unwrap());
        let memory = SharedMemory::new(10).unwrap();
        let children: Vec<_> = array
            .chunks(25)
            .unwrap()
            .into_iter()
            .map(|part| {
                let all = (value.clone(), array.clone(), part, vec.clone(), list.clone(), memory.clone());
                Process::builder().start_method(*method).spawn(change, all).unwrap()
            })
            .collect();
        for child in children {
            child.join().unwrap();
        }
        assert_eq!((value.get().unwrap(), vec.len()), (4000, 4000));
        assert_eq!(array.get(99).unwrap(), Point { x: 103.0, y: 1.0 });
        assert_eq!(list.get(0).unwrap(), "changed\0".into());
        assert_eq!(memory.read(5, 5).unwrap(), b"here\0");
    }
}

#[test]
fn frozen_data_is_read_everywhere() {
    let array = Array::from_fn(10_000, |i| i as u64).unwrap();
    let frozen = array.freeze().unwrap();
    let sum = |all: Frozen<u64>| all.iter().sum::<u64>();
    for method in StartMethod::available() {
        let child = Process::builder().start_method(*method).spawn(sum, (frozen.clone(),)).unwrap();
        assert_eq!(child.join().unwrap(), 49_995_000);
        let refused = |all: Array<u64>| matches!(all.set(0, 1), Err(Error::Frozen { .. }));
        let child = Process::builder().start_method(*method).spawn(refused, (array.clone(),)).unwrap();
        assert!(child.join().unwrap());
    }
}

/// Takes the lock or a lease, says so, changes one half, and waits to be killed.
fn hold(array: Array<u64>, lease: bool, ready: RawArray<AtomicU64>) -> mp_shared::Result<()> {
    if lease {
        let mut mine = array.lease(2..4)?;
        mine[0] = 1;
        ready[0].store(1, SeqCst);
        loop {
            std::thread::park();
        }
    }
    let mut mine = array.lock()?;
    mine[2] = 1;
    ready[0].store(1, SeqCst);
    loop {
        std::thread::park();
    }
}

#[test]
fn a_killed_holder_is_named_to_the_next() {
    for method in StartMethod::available() {
        for lease in [false, true] {
            let array = Array::<u64>::new(6).unwrap();
            let ready = RawArray::new(1).unwrap();
            let builder = Process::builder().start_method(*method).name("holder");
            let child = builder.spawn(hold, (array.clone(), lease, ready.clone())).unwrap();
            until("the holder", || ready[0].load(SeqCst) == 1);
            assert!(array.try_lock().unwrap().is_none());
            assert!(array.try_lease(..2).unwrap().is_some() == lease);
            std::thread::scope(|s| {
                let waiter = s.spawn(|| {
                    let died = match array.lock_timeout(LIMIT) {
                        Err(LockError::OwnerDied(died)) => died,
                        other => panic!("{other:?}"),
                    };
                    assert_eq!(died.who().map(|who| who.pid), Some(child.pid()));
                    let mut guard = died.mark_consistent();
                    assert_eq!(guard[2..4], [1, 0]);
                    guard[3] = 1;
                    Instant::now()
                });
                std::thread::sleep(Duration::from_millis(50)); // now it does sleep
                let killed = Instant::now();
                child.kill().unwrap();
                assert!(waiter.join().unwrap() - killed < PROMPT);
            });
            assert_eq!(array.freeze().unwrap()[..], [0, 0, 1, 1, 0, 0]);
        }
    }
}

fn make(out: Sender<Array<u64>>) -> mp_shared::Result<()> {
    out.put(Array::from_fn(1000, |i| i as u64)?)?;
    loop {
        std::thread::park();
    }
}

/// D34: freed by whoever is last, not by its maker alone.
#[test]
fn data_outlives_its_killed_maker_and_goes_with_its_last_user() {
    for method in StartMethod::available() {
        let queue = Queue::new().unwrap();
        let child = Process::builder().start_method(*method).spawn(make, (queue.sender(),)).unwrap();
        let array = queue.get().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(array.lock().unwrap()[999], 999);
    }
}

fn churn(vec: SharedVec<u64>, count: Value<u64>) -> mp_shared::Result<()> {
    loop {
        let mut guard = vec.lock().or_else(|e| e.repair(|_| {}))?;
        let next = guard.len() as u64;
        if next == 20_000 {
            guard.clear();
        } else {
            guard.push(next)?;
        }
        drop(guard);
        *count.lock().or_else(|e| e.repair(|_| {}))? += 1;
    }
}

/// Each element is the number of its place, whenever somebody is killed who was pushing or growing.
#[test]
fn a_vector_is_whole_after_each_kill() {
    let (vec, count) = (SharedVec::<u64>::new().unwrap(), Value::new(0).unwrap());
    let done = || count.lock().or_else(|e| e.repair(|_| {})).map(|n| *n).unwrap();
    for round in 0..8 {
        let before = done();
        let child = Process::spawn(churn, (vec.clone(), count.clone())).unwrap();
        until("work", || done() > before + 100);
        std::thread::sleep(Duration::from_micros(round * 300));
        child.kill().unwrap();
        child.wait().unwrap();
        let guard = vec.lock().or_else(|e| e.repair(|_| {})).unwrap();
        assert!(guard.iter().enumerate().all(|(i, x)| *x == i as u64), "round {round}");
    }
    // Growing has left no block behind: one for the elements, and nobody's.
    drop(vec.lock().unwrap());
    drop((vec, count));
    until("the end of the vector", || live(Kind::VEC) == 0);
}

#[test]
fn what_ten_killed_processes_held_comes_back() {
    let queue = Queue::new().unwrap();
    let before = live(Kind::ARRAY);
    for _ in 0..5 {
        let child = Process::spawn(make, (queue.sender(),)).unwrap();
        drop(queue.get().unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    Session::current().unwrap().notice_deaths().unwrap();
    // Other tests of this program have arrays, too: they come to an end.
    until("the end of the arrays", || live(Kind::ARRAY) <= before);
}

#[test]
fn ten_million_floats() {
    let array = Array::<f64>::new(10_000_000).unwrap();
    array.lock().unwrap().fill(0.5);
    let sum = |part: Slice<f64>| part.frozen().map(|all| all.iter().sum::<f64>());
    let frozen = array.freeze().unwrap();
    let half = array.slice(5_000_000..).unwrap();
    let child = Process::spawn(sum, (half,)).unwrap();
    assert_eq!(frozen[..5_000_000].iter().sum::<f64>() + child.join().unwrap(), 5_000_000.0);
}
