//! The tree of processes: not asked for here.

use crate::{
    imp::{
        absent,
        unix::{call::check, child::number},
    },
    process::ProcessState,
    spawn::Signal,
    tree::ProcessName,
};
use std::io;

pub(crate) fn descendants(_pid: u32) -> io::Result<Vec<ProcessName>> {
    absent::unsupported("the tree of processes is not asked for on macOS")
}

pub(crate) fn signal_process(name: ProcessName, signal: Signal) -> io::Result<bool> {
    let Ok(pid @ 1..) = libc::pid_t::try_from(name.pid) else { return Ok(false) };
    if super::process::process_state(name.pid, name.start_time)? != ProcessState::Running {
        return Ok(false);
    }
    // SAFETY: a plain call.
    match check(unsafe { libc::kill(pid, number(signal)) }) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
        sent => sent.map(|_| true),
    }
}
