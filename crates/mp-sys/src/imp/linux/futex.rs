//! The futex calls, none of them private: the words lie in memory shared between processes.

use crate::imp::unix::call::check;
use std::{
    mem::MaybeUninit,
    ptr,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// How many words the kernel waits on at once.
pub(crate) const WAIT_MAX: usize = 128;

/// A word of 32 bits (`FUTEX2_SIZE_U32`), not private.
const SIZE_U32: u32 = 2;

/// The kernel's `struct futex_waitv`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Waiter {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// What came of a wait.
pub(crate) enum Waited {
    /// Woken on the word with this index.
    Woken(usize),
    /// A word had another value from the start, the deadline came, or a signal: look again.
    LookAgain,
    /// This system cannot wait on several words.
    Unavailable,
}

/// Waits on one word.
pub(crate) fn wait(word: &AtomicU32, value: u32, deadline: Option<Instant>) -> Waited {
    let until = deadline.map(monotonic);
    // SAFETY: the word is live for the call, and the time, if any, is too. FUTEX_WAIT_BITSET takes an absolute time on the
    // monotonic clock; the bitset matches every wake.
    let result = check(unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT_BITSET,
            value,
            until.as_ref().map_or(ptr::null(), ptr::from_ref),
            ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    });
    match result {
        Ok(_) => Waited::Woken(0),
        Err(_) => Waited::LookAgain,
    }
}

/// Waits on at most [`WAIT_MAX`] words at once.
pub(crate) fn wait_many<'a>(
    words: impl Iterator<Item = (&'a AtomicU32, u32)>,
    deadline: Option<Instant>,
) -> Waited {
    /// Set once this system has said that it knows no such call.
    static MISSING: AtomicBool = AtomicBool::new(false);
    if MISSING.load(Ordering::Relaxed) {
        return Waited::Unavailable;
    }
    let mut waiters = [const { MaybeUninit::<Waiter>::uninit() }; WAIT_MAX];
    let mut count = 0;
    for (slot, (word, value)) in waiters.iter_mut().zip(words) {
        let address = word.as_ptr().expose_provenance() as u64;
        slot.write(Waiter { value: u64::from(value), address, flags: SIZE_U32, reserved: 0 });
        count += 1;
    }
    let until = deadline.map(monotonic);
    // SAFETY: the first `count` waiters are initialised, their words live for the call (the caller borrows them), the time too.
    let result = check(unsafe {
        libc::syscall(
            libc::SYS_futex_waitv,
            waiters.as_ptr(),
            count as libc::c_uint,
            0,
            until.as_ref().map_or(ptr::null(), ptr::from_ref),
            libc::CLOCK_MONOTONIC,
        )
    });
    match result {
        Ok(index) => Waited::Woken(usize::try_from(index).unwrap_or(0)),
        Err(error) => match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EINTR | libc::ETIMEDOUT) => Waited::LookAgain,
            Some(libc::ENOMEM) => Waited::Unavailable, // this time
            _ => {
                MISSING.store(true, Ordering::Relaxed);
                Waited::Unavailable
            }
        },
    }
}

pub(crate) fn wake_one(word: &AtomicU32) {
    wake(word, 1);
}

pub(crate) fn wake_all(word: &AtomicU32) {
    wake(word, i32::MAX);
}

fn wake(word: &AtomicU32, count: i32) {
    // SAFETY: the word is live for the call. It fails only for addresses that are none.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
}

/// The moment on the kernel's monotonic clock, or far away if it has no number for it.
fn monotonic(deadline: Instant) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a writable struct; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    let left = deadline.saturating_duration_since(Instant::now());
    let nanos = now.tv_nsec + libc::c_long::from(left.subsec_nanos());
    let carry = i64::from(nanos >= NANOS_PER_SEC);
    let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
    libc::timespec {
        tv_sec: now.tv_sec.saturating_add(seconds).saturating_add(carry),
        tv_nsec: nanos - carry * NANOS_PER_SEC,
    }
}

const NANOS_PER_SEC: i64 = Duration::from_secs(1).as_nanos() as i64;
