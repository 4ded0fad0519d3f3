//! Memory objects are shared-memory files that lose their name at once.

pub(crate) use crate::imp::unix::mapping::{address_space_limit, file_size_limit, page_size};
use crate::{
    imp::unix::{
        call::check,
        descriptor,
        mapping::{self, Mapped},
    },
    memory::Inherited,
};
use std::{
    ffi::CString,
    fs::OpenOptions,
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
};

#[derive(Debug)]
pub(crate) struct Object(OwnedFd);

impl Object {
    pub(crate) fn create(len: u64) -> io::Result<Self> {
        // 31 characters are allowed. Nobody guesses this one in the moment between the next two calls.
        let name = CString::new(format!("/mp-{:024x}", super::process::random_u128()? >> 32))?;
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
        // SAFETY: a string that ends in NUL, and the mode that O_CREAT asks for.
        let fd = check(unsafe { libc::shm_open(name.as_ptr(), flags, 0o600 as libc::c_uint) })?;
        // SAFETY: the system has just made it for us.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: as above.
        check(unsafe { libc::shm_unlink(name.as_ptr()) })?;
        // SAFETY: a plain call with a live descriptor.
        check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) })?;
        mapping::set_file_size(fd.as_fd(), len)?;
        Ok(Self(fd))
    }

    pub(crate) fn size(&self) -> io::Result<u64> {
        mapping::file_size(self.0.as_fd())
    }

    pub(crate) fn map(&self, len: usize) -> io::Result<View> {
        Mapped::new(self.0.as_fd(), len, libc::MAP_NORESERVE).map(View)
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
        mapping::file_size(fd.as_fd())?;
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

    pub(crate) fn discard(&self, _offset: usize, _len: usize) -> io::Result<bool> {
        Ok(false) // no advice frees shared pages for everybody
    }
}

/// The file under a `LivenessFile`: shared-memory files take no record locks here, so it is a real one, without a name.
pub(crate) fn anonymous_lock_file() -> io::Result<OwnedFd> {
    let path = std::env::temp_dir().join(format!("mp-{:032x}", super::process::random_u128()?));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file.into())
}

pub(crate) fn memory_available() -> Option<u64> {
    let mut info = MaybeUninit::<libc::vm_statistics64>::zeroed();
    let mut count = libc::HOST_VM_INFO64_COUNT;
    // SAFETY: a writable struct of the kind asked for, and its length in words.
    let result = unsafe {
        #[allow(deprecated, reason = "one call does not earn another dependency")]
        let host = libc::mach_host_self();
        libc::host_statistics64(host, libc::HOST_VM_INFO64, info.as_mut_ptr().cast(), &mut count)
    };
    if result != libc::KERN_SUCCESS {
        return None;
    }
    // SAFETY: filled in, and zero was a value of it before.
    let info = unsafe { info.assume_init() };
    let pages = u64::from(info.free_count) + u64::from(info.inactive_count);
    Some(pages * page_size() as u64)
}
