//! The tree of processes: not asked for here, where parents are remembered by pids that may be anybody's by now.

use super::{child, process};
use crate::{imp::absent::unsupported, spawn::Signal, tree::ProcessName};
use std::io;

pub(crate) fn descendants(_pid: u32) -> io::Result<Vec<ProcessName>> {
    unsupported("the tree of processes is not asked for on Windows")
}

pub(crate) fn signal_process(name: ProcessName, signal: Signal) -> io::Result<bool> {
    // The handle keeps the pid: what is compared is what is ended.
    let child = child::Child::new(name.pid);
    match process::start_time(name.pid) {
        Ok(time) if name.start_time == 0 || time == name.start_time => child.signal(signal).map(|()| true),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(false),
    }
}
