//! The other kinds of queues: joinable, sorted by priority, last in first out, and simple.
#![allow(clippy::mem_forget, reason = "a kill runs no destructor either")]

mod support;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::mem::forget;
use std::thread;
use std::time::Duration;

use mp_queue::{Error, JoinableQueue, LifoQueue, PriorityQueue, Queue, Sender};
use mp_session::Session;
use proptest::prelude::*;
use support::{PATIENCE, alone, hand_over, until};

fn two() -> (Session, Session) {
    let heap = Session::on_heap(32 << 20).unwrap();
    (heap.member("a").unwrap(), heap.member("b").unwrap())
}

const SHORT: Duration = Duration::from_millis(5);

#[test]
fn a_task_is_done_once() {
    let q = JoinableQueue::<u32>::make(&alone(), None).unwrap();
    q.join().unwrap();
    assert!(matches!(q.task_done(), Err(Error::InvalidArgument { .. })));
    q.put_many([1, 2]).unwrap();
    assert_eq!(q.unfinished(), 2);
    assert!(matches!(q.task_done(), Err(Error::InvalidArgument { .. })), "nobody has got one");
    assert_eq!(q.get_many(2).unwrap(), [1, 2]);
    assert_eq!((q.len(), q.unfinished()), (0, 2));
    assert!(q.join_timeout(SHORT).unwrap_err().is_timeout());
    q.task_done().unwrap();
    assert!(q.join_timeout(SHORT).unwrap_err().is_timeout());
    q.task_done().unwrap();
    q.join().unwrap();
    assert!(q.task_done().is_err());
    assert_eq!(q.try_get(), Err(Error::Empty));
    q.join().unwrap();
}

#[test]
fn join_waits_for_others_and_for_their_work() {
    let session = alone();
    // *work-makes-work*: each number but 0 puts two smaller ones before it is done.
    let q = JoinableQueue::<u32>::make(&session, None).unwrap();
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let q = q.clone();
            thread::spawn(move || {
                let mut seen = 0;
                for n in q.iter() {
                    let n = n.unwrap();
                    seen += 1;
                    if n > 0 {
                        q.put_many([n - 1, n - 1]).unwrap();
                    }
                    q.task_done().unwrap();
                }
                seen
            })
        })
        .collect();
    for _ in 0..20 {
        q.put(6).unwrap();
        q.join().unwrap();
        assert_eq!(q.unfinished(), 0);
    }
    q.close().unwrap();
    let seen: u32 = workers.into_iter().map(|w| w.join().unwrap()).sum();
    assert_eq!(seen, 20 * 127);
}

#[test]
fn what_a_dead_consumer_had_got_is_told_by_join() {
    let (a, b) = two();
    let q = JoinableQueue::<u32>::make(&a, None).unwrap();
    let theirs = hand_over(&a, &b, &q);
    q.put_many(0..4).unwrap();
    assert_eq!(theirs.get_many(3).unwrap(), [0, 1, 2]);
    theirs.task_done().unwrap();
    assert_eq!(q.get(), Ok(3));
    assert_eq!(q.unfinished(), 3);
    let joiner = {
        let q = q.clone();
        thread::spawn(move || q.join())
    };
    q.task_done().unwrap();
    thread::sleep(SHORT);
    assert!(!joiner.is_finished());
    forget(theirs);
    b.abandon();
    until("the death is noticed", || {
        a.notice_deaths().unwrap();
        joiner.is_finished()
    });
    let told = joiner.join().unwrap().unwrap_err();
    assert!(matches!(&told, Error::Broken { why, .. } if why.starts_with("2 tasks")), "{told}");
    q.join().unwrap();
    assert_eq!(q.unfinished(), 0);
    // Whoever comes into the dead one's place begins with nothing.
    q.put(9).unwrap();
    assert_eq!(q.get(), Ok(9));
    q.task_done().unwrap();
    q.join().unwrap();
}

#[test]
fn somebody_else_may_say_that_it_is_done() {
    let (a, b) = two();
    let q = JoinableQueue::<u32>::make(&a, Some(2)).unwrap();
    let theirs = hand_over(&a, &b, &q);
    q.put(1).unwrap();
    assert_eq!(theirs.get(), Ok(1));
    q.task_done().unwrap();
    assert!(theirs.task_done().is_err());
    q.join().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    /// Against a map: least first, equals in the order of their puts.
    #[test]
    fn least_first_and_stable(steps in prop::collection::vec(prop::option::of(-3_i8..3), 1..400)) {
        let q = PriorityQueue::<i8, u64>::make(&alone(), None).unwrap();
        let mut model = BTreeMap::new();
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Some(priority) => {
                    q.put(priority, n as u64).unwrap();
                    model.insert((priority, n as u64), ());
                }
                None => match model.pop_first() {
                    Some(((priority, n), ())) => prop_assert_eq!(q.try_get(), Ok((priority, n))),
                    None => prop_assert_eq!(q.try_get(), Err(Error::Empty)),
                },
            }
            prop_assert_eq!(q.len(), model.len());
        }
        q.close().unwrap();
        let rest: Vec<_> = q.iter().map(Result::unwrap).collect();
        prop_assert_eq!(rest, model.into_keys().collect::<Vec<_>>());
    }
}

#[test]
fn last_in_first_out_with_bounds() {
    let q = LifoQueue::<String>::make(&alone(), Some(3)).unwrap();
    for text in ["a", "b", "c"] {
        q.put(text.into()).unwrap();
    }
    assert!(q.is_full());
    let refused = q.try_put("d".into()).unwrap_err();
    assert_eq!((refused.error, refused.value.as_str()), (Error::Full, "d"));
    assert!(q.put_timeout("d".into(), SHORT).unwrap_err().error.is_timeout());
    // Too long for a place, so a message of its own.
    assert_eq!(q.get().unwrap(), "c");
    q.put("long ".repeat(100)).unwrap();
    assert_eq!(q.get().unwrap(), "long ".repeat(100));
    q.close().unwrap();
    assert!(matches!(q.put("e".into()), Err(Error::Closed { .. })));
    assert_eq!(q.iter().map(Result::unwrap).collect::<Vec<_>>(), ["b", "a"]);
    assert!(matches!(q.get_timeout(SHORT), Err(Error::Closed { .. })));
}

#[test]
fn sorted_queues_wake_and_wait() {
    let session = alone();
    let q = PriorityQueue::<Reverse<u32>, u32>::make(&session, Some(2)).unwrap();
    let producers: Vec<_> = (0..2_u32)
        .map(|p| {
            let q = q.clone();
            thread::spawn(move || (0..500).for_each(|n| q.put(Reverse(n), p * 1000 + n).unwrap()))
        })
        .collect();
    let consumers: Vec<_> = (0..2)
        .map(|_| {
            let q = q.clone();
            thread::spawn(move || q.iter().map(|m| m.unwrap().1).collect::<Vec<_>>())
        })
        .collect();
    producers.into_iter().for_each(|p| p.join().unwrap());
    until("all are got", || q.is_empty());
    q.close().unwrap();
    let mut got: Vec<_> = consumers.into_iter().flat_map(|c| c.join().unwrap()).collect();
    got.sort_unstable();
    let expected: Vec<_> = (0..500).chain(1000..1500).collect();
    assert_eq!(got, expected);
}

#[test]
fn memory_of_a_sorted_queue_returns() {
    let session = alone();
    let q = PriorityQueue::<u64, u64>::make(&session, None).unwrap();
    let empty = session.stats();
    for round in 0..3 {
        for n in 0..5000_u64 {
            q.put(n * 7 % 5000, n).unwrap();
        }
        let full = session.stats();
        assert!(full.bytes_in_use > empty.bytes_in_use + 5000 * 128);
        for n in 0..5000_u64 {
            let (priority, number) = q.get().unwrap();
            assert_eq!((priority, number * 7 % 5000), (n, n), "round {round}");
        }
        let now = session.stats();
        assert!(now.bytes_in_use <= empty.bytes_in_use + (32 << 10), "{now:?} {empty:?}");
    }
    drop(q);
}

#[test]
fn sorted_queues_carry_handles_and_release_them() {
    let session = alone();
    let before = session.stats();
    let (tx, rx) = Queue::<u32>::make(&session, None).unwrap().split();
    let q = PriorityQueue::<u8, Sender<u32>>::make(&session, None).unwrap();
    for n in 0..40 {
        q.put(n, tx.clone()).unwrap();
    }
    drop(tx);
    q.get().unwrap().1.put(7).unwrap();
    assert_eq!(rx.get(), Ok(7));
    assert_eq!(rx.try_get(), Err(Error::Empty), "there are senders, in the queue");
    drop(q);
    assert!(matches!(rx.get_timeout(PATIENCE), Err(Error::Disconnected { .. })));
    drop(rx);
    let after = session.stats();
    assert_eq!(after.objects, before.objects);
}

#[test]
fn sorted_queues_are_handles() {
    let (a, b) = two();
    let q = LifoQueue::<u64>::make(&a, None).unwrap();
    let theirs = hand_over(&a, &b, &q);
    for n in 0..1000 {
        if n % 2 == 0 { q.put(n).unwrap() } else { theirs.put(n).unwrap() }
    }
    for n in (500..1000).rev() {
        assert_eq!(theirs.get(), Ok(n));
    }
    // A member that held the queue and put into it goes: what it put stays.
    forget(theirs);
    b.abandon();
    a.notice_deaths().unwrap();
    for n in (0..500).rev() {
        assert_eq!(q.get(), Ok(n));
    }
    assert!(q.is_empty());
}
