//! What only Linux has, for the others: errors.

#[cfg(windows)]
use crate::local::{Awaited, Peer};
use crate::{
    memory::Inherited,
    spawn::{BorrowedOsHandle, OsHandle},
};
use std::{io, time::Duration};
#[cfg(windows)]
use std::{
    path::{Path, PathBuf},
    time::Instant,
};

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

#[cfg(windows)]
pub(crate) fn current_user() -> u32 {
    0
}

#[cfg(windows)]
const NO_DOORS: &str = "meeting points of programs that are no relatives exist on Unix only";

#[cfg(windows)]
pub(crate) fn private_directory(_chosen: Option<&Path>) -> io::Result<PathBuf> {
    unsupported(NO_DOORS)
}

#[cfg(windows)]
pub(crate) fn ready(_awaited: &[Awaited<'_>], _deadline: Option<Instant>) -> io::Result<Vec<bool>> {
    unsupported(NO_DOORS)
}

/// A listener of which there is none.
#[cfg(windows)]
#[derive(Debug)]
pub(crate) enum Listener {}

#[cfg(windows)]
impl Listener {
    pub(crate) fn bind(_directory: &Path, _file: &str, _deadline: Instant) -> io::Result<Self> {
        unsupported(NO_DOORS)
    }

    pub(crate) fn accept(&self) -> io::Result<Option<Stream>> {
        match *self {}
    }

    pub(crate) fn remove(&self, _deadline: Instant) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn remove_name(&self) {
        match *self {}
    }

    pub(crate) fn as_handle(&self) -> BorrowedOsHandle<'_> {
        match *self {}
    }
}

/// A connection of which there is none.
#[cfg(windows)]
#[derive(Debug)]
pub(crate) enum Stream {}

#[cfg(windows)]
impl Stream {
    pub(crate) fn connect(_path: &Path, _deadline: Instant) -> io::Result<Self> {
        unsupported(NO_DOORS)
    }

    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        unsupported(NO_DOORS)
    }

    pub(crate) fn peer(&self) -> io::Result<Peer> {
        match *self {}
    }

    pub(crate) fn send(&self, _bytes: &[u8], _passed: &[BorrowedOsHandle<'_>]) -> io::Result<usize> {
        match *self {}
    }

    pub(crate) fn recv(&self, _buf: &mut [u8]) -> io::Result<(usize, Vec<OsHandle>)> {
        match *self {}
    }

    pub(crate) fn as_handle(&self) -> BorrowedOsHandle<'_> {
        match *self {}
    }
}
