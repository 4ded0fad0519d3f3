//! macOS marks nothing when a thread ends. Sleepers look at watched words themselves.

use super::wait_on_address;
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

pub(crate) fn notify(word: &AtomicU32) {
    wait_on_address::wake_all(word);
}
