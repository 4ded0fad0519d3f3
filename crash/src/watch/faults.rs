//! Watching by write faults: the memory is read-only, so each store to it raises `SIGSEGV`. The handler makes the memory writable
//! and sets the trap flag, the instruction is done again and succeeds, and `SIGTRAP` comes right after it.
//!
//! Both handlers run on the stack of the operation, between two of its instructions: a backtrace from there is the
//! operation's own.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering::*};

use super::watched;
use crate::control::Control;
use crate::memory::LEN;
use crate::system::{End, Pid, by_default, check, ended, kill, on_signal, wait_for};

/// The trap flag of the processor.
const TRAP: i64 = 0x100;

/// Where the memory is, for the handlers.
static BASE: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());

fn protect(how: i32) {
    let base = BASE.load(SeqCst);
    if !base.is_null() {
        // SAFETY: a mapping of ours of that length, whose stores go through the handler when they are not allowed.
        check("mprotect", unsafe { libc::mprotect(base.cast(), LEN, how) });
    }
}

pub(super) fn begin(base: NonNull<u8>) {
    BASE.store(base.as_ptr(), SeqCst);
    on_signal(libc::SIGSEGV, on_fault);
    on_signal(libc::SIGTRAP, on_trap);
    resume();
}

pub(super) fn pause() {
    protect(libc::PROT_READ | libc::PROT_WRITE);
}

pub(super) fn resume() {
    if watched().is_some_and(|control| control.aside.load(SeqCst) == 0) {
        protect(libc::PROT_READ);
    }
}

extern "C" fn on_fault(_: i32, info: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
    let base = BASE.load(SeqCst) as usize;
    // SAFETY: the kernel hands over both for the time of the call; a fault has an address.
    let (at, context) = unsafe { ((*info).si_addr() as usize, &mut *context) };
    if !(base..base + LEN).contains(&at) {
        by_default(libc::SIGSEGV);
        return;
    }
    if let Some(control) = watched() {
        control.at.store(context.uc_mcontext.gregs[libc::REG_RIP as usize].cast_unsigned(), SeqCst);
    }
    protect(libc::PROT_READ | libc::PROT_WRITE);
    context.uc_mcontext.gregs[libc::REG_EFL as usize] |= TRAP;
}

extern "C" fn on_trap(_: i32, _: *mut libc::siginfo_t, context: *mut libc::ucontext_t) {
    // SAFETY: the kernel hands it over for the time of the call.
    let context = unsafe { &mut *context };
    context.uc_mcontext.gregs[libc::REG_EFL as usize] &= !TRAP;
    if let Some(control) = watched() {
        control.show(crate::trace::here);
    }
    protect(libc::PROT_READ);
}

/// Calls `changed` at each stop, until it says `false`. How it ended, if it was let end.
pub(super) fn follow(pid: Pid, control: &Control, changed: &mut dyn FnMut() -> bool) -> Option<End> {
    loop {
        if control.is_shown() {
            if !changed() {
                kill(pid);
                return None;
            }
            control.go_on();
        } else if control.is_finished() {
            return Some(wait_for(pid));
        } else if let Some(end) = ended(pid) {
            return Some(end);
        }
    }
}
