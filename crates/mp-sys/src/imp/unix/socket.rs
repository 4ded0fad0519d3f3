//! Stream sockets, TCP and local.
//!
//! They stay in blocking mode, so that a wait without a deadline is one system call; with a deadline each call says for itself that it does not block.

pub(crate) use super::socket_listener::Listener;

use super::{
    call::{check, retry, unsupported},
    rights,
};
use crate::{
    local::Peer,
    poll::Interest,
    socket::{Endpoint, MAX_IN_PACKET},
};
use std::{
    io, mem,
    net::{SocketAddr, TcpStream},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::{ffi::OsStrExt, net::UnixStream},
    },
    time::{Duration, Instant},
};

/// A closed peer is an error rather than a signal.
#[cfg(target_os = "linux")]
const NO_SIGNAL: libc::c_int = libc::MSG_NOSIGNAL;
#[cfg(not(target_os = "linux"))]
const NO_SIGNAL: libc::c_int = 0; // the socket says so for all its messages

pub(super) fn prepare(fd: &OwnedFd) -> io::Result<()> {
    // SAFETY: a plain call with a live descriptor.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) })?;
    #[cfg(target_vendor = "apple")]
    set_option(fd, libc::SO_NOSIGPIPE, &1_i32)?;
    Ok(())
}

fn set_option<T>(fd: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    set_option_of(fd, libc::SOL_SOCKET, option, value)
}

fn set_option_of<T>(fd: &OwnedFd, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: a live descriptor, and a value of the length said.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, std::ptr::from_ref(value).cast(), len) })
        .map(drop)
}

/// The longest that a connection is waited for: longer deadlines are this one.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now()).min(LONGEST);
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn set_send_timeout(fd: &OwnedFd, left: Duration) -> io::Result<()> {
    let time = libc::timeval {
        tv_sec: libc::time_t::try_from(left.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_usec: libc::suseconds_t::from(left.subsec_micros() as i32),
    };
    set_option(fd, libc::SO_SNDTIMEO, &time)
}

/// The address of a local socket.
pub(super) struct LocalAddress {
    address: libc::sockaddr_un,
    pub(super) length: libc::socklen_t,
}

impl LocalAddress {
    pub(super) fn of(endpoint: &Endpoint) -> io::Result<Self> {
        let (name, before): (&[u8], usize) = match endpoint {
            Endpoint::Path(path) => (path.as_os_str().as_bytes(), 0),
            Endpoint::Abstract(name) if cfg!(target_os = "linux") => (name, 1),
            Endpoint::Abstract(_) => {
                return Err(unsupported("names outside of the file system exist on Linux only"));
            }
            _ => return Err(unsupported("named pipes exist on Windows only")),
        };
        // SAFETY: plain data, and zero is a value of it.
        let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
        let room = address.sun_path.len() - 1;
        let named = matches!(endpoint, Endpoint::Path(_));
        if name.is_empty() || name.len() > room || named && name.contains(&0) {
            let text =
                format!("a local socket's name has 1 to {room} bytes; this one has {} or a null", name.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        address.sun_family = libc::AF_UNIX as libc::sa_family_t;
        for (to, from) in address.sun_path[before..].iter_mut().zip(name) {
            *to = *from as libc::c_char;
        }
        // A path ends with a null, which counts; the other kind does not.
        let length = mem::offset_of!(libc::sockaddr_un, sun_path) + name.len() + 1;
        Ok(Self { address, length: length as libc::socklen_t })
    }

    pub(super) fn pointer(&self) -> *const libc::sockaddr {
        (&raw const self.address).cast()
    }
}

pub(super) fn local_socket() -> io::Result<OwnedFd> {
    // SAFETY: a plain call.
    let fd = check(unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) })?;
    // SAFETY: the kernel has just made it for us.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    prepare(&fd)?;
    Ok(fd)
}

pub(super) fn connect_local(to: &Endpoint, deadline: Option<Instant>) -> io::Result<OwnedFd> {
    let address = LocalAddress::of(to)?;
    let fd = local_socket()?;
    if let Some(deadline) = deadline {
        // A listener that has too many waiting makes us wait, for so long.
        set_send_timeout(&fd, time_left(deadline)?.max(Duration::from_micros(1)))?;
    }
    // SAFETY: an address of the length said.
    match retry(|| unsafe { libc::connect(fd.as_raw_fd(), address.pointer(), address.length) }) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
        Err(error) => Err(error),
        Ok(_) => {
            set_send_timeout(&fd, Duration::ZERO)?; // no limit
            Ok(fd)
        }
    }
}

fn connect_tcp(to: &SocketAddr, deadline: Option<Instant>) -> io::Result<TcpStream> {
    let stream = match deadline {
        Some(deadline) => TcpStream::connect_timeout(to, time_left(deadline)?)?,
        None => TcpStream::connect(to)?,
    };
    // A frame is written at once, so there is nothing to wait for.
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[derive(Debug)]
pub(crate) struct Socket {
    pub(super) fd: OwnedFd,
    pub(super) local: bool,
}

impl Socket {
    pub(crate) fn connect(to: &Endpoint, deadline: Option<Instant>) -> io::Result<Self> {
        match to {
            Endpoint::Tcp(address) => Ok(Self { fd: connect_tcp(address, deadline)?.into(), local: false }),
            local => Ok(Self { fd: connect_local(local, deadline)?, local: true }),
        }
    }

    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (a, b) = UnixStream::pair()?;
        let [a, b] = [a, b].map(|end| Self { fd: end.into(), local: true });
        prepare(&a.fd)?;
        prepare(&b.fd)?;
        Ok((a, b))
    }

    /// Makes a call that reports what there is to wait for; without a deadline the call itself waits.
    fn until<R>(
        &self,
        interest: Interest,
        deadline: Option<Instant>,
        mut call: impl FnMut(libc::c_int) -> io::Result<R>,
    ) -> io::Result<R> {
        let Some(deadline) = deadline else {
            loop {
                match call(0) {
                    // Somebody has put the open file into non-blocking mode, which all who have it share.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        super::poll::poll(&[(self.fd.as_fd(), interest)], None)?;
                    }
                    result => return result,
                }
            }
        };
        loop {
            match call(libc::MSG_DONTWAIT) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if Instant::now() >= deadline {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    super::poll::poll(&[(self.fd.as_fd(), interest)], Some(deadline))?;
                }
                result => return result,
            }
        }
    }

    pub(crate) fn read(&self, buf: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        self.until(Interest::Readable, deadline, |flags| {
            // SAFETY: a writable buffer of the length said.
            retry(|| unsafe { libc::recv(self.fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), flags) })
                .map(|count| count.cast_unsigned())
        })
    }

    pub(crate) fn read_with_handles(
        &self,
        buf: &mut [u8],
        handles: &mut Vec<OwnedFd>,
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        if !self.local {
            return self.read(buf, deadline);
        }
        let mut control = [0_u64; rights::control_words(MAX_IN_PACKET)];
        self.until(Interest::Readable, deadline, |flags| {
            let mut part = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
            let mut message = rights::message(&mut part);
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = mem::size_of_val(&control) as _;
            #[cfg(target_os = "linux")]
            let flags = flags | libc::MSG_CMSG_CLOEXEC;
            // SAFETY: all that the message names lives until the call returns, and is writable.
            let count = retry(|| unsafe { libc::recvmsg(self.fd.as_raw_fd(), &raw mut message, flags) })?;
            // SAFETY: the call above has filled it in. Owned before anything can fail, so that they are closed then.
            let passed = unsafe { rights::received(&message) };
            if message.msg_flags & libc::MSG_CTRUNC != 0 {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "more descriptors came than this process has room for",
                ));
            }
            #[cfg(not(target_os = "linux"))]
            for fd in &passed {
                // SAFETY: a plain call with a live descriptor.
                check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) })?;
            }
            handles.extend(passed);
            Ok(count.cast_unsigned())
        })
    }

    pub(crate) fn write(
        &self,
        parts: [&[u8]; 2],
        handles: &[BorrowedFd<'_>],
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        let mut vectors =
            parts.map(|part| libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() });
        let mut control = [0_u64; rights::control_words(MAX_IN_PACKET)];
        self.until(Interest::Writable, deadline, |flags| {
            let mut message = rights::message(&mut vectors[0]);
            message.msg_iov = vectors.as_mut_ptr();
            message.msg_iovlen = vectors.len() as _;
            rights::attach(&mut message, &mut control, handles);
            // SAFETY: all that the message names lives until the call returns.
            retry(|| unsafe { libc::sendmsg(self.fd.as_raw_fd(), &message, flags | NO_SIGNAL) })
                .map(|count| count.cast_unsigned())
        })
    }

    pub(crate) fn read_part(
        &self,
        _buf: &mut [u8],
        _deadline: Option<Instant>,
    ) -> io::Result<Option<(usize, bool)>> {
        Err(unsupported("streams keep no bounds of messages"))
    }

    pub(crate) fn readable(&self, deadline: Option<Instant>) -> io::Result<bool> {
        super::poll::poll(&[(self.fd.as_fd(), Interest::Readable)], deadline).map(|ready| ready[0])
    }

    pub(crate) fn shutdown(&self) {
        // It fails when the connection is at its end already.
        // SAFETY: a plain call with a live descriptor.
        unsafe { libc::shutdown(self.fd.as_raw_fd(), libc::SHUT_RDWR) };
    }

    pub(crate) fn carries_handles(&self) -> bool {
        self.local
    }

    pub(crate) fn keeps_bounds(&self) -> bool {
        false
    }

    pub(crate) fn acknowledge_now(&self) {
        #[cfg(target_os = "linux")]
        if !self.local {
            // A hint: if it is not taken, things are as slow as they were.
            let _hint = set_option_of(&self.fd, libc::IPPROTO_TCP, libc::TCP_QUICKACK, &1_i32);
        }
    }

    pub(crate) fn peer(&self) -> io::Result<Peer> {
        if !self.local {
            return Err(unsupported("the kernel knows who is at the end of local sockets"));
        }
        crate::imp::process::peer_of(self.fd.as_fd())
    }

    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        if self.local {
            return None;
        }
        let stream = TcpStream::from(self.fd.try_clone().ok()?);
        stream.peer_addr().ok()
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn source(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }

    pub(crate) fn duplicate(&self) -> io::Result<Option<OwnedFd>> {
        super::descriptor::duplicate_high(self.fd.as_fd()).map(Some)
    }

    pub(crate) fn from_handle(fd: OwnedFd) -> io::Result<Self> {
        let option = |option| -> io::Result<libc::c_int> {
            let mut value: libc::c_int = 0;
            let mut length = size_of::<libc::c_int>() as libc::socklen_t;
            // SAFETY: a writable value of the length said.
            check(unsafe {
                libc::getsockopt(
                    fd.as_raw_fd(),
                    libc::SOL_SOCKET,
                    option,
                    (&raw mut value).cast(),
                    &raw mut length,
                )
            })?;
            Ok(value)
        };
        let no_stream = || io::Error::new(io::ErrorKind::InvalidData, "the handle is no stream socket");
        if option(libc::SO_TYPE).map_err(|_| no_stream())? != libc::SOCK_STREAM {
            return Err(no_stream());
        }
        // SAFETY: plain data, and zero is a value of it.
        let mut address: libc::sockaddr_storage = unsafe { mem::zeroed() };
        let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        // SAFETY: a writable address of the length said.
        check(unsafe { libc::getsockname(fd.as_raw_fd(), (&raw mut address).cast(), &raw mut length) })?;
        let local = libc::c_int::from(address.ss_family) == libc::AF_UNIX;
        prepare(&fd)?;
        Ok(Self { fd, local })
    }
}

/// A byte for each time that it was raised.
#[derive(Debug)]
pub(crate) struct Signal {
    raised: UnixStream,
    lowered: UnixStream,
}

impl Signal {
    pub(crate) fn new() -> io::Result<Self> {
        let (raised, lowered) = UnixStream::pair()?;
        raised.set_nonblocking(true)?;
        lowered.set_nonblocking(true)?;
        Ok(Self { raised, lowered })
    }

    pub(crate) fn raise(&self) {
        // When there is no room it has been raised some hundred times, and is readable.
        // SAFETY: one byte is read from a constant.
        unsafe { libc::send(self.raised.as_raw_fd(), [1_u8].as_ptr().cast(), 1, NO_SIGNAL) };
    }

    pub(crate) fn lower(&self) {
        let mut byte = [0_u8];
        // SAFETY: one byte is written to our own.
        unsafe { libc::recv(self.lowered.as_raw_fd(), byte.as_mut_ptr().cast(), 1, 0) };
    }

    pub(crate) fn source(&self) -> BorrowedFd<'_> {
        self.lowered.as_fd()
    }
}
