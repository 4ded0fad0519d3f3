//! Messages with descriptors over a pair of `SOCK_SEQPACKET` sockets.

use crate::{
    forking,
    imp::unix::{
        call::{check, retry},
        descriptor, rights,
    },
    memory::Inherited,
};
use std::{
    io,
    mem::size_of_val,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    time::Duration,
};

/// Room for the one control message with the most descriptors.
const CONTROL_WORDS: usize = rights::control_words(forking::Channel::MAX_FDS);

#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

impl Channel {
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let mut fds = [-1; 2];
        let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
        // SAFETY: room for two descriptors.
        check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) })?;
        // SAFETY: the kernel has just made them for us.
        Ok(unsafe { (Self(OwnedFd::from_raw_fd(fds[0])), Self(OwnedFd::from_raw_fd(fds[1]))) })
    }

    pub(crate) fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        if bytes.is_empty() || fds.len() > forking::Channel::MAX_FDS {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "an empty message, or too many descriptors",
            ));
        }
        let mut control = [0_u64; CONTROL_WORDS];
        let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let mut message = rights::message(&mut part);
        rights::attach(&mut message, &mut control, fds);
        // SAFETY: all that the message names lives until the call returns.
        retry(|| unsafe { libc::sendmsg(self.0.as_raw_fd(), &message, libc::MSG_NOSIGNAL) }).map(drop)
    }

    pub(crate) fn recv(&self, buf: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let mut control = [0_u64; CONTROL_WORDS];
        let mut part = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
        let mut message = rights::message(&mut part);
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        // SAFETY: all that the message names lives until the call returns, and is writable.
        let len =
            retry(|| unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) })?;
        // SAFETY: the call above has filled it in. Owned before anything can fail, so that they are closed then.
        let fds = unsafe { rights::received(&message) };
        if message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a message that does not fit was cut off",
            ));
        }
        Ok((len.cast_unsigned(), fds))
    }

    pub(crate) fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        let time = libc::timeval {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_usec: libc::suseconds_t::from(timeout.subsec_micros()).max(1),
        };
        for which in [libc::SO_RCVTIMEO, libc::SO_SNDTIMEO] {
            let (value, length) = ((&raw const time).cast(), size_of_val(&time) as libc::socklen_t);
            // SAFETY: a readable value of the option's type.
            check(unsafe { libc::setsockopt(self.0.as_raw_fd(), libc::SOL_SOCKET, which, value, length) })?;
        }
        Ok(())
    }

    pub(crate) fn as_inherited(&self) -> Inherited {
        descriptor::to_number(self.0.as_fd())
    }

    /// # Safety
    ///
    /// As for [`descriptor::adopt`].
    pub(crate) unsafe fn from_inherited(number: Inherited) -> io::Result<Self> {
        // SAFETY: the caller's promise is the same.
        unsafe { descriptor::adopt(number) }.map(Self)
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
