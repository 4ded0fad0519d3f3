//! A word that the kernel marks when its thread dies.
//!
//! Linux keeps for every thread a *robust list*: a linked list in the thread's own memory of futex words it holds. When the
//! thread ends, in whichever way, also by `SIGKILL` and also when it calls `exec`, the kernel walks the list and for each word that
//! holds the thread's id sets [`Beacon::DEAD`], clears the id, and wakes one sleeper. That is news of a death with no
//! descriptor, no thread and no poll.
//!
//! A thread has only one such list, and glibc has registered its own for robust mutexes. A beacon therefore has the layout of
//! glibc's list node inside `pthread_mutex_t` and is linked into *glibc's* list, where both kinds live side by side:
//!
//! ```text
//! offset  0: word   0 -> tid | WAITERS -> WAITERS | DEAD  (the kernel)
//!                                      -> 0               (unlink)
//! offset 24: prev   address of the neighbour's `next`, towards the head
//! offset 32: next   address of the neighbour's `next`, away from the head   <- "the entry" of the kernel's list
//! ```
//!
//! The kernel finds the word 32 bytes before the entry; that distance is a property of the list, fixed by glibc when it
//! registered it. [`beacon_link`] asks for it and gives up if it is another (musl) or if there is no list (emulators).
//!
//! # Points of death
//!
//! Both link and unlink write the list's *pending* field first, as glibc does; the kernel looks there too:
//!
//! | dies | what the kernel finds | word |
//! |---|---|---|
//! | before the word is written | pending, but the word lacks the id | 0: never was a beacon |
//! | word written, not yet linked | pending | marked |
//! | linked | the list | marked |
//! | unlinked, word not yet cleared | pending | marked: it died, after all |
//! | word cleared | pending, but the word lacks the id | 0: left in good order |
//!
//! # Rules
//!
//! * The memory stays mapped at its address until the unlink or the end of the thread. Memory reused too early would be
//!   written by the kernel; so beacons live in slots that are never anything else.
//! * The kernel walks 2048 entries at most. A thread that holds more robust mutexes than that may die unmarked.
//! * Thread ids are those of the thread's pid namespace. Peers in other namespaces read only [`Beacon::DEAD`], never the id.
//! * After `fork` the child's list is empty: its copy of the thread has no beacon until it links one.

use crate::imp;
use std::sync::atomic::{AtomicU32, AtomicUsize};

/// A word in shared memory, linked into its thread's robust list. See the [module](self).
#[repr(C, align(16))]
#[derive(Debug, Default)]
pub struct Beacon {
    /// `0`: no thread. Thread id and a waiters bit: alive. [`DEAD`](Self::DEAD): died without unlinking.
    pub word: AtomicU32,
    _lock_fields: [u32; 5],
    pub(crate) prev: AtomicUsize,
    pub(crate) next: AtomicUsize,
    _tail: u64,
}

impl Beacon {
    /// The bit that the kernel sets (`FUTEX_OWNER_DIED`).
    pub const DEAD: u32 = 0x4000_0000;

    /// Whether a value of [`word`](Self::word) says that the thread died.
    pub fn is_dead(word: u32) -> bool {
        word & Self::DEAD != 0
    }
}

/// Links the beacon into the calling thread's robust list and sets its word to the thread's id and the waiters bit.
///
/// `false`, and nothing has changed: this platform or C library cannot.
///
/// # Safety
///
/// The beacon is linked nowhere, and stays mapped at this address until this thread unlinks it or has ended. Nobody but the
/// kernel and [`beacon_unlink`] writes to it meanwhile.
///
/// # If a process dies
///
/// The word of each of its beacons gets [`Beacon::DEAD`], whichever thread called for the end.
///
/// # Platform
///
/// Linux with glibc. `false` with musl, under qemu's user emulation, on Windows and on macOS.
pub unsafe fn beacon_link(beacon: &Beacon) -> bool {
    // SAFETY: the caller's promise is the same.
    unsafe { imp::beacon::link(beacon) }
}

/// Takes the beacon out of the calling thread's list, sets its word to 0 and wakes all who watch it.
///
/// # Safety
///
/// The calling thread linked this beacon, with success, and has not unlinked it since.
pub unsafe fn beacon_unlink(beacon: &Beacon) {
    // SAFETY: the caller's promise is the same.
    unsafe { imp::beacon::unlink(beacon) }
}

/// Wakes all who watch this word. The caller has changed it already, or has seen the kernel's mark and passes it on.
///
/// # Platform
///
/// Windows has no sleepers on words: those who watch look every 20 ms, and this does nothing.
pub fn beacon_notify(word: &AtomicU32) {
    imp::beacon::notify(word);
}

const _: () = {
    assert!(size_of::<Beacon>() == 48);
    assert!(std::mem::offset_of!(Beacon, word) == 0);
    assert!(std::mem::offset_of!(Beacon, prev) == 24);
    assert!(std::mem::offset_of!(Beacon, next) == 32);
};
