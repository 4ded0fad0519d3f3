//! Memory objects are sections backed by the page file: reserved in full, committed piece by piece.

use super::handle::{self, check};
use crate::memory::Inherited;
use std::{
    ffi::c_void,
    io, mem,
    os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle},
    ptr::{self, NonNull},
};
use windows_sys::Win32::{
    Foundation::{HANDLE, INVALID_HANDLE_VALUE, NTSTATUS, RtlNtStatusToDosError},
    System::{
        Memory::{
            CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, MEM_COMMIT, MEMORY_MAPPED_VIEW_ADDRESS,
            MapViewOfFile, PAGE_READWRITE, SEC_RESERVE, UnmapViewOfFile, VirtualAlloc,
        },
        SystemInformation::{GetSystemInfo, GlobalMemoryStatusEx, MEMORYSTATUSEX, SYSTEM_INFO},
    },
};

#[derive(Debug)]
pub(crate) struct Object(OwnedHandle);

impl Object {
    pub(crate) fn create(len: u64) -> io::Result<Self> {
        // SAFETY: no name, no attributes; the handle is checked by `own`, and ours.
        let section = unsafe {
            handle::own(CreateFileMappingW(
                INVALID_HANDLE_VALUE, // the page file
                ptr::null(),
                PAGE_READWRITE | SEC_RESERVE,
                (len >> 32) as u32,
                len as u32,
                ptr::null(),
            ))
        }?;
        Ok(Self(section))
    }

    pub(crate) fn size(&self) -> io::Result<u64> {
        let mut info = SectionBasicInformation { _base: ptr::null_mut(), _attributes: 0, size: 0 };
        // SAFETY: a writable struct of the class asked for, of the length said.
        let status = unsafe {
            NtQuerySection(
                self.0.as_raw_handle(),
                0,
                (&raw mut info).cast(),
                size_of::<SectionBasicInformation>(),
                ptr::null_mut(),
            )
        };
        if status < 0 {
            // SAFETY: only translates a number.
            return Err(io::Error::from_raw_os_error(unsafe { RtlNtStatusToDosError(status) }.cast_signed()));
        }
        Ok(info.size.cast_unsigned())
    }

    pub(crate) fn map(&self, len: usize) -> io::Result<View> {
        // SAFETY: a new view at an address of the system's choice touches nobody's memory.
        let view =
            unsafe { MapViewOfFile(self.0.as_raw_handle(), FILE_MAP_READ | FILE_MAP_WRITE, 0, 0, len) };
        let start = NonNull::new(view.Value.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(View { start, len })
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    pub(crate) fn as_inherited(&self) -> Inherited {
        handle::to_number(self.0.as_handle())
    }

    pub(crate) fn as_handle(&self) -> BorrowedHandle<'_> {
        self.0.as_handle()
    }

    pub(crate) fn from_received(handle: OwnedHandle) -> io::Result<Self> {
        let object = Self(handle);
        object.size()?;
        Ok(object)
    }

    /// # Safety
    ///
    /// As for [`handle::adopt`].
    pub(crate) unsafe fn from_inherited(number: Inherited) -> io::Result<Self> {
        // SAFETY: the caller's promise is the same.
        unsafe { handle::adopt(number) }.map(Self)
    }
}

/// What `NtQuerySection` says of class 0.
#[repr(C)]
struct SectionBasicInformation {
    _base: *mut c_void,
    _attributes: u32,
    size: i64,
}

// The one call about a section's size; a query of a view's pages would stop at the first committed one.
#[link(name = "ntdll")]
unsafe extern "system" {
    fn NtQuerySection(
        section: HANDLE,
        class: i32,
        info: *mut c_void,
        len: usize,
        returned: *mut usize,
    ) -> NTSTATUS;
}

#[derive(Debug)]
pub(crate) struct View {
    start: NonNull<u8>,
    len: usize,
}

impl View {
    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn commit(&self, offset: usize, len: usize) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        // SAFETY: the range lies in this view (checked by the facade). Committing what is committed changes nothing.
        let done = unsafe {
            VirtualAlloc(self.as_ptr().wrapping_add(offset).cast(), len, MEM_COMMIT, PAGE_READWRITE)
        };
        if done.is_null() { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    pub(crate) fn discard(&self, _offset: usize, _len: usize) -> io::Result<bool> {
        Ok(false) // pages of a section stay committed for as long as it lives
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: mapped by `map`, and unmapped once. It fails only for what is no view.
        unsafe { UnmapViewOfFile(MEMORY_MAPPED_VIEW_ADDRESS { Value: self.start.as_ptr().cast() }) };
    }
}

pub(crate) fn page_size() -> usize {
    // SAFETY: zero is a value of it, and the call fills it in.
    let info: SYSTEM_INFO = unsafe {
        let mut info = mem::zeroed();
        GetSystemInfo(&mut info);
        info
    };
    info.dwPageSize as usize
}

pub(crate) fn memory_available() -> Option<u64> {
    // SAFETY: zero is a value of it.
    let mut status: MEMORYSTATUSEX = unsafe { mem::zeroed() };
    status.dwLength = size_of::<MEMORYSTATUSEX>() as u32;
    // SAFETY: a writable struct that says its length.
    check(unsafe { GlobalMemoryStatusEx(&mut status) }).ok()?;
    Some(status.ullAvailPhys.min(status.ullAvailPageFile))
}

pub(crate) fn address_space_limit() -> Option<u64> {
    None
}

pub(crate) fn file_size_limit() -> Option<u64> {
    None
}
