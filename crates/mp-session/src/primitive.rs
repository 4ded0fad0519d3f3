//! The atomics on shared memory, and the sleeping on them: the one place of these crates that names either.
//!
//! Ordinarily these are std's and mp-sys's own. Under `--cfg mp_model` they are wrappers of the same layout that let a
//! scheduler choose, before each operation, which of the threads goes on ([`model`]): the checks in `models/` run the crates'
//! own code, on a session on the heap, under as many interleavings as they have the time for. `cargo xtask tidy` sees to it that
//! the crates name their atomics through here.

pub use std::sync::atomic::Ordering;

/// The atomics that users put into data of theirs, which no check replaces.
pub use std::sync::atomic as user;

#[cfg(not(mp_model))]
pub use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, fence};

#[cfg(mp_model)]
pub mod model;
#[cfg(mp_model)]
pub use model::{AtomicU32, AtomicU64, AtomicUsize, fence};

/// The word as the system's calls want it.
#[cfg(not(mp_model))]
#[inline]
pub(crate) fn raw(word: &AtomicU32) -> &std::sync::atomic::AtomicU32 {
    word
}

#[cfg(mp_model)]
pub(crate) use model::raw;
