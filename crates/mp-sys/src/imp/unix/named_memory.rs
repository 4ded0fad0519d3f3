//! Names of shared-memory files, as POSIX has them.

use super::call::check;
use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{FromRawFd, OwnedFd},
};

pub(crate) const PREFIX: &str = "psm_";

/// The name as the system wants it: with a slash in front.
pub(crate) fn path(name: &str) -> io::Result<CString> {
    Ok(CString::new(format!("/{name}"))?)
}

/// Opens for reading and writing, close-on-exec (as POSIX has it for these files); `more` are further flags.
pub(crate) fn open(path: &CStr, more: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: a string that ends in NUL, and the mode that O_CREAT asks for.
    let fd = super::call::retry(|| unsafe {
        libc::shm_open(path.as_ptr(), libc::O_RDWR | more, 0o600 as libc::c_uint)
    })?;
    // SAFETY: the system has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(crate) fn unlink(path: &CStr) -> io::Result<()> {
    // SAFETY: a string that ends in NUL.
    check(unsafe { libc::shm_unlink(path.as_ptr()) }).map(drop)
}

pub(crate) fn remove(name: &str) -> io::Result<()> {
    unlink(&path(name)?)
}

/// The length as a mapping wants it; none yet is an error.
pub(crate) fn mappable(len: u64) -> io::Result<usize> {
    match usize::try_from(len) {
        Ok(len) if len > 0 => Ok(len),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "the memory of that name has no size yet")),
    }
}
