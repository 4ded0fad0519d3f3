//! The other kinds of queues: sorted ones, which make their order anew after a death, and the books of a joinable one.

use std::mem::forget;
use std::time::Duration;

use mp_queue::{Error, JoinableQueue, LifoQueue, PriorityQueue};

use crate::scene::{Act, Scene};
use crate::stage::{Stage, give};

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "sorted queue: make", play: make },
    Scene { name: "sorted queue: put", play: |stage| put(stage, 3, false) },
    Scene { name: "sorted queue: put a large message", play: |stage| put(stage, 3, true) },
    Scene { name: "sorted queue: put, and grow", play: |stage| put(stage, 16, false) },
    Scene { name: "sorted queue: get", play: |stage| get(stage, 3, false) },
    Scene { name: "sorted queue: get a large message", play: |stage| get(stage, 3, true) },
    Scene { name: "sorted queue: get the last, and shrink", play: shrink },
    Scene { name: "sorted queue: last in, first out", play: lifo },
    Scene { name: "sorted queue: close", play: close },
    Scene { name: "joinable queue: get and done", play: joinable },
];

const PATIENCE: Duration = Duration::from_secs(20);

type Sorted = PriorityQueue<u64, String>;

fn text(n: u64, large: bool) -> String {
    format!("{n} ").repeat(if large { 60 } else { 1 })
}

fn filled(stage: &Stage, count: u64, large: bool) -> Sorted {
    let queue = Sorted::make(&stage.witness, None).unwrap();
    for n in 0..count {
        queue.put(10 * (count - n), text(count - n, large)).unwrap();
    }
    queue
}

/// All that is left comes in order and whole, and everything works as before.
fn rest(queue: &Sorted, large: bool) -> Vec<u64> {
    let said = queue.len();
    let mut got = Vec::new();
    while let Ok((priority, value)) = queue.try_get() {
        assert_eq!(value, text(priority / 10, large));
        got.push(priority / 10);
    }
    assert_eq!(said, got.len(), "len is exact");
    for n in [3, 1, 2] {
        queue.put_timeout(n, String::new(), PATIENCE).map_err(|e| e.error).unwrap();
    }
    for n in 1..4 {
        assert_eq!(queue.get_timeout(PATIENCE).unwrap().0, n);
    }
    assert!(got.is_sorted() && queue.is_empty());
    got
}

fn make(stage: &Stage) -> Act {
    let victim = stage.victim.clone();
    Act::new(move || forget(Sorted::make(&victim, Some(2)).unwrap()))
}

fn put(stage: &Stage, before: u64, large: bool) -> Act {
    let queue = filled(stage, before, large);
    let theirs: Sorted = give(&stage.witness, &stage.victim, &queue);
    Act::new(move || {
        theirs.try_put(5000, text(500, large)).map_err(|e| e.error).unwrap();
        forget(theirs);
    })
    .check(move |_| {
        let mut got = rest(&queue, large);
        got.retain(|n| *n != 500);
        assert_eq!(got, (1..=before).collect::<Vec<_>>());
    })
}

fn get(stage: &Stage, before: u64, large: bool) -> Act {
    let queue = filled(stage, before, large);
    let theirs: Sorted = give(&stage.witness, &stage.victim, &queue);
    Act::new(move || {
        assert_eq!(theirs.try_get().unwrap().0, 10);
        forget(theirs);
    })
    .check(move |_| {
        let got = rest(&queue, large);
        let all: Vec<_> = (1..=before).collect();
        assert!(got == all || got == all[1..], "{got:?}");
    })
}

fn shrink(stage: &Stage) -> Act {
    let queue = filled(stage, 16 * 7 + 1, false);
    for _ in 0..16 * 7 {
        queue.get().unwrap();
    }
    let theirs: Sorted = give(&stage.witness, &stage.victim, &queue);
    Act::new(move || {
        theirs.try_get().unwrap();
        forget(theirs);
    })
    .check(move |_| assert!(rest(&queue, false).len() <= 1))
}

fn lifo(stage: &Stage) -> Act {
    let queue = LifoQueue::<u64>::make(&stage.witness, Some(3)).unwrap();
    queue.put(1).unwrap();
    queue.put(2).unwrap();
    let theirs: LifoQueue<u64> = give(&stage.witness, &stage.victim, &queue);
    Act::new(move || {
        theirs.try_put(3).map_err(|e| e.error).unwrap();
        assert_eq!(theirs.try_get(), Ok(3));
        assert_eq!(theirs.try_get(), Ok(2));
        forget(theirs);
    })
    .check(move |_| {
        let got: Vec<_> = std::iter::from_fn(|| queue.try_get().ok()).collect();
        assert!([&[3, 2, 1][..], &[2, 1], &[1]].contains(&&*got), "{got:?}");
    })
}

fn close(stage: &Stage) -> Act {
    let queue = filled(stage, 2, false);
    let theirs: Sorted = give(&stage.witness, &stage.victim, &queue);
    Act::new(move || {
        theirs.close().unwrap();
        forget(theirs);
    })
    .check(move |_| {
        if queue.is_closed() {
            assert!(queue.try_put(1, String::new()).is_err_and(|e| matches!(e.error, Error::Closed { .. })));
            assert_eq!(queue.iter().map(|got| got.unwrap().0).collect::<Vec<_>>(), [10, 20]);
        } else {
            assert_eq!(rest(&queue, false), [1, 2]);
        }
    })
}

fn joinable(stage: &Stage) -> Act {
    let queue = JoinableQueue::<u64>::make(&stage.witness, None).unwrap();
    queue.put_many([1, 2]).unwrap();
    let theirs: JoinableQueue<u64> = give(&stage.witness, &stage.victim, &queue);
    Act::new(move || {
        assert_eq!(theirs.try_get(), Ok(1));
        theirs.task_done().unwrap();
        forget(theirs);
    })
    .check(move |_| {
        // Whatever the victim had got and not done is told as lost, once; the rest is ours to do.
        while queue.try_get().is_ok() {
            queue.task_done().unwrap();
        }
        match queue.join_timeout(PATIENCE) {
            Ok(()) => {}
            Err(Error::Broken { why, .. }) => assert!(why.starts_with("1 tasks"), "{why}"),
            Err(other) => panic!("{other}"),
        }
        queue.join_timeout(PATIENCE).unwrap();
        assert_eq!(queue.unfinished(), 0);
    })
}
