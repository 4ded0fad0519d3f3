//! The end of a child: waited for without reaping, reaped under a lock, signalled under the same lock.
//!
//! | state of `end` | the pid is | who moves on |
//! |---|---|---|
//! | `None` | ours: running, or a zombie that nobody else may take | `reap`, under the lock |
//! | `Some(exit)` | free for the kernel to give away | nobody, for ever |
//!
//! The blocking wait holds no lock (`WNOWAIT` leaves the zombie), so a signal never waits for it.

use super::call::{check, retry};
use crate::spawn::{Exit, Signal};
use std::{
    io,
    os::fd::OwnedFd,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

pub(crate) struct Child {
    pid: libc::pid_t,
    end: Mutex<Option<Exit>>,
}

impl Child {
    pub(crate) fn new(pid: u32) -> Self {
        Self { pid: pid.cast_signed(), end: Mutex::new(None) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.cast_unsigned()
    }

    pub(crate) fn wait(&self, deadline: Option<Instant>) -> io::Result<Option<Exit>> {
        if let Some(exit) = self.try_wait()? {
            return Ok(Some(exit));
        }
        match deadline {
            None => match wait_id(self.pid, libc::WEXITED | libc::WNOWAIT) {
                Err(error) if error.raw_os_error() != Some(libc::ECHILD) => return Err(error),
                _ => {}
            },
            Some(deadline) => crate::imp::process::await_end(self.pid, deadline, || self.try_wait())?,
        }
        self.try_wait()
    }

    pub(crate) fn try_wait(&self) -> io::Result<Option<Exit>> {
        let mut end = self.lock();
        if end.is_none() {
            *end = look(self.pid, libc::WEXITED | libc::WNOHANG)?;
        }
        Ok(*end)
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        let mut end = self.lock();
        if end.is_none() && look(self.pid, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)? == Some(Exit::Lost)
        {
            *end = Some(Exit::Lost);
        }
        if end.is_some() {
            return Ok(());
        }
        // SAFETY: a plain call. The pid is that of our child: it is not reaped, and cannot be while we hold the lock.
        check(unsafe { libc::kill(self.pid, number(signal)) }).map(drop)
    }

    pub(crate) fn signal_group(&self, signal: Signal) -> io::Result<()> {
        let mut end = self.lock();
        // A leader that has ended but is not reaped keeps the number from being given away, as a living one does.
        if end.is_none() && look(self.pid, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)? == Some(Exit::Lost)
        {
            *end = Some(Exit::Lost);
        }
        if end.is_some() {
            return Ok(());
        }
        // SAFETY: as in `signal`.
        match check(unsafe { libc::killpg(self.pid, number(signal)) }) {
            // It has not made itself the leader yet, and there is nobody but itself.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                // SAFETY: as in `signal`.
                check(unsafe { libc::kill(self.pid, number(signal)) }).map(drop)
            }
            result => result.map(drop),
        }
    }

    pub(crate) fn sentinel(&self) -> io::Result<OwnedFd> {
        let end = self.lock();
        crate::imp::process::sentinel(if end.is_some() { None } else { Some(self.pid) })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Exit>> {
        // Nothing that panics runs under this lock.
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn number(signal: Signal) -> libc::c_int {
    match signal {
        Signal::Terminate => libc::SIGTERM,
        Signal::Kill => libc::SIGKILL,
        Signal::Interrupt => libc::SIGINT,
    }
}

/// Whether there is no such child, or it runs no more. One system call, also for signal handlers.
pub(crate) fn ended_or_not_ours(pid: libc::pid_t) -> bool {
    !matches!(wait_id(pid, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT), Ok(None))
}

/// Whether the child has ended, and how. With `WNOWAIT` it is not reaped.
fn look(pid: libc::pid_t, options: libc::c_int) -> io::Result<Option<Exit>> {
    match wait_id(pid, options) {
        Ok(exit) => Ok(exit),
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(Some(Exit::Lost)),
        Err(error) => Err(error),
    }
}

fn wait_id(pid: libc::pid_t, options: libc::c_int) -> io::Result<Option<Exit>> {
    // SAFETY: `siginfo_t` is plain data, and zero is a value of it: with WNOHANG a pid of 0 says "not yet".
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: a writable struct of the right type.
    retry(|| unsafe { libc::waitid(libc::P_PID, pid.cast_unsigned(), &mut info, options) })?;
    // SAFETY: waitid fills in the fields of a SIGCHLD, or left the struct zero.
    let (who, status) = unsafe { (info.si_pid(), info.si_status()) };
    Ok(match who {
        0 => None,
        _ if info.si_code == libc::CLD_EXITED => Some(Exit::Code(status)),
        _ => Some(Exit::Signal(status)),
    })
}

/// Waits for the end by looking again and again, with pauses from 0.1 to 5 ms: for systems that have nothing to wait on.
pub(crate) fn await_end_by_looking(
    deadline: Instant,
    mut ended: impl FnMut() -> io::Result<Option<Exit>>,
) -> io::Result<()> {
    let mut pause = Duration::from_micros(100);
    while ended()?.is_none() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(Duration::from_millis(5));
    }
    Ok(())
}
