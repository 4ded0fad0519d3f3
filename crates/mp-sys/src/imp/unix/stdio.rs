//! Putting descriptors where the standard streams are.

use super::{call::retry, descriptor};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd},
};

pub(crate) fn replace_stdio(fds: [OwnedFd; 3]) -> io::Result<()> {
    // First out of the way of 0, 1 and 2, so that no source is overwritten before it is copied.
    let mut high = Vec::with_capacity(3);
    for fd in fds {
        if fd.as_raw_fd() > 2 {
            high.push(fd);
        } else {
            high.push(descriptor::duplicate_high(fd.as_fd())?);
            // It is one of the numbers that are overwritten below; to close it as well would close the new stream.
            let _overwritten = fd.into_raw_fd();
        }
    }
    for (target, source) in high.iter().enumerate() {
        // SAFETY: a plain call with a live source. Nobody owns a standard stream.
        retry(|| unsafe { libc::dup2(source.as_raw_fd(), target as libc::c_int) })?;
    }
    Ok(())
}
