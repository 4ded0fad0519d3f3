//! Sets of counters in a session on the heap, in which one process plays several members.

use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::founding::HeapSession;
use crate::ids::{Kind, Role};
use crate::object::{Blueprint, Object};
use crate::primitive::AtomicU64;
use crate::table::Shape;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A number that can be taken from while it is not zero, as one of the members sees it.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    object: Object,
    session: Session,
}

impl Counter {
    pub(crate) fn new(session: &Session) -> Counter {
        let plan = Blueprint { kind: Kind(1000), fingerprint: 0, shape: Shape::Plain, size: 0 };
        let object = Object::create(session, plan, |_, _| {}).unwrap();
        Counter { object, session: session.clone() }
    }

    /// The same counter as another member sees it.
    pub(crate) fn seen_by(&self, other: &Session) -> Counter {
        Counter { object: self.object.clone(), session: other.clone() }
    }

    pub(crate) fn word(&self) -> &AtomicU64 {
        self.object.words().waiters(Role::First)
    }

    /// Step a.
    pub(crate) fn add_untold(&self) {
        self.object.words().word(0).fetch_add(1, SeqCst);
    }

    pub(crate) fn add(&self) {
        self.add_untold();
        self.session.wake_one(self.word());
    }

    pub(crate) fn take(&self) -> bool {
        self.object.words().word(0).fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok()
    }
}

impl Waitable for Counter {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        to.word(self.word());
    }
    fn is_ready(&self) -> bool {
        self.object.words().word(0).load(Relaxed) != 0
    }
}

fn two() -> (HeapSession, Session, Session) {
    let heap = Session::on_heap(32 << 20).unwrap();
    let (a, b) = (heap.member("a").unwrap(), heap.member("b").unwrap());
    (heap, a, b)
}

#[test]
fn a_set_names_what_is_ready_for_as_long_as_it_is() {
    let (_heap, a, b) = two();
    let counters: Vec<Counter> = (0..200).map(|_| Counter::new(&a)).collect();
    let mut set = WaitSet::new_in(&a);
    for (token, counter) in counters.iter().enumerate() {
        set.add(token as u64, counter).unwrap();
    }
    assert_eq!(set.wait(Duration::ZERO).unwrap(), []);
    counters[130].seen_by(&b).add();
    counters[7].seen_by(&b).add();
    for _ in 0..3 {
        let mut ready = set.wait(PATIENCE).unwrap();
        ready.sort_unstable();
        assert_eq!(ready, [7, 130]);
    }
    assert!(counters[7].take());
    assert_eq!(set.wait(PATIENCE).unwrap(), [130]);
    assert!(set.remove(130) && !set.remove(130));
    assert_eq!(set.wait(Duration::ZERO).unwrap(), []);
    assert_eq!(set.len(), 199);
}

#[test]
fn a_token_names_one_thing_and_may_be_used_again() {
    let (_heap, a, _b) = two();
    let (x, y) = (Counter::new(&a), Counter::new(&a));
    let mut set = WaitSet::new_in(&a);
    set.add(1, &x).unwrap();
    assert!(matches!(set.add(1, &y), Err(Error::InvalidArgument { .. })));
    assert!(set.remove(1));
    set.add(1, &y).unwrap();
    x.add();
    assert_eq!(set.wait(Duration::ZERO).unwrap(), []);
    y.add();
    assert_eq!(set.wait(PATIENCE).unwrap(), [1]);
}

#[test]
fn what_is_ready_before_it_is_added_is_named() {
    let (_heap, a, _b) = two();
    let x = Counter::new(&a);
    x.add();
    let mut set = WaitSet::new_in(&a);
    set.add(5, x).unwrap();
    assert_eq!(set.wait(None).unwrap(), [5]);
}

#[test]
fn nothing_to_wait_for() {
    let (_heap, a, b) = two();
    let mut set = WaitSet::new_in(&a);
    assert!(matches!(set.wait(None), Err(Error::InvalidArgument { .. })));
    assert!(matches!(set.wait(Duration::MAX), Err(Error::InvalidArgument { .. })));
    let begin = Instant::now();
    assert_eq!(set.wait(Duration::from_millis(20)).unwrap(), []);
    assert!(begin.elapsed() >= Duration::from_millis(20));
    assert_eq!(wait_in(&a, &[], Duration::ZERO).unwrap(), [] as [usize; 0]);
    let other = Session::on_heap(0).unwrap().member("elsewhere").unwrap();
    let strange = Counter::new(&other);
    assert!(matches!(set.add(1, strange.clone()), Err(Error::InvalidArgument { .. })));
    assert!(matches!(wait_in(&b, &[&strange], Duration::from_secs(1)), Err(Error::InvalidArgument { .. })));
}

#[test]
fn one_call_waits_for_the_first_of_several() {
    let (_heap, a, b) = two();
    let counters: Vec<Counter> = (0..4).map(|_| Counter::new(&a)).collect();
    let things: Vec<&dyn Waitable> = counters.iter().map(|c| c as &dyn Waitable).collect();
    assert_eq!(wait_in(&a, &things, Duration::ZERO).unwrap(), [] as [usize; 0]);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(20)); // so that it sleeps; it works all the same if it does not
            counters[2].seen_by(&b).add();
        });
        assert_eq!(wait_in(&a, &things, Duration::MAX).unwrap(), [2]);
    });
    counters[0].add();
    assert_eq!(wait_in(&a, &things, None).unwrap(), [0, 2]);
}

/// *seen-or-told*, *asleep-or-awake*: each addition ends a wait, and none has to be found by the look at everything.
/// `MP_WAIT_ROUNDS` (20,000) says how often.
#[test]
fn no_wake_up_is_lost() {
    let asked = std::env::var("MP_WAIT_ROUNDS").ok().and_then(|n| n.parse().ok());
    let rounds: usize = asked.unwrap_or(if cfg!(miri) { 20 } else { 20_000 });
    let (_heap, a, b) = two();
    let counters: Vec<Counter> = (0..8).map(|_| Counter::new(&a)).collect();
    let answers = Counter::new(&a);
    thread::scope(|scope| {
        scope.spawn(|| {
            let answers = answers.seen_by(&b);
            for round in 0..rounds {
                counters[round * 5 % 8].seen_by(&b).add();
                while !answers.take() {
                    wait_in(&b, &[&answers], PATIENCE).unwrap();
                }
            }
        });
        let mut set = WaitSet::new_in(&a);
        for (token, counter) in counters.iter().enumerate() {
            set.add(token as u64, counter).unwrap();
        }
        for round in 0..rounds {
            let ready = set.wait(PATIENCE).unwrap();
            assert_eq!(ready, [(round * 5 % 8) as u64]);
            assert!(counters[ready[0] as usize].take());
            answers.add();
        }
        assert_eq!(set.untold(), 0);
    });
}

/// Observers and ordinary waiters at the same word: a wake-up reaches one of the latter as if there were none of the former.
#[test]
fn observers_take_no_wake_up_away() {
    const ADDED: usize = if cfg!(miri) { 20 } else { 5_000 };
    let (heap, a, b) = two();
    let counter = Counter::new(&a);
    let taken = AtomicU64::new(0);
    let done = || taken.load(SeqCst) == ADDED as u64;
    let end = Counter::new(&a);
    thread::scope(|scope| {
        for name in ["c", "d"] {
            let (counter, taken, end) = (counter.seen_by(&heap.member(name).unwrap()), &taken, end.clone());
            scope.spawn(move || {
                let try_take = || {
                    let took = counter.take();
                    Ok((took || done()).then_some(took))
                };
                let nobody = || crate::ThreadId::NONE;
                while counter.session.wait(counter.word(), None, &nobody, try_take).unwrap() == Some(true) {
                    if taken.fetch_add(1, SeqCst) + 1 == ADDED as u64 {
                        end.add();
                        counter.session.wake_all(counter.word());
                    }
                }
            });
        }
        let mut set = WaitSet::new_in(&a);
        set.add(0, &counter).unwrap();
        set.add(1, &end).unwrap();
        scope.spawn(|| {
            let counter = counter.seen_by(&b);
            (0..ADDED).for_each(|_| counter.add());
        });
        // It takes nothing, and the others have to get everything.
        while !set.wait(PATIENCE).unwrap().contains(&1) {}
    });
}
