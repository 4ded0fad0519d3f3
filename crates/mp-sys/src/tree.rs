//! The processes below a process.

use crate::{imp, spawn::Signal};
use std::io;

/// A process by pid and start time, so that no other of that pid is taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProcessName {
    /// The pid.
    pub pid: u32,
    /// As [`start_time`](crate::start_time) told it; 0 if not known.
    pub start_time: u64,
}

/// All processes whose parent, parent's parent and so on is the process `pid`. Those whose parent has ended are somebody else's by then
/// and not among them.
///
/// # Errors
///
/// [`Unsupported`](io::ErrorKind::Unsupported) where the system is not asked for it: Linux without `/proc`, macOS, Windows.
pub fn descendants(pid: u32) -> io::Result<Vec<ProcessName>> {
    imp::tree::descendants(pid)
}

/// Sends a signal to a process that need not be ours. `false`: it is gone, or a zombie.
///
/// # Errors
///
/// When it may not be signalled.
///
/// # Platform
///
/// Linux 5.3 and later: never to another process of that pid. Elsewhere pid and start time are compared right before.
pub fn signal_process(name: ProcessName, signal: Signal) -> io::Result<bool> {
    imp::tree::signal_process(name, signal)
}
