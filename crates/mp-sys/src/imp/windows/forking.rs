//! Windows copies no processes.

use crate::{forking::Forked, imp::absent::unsupported, spawn::OsHandle};
use std::{io, sync::atomic::AtomicU32};

/// # Safety
///
/// None needed here.
pub(crate) unsafe fn fork_sibling(_note: &AtomicU32) -> io::Result<Forked> {
    unsupported("Windows cannot copy a process")
}

/// # Safety
///
/// None needed here.
pub(crate) unsafe fn fork() -> io::Result<Forked> {
    unsupported("Windows cannot copy a process")
}

pub(crate) fn replace_stdio(_fds: [OsHandle; 3]) -> io::Result<()> {
    unsupported("Windows fixes the standard streams of a process at its start")
}

pub(crate) fn can_fork_siblings() -> bool {
    false
}
