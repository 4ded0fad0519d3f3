//! What a queue does when nobody dies.

mod support;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use mp_queue::{Error, PutError, Queue, Receiver, Sender};
use serde::{Deserialize, Serialize};
use support::{PATIENCE, alone, hand_over, queue, until};

#[test]
fn first_in_first_out() {
    for capacity in [None, Some(1), Some(7), Some(1000)] {
        let session = alone();
        let q = queue::<u32>(&session, capacity);
        let mut next = 0;
        for round in 0..500_u32 {
            let many = (round % 40).min(capacity.unwrap_or(40) as u32);
            q.put_many(round * 100..round * 100 + many).unwrap();
            assert_eq!(q.len(), many as usize);
            for i in 0..many {
                assert_eq!(q.get().unwrap(), round * 100 + i);
                next += 1;
            }
            assert!(q.is_empty());
        }
        assert!(next > 400);
        assert_eq!(q.try_get(), Err(Error::Empty));
    }
}

#[test]
fn capacity_is_exact() {
    let session = alone();
    for capacity in [1, 2, 3, 5, 64, 100] {
        let q = queue::<usize>(&session, Some(capacity));
        assert_eq!(q.capacity(), Some(capacity));
        for turn in 0..4 {
            for i in 0..capacity {
                assert!(!q.is_full());
                q.try_put(i).unwrap();
                assert_eq!(q.len(), i + 1);
            }
            assert!(q.is_full());
            assert_eq!(q.try_put(99), Err(PutError { value: 99, error: Error::Full }));
            // Not whole turns, so that the ring's seam wanders.
            for i in 0..capacity.min(3) {
                assert_eq!(q.get().unwrap(), i);
            }
            for i in 0..capacity.min(3) {
                q.try_put(1000 + i).unwrap();
            }
            assert_eq!(q.try_put(99).unwrap_err().error, Error::Full, "turn {turn}");
            assert_eq!(q.get_many(usize::MAX).unwrap().len(), capacity);
        }
    }
}

#[test]
fn no_room_for_nothing() {
    let session = alone();
    assert!(matches!(Queue::<()>::make(&session, Some(0)), Err(Error::InvalidArgument { .. })));
    assert!(matches!(Queue::<()>::make(&session, Some(1 << 40)), Err(Error::LimitReached { .. })));
}

#[test]
fn an_unbounded_queue_grows_and_keeps_order() {
    let session = alone();
    let before = session.stats();
    let q = queue::<u64>(&session, None);
    let fresh = session.stats().bytes_in_use - before.bytes_in_use;
    assert!(fresh <= 4096, "an empty queue takes {fresh} bytes");
    q.put_many(0..20_000).unwrap();
    assert_eq!((q.len(), q.is_full(), q.capacity()), (20_000, false, None));
    for i in 0..20_000 {
        assert_eq!(q.get().unwrap(), i);
    }
    assert!(q.is_empty());
    // Once it has grown it stays as it is.
    let grown = session.stats();
    for round in 0..10 {
        q.put_many(round..round + 15_000).unwrap();
        assert_eq!(q.get_many(usize::MAX).unwrap(), (round..round + 15_000).collect::<Vec<_>>());
    }
    assert_eq!(session.stats(), grown);
    drop(q);
    let after = session.stats();
    assert_eq!(after.objects, before.objects);
    assert_eq!(after.bytes_in_use, before.bytes_in_use);
}

#[test]
fn a_handle_that_arrives_late_follows_the_rings() {
    let session = alone();
    let q = queue::<u64>(&session, None);
    q.put_many(0..1000).unwrap();
    let late: Queue<u64> = hand_over(&session, &session, &q);
    assert_eq!(late.len(), 1000);
    late.put(1000).unwrap();
    assert_eq!(q.get().unwrap(), 0);
    assert_eq!(late.get_many(5000).unwrap(), (1..=1000).collect::<Vec<_>>());
    let later: Receiver<u64> = hand_over(&session, &session, &q.receiver());
    q.put(7).unwrap();
    assert_eq!(later.get().unwrap(), 7);
}

/// Every message arrives once, and those of one producer in order.
fn many_to_many(capacity: Option<usize>, producers: u64, consumers: usize, each: u64) {
    let session = alone();
    let (sender, receiver) = queue::<(u64, u64)>(&session, capacity).split();
    let putting: Vec<_> = (0..producers)
        .map(|p| {
            let sender = sender.clone();
            thread::spawn(move || {
                for i in 0..each {
                    match i % 3 {
                        0 => sender.put((p, i)).unwrap(),
                        1 => sender.put_timeout((p, i), PATIENCE).unwrap(),
                        _ => {
                            let mut value = (p, i);
                            while let Err(refused) = sender.try_put(value) {
                                assert_eq!(refused.error, Error::Full);
                                value = refused.value;
                                thread::yield_now();
                            }
                        }
                    }
                }
            })
        })
        .collect();
    drop(sender);
    let getting: Vec<_> = (0..consumers)
        .map(|c| {
            let receiver = receiver.clone();
            thread::spawn(move || {
                let mut got = Vec::new();
                loop {
                    let more =
                        if c % 2 == 0 { receiver.get().map(|m| vec![m]) } else { receiver.get_many(10) };
                    match more {
                        Ok(more) => got.extend(more),
                        Err(Error::Disconnected { who: None, how: None, .. }) => return got,
                        Err(e) => panic!("{e}"),
                    }
                }
            })
        })
        .collect();
    putting.into_iter().for_each(|t| t.join().unwrap());
    let mut seen = HashSet::new();
    for thread in getting {
        let mut last = HashMap::new();
        for (p, i) in thread.join().unwrap() {
            assert!(seen.insert((p, i)), "({p}, {i}) came twice");
            assert!(last.insert(p, i).is_none_or(|before| before < i), "order of producer {p}");
        }
    }
    assert_eq!(seen.len() as u64, producers * each);
    assert_eq!(receiver.len(), 0);
}

#[test]
fn many_to_many_bounded() {
    many_to_many(Some(1), 3, 3, 2_000);
    many_to_many(Some(5), 4, 2, 5_000);
    many_to_many(Some(100), 2, 4, 10_000);
}

#[test]
fn many_to_many_unbounded() {
    for _ in 0..5 {
        many_to_many(None, 4, 4, 10_000);
    }
}

#[test]
fn the_last_sender_leaves() {
    let session = alone();
    let (sender, receiver) = queue::<u8>(&session, None).split();
    sender.put(1).unwrap();
    let copy = sender.clone();
    drop(sender);
    copy.put(2).unwrap();
    drop(copy);
    assert_eq!((receiver.get(), receiver.try_get()), (Ok(1), Ok(2)));
    for _ in 0..2 {
        assert!(matches!(receiver.get(), Err(Error::Disconnected { who: None, how: None, .. })));
        assert!(matches!(receiver.try_get(), Err(Error::Disconnected { .. })));
    }
}

#[test]
fn the_last_sender_leaves_while_others_wait() {
    let session = alone();
    let (sender, receiver) = queue::<u8>(&session, None).split();
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let receiver = receiver.clone();
            thread::spawn(move || receiver.get())
        })
        .collect();
    thread::sleep(Duration::from_millis(50)); // so that they sleep; it works all the same if they do not
    drop(sender);
    for thread in waiting {
        assert!(matches!(thread.join().unwrap(), Err(Error::Disconnected { .. })));
    }
}

#[test]
fn the_last_receiver_leaves() {
    let session = alone();
    let (sender, receiver) = queue::<String>(&session, Some(1)).split();
    sender.put("stays".into()).unwrap();
    let waiting = {
        let sender = sender.clone();
        thread::spawn(move || sender.put_timeout("back".into(), PATIENCE))
    };
    thread::sleep(Duration::from_millis(50)); // so that it sleeps; it works all the same if it does not
    drop(receiver);
    let refused = waiting.join().unwrap().unwrap_err();
    assert_eq!(refused.value, "back");
    assert!(matches!(refused.error, Error::Disconnected { who: None, .. }));
    assert!(matches!(sender.put(String::new()), Err(Error::Disconnected { .. })));
    let question = || -> mp_queue::Result<()> { Ok(sender.try_put("?".into())?) };
    assert!(matches!(question(), Err(Error::Disconnected { .. })));
}

#[test]
fn times_run_out() {
    let session = alone();
    let q = queue::<i64>(&session, Some(1));
    let begin = Instant::now();
    assert!(q.get_timeout(Duration::from_millis(30)).unwrap_err().is_timeout());
    assert!(begin.elapsed() >= Duration::from_millis(30));
    assert!(q.get_timeout(Duration::ZERO).unwrap_err().is_timeout());
    q.put_timeout(-1, Duration::ZERO).unwrap();
    let begin = Instant::now();
    let refused = q.put_timeout(-2, Duration::from_millis(30)).unwrap_err();
    assert!(begin.elapsed() >= Duration::from_millis(30));
    assert!(refused.error.is_timeout() && refused.value == -2);
    assert_eq!(q.get_timeout(Duration::MAX), Ok(-1), "for ever is no overflow");
    // What was waited for in vain does not come afterwards.
    assert_eq!(q.try_get(), Err(Error::Empty));
}

#[test]
fn sleepers_are_woken_one_by_one_and_in_both_directions() {
    let session = alone();
    let there = queue::<u32>(&session, Some(1));
    let back = queue::<u32>(&session, None);
    let echo = {
        let (there, back) = (there.clone(), back.clone());
        thread::spawn(move || {
            for value in &there {
                back.put(value.unwrap() + 1).unwrap();
            }
        })
    };
    for i in 0..2000 {
        there.put(i).unwrap();
        assert_eq!(back.get().unwrap(), i + 1);
        if i % 500 == 0 {
            thread::sleep(Duration::from_millis(2)); // past any spinning
        }
    }
    there.close().unwrap();
    echo.join().unwrap();
}

#[test]
fn closing_is_for_everybody() {
    for capacity in [None, Some(2)] {
        let session = alone();
        let q = queue::<u32>(&session, capacity);
        q.put_many([1, 2]).unwrap();
        assert!(!q.is_closed());
        let other: Queue<u32> = hand_over(&session, &session, &q);
        q.close().unwrap();
        other.close().unwrap();
        assert!(q.is_closed() && other.is_closed());
        assert!(matches!(other.put(3), Err(Error::Closed { .. })));
        let refused = q.try_put(4).unwrap_err();
        assert!(matches!(refused.error, Error::Closed { .. }) && refused.value == 4);
        assert_eq!(q.len(), 2);
        assert_eq!((other.get(), q.get()), (Ok(1), Ok(2)));
        assert!(matches!(q.get(), Err(Error::Closed { .. })));
        assert!(matches!(other.try_get(), Err(Error::Closed { .. })));
        assert!(matches!(q.get_timeout(PATIENCE), Err(Error::Closed { .. })));
        assert!(matches!(q.get_many(3), Err(Error::Closed { .. })));
        assert_eq!(q.iter().count(), 0);
    }
}

#[test]
fn closing_wakes_both_sides() {
    let session = alone();
    let (full, empty) = (queue::<u32>(&session, Some(1)), queue::<u32>(&session, None));
    full.put(0).unwrap();
    let threads: Vec<_> = (0..6)
        .map(|i| {
            let (full, empty) = (full.clone(), empty.clone());
            thread::spawn(move || if i % 2 == 0 { full.put(1).map(|()| 0) } else { empty.get() })
        })
        .collect();
    thread::sleep(Duration::from_millis(50)); // so that they sleep; it works all the same if they do not
    full.close().unwrap();
    empty.close().unwrap();
    for thread in threads {
        assert!(matches!(thread.join().unwrap(), Err(Error::Closed { .. })));
    }
    assert_eq!(full.get(), Ok(0));
}

/// What was put before the close is got, what was refused is not: no message is in between.
#[test]
fn closing_in_the_middle_of_puts_loses_nothing() {
    for round in 0..24 {
        let session = alone();
        let q = queue::<u64>(&session, if round % 2 == 0 { None } else { Some(10) });
        let count = Arc::new(AtomicU64::new(0));
        let putting: Vec<_> = (0..3)
            .map(|_| {
                let (q, count) = (q.clone(), count.clone());
                thread::spawn(move || {
                    // A bound, lest an unbounded queue fills the memory when nobody else gets to run.
                    for i in 0..20_000 {
                        match q.put(i) {
                            Ok(()) => count.fetch_add(1, Relaxed),
                            Err(Error::Closed { .. }) => return,
                            Err(e) => panic!("{e}"),
                        };
                    }
                })
            })
            .collect();
        let getting = {
            let q = q.clone();
            thread::spawn(move || q.iter().map(|m| m.map(|_| 1)).sum::<Result<u64, _>>().unwrap())
        };
        until("some messages", || count.load(Relaxed) >= round % 3 * 1000);
        q.close().unwrap();
        putting.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(getting.join().unwrap(), count.load(Relaxed), "round {round}");
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u64,
    items: Vec<String>,
    price: Option<f64>,
}

#[test]
fn messages_of_all_sizes() {
    let session = alone();
    let clean = session.stats();
    let q = queue::<Vec<u8>>(&session, None);
    for size in (0..100).chain([4095, 4096, 1 << 16, 3 << 20]) {
        let bytes: Vec<u8> = (0..size).map(|i| (i * 7 + size) as u8).collect();
        q.put(bytes.clone()).unwrap();
        assert_eq!(q.get().unwrap(), bytes);
    }
    let orders = queue::<Order>(&session, Some(3));
    let order = Order { id: 7, items: vec!["a".into(), "b".repeat(100)], price: Some(9.5) };
    orders.put(order.clone()).unwrap();
    orders.put(Order { items: vec![], price: None, ..order.clone() }).unwrap();
    assert_eq!(orders.get().unwrap(), order);
    assert_eq!(orders.get().unwrap().price, None);
    let units = queue::<()>(&session, Some(2));
    units.put(()).unwrap();
    assert_eq!(units.len(), 1);
    units.get().unwrap();
    // Large messages that nobody gets go with the queue.
    q.put_many((0..50).map(|i| vec![i; 10_000])).unwrap();
    drop((q, orders, units));
    assert_eq!(session.stats().objects, clean.objects);
}

#[test]
fn a_queue_inside_a_message() {
    let session = alone();
    let questions = queue::<(u32, Sender<String>)>(&session, None);
    let (answers, inbox) = queue::<String>(&session, None).split();
    questions.put((7, answers)).unwrap();
    let server = {
        let questions = questions.clone();
        thread::spawn(move || {
            let (number, answer_to) = questions.get().unwrap();
            answer_to.put(format!("seven is {number}")).unwrap();
        })
    };
    assert_eq!(inbox.get().unwrap(), "seven is 7");
    server.join().unwrap();
    assert!(matches!(inbox.get(), Err(Error::Disconnected { .. })), "the only sender went with the server");
    // A sender in a message that nobody gets counts as long as the message does.
    let (sender, receiver) = queue::<u8>(&session, None).split();
    let mailbox = queue::<Sender<u8>>(&session, None);
    mailbox.put(sender).unwrap();
    assert_eq!(receiver.try_get(), Err(Error::Empty));
    drop(mailbox);
    assert!(matches!(receiver.try_get(), Err(Error::Disconnected { .. })));
}

#[test]
fn other_types_are_refused() {
    let session = alone();
    let message = mp_session::Message::encode(&session, &queue::<u32>(&session, None)).unwrap();
    assert!(matches!(message.decode::<Queue<i32>>(), Err(Error::WrongType { .. })));
    message.decode::<Queue<u32>>().unwrap();
    let sender = mp_session::Message::encode(&session, &queue::<u32>(&session, None).sender()).unwrap();
    assert!(matches!(sender.decode::<Sender<u64>>(), Err(Error::WrongType { .. })));
    match sender.decode::<Receiver<u32>>() {
        Err(Error::WrongKind { expected, found }) => {
            assert_eq!((&*expected, &*found), ("Receiver", "Sender"))
        }
        other => panic!("{other:?}"),
    }
    let plan = mp_session::Blueprint {
        kind: mp_session::Kind::LOCK,
        fingerprint: mp_session::fingerprint::<u32>(),
        shape: mp_session::Shape::Plain,
        size: 0,
    };
    let lock = mp_session::Object::create(&session, plan, |_, _| {}).unwrap();
    let lock = mp_session::Message::encode(&session, &lock).unwrap();
    assert!(matches!(lock.decode::<Sender<u32>>(), Err(Error::WrongKind { .. })));
}

/// A value that cannot be sent is an error of the put, and the queue is as it was.
#[test]
fn what_cannot_be_sent_is_said_at_once() {
    #[derive(Debug, Deserialize)]
    struct Stubborn;
    impl Serialize for Stubborn {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    let session = alone();
    let q = queue::<Stubborn>(&session, Some(1));
    assert!(matches!(q.put(Stubborn), Err(Error::Encode { .. })));
    assert!(matches!(q.try_put(Stubborn).unwrap_err().error, Error::Encode { .. }));
    assert!(q.is_empty() && !q.is_full());
}

#[test]
fn handles_tell_what_they_are() {
    fn usable<T: Clone + Send + Sync + Serialize + serde::de::DeserializeOwned + std::fmt::Debug>(_: &T) {}
    let session = alone();
    let q = queue::<String>(&session, Some(4));
    usable(&q);
    usable(&q.sender());
    usable(&q.receiver());
    q.put("x".into()).unwrap();
    let text = format!("{q:?}");
    assert!(text.starts_with("Queue(queue ") && text.ends_with(", 1 messages of 4)"), "{text}");
    assert!(Arc::new(q.try_put("y".into())).is_ok());
}

#[test]
fn iterators_end_with_the_queue() {
    let session = alone();
    let (sender, receiver) = queue::<u32>(&session, Some(3)).split();
    let putting = thread::spawn(move || sender.put_many(0..100));
    let got: Vec<u32> = receiver.iter().collect::<Result<_, _>>().unwrap();
    assert_eq!(got, (0..100).collect::<Vec<_>>());
    putting.join().unwrap().unwrap();
}
