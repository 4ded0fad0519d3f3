//! The bare system's shared memory: a memfd and a mapping of it.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A memory object of its own, mapped.
#[derive(Debug)]
pub struct Mapped {
    start: *mut libc::c_void,
    length: usize,
}

impl Mapped {
    /// So many zero bytes.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new(length: usize) -> io::Result<Mapped> {
        // SAFETY: a name that ends in NUL.
        let fd = unsafe { libc::memfd_create(c"floor".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the system has just made it for us.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: a live descriptor.
        if unsafe { libc::ftruncate(fd.as_raw_fd(), length as libc::off_t) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, wherever it fits.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), length, access, libc::MAP_SHARED, fd.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Mapped { start, length }) }
    }

    /// Where it begins.
    pub(crate) fn start(&self) -> *mut libc::c_void {
        self.start
    }

    /// Its bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: our own mapping, which nobody else knows.
        unsafe { std::slice::from_raw_parts_mut(self.start.cast(), self.length) }
    }

    /// The same as floats.
    pub fn floats(&mut self) -> &mut [f64] {
        // SAFETY: our own mapping, which nobody else knows, aligned to pages; any bytes are floats.
        unsafe { std::slice::from_raw_parts_mut(self.start.cast(), self.length / 8) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: our own mapping; nobody has a pointer into it.
        unsafe { libc::munmap(self.start, self.length) };
    }
}
