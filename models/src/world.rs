//! The world that the members of a model live in: who sleeps, who is about to die, and whether it is late.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use mp_session::primitive::Bug;
use mp_session::primitive::model::{Scheduler, schedule_by};
use mp_sys::{Bell, Watch, Woken};
use shuttle::current::{TaskId, try_get_current_task};
use shuttle::sync::atomic::AtomicBool;
use shuttle::thread::{self, Thread};

/// A slice no longer than this is a nap, after which one looks again: the others go on meanwhile.
const NAP: Duration = Duration::from_millis(10);

/// What a victim's stack is unwound with.
pub(crate) struct Died;

/// Who is asleep, and what ends it.
struct Sleeper {
    thread: Thread,
    bell: *const AtomicU32,
    watches: Vec<(*const AtomicU32, u32)>,
    timed: bool,
}

impl Sleeper {
    fn is_told(&self) -> bool {
        // SAFETY: a sleeper's words outlive its sleep: they belong to the session, which it plays in.
        self.watches.iter().any(|(word, value)| unsafe { &**word }.load(SeqCst) != *value)
    }
}

#[derive(Default)]
struct World {
    /// In the order in which they went to sleep.
    sleepers: Vec<Sleeper>,
    is_late: bool,
    /// After how many more steps a thread dies.
    fuses: HashMap<TaskId, u32>,
    /// Asking it is a point at which shuttle may let somebody else go on.
    turn: Rc<AtomicBool>,
    /// Steps made, over all threads.
    steps: u64,
    /// How often each thread went to sleep.
    sleeps: HashMap<TaskId, u32>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
    /// How deep in what is to be one step.
    static QUIET: Cell<u32> = const { Cell::new(0) };
    /// What is wrong with the code.
    static BUG: Cell<Option<Bug>> = const { Cell::new(None) };
    /// The running thread was killed; nothing of what its destructors do is to be seen.
    static DYING: Cell<bool> = const { Cell::new(false) };
}

struct Shuttle;

/// Begins anew: an iteration.
pub(crate) fn begin() {
    WORLD.set(World::default());
    QUIET.set(0);
    DYING.set(false);
    schedule_by(Some(&Shuttle));
}

/// From now on the code has this bug.
pub(crate) fn plant(bug: Option<Bug>) {
    BUG.set(bug);
}

/// Does something that nobody can come in between.
pub(crate) fn quietly<R>(f: impl FnOnce() -> R) -> R {
    QUIET.set(QUIET.get() + 1);
    let done = f();
    QUIET.set(QUIET.get() - 1);
    done
}

/// The calling thread is to die after so many more steps.
pub(crate) fn light_fuse(steps: u32) {
    let Some(me) = try_get_current_task() else { return };
    WORLD.with_borrow_mut(|w| w.fuses.insert(me, steps));
}

/// It is not, after all.
pub(crate) fn put_out_fuse() {
    let Some(me) = try_get_current_task() else { return };
    WORLD.with_borrow_mut(|w| w.fuses.remove(&me));
}

/// The stack of the victim has been unwound.
pub(crate) fn is_buried() {
    DYING.set(false);
}

/// The kernel has marked beacons: it wakes one who watches each.
pub(crate) fn tell_of_deaths() {
    let mut told: Vec<*const AtomicU32> = Vec::new();
    let mut threads = Vec::new();
    WORLD.with_borrow(|w| {
        for sleeper in w.sleepers.iter().filter(|s| s.is_told()) {
            // SAFETY: as in `is_told`.
            let changed = sleeper.watches.iter().find(|(p, v)| unsafe { &**p }.load(SeqCst) != *v);
            if let Some((word, _)) = changed
                && !told.contains(word)
            {
                told.push(*word);
                threads.push(sleeper.thread.clone());
            }
        }
    });
    threads.iter().for_each(Thread::unpark);
}

/// From now on every deadline has come.
pub(crate) fn it_is_late() {
    let timed: Vec<Thread> = WORLD.with_borrow_mut(|w| {
        w.is_late = true;
        w.sleepers.iter().filter(|s| s.timed).map(|s| s.thread.clone()).collect()
    });
    timed.iter().for_each(Thread::unpark);
}

/// How many steps this iteration has made so far.
pub(crate) fn steps() -> u64 {
    WORLD.with_borrow(|w| w.steps)
}

/// How often the calling thread has slept.
pub(crate) fn sleeps() -> u32 {
    try_get_current_task().map_or(0, |me| WORLD.with_borrow(|w| w.sleeps.get(&me).copied().unwrap_or(0)))
}

/// Wakes whoever else watches a word that has changed, as mp-sys does: the kernel woke one only.
fn pass_on_news(me: &Thread) {
    let others: Vec<Thread> = WORLD.with_borrow(|w| {
        w.sleepers
            .iter()
            .filter(|s| s.is_told() && s.thread.id() != me.id())
            .map(|s| s.thread.clone())
            .collect()
    });
    others.iter().for_each(Thread::unpark);
}

impl Scheduler for Shuttle {
    fn step(&self) {
        if DYING.get() || QUIET.get() > 0 || std::thread::panicking() {
            return;
        }
        let Some(me) = try_get_current_task() else { return };
        let turn = WORLD.with_borrow_mut(|w| {
            w.steps += 1;
            match w.fuses.get_mut(&me) {
                Some(0) => {
                    w.fuses.remove(&me);
                    return None;
                }
                Some(left) => *left -= 1,
                None => {}
            }
            Some(w.turn.clone())
        });
        match turn {
            Some(turn) => {
                turn.load(SeqCst);
            }
            None => {
                DYING.set(true);
                std::panic::resume_unwind(Box::new(Died));
            }
        }
    }

    fn park(
        &self,
        bell: Bell<'_>,
        expected: u32,
        watches: &[Watch<'_>],
        slice: Option<Duration>,
        timed: bool,
    ) -> Woken {
        let me = thread::current();
        loop {
            self.step();
            // From here to the sleep nobody comes in between, as in the kernel.
            if bell.word.load(SeqCst) != expected {
                return Woken::Rung;
            }
            if let Some(i) = watches.iter().position(|w| w.word.load(SeqCst) != w.value) {
                self.step();
                pass_on_news(&me);
                return Woken::Watched(i);
            }
            if timed && self.is_late() || slice.is_some_and(|s| s <= NAP) {
                thread::yield_now();
                return Woken::TimedOut;
            }
            let sleeper = Sleeper {
                thread: me.clone(),
                bell: bell.word,
                watches: watches.iter().map(|w| (std::ptr::from_ref(w.word), w.value)).collect(),
                timed,
            };
            WORLD.with_borrow_mut(|w| {
                w.sleepers.push(sleeper);
                *w.sleeps.entry(shuttle::current::me()).or_default() += 1;
            });
            thread::park();
            WORLD.with_borrow_mut(|w| w.sleepers.retain(|s| s.thread.id() != me.id()));
            // Whoever was taken off the queues of several words passes on what it was told by each, whatever it returns with.
            if watches.iter().any(|w| w.word.load(SeqCst) != w.value) {
                pass_on_news(&me);
            }
        }
    }

    fn ring(&self, bell: Bell<'_>) {
        self.step();
        let sleeper = WORLD.with_borrow(|w| {
            w.sleepers.iter().find(|s| std::ptr::eq(s.bell, bell.word)).map(|s| s.thread.clone())
        });
        if let Some(sleeper) = sleeper {
            sleeper.unpark();
        }
    }

    fn has(&self, bug: Bug) -> bool {
        BUG.get() == Some(bug)
    }

    fn is_late(&self) -> bool {
        WORLD.with_borrow(|w| w.is_late)
    }

    fn is_dead(&self) -> bool {
        DYING.get()
    }
}
