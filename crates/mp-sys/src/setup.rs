//! What a new process does to itself before it works.
//!
//! Each call changes the calling process only, once, early, while it has one thread. Where a platform has no such notion the call says
//! [`Unsupported`](io::ErrorKind::Unsupported), unless its absence hurts nobody (a name in `ps`, a mask for file modes).

use crate::imp;
use std::io;

/// Asks the kernel to kill this process when its parent ends; if the parent is not `expected_parent` any more, that is now.
///
/// # If a process dies
///
/// The kernel acts at the end of the parent's *thread* that made this process (or of the one that inherited it), not of the
/// whole parent. So children that shall die with the process are made by a thread that lives as long as it does.
///
/// # Errors
///
/// [`Unsupported`](io::ErrorKind::Unsupported) except on Linux.
pub fn die_with_parent(expected_parent: u32) -> io::Result<()> {
    imp::setup::die_with_parent(expected_parent)
}

/// Names this process in `ps` and `top`: the first 15 bytes, cut at a character. Call it from the main thread.
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for a NUL in the name.
///
/// # Platform
///
/// Linux; elsewhere nothing happens.
pub fn set_process_title(name: &str) -> io::Result<()> {
    imp::setup::set_process_title(name)
}

/// Sets which permissions new files do not get. Nothing on Windows.
pub fn set_umask(mode: u32) {
    imp::setup::set_umask(mode);
}

/// Makes this process nicer to others by `delta` (less nice, for the privileged, if negative).
///
/// # Errors
///
/// When not permitted; [`Unsupported`](io::ErrorKind::Unsupported) on Windows.
pub fn nice(delta: i32) -> io::Result<()> {
    imp::setup::nice(delta)
}

/// The processors that the calling thread may run on.
///
/// # Errors
///
/// [`Unsupported`](io::ErrorKind::Unsupported) on macOS.
pub fn affinity() -> io::Result<Vec<usize>> {
    imp::setup::affinity()
}

/// Restricts the calling thread, and those it will start, to these processors. On Windows the whole process, to the first 64.
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) if none of them is there for us; [`Unsupported`](io::ErrorKind::Unsupported) on macOS.
pub fn set_affinity(cpus: &[usize]) -> io::Result<()> {
    imp::setup::set_affinity(cpus)
}

/// What [`set_rlimit`] limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Private writable memory in bytes (`RLIMIT_DATA`). A session's memory does not count.
    Data,
    /// Address space in bytes (`RLIMIT_AS`). A session's reservation counts in full.
    AddressSpace,
    /// One more than the highest descriptor (`RLIMIT_NOFILE`).
    OpenFiles,
    /// Bytes in a file (`RLIMIT_FSIZE`).
    FileSize,
    /// Seconds of processor time (`RLIMIT_CPU`).
    Cpu,
    /// Bytes in a core dump (`RLIMIT_CORE`).
    Core,
    /// Processes and threads of the user (`RLIMIT_NPROC`).
    Processes,
    /// Bytes of the main thread's stack (`RLIMIT_STACK`).
    Stack,
}

/// Sets a limit; `u64::MAX` is none.
///
/// # Errors
///
/// When `hard` is raised without privilege or is below `soft`; [`Unsupported`](io::ErrorKind::Unsupported) on Windows.
pub fn set_rlimit(kind: Limit, soft: u64, hard: u64) -> io::Result<()> {
    imp::setup::set_rlimit(kind, soft, hard)
}

/// Takes on the given group and user, in that order. A privileged process that changes its user also gives up its supplementary groups.
///
/// # Errors
///
/// When not permitted; [`Unsupported`](io::ErrorKind::Unsupported) on Windows, if anything was asked for.
pub fn set_ids(uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    imp::setup::set_ids(uid, gid)
}

/// Moves this process to the process group `pgid`; 0 makes it the leader of its own.
///
/// # Errors
///
/// When there is no such group in our session.
///
/// # Platform
///
/// Windows makes groups only at the start of a process ([`SpawnRequest::new_process_group`](crate::SpawnRequest)): there 0 changes nothing, and
/// another number is [`Unsupported`](io::ErrorKind::Unsupported).
pub fn set_process_group(pgid: u32) -> io::Result<()> {
    imp::setup::set_process_group(pgid)
}

/// Makes this process the leader of a session of terminals of its own, and so of a process group of its own: no terminal's signals
/// reach it.
///
/// # Errors
///
/// When it leads a process group already; [`Unsupported`](io::ErrorKind::Unsupported) on Windows.
pub fn set_own_session() -> io::Result<()> {
    imp::setup::set_own_session()
}

/// Unblocks all signals for the calling thread and ignores `SIGPIPE`, as every Rust program starts. Nothing on Windows.
///
/// # Errors
///
/// Whatever the system says; it does not fail in practice.
pub fn reset_signals() -> io::Result<()> {
    imp::setup::reset_signals()
}

/// Has Ctrl-C end this process, as it does any program that has not said otherwise.
///
/// # Errors
///
/// Whatever the system says; it does not fail in practice.
pub fn default_interrupt() -> io::Result<()> {
    imp::setup::default_interrupt()
}

/// Ignores Ctrl-C from now on, also one that has come and was held back.
///
/// # Errors
///
/// Whatever the system says; it does not fail in practice.
pub fn ignore_interrupt() -> io::Result<()> {
    imp::setup::ignore_interrupt()
}

/// Makes a [`ForkGuard`].
///
/// # Errors
///
/// When there is no page of memory left.
pub fn on_fork_wipe_page() -> io::Result<ForkGuard> {
    imp::fork_guard::ForkGuard::new().map(ForkGuard)
}

/// Tells the process that made it from a copy that a foreign `fork` (a C library's) made of that.
///
/// # Platform
///
/// Linux: a page that the kernel empties in a forked child. Where it cannot, and on macOS: a comparison of pids. Windows has no fork.
#[derive(Debug)]
pub struct ForkGuard(imp::fork_guard::ForkGuard);

impl ForkGuard {
    /// `true` in the process that made this guard, `false` in the child of a fork. A plain load on Linux.
    #[inline]
    pub fn is_original(&self) -> bool {
        self.0.is_original()
    }

    /// In the child of a fork that was meant: from now on this process is the original.
    pub fn renew(&self) {
        self.0.renew();
    }
}
