use crate::primitive::{AtomicU64, Ordering::*};
use std::sync::{Arc, Barrier, mpsc};
use std::time::{Duration, Instant};

use mp_wire::{Error, Result};

use crate::{Blueprint, Kind, Object, Role, Session, Shape, ThreadId};

const PLAN: Blueprint = Blueprint { kind: Kind::LOCK, fingerprint: 0, shape: Shape::Plain, size: 0 };

/// The barest lock that names its holder.
fn lock(session: &Session, label: &str) -> Object {
    Object::create_labelled(session, PLAN, label, |_, _| {}).unwrap()
}

fn take(session: &Session, lock: &Object) -> Result<()> {
    let word: &AtomicU64 = lock.words().word(0);
    let me = session.thread_id()?.to_bits();
    let owner = || ThreadId::from_bits(word.load(SeqCst));
    session
        .wait_for_holder(lock.words().waiters(Role::First), None, word, &owner, || {
            Ok(word.compare_exchange(0, me, SeqCst, SeqCst).ok().map(|_| ()))
        })
        .map(|_| ())
}

fn give(session: &Session, lock: &Object) {
    lock.words().word(0).store(0, SeqCst);
    session.wake_one(lock.words().waiters(Role::First));
}

/// `count` threads, each of a process of its own, take their own lock and then the next one's.
fn ring_of(count: usize) -> Vec<Error> {
    let heap = Session::on_heap(0).unwrap();
    let founder = heap.member("founder").unwrap();
    founder.find_deadlocks(true);
    let locks: Arc<Vec<Object>> =
        Arc::new((0..count).map(|i| lock(&founder, &format!("lock {i}"))).collect());
    let all_hold = Arc::new(Barrier::new(count));
    let (told, errors) = mpsc::channel();
    let threads: Vec<_> = (0..count)
        .map(|i| {
            let member = heap.member(&format!("process {i}")).unwrap();
            let (locks, all_hold, told) = (locks.clone(), all_hold.clone(), told.clone());
            std::thread::Builder::new()
                .name(format!("thread {i}"))
                .spawn(move || {
                    let next = &locks[(i + 1) % locks.len()];
                    take(&member, &locks[i]).unwrap();
                    all_hold.wait();
                    match take(&member, next) {
                        Ok(()) => give(&member, next),
                        Err(error) => told.send(error).unwrap(),
                    }
                    give(&member, &locks[i]);
                })
                .unwrap()
        })
        .collect();
    drop(told);
    threads.into_iter().for_each(|t| t.join().unwrap());
    errors.iter().collect()
}

#[test]
fn one_of_a_ring_is_told_and_the_rest_go_on() {
    for count in [2, 3, 7] {
        for round in 0..30 {
            let errors = ring_of(count);
            assert_eq!(errors.len(), 1, "round {round} of {count}: {errors:?}");
            let Error::Deadlock { cycle } = &errors[0] else { panic!("{errors:?}") };
            assert_eq!(cycle.len(), count);
            for (i, link) in cycle.iter().enumerate() {
                let next = &cycle[(i + 1) % count];
                let number = |text: &str| text.chars().find(char::is_ascii_digit).unwrap();
                let (mine, theirs) = (number(&link.process.name[8..]), number(&next.process.name[8..]));
                assert!(link.thread.starts_with(&format!("thread {mine} (")), "{link:?}");
                // Each waits for what the next one holds, which is the lock of that number.
                assert!(link.waits_for.ends_with(&format!("\"lock {theirs}\"")), "{link:?} {next:?}");
            }
        }
    }
}

#[test]
fn what_is_no_ring_is_none() {
    let heap = Session::on_heap(0).unwrap();
    let founder = heap.member("founder").unwrap();
    founder.find_deadlocks(true);
    let locks: Arc<Vec<Object>> = Arc::new((0..3).map(|_| lock(&founder, "")).collect());
    // In order, so that there is never a ring, with as much traffic as there can be.
    let threads: Vec<_> = (0..4_usize)
        .map(|i| {
            let (member, locks) = (heap.member("m").unwrap(), locks.clone());
            std::thread::spawn(move || {
                for round in 0..2000 {
                    let first = (i + round) % 3;
                    let held: Vec<usize> = (first..3).collect();
                    held.iter().for_each(|l| take(&member, &locks[*l]).unwrap());
                    held.iter().for_each(|l| give(&member, &locks[*l]));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
}

#[test]
fn a_sleeper_is_told_when_the_finder_is_turned_on() {
    let heap = Session::on_heap(0).unwrap();
    let founder = heap.member("founder").unwrap();
    let locks = Arc::new([lock(&founder, "a"), lock(&founder, "b")]);
    let both_hold = Arc::new(Barrier::new(2));
    let threads: Vec<_> = (0..2)
        .map(|i| {
            let (member, locks, both_hold) = (heap.member("m").unwrap(), locks.clone(), both_hold.clone());
            std::thread::spawn(move || {
                take(&member, &locks[i]).unwrap();
                both_hold.wait();
                let told = take(&member, &locks[1 - i]).is_err();
                give(&member, &locks[i]);
                told
            })
        })
        .collect();
    let asleep = |l: &Object| crate::wait::has_waiters(l.words().waiters(Role::First));
    let start = Instant::now();
    while !locks.iter().all(asleep) {
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::yield_now();
    }
    founder.find_deadlocks(true);
    let told: Vec<bool> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    assert_eq!(told.iter().filter(|t| **t).count(), 1);
}

#[test]
fn labels_are_read_and_cost_no_room() {
    let heap = Session::on_heap(0).unwrap();
    let member = heap.member("m").unwrap();
    let plan = Blueprint { kind: Kind::BLOCK, size: 100, ..PLAN };
    let object =
        Object::create_labelled(&member, plan, "a name that is much longer than fits, ä", |_, bytes| {
            // SAFETY: the block is ours alone until `create` returns.
            unsafe { bytes.unwrap().as_ptr().write_bytes(0xFF, 100) };
        })
        .unwrap();
    assert_eq!(object.label().unwrap(), "a name that is much longer than");
    assert_eq!(object.bytes().unwrap().1, 104, "its own bytes, in whole words");
    assert_eq!(lock(&member, "").label(), None);
    assert!(format!("{object:?}").contains("\"a name"), "{object:?}");
    let plain = lock(&member, "only a label");
    assert!(plain.bytes().is_none());
    assert_eq!(plain.label().unwrap(), "only a label");
}

#[test]
fn a_report_tells_who_holds_and_who_waits() {
    let heap = Session::on_heap(0).unwrap();
    let (alice, bob) = (heap.member("alice").unwrap(), heap.member("bob").unwrap());
    let stock = lock(&alice, "stock");
    take(&alice, &stock).unwrap();
    let waiting = {
        let (bob, stock) = (bob.clone(), stock.clone());
        std::thread::Builder::new()
            .name("buyer".into())
            .spawn(move || {
                take(&bob, &stock).unwrap();
                give(&bob, &stock);
            })
            .unwrap()
    };
    let start = Instant::now();
    let report = loop {
        let report = alice.report();
        // Each line is of its own moment: the holder's may be of one at which nobody waited yet.
        let mut threads = report.processes.iter().flat_map(|p| &p.threads);
        if threads.any(|t| t.held_by.is_some()) && report.to_string().contains("keeps others from Lock") {
            break report;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{report}");
        std::thread::yield_now();
    };
    give(&alice, &stock);
    waiting.join().unwrap();
    let of = |name: &str| report.processes.iter().find(|p| p.who.name == name).unwrap();
    assert!(of("alice").holds.iter().any(|h| h.object.ends_with("\"stock\"") && h.count == 1), "{report}");
    let buyer = of("bob").threads.iter().find(|t| t.name.starts_with("buyer (")).unwrap();
    assert!(buyer.waits_for.as_ref().unwrap().ends_with("\"stock\""), "{report}");
    assert_eq!(buyer.held_by.as_ref().unwrap().name, "alice");
    let text = report.to_string();
    assert!(text.contains("keeps others from Lock") && text.contains("2 processes"), "{text}");
}
