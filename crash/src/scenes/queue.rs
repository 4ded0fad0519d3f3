//! Queues: putting and getting, growing and closing.
//!
//! The survivors' messages are numbers below a hundred, the victim's are 100 and up. Afterwards whatever is left is got: each
//! message once and in order, none of the survivors' lost, save one that the victim had taken.

use std::mem::forget;
use std::time::Duration;

use mp_queue::{Error, Queue, QueueOptions, Receiver, Sender};
use mp_wire::Message;

use crate::scene::{Act, Scene};
use crate::stage::{Stage, give};

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "queue: make", play: make },
    Scene { name: "queue: put, bounded", play: |stage| put::<u64>(stage, Some(3), 1) },
    Scene { name: "queue: put into the last place", play: |stage| put::<u64>(stage, Some(2), 1) },
    Scene { name: "queue: put into a full one", play: |stage| put::<u64>(stage, Some(1), 1) },
    Scene { name: "queue: put, unbounded", play: |stage| put::<u64>(stage, None, 1) },
    Scene { name: "queue: put a large message", play: |stage| put::<Large>(stage, Some(3), 1) },
    Scene { name: "queue: put, and grow", play: |stage| put::<u64>(stage, None, 31) },
    Scene { name: "queue: put a large message, and grow", play: |stage| put::<Large>(stage, None, 15) },
    Scene { name: "queue: put after it grew", play: |stage| put::<u64>(stage, None, 32) },
    Scene { name: "queue: get, bounded", play: |stage| get::<u64>(stage, Some(3), 2) },
    Scene { name: "queue: get the last", play: |stage| get::<u64>(stage, Some(3), 1) },
    Scene { name: "queue: get text", play: |stage| get::<Text>(stage, Some(3), 2) },
    Scene { name: "queue: put text, bounded by bytes", play: |stage| put_bytes(stage, 30) },
    Scene {
        name: "queue: put text, bounded by bytes, when there is no room",
        play: |stage| put_bytes(stage, 19),
    },
    Scene { name: "queue: lease", play: |stage| lease::<u64>(stage, false) },
    Scene { name: "queue: lease text", play: |stage| lease::<Text>(stage, false) },
    Scene { name: "queue: lease a large message", play: |stage| lease::<Large>(stage, false) },
    Scene { name: "queue: lease, the first one", play: |stage| lease::<u64>(stage, true) },
    Scene { name: "queue: deal with a lease", play: |stage| settle::<u64>(stage, true) },
    Scene {
        name: "queue: deal with the lease of a large message",
        play: |stage| settle::<Large>(stage, true),
    },
    Scene { name: "queue: give a lease back", play: |stage| settle::<Large>(stage, false) },
    Scene { name: "queue: get what came back", play: |stage| get_back::<u64>(stage, false) },
    Scene { name: "queue: get a large one that came back", play: |stage| get_back::<Large>(stage, false) },
    Scene { name: "queue: lease what came back", play: |stage| get_back::<Large>(stage, true) },
    Scene { name: "queue: get from an empty one", play: |stage| get::<u64>(stage, Some(3), 0) },
    Scene { name: "queue: get, unbounded", play: |stage| get::<u64>(stage, None, 2) },
    Scene { name: "queue: get a large message", play: |stage| get::<Large>(stage, Some(3), 2) },
    Scene { name: "queue: get, and go on to the next ring", play: next_ring },
    Scene { name: "queue: close", play: |stage| close(stage, 2) },
    Scene { name: "queue: close a full ring", play: |stage| close(stage, 31) },
    Scene { name: "queue: put into a closed one", play: put_closed },
    Scene { name: "queue: open a handle that arrived", play: open },
    Scene { name: "queue: release the last handle", play: release },
];

/// A number as a message.
trait Numbered: Message + std::fmt::Debug {
    fn of(number: u64) -> Self;
    fn number(&self) -> u64;
}

impl Numbered for u64 {
    fn of(number: u64) -> u64 {
        number
    }
    fn number(&self) -> u64 {
        *self
    }
}

/// Too large to travel in a cell.
type Large = (u64, String);

impl Numbered for Large {
    fn of(number: u64) -> Large {
        (number, "this does not fit into a cell, so it is a message of the session ".repeat(2))
    }
    fn number(&self) -> u64 {
        assert!(self.1.starts_with("this does not"));
        self.0
    }
}

/// Short enough for a cell.
type Text = String;

impl Numbered for Text {
    fn of(number: u64) -> Text {
        format!("{number:>10}")
    }
    fn number(&self) -> u64 {
        self.trim().parse().unwrap()
    }
}

/// Everything that is there now.
fn rest<T: Numbered>(queue: &Queue<T>) -> Vec<u64> {
    let said = queue.len();
    let mut got = Vec::new();
    loop {
        match queue.try_get() {
            Ok(value) => got.push(value.number()),
            Err(Error::Empty | Error::Closed { .. }) => break,
            Err(e) => panic!("{e}"),
        }
    }
    assert_eq!(said, got.len(), "len is exact");
    got
}

/// It still does what queues do, more often than it has cells.
fn works<T: Numbered>(queue: &Queue<T>) {
    for round in 0..40 {
        queue.put_timeout(T::of(round), PATIENCE).map_err(|e| e.error).unwrap();
        assert_eq!(queue.get_timeout(PATIENCE).unwrap().number(), round);
    }
    assert!(queue.is_empty());
}

const PATIENCE: Duration = Duration::from_secs(20);

fn filled<T: Numbered>(stage: &Stage, capacity: Option<usize>, count: u64) -> Queue<T> {
    let queue = Queue::make(&stage.witness, capacity).unwrap();
    queue.put_many((0..count).map(T::of)).unwrap();
    queue
}

fn make(stage: &Stage) -> Act {
    let victim = stage.victim.clone();
    Act::new(move || forget(Queue::<u64>::make(&victim, Some(2)).unwrap()))
}

fn put<T: Numbered>(stage: &Stage, capacity: Option<usize>, before: u64) -> Act {
    let queue = filled::<T>(stage, capacity, before);
    let theirs: Sender<T> = give(&stage.witness, &stage.victim, &queue.sender());
    let another = || give(&stage.witness, &stage.witness, &queue);
    let (putter, getter) = (another(), another());
    Act::new(move || {
        // Without waiting: full is an outcome as well.
        let _ = theirs.try_put(T::of(100));
        forget(theirs);
    })
    .meanwhile("puts, too", move || {
        let _ = putter.try_put(T::of(50));
    })
    .meanwhile("gets", move || {
        assert!(getter.try_get().is_ok_and(|value| value.number() == 0));
    })
    .check(move |_| {
        let mut got = rest(&queue);
        let expected: Vec<u64> = (0..before).collect();
        got.retain(|n| *n != 100 && *n != 50);
        let missing = expected.len() - got.len();
        assert!(missing <= 1 && got == expected[missing..], "{got:?} of {expected:?}");
        works(&queue);
    })
}

fn get<T: Numbered>(stage: &Stage, capacity: Option<usize>, before: u64) -> Act {
    let queue = filled::<T>(stage, capacity, before);
    let theirs: Receiver<T> = give(&stage.witness, &stage.victim, &queue.receiver());
    let another = || give(&stage.witness, &stage.witness, &queue);
    let (putter, getter) = (another(), another());
    Act::new(move || {
        let _ = theirs.try_get();
        forget(theirs);
    })
    .meanwhile("puts", move || {
        let _ = putter.try_put(T::of(50));
    })
    .meanwhile("gets, too", move || {
        let _ = getter.try_get();
    })
    .check(move |_| {
        let got: Vec<u64> = rest(&queue).into_iter().filter(|n| *n != 50).collect();
        // The victim had one, and another member may have had one, before it or behind it.
        let missing = before - got.len() as u64;
        assert!(missing <= 2 && got.is_sorted(), "{got:?} of {before}");
        works(&queue);
    })
}

fn next_ring(stage: &Stage) -> Act {
    let queue = filled::<u64>(stage, None, 33);
    for _ in 0..31 {
        queue.get().unwrap();
    }
    let theirs: Receiver<u64> = give(&stage.witness, &stage.victim, &queue.receiver());
    let getter = give(&stage.witness, &stage.witness, &queue);
    Act::new(move || {
        assert!(theirs.try_get().is_ok());
        forget(theirs);
    })
    .meanwhile("gets, too", move || assert!(getter.try_get().is_ok()))
    .check(move |_| {
        let got = rest(&queue);
        assert!(got.is_sorted() && got.iter().all(|n| (31..33).contains(n)), "{got:?}");
        works(&queue);
    })
}

fn close(stage: &Stage, before: u64) -> Act {
    let queue = filled::<u64>(stage, None, before);
    let theirs: Sender<u64> = give(&stage.witness, &stage.victim, &queue.sender());
    let another = || give(&stage.witness, &stage.witness, &queue);
    let (putter, getter) = (another(), another());
    Act::new(move || {
        theirs.close().unwrap();
        forget(theirs);
    })
    .meanwhile("puts", move || {
        let _ = putter.try_put(50);
    })
    .meanwhile("gets", move || assert_eq!(getter.try_get(), Ok(0)))
    .check(move |_| {
        let closed = queue.is_closed();
        let got: Vec<u64> = rest(&queue).into_iter().filter(|n| *n != 50).collect();
        assert!(got == (0..before).collect::<Vec<_>>() || got == (1..before).collect::<Vec<_>>(), "{got:?}");
        if closed {
            assert!(queue.try_put(1).is_err_and(|e| matches!(e.error, Error::Closed { .. })));
        } else {
            works(&queue);
        }
        queue.close().unwrap();
        assert!(queue.is_closed());
    })
}

fn put_closed(stage: &Stage) -> Act {
    let queue = filled::<u64>(stage, None, 2);
    let theirs: Sender<u64> = give(&stage.witness, &stage.victim, &queue.sender());
    queue.close().unwrap();
    Act::new(move || {
        assert!(theirs.put(100).is_err());
        forget(theirs);
    })
    .check(move |_| assert_eq!(rest(&queue), [0, 1]))
}

fn open(stage: &Stage) -> Act {
    let queue = filled::<u64>(stage, None, 2);
    let message = mp_session::Message::encode(&stage.witness, &queue).unwrap();
    let theirs = give(&stage.witness, &stage.victim, message.as_object());
    drop(message);
    Act::new(move || {
        let message = mp_session::Message::from_object(theirs).unwrap();
        forget(message.decode::<Queue<u64>>().unwrap());
        drop(message);
    })
    .check(move |_| assert_eq!(rest(&queue), [0, 1]))
}

fn release(stage: &Stage) -> Act {
    let queue = Queue::<Large>::make(&stage.victim, None).unwrap();
    queue.put_many((0..33).map(Large::of)).unwrap();
    Act::new(move || drop(queue))
}

/// Two messages of ten bytes are in it.
fn put_bytes(stage: &Stage, bound: u64) -> Act {
    let queue = Queue::<Text>::make_as(&stage.witness, QueueOptions::new().bytes(bound)).unwrap();
    queue.put(Text::of(0)).unwrap();
    let theirs: Sender<Text> = give(&stage.witness, &stage.victim, &queue.sender());
    let putter = give(&stage.witness, &stage.witness, &queue);
    Act::new(move || {
        let _ = theirs.try_put(Text::of(100));
        forget(theirs);
    })
    .meanwhile("puts, too", move || {
        let _ = putter.try_put(Text::of(50));
    })
    .check(move |_| {
        let got = rest(&queue);
        assert!(got.first() == Some(&0) && got.len() as u64 * 10 <= bound, "{got:?}");
        works(&queue);
    })
}

/// The victim leases, deals with nothing and is gone: nothing is lost, and nothing comes twice.
fn lease<T: Numbered>(stage: &Stage, first: bool) -> Act {
    let queue = filled::<T>(stage, Some(4), 3);
    if !first {
        drop(queue.get_leased().unwrap()); // makes the board
        queue.put(T::of(3)).unwrap();
    }
    let before = if first { 0..3 } else { 1..4 };
    let theirs: Receiver<T> = give(&stage.witness, &stage.victim, &queue.receiver());
    let another = || give(&stage.witness, &stage.witness, &queue);
    let (getter, lessee) = (another(), another());
    Act::new(move || {
        forget(theirs.try_get_leased());
        forget(theirs);
    })
    .meanwhile("gets", move || {
        let _ = getter.try_get();
    })
    .meanwhile("leases, too", move || {
        if let Ok(lease) = lessee.try_get_leased() {
            lease.give_back().unwrap();
        }
    })
    .check(move |_| {
        let mut got = rest(&queue);
        got.sort_unstable();
        let missing = before.clone().filter(|n| !got.contains(n)).count();
        // One of ours may have got one.
        assert!(missing <= 1 && got.len() + missing == 3, "{got:?} of {before:?}");
        works(&queue);
    })
}

/// The victim has a lease and says what became of it.
fn settle<T: Numbered>(stage: &Stage, done: bool) -> Act {
    let queue = filled::<T>(stage, Some(4), 2);
    let theirs: Receiver<T> = give(&stage.witness, &stage.victim, &queue.receiver());
    let lease = theirs.get_leased().unwrap();
    let getter = give(&stage.witness, &stage.witness, &queue);
    Act::new(move || {
        if done {
            drop(lease);
        } else {
            lease.give_back().unwrap();
        }
        forget(theirs);
    })
    .meanwhile("gets", move || {
        let _ = getter.try_get();
    })
    .check(move |_| {
        let mut got = rest(&queue);
        got.sort_unstable();
        let least = usize::from(!done);
        assert!(got.len() >= least.saturating_sub(1) && got.iter().all(|n| *n < 2), "{got:?}");
        got.dedup();
        works(&queue);
    })
}

/// A message was given back, and the victim takes it.
fn get_back<T: Numbered>(stage: &Stage, leased: bool) -> Act {
    let queue = filled::<T>(stage, Some(4), 2);
    queue.get_leased().unwrap().give_back().unwrap();
    let theirs: Receiver<T> = give(&stage.witness, &stage.victim, &queue.receiver());
    let getter = give(&stage.witness, &stage.witness, &queue);
    Act::new(move || {
        if leased {
            forget(theirs.try_get_leased());
        } else {
            assert!(theirs.try_get().is_ok());
        }
        forget(theirs);
    })
    .meanwhile("gets, too", move || {
        let _ = getter.try_get();
    })
    .check(move |_| {
        let got = rest(&queue);
        let most = 2 - got.len();
        assert!(most <= if leased { 1 } else { 2 } && got.iter().all(|n| *n < 2), "{got:?}");
        works(&queue);
    })
}
