//! Record locks on a file of its own.

use super::{call::check, descriptor};
use crate::memory::Inherited;
use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

#[derive(Debug)]
pub(crate) struct File(OwnedFd);

impl File {
    pub(crate) fn create() -> io::Result<Self> {
        crate::imp::memory::anonymous_lock_file().map(Self)
    }

    /// # Safety
    ///
    /// As for [`descriptor::adopt`].
    pub(crate) unsafe fn from_inherited(number: Inherited) -> io::Result<Self> {
        // SAFETY: the caller's promise is the same.
        unsafe { descriptor::adopt(number) }.map(Self)
    }

    pub(crate) fn as_inherited(&self) -> Inherited {
        descriptor::to_number(self.0.as_fd())
    }

    pub(crate) fn as_handle(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    pub(crate) fn from_received(fd: OwnedFd) -> Self {
        Self(fd)
    }

    pub(crate) fn hold(&self, slot: u32) -> io::Result<()> {
        match self.lock(libc::F_SETLK, libc::F_WRLCK, slot) {
            // POSIX allows either number for "another has it".
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => Err(io::ErrorKind::WouldBlock.into()),
            result => result.map(drop),
        }
    }

    pub(crate) fn release(&self, slot: u32) -> io::Result<()> {
        self.lock(libc::F_SETLK, libc::F_UNLCK, slot).map(drop)
    }

    pub(crate) fn held_by_other(&self, slot: u32) -> io::Result<Option<bool>> {
        let found = self.lock(libc::F_GETLK, libc::F_WRLCK, slot)?;
        Ok(Some(i32::from(found.l_type) != i32::from(libc::F_UNLCK as libc::c_short)))
    }

    fn lock(&self, command: libc::c_int, kind: impl Into<i64>, slot: u32) -> io::Result<libc::flock> {
        // SAFETY: `flock` is plain data, and zero is a value of it.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = kind.into() as libc::c_short;
        lock.l_whence = libc::SEEK_SET as libc::c_short;
        lock.l_start = libc::off_t::from(slot);
        lock.l_len = 1;
        // SAFETY: a live descriptor and a struct that the kernel may write. F_SETLK and F_GETLK do not wait, so no EINTR.
        check(unsafe { libc::fcntl(self.0.as_raw_fd(), command, &mut lock) })?;
        Ok(lock)
    }
}
