//! Beacons in glibc's robust list.

use super::{futex, robust_list::RobustList};
use crate::beacon::Beacon;
use std::{
    mem::offset_of,
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

/// What the list's registered offset must be for a beacon's word to be found: glibc's on 64-bit systems.
const OFFSET: isize = offset_of!(Beacon, word) as isize - offset_of!(Beacon, next) as isize;

/// A list whose entries are shaped like ours.
fn fitting_list() -> Option<RobustList> {
    if cfg!(not(target_env = "gnu")) {
        return None; // another C library with the same offset would still be another list
    }
    RobustList::of_this_thread().filter(|list| list.futex_offset() == OFFSET)
}

fn entry(beacon: &Beacon) -> usize {
    ptr::from_ref(&beacon.next).expose_provenance()
}

/// # Safety
///
/// As for the facade's `beacon_link`.
pub(crate) unsafe fn link(beacon: &Beacon) -> bool {
    let Some(list) = fitting_list() else { return false };
    // SAFETY: a plain call.
    let thread = unsafe { libc::gettid() }.cast_unsigned();
    list.with_pending(entry(beacon), || {
        beacon.word.store(thread | libc::FUTEX_WAITERS, Ordering::Release);
        // SAFETY: both words of the entry are atomics of the beacon, which stays, by the caller's promise, and is linked nowhere.
        unsafe { list.insert(entry(beacon)) };
    });
    true
}

/// # Safety
///
/// As for the facade's `beacon_unlink`.
pub(crate) unsafe fn unlink(beacon: &Beacon) {
    // It was linked, so there is a list. Should the system deny it now, the beacon stays: the kernel will still find it.
    let Some(list) = fitting_list() else { return };
    list.with_pending(entry(beacon), || {
        // SAFETY: this thread linked it, by the caller's promise.
        unsafe { list.remove(entry(beacon)) };
        beacon.word.store(0, Ordering::Release);
    });
    futex::wake_all(&beacon.word);
}

pub(crate) fn notify(word: &AtomicU32) {
    futex::wake_all(word);
}
