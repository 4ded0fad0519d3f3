//! Messages with descriptors over a pair of `SOCK_SEQPACKET` sockets.

use crate::{
    forking,
    imp::unix::{
        call::{check, retry},
        descriptor,
    },
    memory::Inherited,
};
use std::{
    io,
    mem::{self, size_of_val},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr, slice,
    time::Duration,
};

/// Room for the one control message with the most descriptors, in words so that it is aligned for its header.
const CONTROL_WORDS: usize = {
    // SAFETY: arithmetic on a constant.
    let bytes = unsafe { libc::CMSG_SPACE((forking::Channel::MAX_FDS * size_of::<RawFd>()) as u32) } as usize;
    bytes.div_ceil(size_of::<u64>())
};

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
        let mut message = message(&mut part);
        if !fds.is_empty() {
            let len = size_of_val(fds); // a borrowed descriptor is its number
            // SAFETY: the buffer has room for MAX_FDS descriptors, so there is a first header in it with `len` bytes of data.
            unsafe {
                message.msg_control = control.as_mut_ptr().cast();
                message.msg_controllen = libc::CMSG_SPACE(len as u32) as _;
                let header = libc::CMSG_FIRSTHDR(&message);
                (*header).cmsg_level = libc::SOL_SOCKET;
                (*header).cmsg_type = libc::SCM_RIGHTS;
                (*header).cmsg_len = libc::CMSG_LEN(len as u32) as _;
                ptr::copy_nonoverlapping(fds.as_ptr().cast::<u8>(), libc::CMSG_DATA(header), len);
            }
        }
        // SAFETY: all that the message names lives until the call returns.
        retry(|| unsafe { libc::sendmsg(self.0.as_raw_fd(), &message, libc::MSG_NOSIGNAL) }).map(drop)
    }

    pub(crate) fn recv(&self, buf: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let mut control = [0_u64; CONTROL_WORDS];
        let mut part = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
        let mut message = message(&mut part);
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        // SAFETY: all that the message names lives until the call returns, and is writable.
        let len =
            retry(|| unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) })?;
        let fds = received(&message); // owned before anything can fail, so that they are closed then
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

/// A message of one part, without descriptors.
fn message(part: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: plain data, and zero is a value of it. (Some C libraries have private fields in it.)
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message
}

/// The descriptors that came with a message.
fn received(message: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: the kernel has filled in the control buffer and its length; the macros walk within it.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: as above: not null means a whole header.
    while let Some(header) = unsafe { next.as_ref() } {
        if (header.cmsg_level, header.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            // SAFETY: the data of such a message are descriptors, as many as its length says, just made for us. The kernel aligns them.
            let numbers = unsafe {
                let len = header.cmsg_len - libc::CMSG_LEN(0) as usize;
                slice::from_raw_parts(libc::CMSG_DATA(header).cast::<RawFd>(), len / size_of::<RawFd>())
            };
            // SAFETY: as above; each is taken once.
            fds.extend(numbers.iter().map(|&fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
        // SAFETY: `header` is in the message.
        next = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    fds
}
