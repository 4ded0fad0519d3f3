//! What only Linux has, for the others: errors.

use crate::{
    memory::Inherited,
    spawn::{BorrowedOsHandle, OsHandle},
};
use std::{io, time::Duration};

pub(crate) fn unsupported<T>(what: &'static str) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::Unsupported, what))
}

/// A channel of which there is none: whoever has one could do anything with it.
#[derive(Debug)]
pub(crate) enum Channel {}

/// Dropping one closes it, where there is one.
impl Drop for Channel {
    fn drop(&mut self) {
        match *self {}
    }
}

impl Channel {
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        unsupported("channels that carry descriptors exist on Linux only")
    }

    pub(crate) fn send(&self, _bytes: &[u8], _fds: &[BorrowedOsHandle<'_>]) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn recv(&self, _buf: &mut [u8]) -> io::Result<(usize, Vec<OsHandle>)> {
        match *self {}
    }

    pub(crate) fn set_timeout(&self, _timeout: Duration) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn as_inherited(&self) -> Inherited {
        match *self {}
    }

    /// # Safety
    ///
    /// None needed here.
    pub(crate) unsafe fn from_inherited(_number: Inherited) -> io::Result<Self> {
        unsupported("channels that carry descriptors exist on Linux only")
    }
}
