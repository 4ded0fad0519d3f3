//! Connections with programs that need not be relatives, on this machine or another: streams of bytes, with deadlines.
//!
//! Where a process of another program, or one written in another language, is at the other end, bytes go through the kernel. A [`Socket`] is such a
//! stream, whatever is beneath: TCP, a local socket, or (Windows) a named pipe. A [`SocketListener`] lets others in.
//!
//! | endpoint | Linux | macOS | Windows |
//! |---|---|---|---|
//! | [`Tcp`](Endpoint::Tcp), v4 and v6 | yes | yes | yes |
//! | [`Path`](Endpoint::Path) | yes | yes | no |
//! | [`Abstract`](Endpoint::Abstract) | yes | no | no |
//! | [`Pipe`](Endpoint::Pipe) | no | no | yes |
//!
//! # Deadlines and closing
//!
//! Every call takes a deadline and says [`TimedOut`](io::ErrorKind::TimedOut) when it has come; `None` waits for ever. [`Socket::shutdown`] and
//! [`SocketListener::close`] may be called from another thread, and end whatever waits. A signal is not an end.
//!
//! # Handles
//!
//! Local sockets carry descriptors beside the bytes ([`Socket::carries_handles`]), at most [`MAX_IN_PACKET`] with one write. A read never goes beyond the
//! bytes that some came with, so that they can be told from those of later bytes.

use crate::{
    BorrowedSource, imp,
    local::Peer,
    spawn::{BorrowedOsHandle, OsHandle},
};
use std::{io, net::SocketAddr, path::PathBuf, time::Instant};

/// The most handles that one write takes: the kernel's own limit on Linux.
pub const MAX_IN_PACKET: usize = 253;

/// Where a listener is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Endpoint {
    /// An address of the internet protocol and a port; 0 asks for any that is free.
    Tcp(SocketAddr),
    /// A local socket with a file's name.
    Path(PathBuf),
    /// A local socket with a name outside of the file system.
    Abstract(Vec<u8>),
    /// A named pipe: `\\.\pipe\` and a name.
    Pipe(String),
}

/// One end of a connection.
#[derive(Debug)]
pub struct Socket(imp::socket::Socket);

impl Socket {
    /// Connects to a listener.
    ///
    /// # Blocking
    ///
    /// While the listener has too many waiting, or the network takes its time; not after the deadline.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut); [`Unsupported`](io::ErrorKind::Unsupported) for an endpoint that this system does not have; why
    /// nobody answers there.
    pub fn connect(to: &Endpoint, deadline: Option<Instant>) -> io::Result<Self> {
        imp::socket::Socket::connect(to, deadline).map(Self)
    }

    /// Two connected ends; on Unix they carry handles.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub fn pair() -> io::Result<(Self, Self)> {
        imp::socket::Socket::pair().map(|(a, b)| (Self(a), Self(b)))
    }

    /// Reads what there is, at least one byte. 0: the other end is closed, or this one was shut down.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut), and whatever the system says.
    pub fn read(&self, buf: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        self.0.read(buf, deadline)
    }

    /// As [`Socket::read`], and takes the handles that came with these bytes, not inheritable. (`read` drops them.)
    ///
    /// # Errors
    ///
    /// As for `read`; [`InvalidData`](io::ErrorKind::InvalidData) if more handles came than this process has room for: they are closed then.
    pub fn read_with_handles(
        &self,
        buf: &mut [u8],
        handles: &mut Vec<OsHandle>,
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        self.0.read_with_handles(buf, handles, deadline)
    }

    /// Writes what fits of the parts, one after the other, at least one byte; with copies of the handles.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) if nothing fitted until then; [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the other end is closed;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for no bytes at all or too many handles; [`Unsupported`](io::ErrorKind::Unsupported) for
    /// handles where none are carried.
    pub fn write(
        &self,
        parts: [&[u8]; 2],
        handles: &[BorrowedOsHandle<'_>],
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        let empty = parts[0].is_empty() && parts[1].is_empty() && !self.keeps_bounds();
        if empty || handles.len() > MAX_IN_PACKET {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if !handles.is_empty() && !self.carries_handles() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "this connection carries no handles"));
        }
        self.0.write(parts, handles, deadline)
    }

    /// Reads a part of a message of a connection that [keeps bounds](Self::keeps_bounds), and tells whether more of it is left. `None`: the other end is
    /// closed, or this one was shut down.
    ///
    /// # Errors
    ///
    /// As [`Socket::read`]; [`Unsupported`](io::ErrorKind::Unsupported) where there are no bounds.
    pub fn read_part(&self, buf: &mut [u8], deadline: Option<Instant>) -> io::Result<Option<(usize, bool)>> {
        self.0.read_part(buf, deadline)
    }

    /// Waits until there is something to read, or the end. `false`: the deadline came first.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub fn readable(&self, deadline: Option<Instant>) -> io::Result<bool> {
        self.0.readable(deadline)
    }

    /// Ends the connection for both sides, and whatever waits here. What the other side has not read yet it can still read.
    pub fn shutdown(&self) {
        self.0.shutdown();
    }

    /// Whether handles can go with the bytes.
    pub fn carries_handles(&self) -> bool {
        self.0.carries_handles()
    }

    /// Whether the connection keeps the bounds of what is written at once (a named pipe's messages).
    pub fn keeps_bounds(&self) -> bool {
        self.0.keeps_bounds()
    }

    /// Acknowledges what has come, and what comes next, without waiting for something to send along: for a peer that sends little by little, and
    /// does not send more before it has heard of the last (Nagle's algorithm). Once: to be said again after each read. A hint.
    ///
    /// # Platform
    /// Linux. Elsewhere, and on what is not TCP, it does nothing.
    pub fn acknowledge_now(&self) {
        self.0.acknowledge_now();
    }

    /// Who is at the other end, by the kernel's word: on local sockets.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported) where the kernel does not know.
    pub fn peer(&self) -> io::Result<Peer> {
        self.0.peer()
    }

    /// The address of the other end of a TCP connection.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.0.peer_address()
    }

    /// For waiting beside other things. `None`: this kind cannot be waited for so (a named pipe).
    pub fn source(&self) -> Option<BorrowedSource<'_>> {
        self.0.source()
    }

    /// Another handle to the same connection, to be given to another process. `None`: this kind is not given away.
    ///
    /// # Errors
    ///
    /// When there are no descriptors left.
    pub fn duplicate(&self) -> io::Result<Option<OsHandle>> {
        self.0.duplicate()
    }

    /// The connection that a handle means which has arrived.
    ///
    /// # Errors
    ///
    /// [`InvalidData`](io::ErrorKind::InvalidData) if it is no connection.
    pub fn from_handle(handle: OsHandle) -> io::Result<Self> {
        imp::socket::Socket::from_handle(handle).map(Self)
    }
}

/// Lets others in.
#[derive(Debug)]
pub struct SocketListener(imp::socket::Listener);

impl SocketListener {
    /// Listens there, with so many that may wait to be let in.
    ///
    /// A file that a dead listener left behind is replaced, and on a local socket only the same user is let in (mode 0600). The file goes when
    /// this is dropped.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse); [`Unsupported`](io::ErrorKind::Unsupported) for an endpoint that this system does not have;
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a name that is too long (about 100 bytes).
    pub fn bind(at: &Endpoint, backlog: u32) -> io::Result<Self> {
        imp::socket::Listener::bind(at, backlog).map(Self)
    }

    /// Where it listens: a port of 0 has become one.
    pub fn endpoint(&self) -> &Endpoint {
        self.0.endpoint()
    }

    /// The next one who wants to come in.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut); [`BrokenPipe`](io::ErrorKind::BrokenPipe) after [`close`](Self::close); when the process has no
    /// descriptor left.
    pub fn accept(&self, deadline: Option<Instant>) -> io::Result<Socket> {
        self.0.accept(deadline).map(Socket)
    }

    /// Ends every `accept`, now and later, and takes the name away.
    pub fn close(&self) {
        self.0.close();
    }

    /// For waiting beside other things: readable when somebody wants to come in. `None`: this kind cannot be waited for so.
    pub fn source(&self) -> Option<BorrowedSource<'_>> {
        self.0.source()
    }
}

/// Something to be waited for beside sockets, that is readable as often as it was raised and not yet lowered.
#[derive(Debug)]
pub struct Signal(imp::socket::Signal);

impl Signal {
    /// One that is not raised.
    ///
    /// # Errors
    ///
    /// When there are no descriptors left.
    pub fn new() -> io::Result<Self> {
        imp::socket::Signal::new().map(Self)
    }

    /// Raises it once more.
    pub fn raise(&self) {
        self.0.raise();
    }

    /// Lowers it once, if it is raised.
    pub fn lower(&self) {
        self.0.lower();
    }

    /// What to wait for.
    pub fn source(&self) -> BorrowedSource<'_> {
        self.0.source()
    }
}

#[cfg(unix)]
mod descriptors {
    use super::{Signal, Socket, SocketListener};
    use std::os::fd::{AsFd, BorrowedFd};

    impl AsFd for Socket {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    impl AsFd for SocketListener {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    impl AsFd for Signal {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.source()
        }
    }
}

/// Implements `AsFd` of the standard library for a type, by an expression that gives something that has it, where this platform has descriptors. For the
/// crates above, which name no platform.
#[cfg(unix)]
#[macro_export]
macro_rules! impl_as_fd {
    ($(#[$doc:meta])* $type:ty, $this:ident => $source:expr) => {
        $(#[$doc])*
        impl ::std::os::fd::AsFd for $type {
            fn as_fd(&self) -> ::std::os::fd::BorrowedFd<'_> {
                let $this = self;
                ::std::os::fd::AsFd::as_fd($source)
            }
        }
    };
}

/// Implements nothing: this platform has no descriptors.
#[cfg(not(unix))]
#[macro_export]
macro_rules! impl_as_fd {
    ($(#[$doc:meta])* $type:ty, $this:ident => $source:expr) => {};
}
