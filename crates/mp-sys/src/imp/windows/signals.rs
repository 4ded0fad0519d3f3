//! There are no signals: Ctrl-C is an event of the console, which each process of it gets, and nothing else asks a process to end.

use crate::{signals::Decide, spawn::Signal};
use std::io;

pub(crate) fn on_signal(signal: Signal, _decide: Decide, _even_if_ignored: bool) -> io::Result<bool> {
    match signal {
        Signal::Kill => Err(io::ErrorKind::InvalidInput.into()),
        _ => Ok(false),
    }
}

pub(crate) fn signal_child(_pid: u32, _signal: Signal) {}

pub(crate) fn kill_own_group() {}
