//! Who a process is, whether it lives, and what this machine has.
//!
//! A pid alone names nobody: the kernel hands it out again. A process is named by pid *and* start time, read once by itself
//! and kept in shared memory. [`process_state`] compares both, and tells a process that has ended but is not yet reaped
//! (a zombie, for which `kill(pid, 0)` still says "there") from a living one.

use crate::imp;
use std::io;

/// What the kernel says about a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// It runs, sleeps or is stopped.
    Running,
    /// It will run no more code of its own: all its threads are exiting, or it is a zombie.
    Exiting,
    /// There is no such process (any more).
    Gone,
}

/// The pid of this process.
pub fn current_pid() -> u32 {
    std::process::id()
}

/// The pid of this process's parent. After the parent's death: that of whoever adopted us (on Windows still the old number).
/// 0 if there is none.
pub fn parent_pid() -> u32 {
    imp::process::parent_pid()
}

/// The kernel's number for the calling thread.
pub fn current_thread_id() -> u64 {
    imp::process::current_thread_id()
}

/// When the process `pid` was started, in a unit of the platform's own: good for comparing, not for telling the time.
///
/// # Errors
///
/// [`NotFound`](io::ErrorKind::NotFound) if there is no such process; [`Unsupported`](io::ErrorKind::Unsupported) on Linux without `/proc`.
///
/// # Platform
///
/// Linux: field 22 of `/proc/PID/stat` (clock ticks since boot). Windows: the creation time. macOS: microseconds since 1970.
pub fn start_time(pid: u32) -> io::Result<u64> {
    imp::process::start_time(pid)
}

/// How many threads this process has. `None` where the system does not say: only Linux does, by `/proc`.
pub fn thread_count() -> Option<u64> {
    imp::process::thread_count()
}

/// The stretch of time in which a process is made: where it is short enough, it says what [`start_time`] would.
///
/// Reading a start time from the system costs as much as a tenth of starting a process; two looks at a clock cost nothing.
/// The two agree wherever the system does its sums as Linux does; who relies on it compares them once.
///
/// # Platform
///
/// Linux. Elsewhere [`close`](Self::close) says `None`.
#[derive(Clone, Copy, Debug)]
pub struct BirthWindow(u64);

impl BirthWindow {
    /// Opens it: right before the process is made.
    pub fn open() -> Self {
        Self(imp::process::boot_nanoseconds())
    }

    /// Closes it, when the process exists: in its maker or in itself. Its start time, if there is only one that it can have.
    pub fn close(self) -> Option<u64> {
        imp::process::only_start_time(self.0, imp::process::boot_nanoseconds())
    }
}

/// What has become of the process `pid` that was started at `start_time`. A `start_time` of 0 means "not known" and is not compared.
///
/// # Errors
///
/// Whatever the system says, except that the process is not there: that is [`ProcessState::Gone`].
///
/// # Platform
///
/// Linux without `/proc` (or with one that hides strangers) falls back to `kill(pid, 0)`, which cannot tell zombies and recycled
/// pids from the living.
///
/// # Examples
///
/// ```
/// use mp_sys::{ProcessState, current_pid, process_state, start_time};
/// let me = current_pid();
/// assert_eq!(process_state(me, start_time(me)?)?, ProcessState::Running);
/// assert_eq!(process_state(me, start_time(me)? + 1)?, ProcessState::Gone); // another life of that number
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn process_state(pid: u32, start_time: u64) -> io::Result<ProcessState> {
    imp::process::process_state(pid, start_time)
}

/// How many processors this process may keep busy, at least 1: those it may run on, and no more than its control group pays for.
pub fn cpu_count() -> usize {
    imp::process::cpu_count().max(1)
}

/// 128 random bits from the system's generator.
///
/// # Errors
///
/// When the generator is not to be had.
pub fn random_u128() -> io::Result<u128> {
    imp::process::random_u128()
}

/// Identifies the executable image that runs: two processes with equal values have the same code at the same offsets.
///
/// It is computed once. On Linux from the build id that the linker left, if it did; else from the program headers and the file's size,
/// time and inode. On macOS from the image's UUID, on Windows from the image's headers and the file's size and time.
pub fn image_id() -> [u8; 16] {
    static ID: std::sync::OnceLock<[u8; 16]> = std::sync::OnceLock::new();
    *ID.get_or_init(imp::image::image_id)
}

/// Whether this process got rights from its program's file that its starter may not have (set-user-id and the like). What it was told
/// in its environment came from somebody else then.
///
/// # Platform
///
/// Linux: the kernel's `AT_SECURE`. macOS: `issetugid`. Windows: never.
pub fn gained_rights() -> bool {
    imp::process::gained_rights()
}

/// Ends this process now: no destructor, no `atexit`, no flush.
pub fn exit_now(code: i32) -> ! {
    imp::process::exit_now(code)
}
