//! The atomics on shared memory, and the sleeping on them: the one place of these crates that names either.
//!
//! Ordinarily these are std's and mp-sys's own. Under `--cfg mp_model` they are wrappers of the same layout that let a
//! scheduler choose, before each operation, which of the threads goes on (`primitive/model.rs`): the checks in `models/` run the crates'
//! own code, on a session on the heap, under as many interleavings as they have the time for. `cargo xtask tidy` sees to it that
//! the crates name their atomics through here.

pub use std::sync::atomic::Ordering;

/// The atomics that users put into data of theirs, which no check replaces.
pub use std::sync::atomic as user;

#[cfg(mp_model)]
pub mod model;
#[cfg(mp_model)]
pub use model::{AtomicU32, AtomicU64, AtomicUsize, bug, fence, has_passed};
#[cfg(not(mp_model))]
pub use real::{AtomicU32, AtomicU64, AtomicUsize, bug, fence, has_passed};

#[cfg(mp_model)]
pub(crate) use model::{is_dead, is_modelled, park, raw, replace_pair, ring, unlinked_beacon};
#[cfg(not(mp_model))]
pub(crate) use real::{is_dead, is_modelled, park, raw, replace_pair, ring, unlinked_beacon};

/// Bugs that a model is given to show that it would find them: each is one step of a protocol left out. Only a model can have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A waiter does not look again after it entered the wait word.
    NoLookAfterEntering,
    /// A waiter that gives up keeps the wake-up that it was given.
    LeaverKeepsWakeUp,
    /// Arrivals beyond the places of a wait word are not counted, so `MORE` can be cleared past one.
    ArrivalsUncounted,
    /// A waiter that was roused without being woken does not look whether the word still knows it (*chosen-not-woken*).
    StaysOffTheWord,
    /// Who overwrites another's change of a count does not confirm it.
    ChangeUnconfirmed,
    /// Who takes over a sweep does not take over what the dead sweeper was sweeping.
    NamesakeForgotten,
    /// Whoever is served by a queue does not look behind itself.
    NobodyLooksBehind,
}

#[cfg(not(mp_model))]
mod real {
    use std::time::{Duration, Instant};

    use mp_sys::{Bell, Watch, Woken};
    pub use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, fence};

    /// Whether the deadline has come.
    #[inline]
    pub fn has_passed(deadline: Instant) -> bool {
        Instant::now() >= deadline
    }

    /// The word as the system's calls want it.
    #[inline]
    pub(crate) fn raw(word: &AtomicU32) -> &AtomicU32 {
        word
    }

    /// Sleeps until the bell is rung, a watch fires, the slice is over or the deadline has come.
    pub(crate) fn park(
        bell: Bell<'_>,
        expected: u32,
        watches: &[Watch<'_>],
        slice: Option<Duration>,
        deadline: Option<Instant>,
    ) -> Woken {
        let until = slice.map(|s| Instant::now() + s).into_iter().chain(deadline).min();
        mp_sys::park(bell, expected, watches, until)
    }

    /// Wakes who sleeps on the bell.
    pub(crate) use mp_sys::ring;

    /// Replaces two neighbouring words, which lie on a multiple of 16, in one step. `false`: they are not what was seen, or there is no such
    /// step here.
    #[inline]
    pub(crate) fn replace_pair(
        (first, second): (&AtomicU64, &AtomicU64),
        seen: (u64, u64),
        new: (u64, u64),
    ) -> bool {
        let at = std::ptr::from_ref(first);
        if at.addr() % 16 != 0 || at.wrapping_add(1) != std::ptr::from_ref(second) {
            return false;
        }
        // SAFETY: aligned, and both words are there, by the check; both are atomics.
        mp_sys::replace_pair(unsafe { &*at.cast::<mp_sys::Pair>() }, seen, new)
    }

    /// What the beacon of a thread says that the kernel does not know of: in a region on the heap there are none.
    pub(crate) const fn unlinked_beacon(_index: u32) -> u32 {
        0
    }

    /// Whether the code is to have this bug.
    #[inline]
    pub const fn bug(_: super::Bug) -> bool {
        false
    }

    /// Whether the running thread plays one that was killed: what is left of its stack must not be seen by anybody.
    pub(crate) const fn is_dead() -> bool {
        false
    }

    /// Whether a model is being checked, in which there is no time and nobody runs beside us.
    pub(crate) const fn is_modelled() -> bool {
        false
    }
}
