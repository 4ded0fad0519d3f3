//! Mapping a descriptor's memory, and the limits on that.

use super::call::check;
use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    ptr::{self, NonNull},
    sync::OnceLock,
};

/// A shared writable mapping; dropping it unmaps.
#[derive(Debug)]
pub(crate) struct Mapped {
    start: NonNull<u8>,
    len: usize,
}

impl Mapped {
    pub(crate) fn new(fd: BorrowedFd<'_>, len: usize, flags: libc::c_int) -> io::Result<Self> {
        Self::with_protection(fd, len, libc::PROT_READ | libc::PROT_WRITE, flags)
    }

    pub(crate) fn with_protection(
        fd: BorrowedFd<'_>,
        len: usize,
        protection: libc::c_int,
        flags: libc::c_int,
    ) -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice touches nobody's memory.
        let start = unsafe {
            libc::mmap(ptr::null_mut(), len, protection, libc::MAP_SHARED | flags, fd.as_raw_fd(), 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))?;
        Ok(Self { start, len })
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: this range was mapped by `new`, and whoever used it has promised not to any more. The only failures of munmap
        // are for ranges that are not mapped.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// The size of the file behind a descriptor.
pub(crate) fn file_size(fd: BorrowedFd<'_>) -> io::Result<u64> {
    // SAFETY: `stat` is plain data, and zero is a value of it.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: a live descriptor and a writable struct.
    check(unsafe { libc::fstat(fd.as_raw_fd(), &mut stat) })?;
    Ok(stat.st_size.cast_unsigned())
}

/// Gives a file its size, after a look at the limit: beyond it the kernel would send SIGXFSZ.
pub(crate) fn set_file_size(fd: BorrowedFd<'_>, len: u64) -> io::Result<()> {
    let too_large = || io::Error::from_raw_os_error(libc::EFBIG);
    if file_size_limit().is_some_and(|limit| len > limit) {
        return Err(too_large());
    }
    let len = libc::off_t::try_from(len).map_err(|_| too_large())?;
    // SAFETY: a plain call with a live descriptor.
    super::call::retry(|| unsafe { libc::ftruncate(fd.as_raw_fd(), len) }).map(drop)
}

pub(crate) fn page_size() -> usize {
    static PAGE: OnceLock<usize> = OnceLock::new();
    // SAFETY: sysconf only reads. It knows the page size on every system; 4096 is for the compiler.
    *PAGE.get_or_init(|| usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096))
}

pub(crate) fn address_space_limit() -> Option<u64> {
    soft_limit(libc::RLIMIT_AS)
}

pub(crate) fn file_size_limit() -> Option<u64> {
    soft_limit(libc::RLIMIT_FSIZE)
}

/// The kind of limit as the C library spells its type.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) type Resource = libc::__rlimit_resource_t;
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) type Resource = libc::c_int;

fn soft_limit(resource: Resource) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a writable struct of the right type.
    check(unsafe { libc::getrlimit(resource, &mut limit) }).ok()?;
    (limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}
