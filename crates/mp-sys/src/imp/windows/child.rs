//! The end of a child, told by its handle. The handle keeps the pid from being given away, so nothing needs a lock.

use super::{
    handle::{self, check, millis_until},
    process,
};
use crate::spawn::{Exit, Signal};
use std::{
    io,
    os::windows::io::{AsRawHandle, OwnedHandle},
    time::Instant,
};
use windows_sys::Win32::{
    Foundation::WAIT_FAILED,
    System::Threading::{
        GetExitCodeProcess, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE,
        PROCESS_TERMINATE, TerminateProcess, WaitForSingleObject,
    },
};

/// The exit code that Python reads as `-SIGTERM`: there are no signals here, so the code of a process that we end says which one
/// it stands for, the usual one by nothing.
const TERMINATED: u32 = 0x10000;
const SIGINT: u32 = 2;
const SIGKILL: u32 = 9;
const SIGTERM: u32 = 15;

fn exit(code: u32) -> Exit {
    match code.wrapping_sub(TERMINATED) {
        0 => Exit::Signal(SIGTERM.cast_signed()),
        signal @ (SIGINT | SIGKILL) => Exit::Signal(signal.cast_signed()),
        _ => Exit::Code(code.cast_signed()),
    }
}

pub(crate) struct Child {
    pid: u32,
    /// `None`: it was gone before we could open it.
    process: Option<OwnedHandle>,
}

impl Child {
    pub(crate) fn new(pid: u32) -> Self {
        let access = PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE | PROCESS_TERMINATE;
        // SAFETY: the handle, if it is one, is ours.
        let process = unsafe { handle::own(OpenProcess(access, 0, pid)) }.ok();
        Self { pid, process }
    }

    pub(crate) fn own(pid: u32, process: OwnedHandle) -> Self {
        Self { pid, process: Some(process) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn wait(&self, deadline: Option<Instant>) -> io::Result<Option<Exit>> {
        let Some(process) = &self.process else { return Ok(Some(Exit::Lost)) };
        loop {
            if let Some(exit) = self.try_wait()? {
                return Ok(Some(exit));
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(None);
            }
            // SAFETY: a live handle.
            if unsafe { WaitForSingleObject(process.as_raw_handle(), millis_until(deadline)) } == WAIT_FAILED
            {
                return Err(io::Error::last_os_error());
            }
        }
    }

    pub(crate) fn try_wait(&self) -> io::Result<Option<Exit>> {
        let Some(process) = &self.process else { return Ok(Some(Exit::Lost)) };
        if !process::has_ended(process) {
            return Ok(None);
        }
        let mut code = 0;
        // SAFETY: a live handle and a writable number.
        check(unsafe { GetExitCodeProcess(process.as_raw_handle(), &mut code) })?;
        Ok(Some(exit(code)))
    }

    pub(crate) fn signal_group(&self, _signal: Signal) -> io::Result<()> {
        crate::imp::absent::unsupported("Windows signals no groups of processes")
    }

    pub(crate) fn sentinel(&self) -> io::Result<OwnedHandle> {
        match &self.process {
            Some(process) => process.try_clone(),
            None => crate::imp::absent::unsupported("a sentinel of a process that was gone at once"),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        let Some(process) = &self.process else { return Ok(()) };
        let code = match signal {
            Signal::Terminate => TERMINATED,
            Signal::Kill => TERMINATED + SIGKILL,
            Signal::Interrupt => TERMINATED + SIGINT,
        };
        // SAFETY: a live handle.
        match check(unsafe { TerminateProcess(process.as_raw_handle(), code) }) {
            Err(_) if process::has_ended(process) => Ok(()),
            result => result,
        }
    }
}
