//! Atomics that ask before each operation who goes on.

use std::cell::Cell;
use std::sync::atomic::{self, Ordering};

/// Who decides, while a model is being checked, which of its threads runs. They all run on one thread of the system, so the
/// running one gives way only in these calls.
pub trait Scheduler: Sync {
    /// The running thread is about to look at memory that others change, or to change it.
    fn step(&self);
}

thread_local! {
    static SCHEDULER: Cell<Option<&'static dyn Scheduler>> = const { Cell::new(None) };
}

/// From now on `scheduler` decides for what runs on this thread of the system; `None`: nobody does.
pub fn schedule_by(scheduler: Option<&'static dyn Scheduler>) {
    SCHEDULER.set(scheduler);
}

/// Who decides here, if anybody.
pub(crate) fn scheduler() -> Option<&'static dyn Scheduler> {
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

/// The word as the system's calls want it.
pub(crate) fn raw(word: &AtomicU32) -> &atomic::AtomicU32 {
    &word.0
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
