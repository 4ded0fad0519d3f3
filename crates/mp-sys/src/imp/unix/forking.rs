//! `fork`, with an interrupt held back.

use super::call::{check, check_number};
use crate::forking::Forked;
use std::{io, mem::MaybeUninit};

/// # Safety
///
/// As for the facade's `fork`.
pub(crate) unsafe fn fork() -> io::Result<Forked> {
    let before = hold_interrupt()?;
    // SAFETY: the caller keeps to what may be done in the child.
    let forked = check(unsafe { libc::fork() });
    if !matches!(forked, Ok(0)) {
        // SAFETY: the set is the one that was in force. It fails for no argument that we pass.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    }
    Ok(match forked? {
        0 => Forked::Child,
        pid => Forked::Parent(pid.cast_unsigned()),
    })
}

/// Blocks SIGINT for the calling thread; what was blocked before.
fn hold_interrupt() -> io::Result<MaybeUninit<libc::sigset_t>> {
    let mut interrupt = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the one set before it is read, the call fills the other.
    check_number(unsafe {
        libc::sigemptyset(interrupt.as_mut_ptr());
        libc::sigaddset(interrupt.as_mut_ptr(), libc::SIGINT);
        libc::pthread_sigmask(libc::SIG_BLOCK, interrupt.as_ptr(), before.as_mut_ptr())
    })?;
    Ok(before)
}
