//! Signals that ask a process to end, as far as a library may touch them.
//!
//! A program has one action for each signal, and it is the program's own. So a handler is installed here only where there is none,
//! it is gone as soon as the program installs one of its own, and when that one calls the handler that it found before (as some
//! libraries do) ours does nothing: it looks first whether it is still the program's action.

use crate::{imp, spawn::Signal};
use std::io;

/// Decides what a signal does: `true` ends the process by it as if nobody had handled it, `false` lets the process go on.
///
/// It runs in a signal handler, on whichever thread, at any instruction: atomics and plain system calls are all that it may use, no
/// allocation and no lock.
pub type Decide = fn(Signal) -> bool;

/// Has `decide` asked when [`Signal::Terminate`] or [`Signal::Interrupt`] arrives. `false`, and nothing has changed: the program
/// handles that signal itself, or ignores it and `even_if_ignored` is not set.
///
/// Calls that the signal interrupts are taken up again (`SA_RESTART`).
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for [`Signal::Kill`], which cannot be handled.
///
/// # Platform
///
/// Unix. Windows: `false`; Ctrl-C ends every process of the console that does not ignore it.
pub fn on_signal(signal: Signal, decide: Decide, even_if_ignored: bool) -> io::Result<bool> {
    imp::signals::on_signal(signal, decide, even_if_ignored)
}

/// Sends a signal to the process `pid` if that is a child of this process which nobody has reaped. For signal handlers: two system
/// calls and nothing else. Elsewhere use [`Child::signal`](crate::Child::signal), which never sees a pid change hands.
///
/// # Platform
///
/// Unix; on Windows nothing happens.
pub fn signal_child(pid: u32, signal: Signal) {
    imp::signals::signal_child(pid, signal);
}

/// Ends the process group that this process leads, itself included, at once. If it leads none nothing happens.
///
/// # Platform
///
/// Unix; on Windows nothing happens.
pub fn kill_own_group() {
    imp::signals::kill_own_group();
}
