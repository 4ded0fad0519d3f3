//! Handlers of signals, as POSIX spells them.

use super::{
    call::check,
    child::{ended_or_not_ours, number},
};
use crate::{signals::Decide, spawn::Signal};
use std::{
    io, mem, ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

/// What decides, by signal: a [`Decide`], or null.
static INTERRUPT: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());
static TERMINATE: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

fn slot(signal: Signal) -> io::Result<&'static AtomicPtr<()>> {
    match signal {
        Signal::Interrupt => Ok(&INTERRUPT),
        Signal::Terminate => Ok(&TERMINATE),
        Signal::Kill => Err(io::ErrorKind::InvalidInput.into()),
    }
}

pub(crate) fn on_signal(signal: Signal, decide: Decide, even_if_ignored: bool) -> io::Result<bool> {
    let slot = slot(signal)?;
    let current = action(number(signal))?;
    let free = match current.sa_sigaction {
        libc::SIG_DFL => true,
        libc::SIG_IGN => even_if_ignored,
        _ => is_ours(&current),
    };
    if !free {
        return Ok(false);
    }
    slot.store(decide as *mut (), Ordering::SeqCst);
    // SAFETY: plain data, and zero is a value of it.
    let mut new: libc::sigaction = unsafe { mem::zeroed() };
    new.sa_sigaction = handler_address();
    new.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: the set is writable; the struct is filled, and the handler does only what a handler may.
    unsafe {
        libc::sigemptyset(&mut new.sa_mask);
        check(libc::sigaction(number(signal), &new, ptr::null_mut()))?;
    }
    Ok(true)
}

fn handler_address() -> libc::sighandler_t {
    handler as extern "C" fn(libc::c_int) as libc::sighandler_t
}

fn is_ours(action: &libc::sigaction) -> bool {
    action.sa_sigaction == handler_address()
}

fn action(number: libc::c_int) -> io::Result<libc::sigaction> {
    // SAFETY: plain data, and zero is a value of it.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: a writable struct; nothing is changed.
    check(unsafe { libc::sigaction(number, ptr::null(), &mut action) })?;
    Ok(action)
}

/// Runs on whichever thread, at any instruction.
extern "C" fn handler(signal: libc::c_int) {
    let errno = errno();
    // SAFETY: the calling thread's own.
    let before = unsafe { *errno };
    react(signal);
    // SAFETY: as above. Whoever was interrupted finds it as it was.
    unsafe { *errno = before };
}

fn react(signal: libc::c_int) {
    // Called by a handler that was installed over ours: that one decides.
    if !action(signal).is_ok_and(|current| is_ours(&current)) {
        return;
    }
    let (which, slot) = match signal {
        libc::SIGINT => (Signal::Interrupt, &INTERRUPT),
        _ => (Signal::Terminate, &TERMINATE),
    };
    let decide = slot.load(Ordering::SeqCst);
    if decide.is_null() {
        return;
    }
    // SAFETY: not null, so `on_signal` stored a function of this type.
    let decide = unsafe { mem::transmute::<*mut (), Decide>(decide) };
    if decide(which) {
        // SAFETY: plain calls that a handler may make. The signal is blocked while we handle it, and has its default effect, the
        // end, when we return.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }
}

fn errno() -> *mut libc::c_int {
    #[cfg(target_os = "macos")]
    // SAFETY: a plain call.
    return unsafe { libc::__error() };
    #[cfg(not(target_os = "macos"))]
    // SAFETY: a plain call.
    return unsafe { libc::__errno_location() };
}

pub(crate) fn signal_child(pid: u32, signal: Signal) {
    let pid = pid.cast_signed();
    if pid > 0 && !ended_or_not_ours(pid) {
        // SAFETY: a plain call. Of a child that ends right now the pid stays taken until it is reaped, which another thread may do in
        // between: a window of microseconds, in a process that is about to end itself.
        unsafe { libc::kill(pid, number(signal)) };
    }
}

pub(crate) fn kill_own_group() {
    // SAFETY: plain calls; 0 means the caller's own group, which is ours by the look before.
    unsafe {
        if libc::getpgrp() == libc::getpid() {
            libc::kill(0, libc::SIGKILL);
        }
    }
}
