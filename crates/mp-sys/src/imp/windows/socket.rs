//! Streams: TCP by the standard library, named pipes by [`named_pipe`](super::named_pipe).

use super::named_pipe;
use crate::{
    imp::absent::unsupported,
    local::Peer,
    poll::Interest,
    socket::Endpoint,
    spawn::{BorrowedOsHandle, OsHandle},
};
use std::{
    io::{self, IoSlice, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::windows::io::{AsSocket, BorrowedSocket},
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::{Duration, Instant},
};

#[derive(Debug)]
pub(crate) enum Socket {
    /// In non-blocking mode.
    Tcp(TcpStream),
    Pipe(named_pipe::Pipe),
}

fn tcp(stream: TcpStream) -> io::Result<Socket> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(Socket::Tcp(stream))
}

/// How long a wait goes on without another try: that a poll learns of its socket's `shutdown` by another thread is promised nowhere, and under
/// wine now and then it does not.
const SLICE: Duration = Duration::from_millis(50);

/// Makes a call again and again until it does not say that it would block.
fn until<R>(
    source: BorrowedSocket<'_>,
    interest: Interest,
    deadline: Option<Instant>,
    mut call: impl FnMut() -> io::Result<R>,
) -> io::Result<R> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let now = Instant::now();
                if deadline.is_some_and(|d| now >= d) {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                let slice = now + SLICE;
                super::poll::poll(&[(source, interest)], Some(deadline.map_or(slice, |d| d.min(slice))))?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

impl Socket {
    pub(crate) fn connect(to: &Endpoint, deadline: Option<Instant>) -> io::Result<Self> {
        match to {
            Endpoint::Tcp(address) => tcp(match deadline {
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    TcpStream::connect_timeout(address, left.max(Duration::from_millis(1)))?
                }
                None => TcpStream::connect(address)?,
            }),
            Endpoint::Pipe(name) => named_pipe::Pipe::connect(name, deadline).map(Self::Pipe),
            _ => unsupported("local sockets have names on Unix only"),
        }
    }

    /// A loopback connection: the system has no pair of its own.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let ours = TcpStream::connect(listener.local_addr()?)?;
        loop {
            let (theirs, from) = listener.accept()?;
            // Anybody on this machine may be faster.
            if from == ours.local_addr()? {
                return Ok((tcp(ours)?, tcp(theirs)?));
            }
        }
    }

    pub(crate) fn read(&self, buf: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => {
                until(stream.as_socket(), Interest::Readable, deadline, || (&*stream).read(buf))
            }
            Self::Pipe(pipe) => loop {
                match pipe.read_part(buf, deadline)? {
                    // An empty message has no bytes.
                    Some((0, _)) if !buf.is_empty() => {}
                    Some((count, _)) => return Ok(count),
                    None => return Ok(0),
                }
            },
        }
    }

    pub(crate) fn read_part(
        &self,
        buf: &mut [u8],
        deadline: Option<Instant>,
    ) -> io::Result<Option<(usize, bool)>> {
        match self {
            Self::Tcp(_) => unsupported("streams keep no bounds of messages"),
            Self::Pipe(pipe) => pipe.read_part(buf, deadline),
        }
    }

    pub(crate) fn read_with_handles(
        &self,
        buf: &mut [u8],
        _handles: &mut Vec<OsHandle>,
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        self.read(buf, deadline)
    }

    pub(crate) fn write(
        &self,
        parts: [&[u8]; 2],
        _handles: &[BorrowedOsHandle<'_>],
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => until(stream.as_socket(), Interest::Writable, deadline, || {
                (&*stream).write_vectored(&parts.map(IoSlice::new))
            }),
            Self::Pipe(pipe) => pipe.write(&parts.concat(), deadline),
        }
    }

    pub(crate) fn readable(&self, deadline: Option<Instant>) -> io::Result<bool> {
        match self {
            Self::Tcp(stream) => {
                let peek = || stream.peek(&mut [0]).map(|_| true);
                match until(stream.as_socket(), Interest::Readable, deadline, peek) {
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(false),
                    // The next read tells what it is.
                    Err(_) => Ok(true),
                    ready => ready,
                }
            }
            Self::Pipe(pipe) => pipe.readable(deadline),
        }
    }

    pub(crate) fn shutdown(&self) {
        match self {
            Self::Tcp(stream) => {
                // It fails when the connection is at its end already.
                let _ = stream.shutdown(Shutdown::Both);
            }
            Self::Pipe(pipe) => pipe.shutdown(),
        }
    }

    pub(crate) fn carries_handles(&self) -> bool {
        false
    }

    pub(crate) fn keeps_bounds(&self) -> bool {
        matches!(self, Self::Pipe(_))
    }

    pub(crate) fn acknowledge_now(&self) {}

    pub(crate) fn peer(&self) -> io::Result<Peer> {
        unsupported("the kernel knows who is at the end of local sockets, on Unix")
    }

    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Pipe(_) => None,
        }
    }

    pub(crate) fn source(&self) -> Option<BorrowedSocket<'_>> {
        match self {
            Self::Tcp(stream) => Some(stream.as_socket()),
            Self::Pipe(_) => None,
        }
    }

    pub(crate) fn duplicate(&self) -> io::Result<Option<OsHandle>> {
        Ok(None)
    }

    pub(crate) fn from_handle(_handle: OsHandle) -> io::Result<Self> {
        unsupported("connections are given to other processes on Unix only")
    }
}

#[derive(Debug)]
enum Way {
    Tcp(TcpListener),
    Pipe(named_pipe::Listener),
}

#[derive(Debug)]
pub(crate) struct Listener {
    way: Way,
    endpoint: Endpoint,
    closed: AtomicBool,
    /// Raised by `close`.
    wake: Signal,
}

impl Listener {
    pub(crate) fn bind(at: &Endpoint, _backlog: u32) -> io::Result<Self> {
        let (way, endpoint) = match at {
            Endpoint::Tcp(address) => {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                let bound = Endpoint::Tcp(listener.local_addr()?);
                (Way::Tcp(listener), bound)
            }
            Endpoint::Pipe(name) => (Way::Pipe(named_pipe::Listener::bind(name)?), at.clone()),
            _ => return unsupported("local sockets have names on Unix only"),
        };
        Ok(Self { way, endpoint, closed: AtomicBool::new(false), wake: Signal::new()? })
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn accept(&self, deadline: Option<Instant>) -> io::Result<Socket> {
        let listener = match &self.way {
            Way::Pipe(listener) => return listener.accept(deadline).map(Socket::Pipe),
            Way::Tcp(listener) => listener,
        };
        loop {
            if self.closed.load(SeqCst) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            match listener.accept() {
                Ok((stream, _)) => return tcp(stream),
                // Gone again before we looked.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                    ) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if deadline.is_some_and(|d| Instant::now() >= d) {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    let both = [
                        (listener.as_socket(), Interest::Readable),
                        (self.wake.source(), Interest::Readable),
                    ];
                    super::poll::poll(&both, deadline)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, SeqCst);
        self.wake.raise();
        if let Way::Pipe(listener) = &self.way {
            listener.close();
        }
    }

    pub(crate) fn source(&self) -> Option<BorrowedSocket<'_>> {
        match &self.way {
            Way::Tcp(listener) => Some(listener.as_socket()),
            Way::Pipe(_) => None,
        }
    }
}

/// A socket that sends itself an empty datagram for each time that it was raised. It is connected to itself, so nobody else can.
#[derive(Debug)]
pub(crate) struct Signal(UdpSocket);

impl Signal {
    pub(crate) fn new() -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(socket.local_addr()?)?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    pub(crate) fn raise(&self) {
        // When there is no room it has been raised often, and is readable.
        let _ = self.0.send(&[1]);
    }

    pub(crate) fn lower(&self) {
        // Nothing there: it was not raised.
        let _ = self.0.recv(&mut [0]);
    }

    pub(crate) fn source(&self) -> BorrowedSocket<'_> {
        self.0.as_socket()
    }
}
