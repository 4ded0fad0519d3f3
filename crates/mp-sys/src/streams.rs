//! The standard streams of this process, as things to hand to a child.

use std::io;

use crate::{
    imp,
    spawn::{BorrowedOsHandle, OsHandle},
};

/// Which file standard stream `index` (0, 1, 2) is: equal numbers mean the same file.
///
/// # Errors
/// When the stream is closed, and on Windows, where streams are not compared.
pub fn stream_identity(index: usize) -> io::Result<(u64, u64)> {
    imp::streams::identity(index)
}

/// A copy of standard stream `index`, not inheritable.
///
/// # Errors
/// When the stream is closed or there are no descriptors left.
pub fn duplicate_stream(index: usize) -> io::Result<OsHandle> {
    imp::streams::duplicate(index)
}

/// A stream that has nothing to read and takes everything.
///
/// # Errors
/// When the system's null device cannot be opened.
pub fn null_stream() -> io::Result<OsHandle> {
    imp::streams::null()
}

/// Has `function` called when this process ends in an orderly way: a return from `main`, or `std::process::exit`. The last one
/// registered is called first.
///
/// # Errors
/// When there is no room for another.
pub fn at_exit(function: extern "C" fn()) -> io::Result<()> {
    imp::streams::at_exit(function)
}

/// Lends a handle, in the spelling of this platform.
pub fn borrow(handle: &OsHandle) -> BorrowedOsHandle<'_> {
    #[cfg(unix)]
    return std::os::fd::AsFd::as_fd(handle);
    #[cfg(windows)]
    return std::os::windows::io::AsHandle::as_handle(handle);
}

/// Moves this process into the process group of its parent: for the copies of a helper that has a group of its own.
///
/// # Errors
/// When the parent's group is in another session of terminals. No-op on Windows.
pub fn join_parents_group() -> io::Result<()> {
    imp::streams::join_parents_group()
}
