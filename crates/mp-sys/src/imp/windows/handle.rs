//! From Windows' ways of failing to Rust's, and handles that are or are not inherited.

use crate::memory::Inherited;
use std::{
    io,
    os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle},
    ptr,
    time::Instant,
};
use windows_sys::Win32::{
    Foundation::{
        DUPLICATE_SAME_ACCESS, DuplicateHandle, HANDLE, HANDLE_FLAG_INHERIT, INVALID_HANDLE_VALUE,
        SetHandleInformation,
    },
    System::Threading::{GetCurrentProcess, INFINITE},
};

/// Turns a false result into the error that the thread's last one names.
pub(crate) fn check(result: windows_sys::core::BOOL) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Owns a handle that a call has just returned; null and "invalid" are failures of that call.
///
/// # Safety
///
/// The handle, if it is one, is ours.
pub(crate) unsafe fn own(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle.is_null() || handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

pub(crate) fn to_number(handle: BorrowedHandle<'_>) -> Inherited {
    handle.as_raw_handle().expose_provenance() as Inherited
}

pub(crate) fn from_number(number: Inherited) -> HANDLE {
    ptr::with_exposed_provenance_mut(number as usize)
}

/// Takes over an inherited handle, not inheritable.
///
/// # Safety
///
/// Nobody else owns that handle.
pub(crate) unsafe fn adopt(number: Inherited) -> io::Result<OwnedHandle> {
    // SAFETY: only a flag of the handle is written; it fails for what is no handle.
    check(unsafe { SetHandleInformation(from_number(number), HANDLE_FLAG_INHERIT, 0) })?;
    // SAFETY: the caller's promise.
    unsafe { own(from_number(number)) }
}

/// A copy that children may inherit, or not.
pub(crate) fn duplicate(handle: HANDLE, inheritable: bool) -> io::Result<OwnedHandle> {
    let mut copy = ptr::null_mut();
    // SAFETY: a writable handle; the source is only read, and checked by the call.
    check(unsafe {
        let this = GetCurrentProcess();
        DuplicateHandle(this, handle, this, &mut copy, 0, inheritable.into(), DUPLICATE_SAME_ACCESS)
    })?;
    // SAFETY: the system has just made it for us.
    unsafe { own(copy) }
}

/// The time left in whole milliseconds, rounded up so that no wait ends early; far deadlines are cut off, and the caller's loop goes round.
pub(crate) fn millis_until(deadline: Option<Instant>) -> u32 {
    match deadline {
        None => INFINITE,
        Some(deadline) => {
            let left = deadline.saturating_duration_since(Instant::now());
            u32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX).min(INFINITE - 1)
        }
    }
}

/// A string for the system: UTF-16, ends in NUL.
pub(crate) fn wide(string: impl AsRef<std::ffi::OsStr>) -> io::Result<Vec<u16>> {
    use std::os::windows::ffi::OsStrExt;
    let mut wide: Vec<u16> = string.as_ref().encode_wide().collect();
    if wide.contains(&0) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a NUL in a string for the system"));
    }
    wide.push(0);
    Ok(wide)
}
