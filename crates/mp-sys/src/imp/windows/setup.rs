//! What a new process does to itself; little of it exists here.

use super::handle::check;
use crate::{imp::absent::unsupported, setup::Limit};
use std::io;
use windows_sys::Win32::System::{
    Console::SetConsoleCtrlHandler,
    Threading::{GetCurrentProcess, GetProcessAffinityMask, SetProcessAffinityMask},
};

pub(crate) fn die_with_parent(_expected_parent: u32) -> io::Result<()> {
    unsupported("Windows ties processes together with job objects, from outside")
}

pub(crate) fn set_process_title(name: &str) -> io::Result<()> {
    std::ffi::CString::new(name)?; // the same names are refused everywhere
    Ok(())
}

pub(crate) fn set_umask(_mode: u32) {}

pub(crate) fn nice(_delta: i32) -> io::Result<()> {
    unsupported("Windows has no nice values")
}

pub(crate) fn niceness() -> i32 {
    0
}

pub(crate) fn affinity() -> io::Result<Vec<usize>> {
    let (mut ours, mut all) = (0, 0);
    // SAFETY: two writable masks.
    check(unsafe { GetProcessAffinityMask(GetCurrentProcess(), &mut ours, &mut all) })?;
    Ok((0..usize::BITS as usize).filter(|cpu| ours >> cpu & 1 == 1).collect())
}

pub(crate) fn set_affinity(cpus: &[usize]) -> io::Result<()> {
    let mut mask = 0_usize;
    for &cpu in cpus {
        mask |= u32::try_from(cpu).ok().and_then(|cpu| 1_usize.checked_shl(cpu)).unwrap_or(0);
    }
    if mask == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "none of these processors is there"));
    }
    // SAFETY: a plain call about this process.
    check(unsafe { SetProcessAffinityMask(GetCurrentProcess(), mask) })
}

pub(crate) fn set_rlimit(_kind: Limit, _soft: u64, _hard: u64) -> io::Result<()> {
    unsupported("Windows limits processes with job objects, from outside")
}

pub(crate) fn set_ids(uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    if uid.is_some() || gid.is_some() {
        return unsupported("Windows has no numbered users");
    }
    Ok(())
}

pub(crate) fn set_process_group(pgid: u32) -> io::Result<()> {
    if pgid == 0 {
        return Ok(()); // as it was started
    }
    unsupported("Windows makes process groups only at the start of a process")
}

pub(crate) fn set_own_session() -> io::Result<()> {
    unsupported("Windows has no sessions of terminals")
}

pub(crate) fn reset_signals() -> io::Result<()> {
    Ok(())
}

pub(crate) fn ignore_interrupt() -> io::Result<()> {
    // SAFETY: no handler: the system's way to say "ignore".
    check(unsafe { SetConsoleCtrlHandler(None, 1) })
}

pub(crate) fn default_interrupt() -> io::Result<()> {
    // SAFETY: no handler: the system's way to say "do not ignore".
    check(unsafe { SetConsoleCtrlHandler(None, 0) })
}
