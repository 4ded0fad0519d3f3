//! Named memory is a section with a name, which the kernel frees with its last handle.

use super::handle::{self, wide};
use std::{
    io,
    os::windows::io::{AsRawHandle, OwnedHandle},
    ptr::{self, NonNull},
};
use windows_sys::Win32::{
    Foundation::{ERROR_ALREADY_EXISTS, GetLastError, INVALID_HANDLE_VALUE, SetLastError},
    System::Memory::{
        CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, MEMORY_BASIC_INFORMATION,
        MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile, OpenFileMappingW, PAGE_READWRITE, UnmapViewOfFile,
        VirtualQuery,
    },
};

pub(crate) const PREFIX: &str = "wnsm_";

#[derive(Debug)]
pub(crate) struct Named {
    start: NonNull<u8>,
    len: usize,
    _section: OwnedHandle,
}

impl Named {
    pub(crate) fn create(name: &str, len: u64) -> io::Result<Self> {
        let name = wide(name)?;
        // SAFETY: only this thread's number of the last error is written.
        unsafe { SetLastError(0) };
        // SAFETY: a string that ends in NUL, no attributes; the handle is checked by `own`, and ours.
        let section = unsafe {
            handle::own(CreateFileMappingW(
                INVALID_HANDLE_VALUE, // the page file
                ptr::null(),
                PAGE_READWRITE,
                (len >> 32) as u32,
                len as u32,
                name.as_ptr(),
            ))
        }?;
        // SAFETY: only reads this thread's number of the last error.
        if unsafe { GetLastError() } == ERROR_ALREADY_EXISTS {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Named::map(section)
    }

    pub(crate) fn attach(name: &str) -> io::Result<Self> {
        let name = wide(name)?;
        // SAFETY: a string that ends in NUL; the handle is checked by `own`, and ours.
        Named::map(unsafe {
            handle::own(OpenFileMappingW(FILE_MAP_READ | FILE_MAP_WRITE, 0, name.as_ptr()))
        }?)
    }

    fn map(section: OwnedHandle) -> io::Result<Self> {
        // SAFETY: a new view, of all of it, at an address of the system's choice touches nobody's memory.
        let view = unsafe { MapViewOfFile(section.as_raw_handle(), FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, 0) };
        let start = NonNull::new(view.Value.cast::<u8>()).ok_or_else(io::Error::last_os_error)?;
        let mut named = Named { start, len: 0, _section: section };
        // SAFETY: zero is a value of it.
        let mut info: MEMORY_BASIC_INFORMATION = unsafe { std::mem::zeroed() };
        // SAFETY: an address of the view, and a writable struct of the length said.
        let got =
            unsafe { VirtualQuery(start.as_ptr().cast(), &mut info, size_of::<MEMORY_BASIC_INFORMATION>()) };
        if got == 0 {
            return Err(io::Error::last_os_error());
        }
        named.len = info.RegionSize;
        Ok(named)
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // SAFETY: mapped by `map`, and unmapped once. It fails only for what is no view.
        unsafe { UnmapViewOfFile(MEMORY_MAPPED_VIEW_ADDRESS { Value: self.start.as_ptr().cast() }) };
    }
}

pub(crate) fn remove(_name: &str) -> io::Result<()> {
    Ok(()) // it ends with its last user
}
