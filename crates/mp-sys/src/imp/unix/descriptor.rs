//! Descriptors: taking over inherited ones, keeping them from being inherited further, closing those of strangers.

use super::call::{check, retry};
use crate::memory::Inherited;
use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

/// The descriptor number that a parent told us.
pub(crate) fn from_number(number: Inherited) -> io::Result<RawFd> {
    // An error without an allocation: this also runs between a fork and an exec.
    RawFd::try_from(number).ok().filter(|fd| *fd >= 0).ok_or(io::ErrorKind::InvalidInput.into())
}

pub(crate) fn to_number(fd: BorrowedFd<'_>) -> Inherited {
    fd.as_raw_fd() as Inherited
}

/// Takes over an inherited descriptor, close-on-exec.
///
/// # Safety
///
/// Nobody else owns that descriptor.
pub(crate) unsafe fn adopt(number: Inherited) -> io::Result<OwnedFd> {
    let fd = from_number(number)?;
    // Fails with EBADF when it is not open, before anything owns it.
    // SAFETY: only flags of a descriptor are read and written.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: it is open, and ours by the caller's promise.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A close-on-exec copy of a descriptor with a number of at least 3, out of the way of the standard streams.
pub(crate) fn duplicate_high(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: a plain call with a live descriptor.
    let copy = retry(|| unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Closes what `directory` (the kernel's list of our descriptors) names above 2, except `keep`.
pub(crate) fn close_listed(directory: &str, keep: &[Inherited]) -> io::Result<()> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        if let Some(fd) = entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()) {
            open.push(fd);
        }
    }
    // The directory's own descriptor is in the list and closed by now; closing it again only says EBADF.
    for fd in open {
        if fd > 2 && !keep.contains(&(fd as Inherited)) {
            // SAFETY: the caller of `close_all_except` vouches that nobody owns these.
            unsafe { libc::close(fd) };
        }
    }
    Ok(())
}
