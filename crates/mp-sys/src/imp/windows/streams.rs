//! Standard streams, and the end of the process.

use std::os::windows::io::{AsHandle, OwnedHandle};
use std::{fs, io};

use crate::imp::absent::unsupported;

pub(crate) fn identity(_index: usize) -> io::Result<(u64, u64)> {
    unsupported("standard streams are not compared on Windows")
}

pub(crate) fn duplicate(index: usize) -> io::Result<OwnedHandle> {
    match index {
        0 => io::stdin().as_handle().try_clone_to_owned(),
        1 => io::stdout().as_handle().try_clone_to_owned(),
        2 => io::stderr().as_handle().try_clone_to_owned(),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

pub(crate) fn null() -> io::Result<OwnedHandle> {
    Ok(fs::OpenOptions::new().read(true).write(true).open("NUL")?.into())
}

unsafe extern "C" {
    fn atexit(function: extern "C" fn()) -> i32;
}

pub(crate) fn at_exit(function: extern "C" fn()) -> io::Result<()> {
    // SAFETY: the C runtime that Rust programs link; the function lives as long as the program.
    match unsafe { atexit(function) } {
        0 => Ok(()),
        _ => Err(io::ErrorKind::OutOfMemory.into()),
    }
}

pub(crate) fn join_parents_group() -> io::Result<()> {
    Ok(())
}
