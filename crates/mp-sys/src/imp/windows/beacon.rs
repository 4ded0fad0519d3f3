//! Windows marks nothing when a thread ends. Watches stand on process handles instead.

use crate::beacon::Beacon;
use std::sync::atomic::AtomicU32;

/// # Safety
///
/// None needed: nothing is linked.
pub(crate) unsafe fn link(_beacon: &Beacon) -> bool {
    false
}

/// # Safety
///
/// None needed: nothing was linked.
pub(crate) unsafe fn unlink(_beacon: &Beacon) {}

pub(crate) fn notify(_word: &AtomicU32) {}
