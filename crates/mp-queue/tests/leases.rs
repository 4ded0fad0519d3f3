//! Leases, bounds by bytes, and sizes.
#![allow(clippy::mem_forget, reason = "a kill runs no destructor either")]

mod support;

use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use mp_queue::{Error, JoinableQueue, Queue, QueueOptions, Receiver, Sender};
use mp_session::Session;
use support::{PATIENCE, alone, hand_over, queue, until};

const SHORT: Duration = Duration::from_millis(5);

fn two() -> (Session, Session) {
    let heap = Session::on_heap(32 << 20).unwrap();
    (heap.member("a").unwrap(), heap.member("b").unwrap())
}

/// Short and long ones: in cells, and as messages of their own.
fn texts() -> Vec<String> {
    (0..6).map(|n| "text ".repeat(1 + n * 15)).collect()
}

#[test]
fn dropping_deals_with_it_and_giving_back_does_not() {
    let session = alone();
    let q = queue::<String>(&session, None);
    let before = session.stats();
    q.put_many(texts()).unwrap();
    for text in texts() {
        let lease = q.get_leased().unwrap();
        assert_eq!(*lease, text);
        lease.give_back().unwrap();
        assert_eq!(q.len(), 6);
        let mut lease = q.try_get_leased().unwrap();
        assert_eq!((&*lease, q.len()), (&text, 5));
        lease.push('!');
        assert_eq!(lease.done().unwrap(), format!("{text}!"));
        q.put(text).unwrap();
    }
    for text in texts() {
        let back = catch_unwind(AssertUnwindSafe(|| {
            let lease = q.get_leased_timeout(PATIENCE).unwrap();
            assert_eq!(*lease, text);
            std::panic::resume_unwind(Box::new("this consumer fails"));
        }));
        assert!(back.is_err());
        // A plain get finds it, too.
        assert_eq!(q.get().unwrap(), text);
    }
    assert_eq!(q.try_get_leased().unwrap_err(), Error::Empty);
    assert!(q.get_leased_timeout(SHORT).unwrap_err().is_timeout());
    assert!(q.is_empty());
    let after = session.stats();
    assert_eq!(after.objects, before.objects + 1, "the board, and no message");
}

#[test]
fn a_dead_consumer_s_leases_come_back() {
    let (a, b) = two();
    let q = queue::<String>(&a, Some(10));
    let theirs: Receiver<String> = hand_over(&a, &b, &q.receiver());
    q.put_many(texts()).unwrap();
    let leases: Vec<_> = (0..4).map(|_| theirs.get_leased().unwrap()).collect();
    assert_eq!(q.len(), 2);
    drop(leases.into_iter().map(forget).collect::<Vec<_>>());
    let waiter = {
        let q = q.clone();
        thread::spawn(move || (0..6).map(|_| q.get().unwrap()).collect::<Vec<_>>())
    };
    forget(theirs);
    b.abandon();
    until("all come", || {
        a.notice_deaths().unwrap();
        waiter.is_finished()
    });
    let mut got = waiter.join().unwrap();
    got.sort_by_key(String::len);
    assert_eq!(got, texts());
    assert!(q.is_empty() && q.try_get().is_err());
}

#[test]
fn the_end_is_told_when_no_lease_can_come_back() {
    let (a, b) = two();
    let (sender, receiver) = queue::<u32>(&a, None).split();
    let theirs: Receiver<u32> = hand_over(&a, &b, &receiver);
    sender.put_many([1, 2]).unwrap();
    drop(sender);
    let lease = theirs.get_leased().unwrap();
    assert_eq!(receiver.get(), Ok(2));
    assert_eq!(receiver.try_get(), Err(Error::Empty), "not the end: 1 may come back");
    let waiter = {
        let receiver = receiver.clone();
        thread::spawn(move || receiver.get_timeout(PATIENCE))
    };
    drop(lease);
    assert!(matches!(waiter.join().unwrap(), Err(Error::Disconnected { .. })));
    assert!(matches!(theirs.try_get_leased(), Err(Error::Disconnected { .. })));
}

#[test]
fn leased_tasks_are_done_when_dealt_with_and_not_lost() {
    let (a, b) = two();
    let q = JoinableQueue::<u64>::make(&a, None).unwrap();
    let theirs = hand_over(&a, &b, &q);
    q.put(7).unwrap();
    let lease = theirs.get_leased().unwrap();
    assert!(q.join_timeout(SHORT).unwrap_err().is_timeout());
    forget((lease, theirs));
    b.abandon();
    let joiner = {
        let q = q.clone();
        thread::spawn(move || q.join())
    };
    until("it comes back", || {
        a.notice_deaths().unwrap();
        q.len() == 1
    });
    let lease = q.get_leased().unwrap();
    assert!(!joiner.is_finished());
    drop(lease);
    joiner.join().unwrap().unwrap();
}

#[test]
fn many_lease_at_once() {
    let session = alone();
    let (sender, receiver) = queue::<u64>(&session, Some(20)).split();
    let consumers: Vec<_> = (0..3_u64)
        .map(|c| {
            let receiver = receiver.clone();
            thread::spawn(move || {
                let mut sum = 0;
                for n in 0.. {
                    match receiver.get_leased() {
                        Ok(lease) if n % 5 == c => lease.give_back().unwrap(),
                        Ok(lease) => sum += *lease,
                        Err(Error::Disconnected { .. }) => break,
                        Err(other) => panic!("{other}"),
                    }
                }
                sum
            })
        })
        .collect();
    drop(receiver);
    for n in 0..3000 {
        sender.put(n).unwrap();
    }
    drop(sender);
    let sum: u64 = consumers.into_iter().map(|c| c.join().unwrap()).sum();
    assert_eq!(sum, (0..3000).sum());
}

#[test]
fn too_many_leases_are_refused() {
    let session = alone();
    let q = queue::<u32>(&session, None);
    q.put_many(0..300).unwrap();
    let held: Vec<_> = (0..256).map(|_| q.get_leased().unwrap()).collect();
    assert!(matches!(q.get_leased(), Err(Error::LimitReached { .. })));
    drop(held);
    assert_eq!(*q.get_leased().unwrap(), 256);
}

#[test]
fn bytes_bound() {
    let session = alone();
    let options = QueueOptions::new().bytes(1000).message_size(100);
    let q = Queue::<Vec<u8>>::make_as(&session, options).unwrap();
    assert!(matches!(q.put(vec![0; 1001]), Err(Error::LimitReached { .. })));
    q.put(vec![1; 1000]).unwrap();
    assert!(q.is_full());
    assert_eq!(q.try_put(vec![0]).unwrap_err().error, Error::Full);
    assert_eq!(q.get().unwrap().len(), 1000);
    for n in 0..50 {
        // In cells and as messages of their own, over several rings.
        q.put(vec![n; 10 + usize::from(n % 2) * 20]).unwrap();
    }
    assert_eq!(q.try_put(vec![0]).unwrap_err().error, Error::Full);
    q.try_put(Vec::new()).unwrap();
    assert_eq!(q.get().unwrap().len(), 10);
    assert_eq!(q.try_put(vec![0; 11]).unwrap_err().error, Error::Full);
    q.try_put(vec![0; 10]).unwrap();
    assert_eq!(q.len(), 51);
    // Who needs more than is free waits for it.
    let large = {
        let q = q.clone();
        thread::spawn(move || q.put(vec![9; 900]))
    };
    let mut sum = 0;
    while sum < 900 + 1000 {
        sum += q.get_timeout(PATIENCE).unwrap().len();
    }
    large.join().unwrap().unwrap();
}

/// Several producers never exceed the bound together.
#[test]
fn the_bound_holds_for_all_producers() {
    let session = alone();
    let options = QueueOptions::new().bytes(64).capacity(100);
    let q = Queue::<u64>::make_as(&session, options).unwrap();
    thread::scope(|scope| {
        for p in 0..3 {
            let q = q.clone();
            scope.spawn(move || (0..400).for_each(|n| q.put(p * 1000 + n).unwrap()));
        }
        let mut next = [0; 3];
        for _ in 0..1200 {
            assert!(q.len() <= 8);
            let n = q.get_timeout(PATIENCE).unwrap();
            let p = (n / 1000) as usize;
            assert_eq!(n % 1000, next[p]);
            next[p] += 1;
        }
    });
}

/// Below, at and above every size at which a message travels otherwise.
#[test]
fn d24_no_size_is_special() {
    let session = Session::on_heap(256 << 20).unwrap().member("alone").unwrap();
    for message_size in [None, Some(16), Some(1000), Some(1 << 20)] {
        let options = message_size.map_or(QueueOptions::new(), |n| QueueOptions::new().message_size(n));
        let q = Queue::<Vec<u8>>::make_as(&session, options.capacity(4)).unwrap();
        let sizes = (0..10).chain(54..60).chain(118..124).chain(990..1020).chain(4085..4093);
        let large = if message_size.is_none() { (32 << 20) + 1 } else { 70_000 };
        for size in sizes.chain([65_535, 65_536, large]) {
            let bytes: Vec<u8> = (0..size).map(|i| (i * 7 + size) as u8).collect();
            q.put(bytes.clone()).unwrap();
            assert!(q.get().unwrap() == bytes, "{size} bytes");
        }
    }
    // And many: macOS has 32,767 of CPython's at most.
    let q = queue::<u16>(&session, Some(40_000));
    q.put_many((0..40_000).map(|n| n as u16)).unwrap();
    assert_eq!((q.len(), q.is_full(), q.is_empty()), (40_000, true, false));
    assert_eq!(q.get_many(50_000).unwrap().len(), 40_000);
}

/// What cannot be sent is an error of the put; what cannot be read is an error of that get. Nothing else is touched by either.
#[test]
fn d23_trouble_is_told_to_who_makes_it() {
    #[derive(Debug)]
    struct Odd(u32);
    impl serde::Serialize for Odd {
        fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            if self.0 == 13 { Err(serde::ser::Error::custom("thirteen")) } else { to.serialize_u32(self.0) }
        }
    }
    impl<'de> serde::Deserialize<'de> for Odd {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Odd, D::Error> {
            u32::deserialize(from).map(Odd)
        }
    }
    let session = alone();
    let q = queue::<Odd>(&session, Some(2));
    q.put(Odd(1)).unwrap();
    let refused = q.try_put(Odd(13)).unwrap_err();
    assert!(matches!(refused.error, Error::Encode { .. }) && refused.value.0 == 13);
    assert_eq!(q.len(), 1, "and the slot is not taken");
    q.put(Odd(2)).unwrap();
    assert_eq!((q.get().unwrap().0, q.get().unwrap().0), (1, 2));

    // A handle of another kind cannot be read as what the receiver wants; the message goes with all that it carries.
    let before = session.stats().objects;
    let (tx, rx) = queue::<(u8, Sender<u8>)>(&session, None).split();
    let (inner, _inner) = queue::<u8>(&session, None).split();
    tx.put((1, inner.clone())).unwrap();
    tx.put((2, inner)).unwrap();
    drop(_inner);
    let lease = rx.get_leased().unwrap();
    assert_eq!(lease.0, 1);
    drop((lease, rx, tx));
    assert_eq!(session.stats().objects, before, "an abandoned queue leaks none of the handles in it");
}
