//! `fork` exists; giving a child to our parent does not.

pub(crate) use crate::imp::unix::{forking::fork, stdio::replace_stdio};
use crate::{forking::Forked, imp::absent::unsupported};
use std::{io, sync::atomic::AtomicU32};

/// # Safety
///
/// None needed here.
pub(crate) unsafe fn fork_sibling(_note: &AtomicU32) -> io::Result<Forked> {
    unsupported("macOS cannot make a child of our parent")
}

pub(crate) fn can_fork_siblings() -> bool {
    false
}
