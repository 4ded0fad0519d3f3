//! Standard streams, and the end of the process.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::{fs, io, mem::MaybeUninit};

use super::call::check;
use super::descriptor::duplicate_high;

fn number(index: usize) -> io::Result<libc::c_int> {
    libc::c_int::try_from(index)
        .ok()
        .filter(|i| (0..3).contains(i))
        .ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

pub(crate) fn identity(index: usize) -> io::Result<(u64, u64)> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: room for what the call writes.
    check(unsafe { libc::fstat(number(index)?, stat.as_mut_ptr()) })?;
    // SAFETY: the call succeeded and filled it.
    let stat = unsafe { stat.assume_init() };
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_sign_loss,
        reason = "the fields' types differ between systems"
    )]
    Ok((stat.st_dev as u64, stat.st_ino as u64))
}

pub(crate) fn duplicate(index: usize) -> io::Result<OwnedFd> {
    let fd = number(index)?;
    // SAFETY: borrowed for the length of the call; if it is closed the call says so.
    duplicate_high(unsafe { BorrowedFd::borrow_raw(fd) })
}

pub(crate) fn null() -> io::Result<OwnedFd> {
    Ok(fs::OpenOptions::new().read(true).write(true).open("/dev/null")?.into())
}

pub(crate) fn at_exit(function: extern "C" fn()) -> io::Result<()> {
    // SAFETY: a plain call; the function lives as long as the program.
    match unsafe { libc::atexit(function) } {
        0 => Ok(()),
        _ => Err(io::ErrorKind::OutOfMemory.into()),
    }
}

pub(crate) fn join_parents_group() -> io::Result<()> {
    // SAFETY: plain calls.
    let group = check(unsafe { libc::getpgid(libc::getppid()) })?;
    // SAFETY: as above.
    check(unsafe { libc::setpgid(0, group) })?;
    Ok(())
}
