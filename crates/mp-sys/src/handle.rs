//! Handles of the operating system that are on their way to a child.
//!
//! A handle is copied when it is packed, the copy travels (under its own number to a new image, over a
//! [`Channel`](crate::Channel) to a copy of a running process), and the child takes it over. Numbers are named only between the two.

use crate::{
    imp,
    memory::Inherited,
    spawn::{BorrowedOsHandle, OsHandle},
};
use std::io;

/// What has a handle of the operating system: files, pipes, and on Unix sockets.
pub trait AsOsHandle {
    /// Lends it.
    fn as_os_handle(&self) -> BorrowedOsHandle<'_>;
}

#[cfg(unix)]
impl<T: std::os::fd::AsFd> AsOsHandle for T {
    fn as_os_handle(&self) -> BorrowedOsHandle<'_> {
        self.as_fd()
    }
}

#[cfg(windows)]
impl<T: std::os::windows::io::AsHandle> AsOsHandle for T {
    fn as_os_handle(&self) -> BorrowedOsHandle<'_> {
        self.as_handle()
    }
}

/// Another handle to the same thing, not inheritable, and on Unix with a number out of the way of the standard streams.
///
/// # Errors
///
/// When there are no descriptors left.
pub fn duplicate_handle(handle: BorrowedOsHandle<'_>) -> io::Result<OsHandle> {
    imp::handles::duplicate(handle)
}

/// The number to name in [`SpawnRequest::inherit`](crate::SpawnRequest::inherit) and to tell the child.
pub fn number_to_inherit(handle: &OsHandle) -> Inherited {
    imp::handles::to_number(handle)
}

/// Takes over a handle that this process inherited, and keeps it from being inherited further.
///
/// # Safety
///
/// `number` must be an open handle of this process that nobody else closes.
///
/// # Errors
///
/// When `number` is no open handle.
pub unsafe fn adopt_handle(number: Inherited) -> io::Result<OsHandle> {
    // SAFETY: the caller's promise is the same.
    unsafe { imp::handles::adopt(number) }
}
