//! `fork` exists; giving a child to our parent does not.

pub(crate) use crate::imp::unix::stdio::replace_stdio;
use crate::{
    forking::Forked,
    imp::{absent::unsupported, unix::call::check},
};
use std::{io, sync::atomic::AtomicU32};

/// # Safety
///
/// As for the facade's `fork`.
pub(crate) unsafe fn fork() -> io::Result<Forked> {
    // SAFETY: the caller keeps to what may be done in the child.
    Ok(match check(unsafe { libc::fork() })? {
        0 => Forked::Child,
        pid => Forked::Parent(pid.cast_unsigned()),
    })
}

/// # Safety
///
/// None needed here.
pub(crate) unsafe fn fork_sibling(_note: &AtomicU32) -> io::Result<Forked> {
    unsupported("macOS cannot make a child of our parent")
}

pub(crate) fn can_fork_siblings() -> bool {
    false
}
