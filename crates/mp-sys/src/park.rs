//! Sleeping on a doorbell in shared memory while watching for deaths.
//!
//! A thread that waits owns a *bell*: a 32-bit word in shared memory. Who has news for it changes the word, then
//! [`ring`]s. The sleeper says which value it has seen; if the word differs by the time the kernel looks, it does not sleep.
//! That look and the falling asleep are one step for the kernel, so no ring is lost:
//!
//! ```text
//! sleeper                                   ringer
//! seen = word.load()
//! look at what it waits for: not there      make it so
//! park(bell, seen, ..)                      word.fetch_add(1)
//!   kernel: word == seen? sleep : return    ring(bell)
//! ```
//!
//! While asleep it also *watches*: other words, each with the value that means "still alive" (see [`beacon`](crate::beacon)). When one of
//! them changes, because the kernel marked it at a death or because somebody did and called
//! [`beacon_notify`](crate::beacon_notify), the sleeper wakes with [`Woken::Watched`].
//!
//! # Who wakes the other watchers
//!
//! At a thread's death the kernel wakes *one* watcher of its beacon. `park` therefore hands every such wake on to all others
//! before it returns, whatever it returns. The one hole is a watcher that is itself killed between its wake-up and that step;
//! callers keep a slow backstop for it (a deadline, and a look at the watched words).
//!
//! # Platform
//!
//! | | bell | watches | without that |
//! |---|---|---|---|
//! | Linux 5.16+ | futex (shared, not private) | `futex_waitv`, the first 127 | older kernels, sandboxes, emulators: slices of 20 ms |
//! | Windows | auto-reset event `Local\mp-{session}-{thread}`, handles cached per process | process handles, the first 63 | words and further watches: slices of 20 ms |
//! | macOS | `os_sync_wait_on_address` (14.4+) or `__ulock_wait2`, shared | slices of 20 ms | |
//!
//! Slices exist only where there are watches; a plain wait always sleeps until it is rung or its deadline comes.

use crate::imp;
use std::{io, sync::atomic::AtomicU32, time::Instant};

/// The word on which one thread sleeps, and the name under which Windows knows it.
#[derive(Clone, Copy, Debug)]
pub struct Bell<'a> {
    /// The word. It must lie in shared memory if another process is to ring.
    pub word: &'a AtomicU32,
    /// The session's identity.
    pub session: u128,
    /// The number of the thread's slot in the session.
    pub thread: u32,
}

/// Something whose end wakes a sleeper.
#[derive(Clone, Copy, Debug)]
pub struct Watch<'a> {
    /// The word that changes when the watched one dies.
    pub word: &'a AtomicU32,
    /// The value it has while the watched one lives. The watch fires when the word differs.
    pub value: u32,
    /// The process, where the platform watches processes instead of words.
    pub process: Option<&'a ProcessWatch>,
}

/// Why [`park`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The bell's word differs from the expected value, or somebody rang all the same. Look again.
    Rung,
    /// The watch with this index fired.
    Watched(usize),
    /// The deadline has come.
    TimedOut,
}

/// Sleeps while the bell's word is `expected`, no watch has fired, and `deadline` has not come.
///
/// Returns at once if one of these is so already. If several are, the bell comes first, then the watches in their order. Wake-ups
/// that change nothing (signals, stale rings) are mostly slept through, but the caller must look again anyway.
///
/// # Blocking
///
/// Until woken. A deadline is kept to scheduling accuracy (on Windows: of its timer, up to 16 ms), never early.
///
/// # If a process dies
///
/// A watch on its beacon or process fires. A dead ringer that had changed the word but not rung yet leaves the sleeper asleep:
/// watch whoever is to ring.
///
/// # Examples
///
/// ```
/// use mp_sys::{Bell, Woken, park, ring};
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// let word = AtomicU32::new(0);
/// let bell = Bell { word: &word, session: mp_sys::random_u128()?, thread: 0 };
/// std::thread::scope(|s| {
///     s.spawn(|| {
///         word.store(1, Ordering::Release);
///         ring(bell);
///     });
///     assert_eq!(park(bell, 0, &[], None), Woken::Rung);
/// });
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn park(bell: Bell<'_>, expected: u32, watches: &[Watch<'_>], deadline: Option<Instant>) -> Woken {
    imp::park::park(bell, expected, watches, deadline)
}

/// Wakes the thread that sleeps on the bell, if it does. The caller has changed the word already.
///
/// Never blocks. One system call, also when nobody sleeps: callers keep a bit that says whether somebody does.
pub fn ring(bell: Bell<'_>) {
    imp::park::ring(bell);
}

/// A process that a sleeper can watch, see [`Watch::process`].
#[derive(Debug)]
pub struct ProcessWatch(
    #[cfg_attr(not(windows), allow(dead_code, reason = "these platforms watch words"))]
    imp::park::ProcessWatch,
);

impl ProcessWatch {
    /// Whether the end of a watched process wakes a sleeper by itself (Windows). Where it does not, sleepers watch words.
    pub const WAKES: bool = cfg!(windows);

    /// Watches the process `pid` that was started at `start_time` (see [`start_time`](crate::start_time)).
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) if that process has ended (its pid may mean another by now), where the platform
    /// looks; otherwise whatever the system says.
    ///
    /// # Platform
    ///
    /// Windows holds a process handle. Elsewhere this is a plain pair of numbers, checks nothing and costs nothing.
    pub fn open(pid: u32, start_time: u64) -> io::Result<Self> {
        imp::park::ProcessWatch::open(pid, start_time).map(Self)
    }

    #[cfg(windows)]
    pub(crate) fn inner(&self) -> &imp::park::ProcessWatch {
        &self.0
    }
}
