//! What a new process does to itself, as POSIX spells it.

use super::{
    call::{check, check_number},
    mapping::Resource,
};
use crate::setup::Limit;
use std::{io, mem::MaybeUninit, ptr};

pub(crate) fn set_umask(mode: u32) {
    // SAFETY: cannot fail and touches only the mask.
    unsafe { libc::umask(mode as libc::mode_t) };
}

pub(crate) fn nice(delta: i32) -> io::Result<()> {
    // setpriority instead of nice(2), whose result -1 may be a success.
    // SAFETY: plain calls about this process.
    let now = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    // SAFETY: as above.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, now.saturating_add(delta)) }).map(drop)
}

pub(crate) fn niceness() -> i32 {
    // SAFETY: a plain call about the calling thread, for which it does not fail.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

pub(crate) fn set_rlimit(kind: Limit, soft: u64, hard: u64) -> io::Result<()> {
    let resource: Resource = match kind {
        Limit::Data => libc::RLIMIT_DATA,
        Limit::AddressSpace => libc::RLIMIT_AS,
        Limit::OpenFiles => libc::RLIMIT_NOFILE,
        Limit::FileSize => libc::RLIMIT_FSIZE,
        Limit::Cpu => libc::RLIMIT_CPU,
        Limit::Core => libc::RLIMIT_CORE,
        Limit::Processes => libc::RLIMIT_NPROC,
        Limit::Stack => libc::RLIMIT_STACK,
    };
    let number = |limit| if limit == u64::MAX { libc::RLIM_INFINITY } else { limit };
    let limit = libc::rlimit { rlim_cur: number(soft), rlim_max: number(hard) };
    // SAFETY: a readable struct of the right type.
    check(unsafe { libc::setrlimit(resource, &limit) }).map(drop)
}

pub(crate) fn set_ids(uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    if let Some(gid) = gid {
        // SAFETY: a plain call about this process.
        check(unsafe { libc::setgid(gid) })?;
    }
    if let Some(uid) = uid {
        // SAFETY: as above; a list of no groups needs no memory.
        if unsafe { libc::geteuid() } == 0 {
            // SAFETY: as above.
            check(unsafe { libc::setgroups(0, ptr::null()) })?;
        }
        // SAFETY: as above.
        check(unsafe { libc::setuid(uid) })?;
    }
    Ok(())
}

pub(crate) fn set_process_group(pgid: u32) -> io::Result<()> {
    let pgid = libc::pid_t::try_from(pgid).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: a plain call about this process.
    check(unsafe { libc::setpgid(0, pgid) }).map(drop)
}

pub(crate) fn set_own_session() -> io::Result<()> {
    // SAFETY: a plain call about this process.
    check(unsafe { libc::setsid() }).map(drop)
}

pub(crate) fn reset_signals() -> io::Result<()> {
    let mut empty = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set before it is read.
    check_number(unsafe {
        libc::sigemptyset(empty.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, empty.as_ptr(), ptr::null_mut())
    })?;
    ignore(libc::SIGPIPE)
}

pub(crate) fn ignore_interrupt() -> io::Result<()> {
    ignore(libc::SIGINT)
}

pub(crate) fn default_interrupt() -> io::Result<()> {
    set_action(libc::SIGINT, libc::SIG_DFL)
}

fn ignore(signal: libc::c_int) -> io::Result<()> {
    set_action(signal, libc::SIG_IGN)
}

fn set_action(signal: libc::c_int, action: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: no handler is installed; what was set before is dropped as the caller wants.
    if unsafe { libc::signal(signal, action) } == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
