//! Memory objects are sealed memfds.

pub(crate) use crate::imp::unix::mapping::{address_space_limit, file_size_limit, page_size};
use crate::{
    imp::{
        linux::{advice, cgroup, locked},
        unix::{
            call::check,
            descriptor,
            mapping::{self, Mapped},
        },
    },
    memory::Inherited,
};
use std::{
    ffi::CStr,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

#[derive(Debug)]
pub(crate) struct Object(OwnedFd);

impl Object {
    pub(crate) fn create(len: u64) -> io::Result<Self> {
        let fd = memfd(c"mp-session")?;
        mapping::set_file_size(fd.as_fd(), len)?;
        // From here on no peer can truncate it, which would make our memory accesses faults.
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: a plain call with a live descriptor.
        check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) })?;
        Ok(Self(fd))
    }

    pub(crate) fn size(&self) -> io::Result<u64> {
        mapping::file_size(self.0.as_fd())
    }

    pub(crate) fn map(&self, len: usize) -> io::Result<View> {
        let mapped = if locked::all_that_comes() {
            locked::map(self.0.as_fd(), len)?
        } else {
            Mapped::new(self.0.as_fd(), len, libc::MAP_NORESERVE)?
        };
        // A core dump would otherwise read, and so populate, all of it.
        advice::give(mapped.as_ptr(), len, libc::MADV_DONTDUMP)?;
        Ok(View(mapped))
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    pub(crate) fn as_inherited(&self) -> Inherited {
        descriptor::to_number(self.0.as_fd())
    }

    pub(crate) fn as_handle(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    pub(crate) fn from_received(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: a plain call with a live descriptor.
        let seals = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) });
        if !seals.is_ok_and(|seals| seals & libc::F_SEAL_SHRINK != 0) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "what came is no memory that keeps its size",
            ));
        }
        Ok(Self(fd))
    }

    /// # Safety
    ///
    /// As for [`descriptor::adopt`].
    pub(crate) unsafe fn from_inherited(number: Inherited) -> io::Result<Self> {
        // SAFETY: the caller's promise is the same.
        unsafe { descriptor::adopt(number) }.map(Self)
    }
}

#[derive(Debug)]
pub(crate) struct View(Mapped);

impl View {
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.0.as_ptr()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn commit(&self, _offset: usize, _len: usize) -> io::Result<()> {
        Ok(()) // the kernel does it at the first touch
    }

    pub(crate) fn discard(&self, offset: usize, len: usize) -> io::Result<bool> {
        if !advice::is_followed() {
            return Ok(false);
        }
        match advice::give(self.as_ptr().wrapping_add(offset), len, libc::MADV_REMOVE) {
            Ok(()) => Ok(true),
            // Locked memory.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The file under a `LivenessFile`.
pub(crate) fn anonymous_lock_file() -> io::Result<OwnedFd> {
    memfd(c"mp-liveness")
}

fn memfd(name: &CStr) -> io::Result<OwnedFd> {
    // A kernel that can be told to refuse executable memfds (6.3) wants to hear that this one is not; an older one knows no such flag.
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let create = |flags| {
        // SAFETY: the name ends in NUL.
        check(unsafe { libc::memfd_create(name.as_ptr(), flags) })
    };
    let fd = match create(flags | libc::MFD_NOEXEC_SEAL) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => create(flags)?,
        result => result?,
    };
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(crate) fn memory_available() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    });
    [machine, cgroup::memory_headroom()].into_iter().flatten().min()
}
