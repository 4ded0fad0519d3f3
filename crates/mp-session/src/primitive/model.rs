//! Atomics that ask before each operation who goes on.

use std::cell::Cell;
use std::sync::atomic::{self, Ordering};
use std::time::{Duration, Instant};

use mp_sys::{Bell, Watch, Woken};

use super::Bug;

/// Who decides, while a model is being checked, which of its threads runs. They all run on one thread of the system, so the
/// running one gives way only in these calls.
pub trait Scheduler: Sync {
    /// The running thread is about to look at memory that others change, or to change it.
    fn step(&self);

    /// As [`mp_sys::park`]; `slice` is the time after which a sleeper looks around by itself, `timed` whether it has a deadline.
    fn park(
        &self,
        bell: Bell<'_>,
        expected: u32,
        watches: &[Watch<'_>],
        slice: Option<Duration>,
        timed: bool,
    ) -> Woken;

    /// As [`mp_sys::ring`].
    fn ring(&self, bell: Bell<'_>);

    /// Whether the code is to have this bug.
    fn has(&self, bug: Bug) -> bool;

    /// Whether deadlines have come.
    fn is_late(&self) -> bool;

    /// Whether the running thread plays one that was killed, and its stack is being unwound: nothing of that happened.
    fn is_dead(&self) -> bool;
}

thread_local! {
    static SCHEDULER: Cell<Option<&'static dyn Scheduler>> = const { Cell::new(None) };
}

/// From now on `scheduler` decides for what runs on this thread of the system; `None`: nobody does.
pub fn schedule_by(scheduler: Option<&'static dyn Scheduler>) {
    SCHEDULER.set(scheduler);
}

/// Who decides here, if anybody.
fn scheduler() -> Option<&'static dyn Scheduler> {
    // A thread of the system that is ending has no model.
    SCHEDULER.try_with(Cell::get).ok().flatten()
}

#[inline]
fn step() {
    if let Some(scheduler) = scheduler() {
        scheduler.step();
    }
}

/// As std's: in a model every operation is sequentially consistent, and this one gives way.
pub fn fence(order: Ordering) {
    step();
    atomic::fence(order);
}

/// One step of the scheduler for both.
pub(crate) fn replace_pair(
    (first, second): (&AtomicU64, &AtomicU64),
    seen: (u64, u64),
    new: (u64, u64),
) -> bool {
    step();
    if (first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst)) != seen {
        return false;
    }
    second.0.store(new.1, Ordering::SeqCst);
    first.0.store(new.0, Ordering::SeqCst);
    true
}

/// The word as the system's calls want it.
pub(crate) fn raw(word: &AtomicU32) -> &atomic::AtomicU32 {
    &word.0
}

/// Whether the deadline has come: when the scheduler says so.
pub fn has_passed(deadline: Instant) -> bool {
    step();
    scheduler().map_or_else(|| Instant::now() >= deadline, Scheduler::is_late)
}

/// Whether the code is to have this bug.
pub fn bug(bug: Bug) -> bool {
    scheduler().is_some_and(|scheduler| scheduler.has(bug))
}

pub(crate) fn park(
    bell: Bell<'_>,
    expected: u32,
    watches: &[Watch<'_>],
    slice: Option<Duration>,
    deadline: Option<Instant>,
) -> Woken {
    match scheduler() {
        Some(scheduler) => scheduler.park(bell, expected, watches, slice, deadline.is_some()),
        None => {
            let until = slice.map(|s| Instant::now() + s).into_iter().chain(deadline).min();
            mp_sys::park(bell, expected, watches, until)
        }
    }
}

pub(crate) fn ring(bell: Bell<'_>) {
    match scheduler() {
        Some(scheduler) => scheduler.ring(bell),
        None => mp_sys::ring(bell),
    }
}

/// In a model every thread has a beacon, and the scheduler is the kernel that marks it.
pub(crate) fn unlinked_beacon(index: u32) -> u32 {
    if is_modelled() { index + 1 } else { 0 }
}

pub(crate) fn is_dead() -> bool {
    scheduler().is_some_and(Scheduler::is_dead)
}

pub(crate) fn is_modelled() -> bool {
    scheduler().is_some()
}

macro_rules! wrapper {
    ($name:ident, $value:ty) => {
        /// As std's of this name, with a step of the scheduler before each operation.
        #[repr(transparent)]
        #[derive(Debug, Default)]
        pub struct $name(atomic::$name);

        #[allow(missing_docs, reason = "each as std's method of this name")]
        impl $name {
            pub const fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }

            pub fn get_mut(&mut self) -> &mut $value {
                self.0.get_mut()
            }

            pub fn into_inner(self) -> $value {
                self.0.into_inner()
            }

            pub fn load(&self, order: Ordering) -> $value {
                step();
                self.0.load(order)
            }

            pub fn store(&self, value: $value, order: Ordering) {
                step();
                self.0.store(value, order);
            }

            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                step();
                self.0.compare_exchange(current, new, success, failure)
            }

            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(current, new, success, failure)
            }

            pub fn fetch_update(
                &self,
                set: Ordering,
                fetch: Ordering,
                mut change: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let mut seen = self.load(fetch);
                while let Some(next) = change(seen) {
                    match self.compare_exchange(seen, next, set, fetch) {
                        Ok(was) => return Ok(was),
                        Err(now) => seen = now,
                    }
                }
                Err(seen)
            }
        }

        wrapper!(@change $name, $value, swap fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max fetch_min);
    };
    (@change $name:ident, $value:ty, $($method:ident)*) => {
        #[allow(missing_docs, reason = "each as std's method of this name")]
        impl $name {
            $(pub fn $method(&self, value: $value, order: Ordering) -> $value {
                step();
                self.0.$method(value, order)
            })*
        }
    };
}

wrapper!(AtomicU32, u32);
wrapper!(AtomicU64, u64);
wrapper!(AtomicUsize, usize);
