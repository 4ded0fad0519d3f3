//! Watching by `ptrace`: one instruction at a time.
//!
//! On arm64 this needs a processor with single-instruction atomics (LSE): a loop of exclusive loads and stores never gets
//! through when it is stopped in between.

use std::sync::atomic::Ordering::*;

use crate::control::Control;
use crate::system::{End, Pid, check, failed, kill};

/// Called by who is going to be watched, on the thread that does the operation.
pub(super) fn begin() {
    // SAFETY: asks to be watched by the parent, and stops for it.
    unsafe {
        check("ptrace", libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0));
        libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::gettid(), libc::SIGTRAP);
    }
}

/// The stopped thread's next instruction.
fn at(thread: Pid) -> u64 {
    // SAFETY: plain numbers, for which zero is a value.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    let mut place =
        libc::iovec { iov_base: (&raw mut registers).cast(), iov_len: size_of::<libc::user_regs_struct>() };
    // SAFETY: a thread that is stopped for us, and room for its registers.
    let got = unsafe { libc::ptrace(libc::PTRACE_GETREGSET, thread, libc::NT_PRSTATUS, &raw mut place) };
    if got == -1 {
        return 0;
    }
    #[cfg(target_arch = "x86_64")]
    return registers.rip;
    #[cfg(target_arch = "aarch64")]
    return registers.pc;
}

fn next_stop(pid: Pid) -> (Pid, i32) {
    loop {
        let mut status = 0;
        // SAFETY: a place for the answer.
        let got = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
        if got != -1 {
            return (got, status);
        }
        if std::io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            failed("waitpid");
        }
    }
}

/// Calls `changed` after each instruction, until it says `false`. How it ended, if it was let end.
pub(super) fn follow(pid: Pid, control: &Control, changed: &mut dyn FnMut() -> bool) -> Option<End> {
    let mut before = 0;
    loop {
        // Any child: the operation may be done by another thread than the first. This process has no other children now.
        let (thread, status) = next_stop(-1);
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            if thread != pid {
                continue;
            }
            let signalled = libc::WIFSIGNALED(status);
            let end = if signalled {
                End::Signal(libc::WTERMSIG(status))
            } else {
                End::Code(libc::WEXITSTATUS(status))
            };
            return Some(end);
        }
        control.at.store(before, SeqCst);
        if !changed() {
            kill(pid);
            return None;
        }
        before = at(thread);
        let signal = libc::WSTOPSIG(status);
        let passed_on = if signal == libc::SIGTRAP { 0 } else { signal };
        let how = if control.is_finished() { libc::PTRACE_CONT } else { libc::PTRACE_SINGLESTEP };
        // SAFETY: a thread that is stopped for us.
        check("ptrace", unsafe { libc::ptrace(how, thread, 0, passed_on) });
    }
}
