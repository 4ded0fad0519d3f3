//! The few system calls, each with what it means here when one fails: the harness is broken, and says so.

use std::process::abort;
use std::sync::atomic::{AtomicU32, Ordering::*};
use std::time::Duration;

/// A child of this process, by its pid.
pub(crate) type Pid = libc::pid_t;

/// A system call that does not fail unless this program is wrong, or the machine is at its end.
#[track_caller]
pub(crate) fn check(what: &str, result: impl Into<i64>) -> i32 {
    match result.into() {
        -1 => failed(what),
        // What is asked for here are descriptors, pids and zeros.
        good => good as i32,
    }
}

#[track_caller]
pub(crate) fn failed(what: &str) -> ! {
    panic!("{what}: {}", std::io::Error::last_os_error())
}

/// How a child ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Code(i32),
    Signal(i32),
}

impl End {
    fn of(status: i32) -> Option<End> {
        if libc::WIFEXITED(status) {
            Some(End::Code(libc::WEXITSTATUS(status)))
        } else if libc::WIFSIGNALED(status) {
            Some(End::Signal(libc::WTERMSIG(status)))
        } else {
            None
        }
    }
}

/// Runs `body` in a copy of this process, which ends with it: by `exit`, without destructors, and with this process.
pub(crate) fn in_copy(body: impl FnOnce()) -> Pid {
    let parent = std::process::id();
    // SAFETY: this process has one thread, so nothing is left half done in the copy.
    let pid = check("fork", unsafe { libc::fork() });
    if pid != 0 {
        // What it owns may own a part of the session, and is the copy's now.
        std::mem::forget(body);
        return pid;
    }
    // SAFETY: plain calls on this process.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid().cast_unsigned() != parent {
            libc::_exit(0);
        }
    }
    body();
    exit(0)
}

/// Ends this process at once.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}

/// Waits for the child's end.
pub(crate) fn wait_for(pid: Pid) -> End {
    loop {
        let mut status = 0;
        // SAFETY: a place for the answer.
        let got = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
        if got == pid
            && let Some(end) = End::of(status)
        {
            return end;
        }
        if got == -1 && std::io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
            failed("waitpid");
        }
    }
}

/// How the child ended, if it has.
pub(crate) fn ended(pid: Pid) -> Option<End> {
    let mut status = 0;
    // SAFETY: a place for the answer.
    let got = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
    if got == pid { End::of(status) } else { None }
}

/// Ends a child that is not needed any more.
pub(crate) fn kill(pid: Pid) {
    // SAFETY: a child that was not waited for yet, so the pid is its own.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    wait_for(pid);
}

/// A page that a process shares with its copies.
pub(crate) fn shared_page<T>() -> &'static T {
    assert!(size_of::<T>() <= PAGE_GROUP);
    // SAFETY: an anonymous mapping of our own; it is never unmapped.
    let page = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            PAGE_GROUP,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if page == libc::MAP_FAILED {
        failed("mmap");
    }
    // SAFETY: page-aligned, large enough, all zero; the types here are made of atomics, for which zero is a value.
    unsafe { &*page.cast() }
}

const PAGE_GROUP: usize = 32 << 10;

/// Sleeps while the word has that value, and no longer than this.
pub(crate) fn sleep_on(word: &AtomicU32, value: u32, at_most: Duration) {
    let time =
        libc::timespec { tv_sec: at_most.as_secs() as i64, tv_nsec: i64::from(at_most.subsec_nanos()) };
    // SAFETY: a word that lives, and a time. Why it returns does not matter: the caller looks at the word again.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, &raw const time) };
}

/// Sets the word and wakes who sleeps on it.
pub(crate) fn tell(word: &AtomicU32, value: u32) {
    word.store(value, SeqCst);
    // SAFETY: a word that lives.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

/// Calls `handler` on a signal, on the stack of whoever got it.
pub(crate) fn on_signal(
    signal: i32,
    handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::ucontext_t),
) {
    // SAFETY: plain numbers, for which zero is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
    // SAFETY: a handler of the form that `SA_SIGINFO` asks for.
    check("sigaction", unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) });
}

/// Lets a signal do what it does by default.
pub(crate) fn by_default(signal: i32) {
    // SAFETY: as the name says.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Has this process get `SIGALRM` after so many seconds.
pub(crate) fn alarm(seconds: u32) {
    // SAFETY: plain numbers.
    unsafe { libc::alarm(seconds) };
}

/// For a state that has no other way out.
pub(crate) fn give_up() -> ! {
    abort()
}
