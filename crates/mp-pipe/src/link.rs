//! `Link`: a connection with a program that need not be a relative.

mod challenge;
mod framing;
mod giving;
mod inlet;
mod outlet;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "link/no_tls.rs"]
mod tls;
mod values;
mod wire;

/// For the fuzz targets.
#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    pub(crate) use super::challenge::{Frames, answer, deliver};
}

use std::fmt;
use std::time::{Duration, Instant};

use mp_session::primitive::{AtomicU32, AtomicU64, Ordering::*};
use mp_session::{Interest, Sources, Waitable};
use mp_sys::{BorrowedSource, Peer, Socket};
use mp_wire::{Error, Message, Result};
use parking_lot::{Mutex, MutexGuard};

use crate::authkey::AuthKey;
use crate::deadline::Deadline;
use crate::errors::{RecvIntoError, SendError};
use challenge::Frames;
use inlet::{Inlet, Payload, Received, Request};
use outlet::Outlet;
pub(crate) use tls::Tls;
use wire::Wire;

/// The longest message that is received unless it is said otherwise.
pub const DEFAULT_MAX_MESSAGE: u64 = 1 << 30;

/// A connection with another program, on this machine or another, in Rust or in Python (Python's `multiprocessing.connection.Connection` as
/// [`Listener`](crate::Listener) and [`Client`](crate::Client) make it).
///
/// It carries bytes, framed as CPython frames them: what one side sends by [`send_bytes`](Link::send_bytes) the other one's `recv_bytes` receives. Between
/// programs that use mp it carries values, too, and on local sockets handles of the operating system: files, sockets, other links. Handles of mp
/// (locks, queues) mean something within their session only, and are refused.
///
/// All methods take `&self`: put it into an [`Arc`](std::sync::Arc), and one thread may send while another one receives and a third one
/// [closes](Link::close) it. Several may do the same; each message is sent and received whole.
///
/// # Trust
/// What comes over a link is bytes of a stranger. A frame above [the limit](Link::set_max_message) is refused before anything is allocated for it; memory is
/// asked for as bytes come. [`recv`](Link::recv) decodes by serde, with no code in the data; the types that are asked for have to stand any value.
///
/// # If a process dies
/// The kernel closes its connections: the other side gets [`Error::Disconnected`], or [`Error::Torn`] in the middle of a message.
///
/// # Examples
/// ```
/// use mp_pipe::Link;
///
/// let (ours, theirs) = Link::pair()?;
/// ours.send_bytes(b"hello")?;
/// assert_eq!(theirs.recv_bytes()?, b"hello");
/// theirs.send(("a value".to_owned(), 1.5))?;
/// assert_eq!(ours.recv::<(String, f64)>()?, ("a value".to_owned(), 1.5));
/// drop(ours);
/// assert!(theirs.recv_bytes().unwrap_err().is_closed());
/// # Ok::<(), mp_pipe::Error>(())
/// ```
pub struct Link {
    wire: Wire,
    what: String,
    inlet: Mutex<Inlet>,
    outlet: Mutex<Outlet>,
    max_message: AtomicU64,
    /// In nanoseconds; 0 is for ever.
    receive_within: AtomicU64,
    send_within: AtomicU64,
    /// Somebody has our descriptor and waits for it, so nothing may be read ahead. 0 or 1.
    exact: AtomicU32,
    closed: AtomicU32,
}

impl Link {
    pub(crate) fn new(socket: Socket, what: String) -> Link {
        Link::over(socket, what, None)
    }

    pub(crate) fn over(socket: Socket, what: String, tls: Option<Tls>) -> Link {
        Link {
            wire: Wire::new(socket, tls),
            what,
            inlet: Mutex::default(),
            outlet: Mutex::default(),
            max_message: AtomicU64::new(DEFAULT_MAX_MESSAGE),
            receive_within: AtomicU64::new(0),
            send_within: AtomicU64::new(0),
            exact: AtomicU32::new(0),
            closed: AtomicU32::new(0),
        }
    }

    /// Two connected links that need no authentication. Where the kernel carries handles (Linux and macOS), they do, and can themselves be sent to another
    /// process, in its arguments or over another link.
    ///
    /// # Errors
    /// [`Error::Os`] when the process has no descriptors left.
    pub fn pair() -> Result<(Link, Link)> {
        let (a, b) = Socket::pair().map_err(|e| Error::os("a pair of links", e))?;
        Ok((Link::new(a, "link".into()), Link::new(b, "link".into())))
    }

    /// The longest message that is received, in bytes: [`DEFAULT_MAX_MESSAGE`] unless this says otherwise. A longer one is [`Error::LimitReached`], and
    /// nothing can be received after it.
    pub fn set_max_message(&self, bytes: u64) {
        self.max_message.store(bytes, Relaxed);
    }

    /// How long a call that has no time of its own waits to receive, and to send: `None` is for ever. [`Error::TimedOut`] comes then.
    ///
    /// A message that is cut off by its time while it is *sent* is the end of the connection, for the other side could not go on. One that is
    /// received is not: the next call goes on with it.
    pub fn set_timeouts(&self, receive: Option<Duration>, send: Option<Duration>) {
        let nanos = |time: Option<Duration>| {
            time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1))
        };
        self.receive_within.store(nanos(receive), Relaxed);
        self.send_within.store(nanos(send), Relaxed);
    }

    /// Sends bytes as one message; none at all are a message, too.
    ///
    /// # Errors
    /// [`Error::Disconnected`] when the other side is gone, [`Error::Closed`] after [`close`](Link::close), [`Error::TimedOut`] as
    /// [`set_timeouts`](Link::set_timeouts) says.
    ///
    /// # Blocking
    /// While the kernel has no room.
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<()> {
        self.sent(self.put(bytes, &[], self.standing(&self.send_within))?)
    }

    /// As [`Link::send_bytes`], and waits at most that long.
    ///
    /// # Errors
    /// [`Error::TimedOut`], and as there.
    ///
    /// # Blocking
    /// Until the time is up.
    pub fn send_bytes_timeout(&self, bytes: &[u8], timeout: Duration) -> Result<()> {
        self.sent(self.put(bytes, &[], Deadline::after(timeout))?)
    }

    /// Receives a message as bytes.
    ///
    /// # Errors
    /// [`Error::Disconnected`] at the end, [`Error::Torn`] when the message was cut off, [`Error::LimitReached`] when it is too long,
    /// [`Error::Closed`] after [`close`](Link::close), [`Error::TimedOut`] as [`set_timeouts`](Link::set_timeouts) says.
    ///
    /// # Blocking
    /// Until there is a message.
    pub fn recv_bytes(&self) -> Result<Vec<u8>> {
        self.bytes(self.standing(&self.receive_within))
    }

    /// As [`Link::recv_bytes`], and waits at most that long. Of a message that has begun to come nothing is lost: the next call goes on with it.
    ///
    /// # Errors
    /// [`Error::TimedOut`], and as there.
    ///
    /// # Blocking
    /// Until there is a message, or the time is up.
    pub fn recv_bytes_timeout(&self, timeout: Duration) -> Result<Vec<u8>> {
        self.bytes(Deadline::after(timeout))
    }

    fn bytes(&self, deadline: Deadline) -> Result<Vec<u8>> {
        match self.take(None, deadline)?.ok_or_else(|| self.late("receive"))?.payload {
            Payload::Bytes(bytes) => Ok(bytes),
            Payload::InSlice(_) => Ok(Vec::new()), // there is no slice
        }
    }

    /// Receives a message as bytes into a buffer, and tells how many they were.
    ///
    /// # Errors
    /// [`RecvIntoError::TooShort`] when the buffer is too short: it carries the whole message, and nothing is lost. Otherwise as
    /// [`Link::recv_bytes`].
    ///
    /// # Blocking
    /// Until there is a message.
    pub fn recv_bytes_into(&self, buffer: &mut [u8]) -> Result<usize, RecvIntoError> {
        let received = self.take(Some(&mut *buffer), self.standing(&self.receive_within))?;
        match received.ok_or_else(|| self.late("receive"))?.payload {
            Payload::InSlice(length) => Ok(length),
            // Some of it had come before.
            Payload::Bytes(bytes) => match buffer.get_mut(..bytes.len()) {
                Some(to) => {
                    to.copy_from_slice(&bytes);
                    Ok(bytes.len())
                }
                None => Err(RecvIntoError::TooShort(bytes)),
            },
        }
    }

    /// Sends a value to another program that uses mp.
    ///
    /// Files, sockets and links in it go along where the kernel carries them; they stay open here.
    ///
    /// # Errors
    /// As [`Link::send_bytes`]; [`Error::Encode`]; [`Error::Unsupported`] for handles of mp, and for handles of the system on a connection that does not
    /// carry them (nothing is sent then).
    ///
    /// # Blocking
    /// While the kernel has no room.
    pub fn send<T: Message>(&self, value: T) -> Result<()> {
        self.sent(self.send_value(&value, self.standing(&self.send_within))?)
    }

    /// Sends a value, and waits at most that long.
    ///
    /// # Errors
    /// [`Error::TimedOut`], and those of [`Link::send`]; the value comes back with them.
    ///
    /// # Blocking
    /// Until the time is up.
    pub fn send_timeout<T: Message>(&self, value: T, timeout: Duration) -> Result<(), SendError<T>> {
        match self.send_value(&value, Deadline::after(timeout)).and_then(|sent| self.sent(sent)) {
            Ok(()) => Ok(()),
            Err(error) => Err(SendError { value, error }),
        }
    }

    fn send_value<T: Message>(&self, value: &T, deadline: Deadline) -> Result<bool> {
        let packed = values::pack(value, self.wire.carries_handles())?;
        self.put(&packed.bytes, &packed.handles, deadline)
    }

    /// Receives a value.
    ///
    /// # Errors
    /// As [`Link::recv_bytes`]; [`Error::Decode`] when the message is not a `T`, or no value of mp's at all (it is lost then, and the next one is not).
    ///
    /// # Blocking
    /// Until there is a message.
    pub fn recv<T: Message>(&self) -> Result<T> {
        self.value(self.standing(&self.receive_within))?.ok_or_else(|| self.late("receive"))
    }

    /// Receives a value, and waits for it at most that long.
    ///
    /// # Errors
    /// [`Error::TimedOut`], and those of [`Link::recv`].
    ///
    /// # Blocking
    /// Until there is a message, or the time is up.
    pub fn recv_timeout<T: Message>(&self, timeout: Duration) -> Result<T> {
        self.value(Deadline::after(timeout))?.ok_or_else(|| self.late("receive"))
    }

    /// Receives a value if there is one.
    ///
    /// # Errors
    /// [`Error::Empty`], and those of [`Link::recv`].
    pub fn try_recv<T: Message>(&self) -> Result<T> {
        self.value(Deadline::Now)?.ok_or(Error::Empty)
    }

    fn value<T: Message>(&self, deadline: Deadline) -> Result<Option<T>> {
        self.take(None, deadline)?.map(values::unpack).transpose()
    }

    /// Waits until a message has begun to come or the connection is at its end, at most that long; takes nothing.
    ///
    /// # Errors
    /// Whatever the system says.
    ///
    /// # Blocking
    /// Until then; with [`Duration::ZERO`] not at all, with [`Duration::MAX`] for ever.
    pub fn poll(&self, timeout: Duration) -> Result<bool> {
        let deadline = Deadline::after(timeout);
        // Somebody who receives will have what comes; this one waits like everybody for the next.
        if self.inlet.try_lock().is_some_and(|inlet| inlet.has_any()) {
            return Ok(true);
        }
        self.wire.readable(deadline.instant()).map_err(|e| Error::os(format!("wait for {}", self.what), e))
    }

    /// Ends the connection, for whoever uses it in this process and for the other side. What waits at it, in any thread, returns
    /// [`Error::Closed`]. Dropping the link does the same.
    pub fn close(&self) {
        self.closed.store(1, SeqCst);
        self.wire.shutdown();
    }

    /// Whether [`close`](Link::close) was called.
    pub fn is_closed(&self) -> bool {
        self.closed.load(SeqCst) != 0
    }

    /// Who is at the other end, by the kernel's word: on local sockets.
    ///
    /// # Errors
    /// [`Error::Unsupported`] on all others.
    pub fn peer(&self) -> Result<Peer> {
        self.wire.socket.peer().map_err(|e| match e.kind() {
            std::io::ErrorKind::Unsupported => Error::Unsupported {
                what: format!("the kernel's word on who is at the end of {}", self.what),
            },
            _ => Error::os(format!("the other end of {}", self.what), e),
        })
    }

    /// The address of the other side of a TCP connection.
    pub fn peer_address(&self) -> Option<std::net::SocketAddr> {
        self.wire.socket.peer_address()
    }

    /// The descriptor, for event loops that take descriptors: readable when something has come or the end has. From then on nothing is read beyond the message
    /// that is asked for, so that the descriptor tells of the next one; what was read ahead before, [`poll`](Link::poll) tells. `None`: there is none
    /// (a named pipe).
    pub fn source(&self) -> Option<BorrowedSource<'_>> {
        self.exact.store(1, SeqCst);
        self.wire.socket.source()
    }

    fn standing(&self, nanos: &AtomicU64) -> Deadline {
        match nanos.load(Relaxed) {
            0 => Deadline::Never,
            nanos => Deadline::after(Duration::from_nanos(nanos)),
        }
    }

    fn late(&self, what: &str) -> Error {
        Error::TimedOut { what: format!("{}: {what}", self.what) }
    }

    fn sent(&self, sent: bool) -> Result<()> {
        if sent { Ok(()) } else { Err(self.late("send")) }
    }

    /// Closing explains what happened to the connection.
    fn explained<R>(&self, result: Result<R>) -> Result<R> {
        match result {
            Err(_) if self.is_closed() => Err(Error::Closed { what: self.what.clone() }),
            result => result,
        }
    }

    fn put(&self, bytes: &[u8], handles: &[mp_sys::OsHandle], deadline: Deadline) -> Result<bool> {
        let until = deadline.instant();
        let Some(mut outlet) = lock(&self.outlet, until) else { return Ok(false) };
        self.explained(outlet.send(&self.wire, &self.what, bytes, handles, until))
    }

    fn take(&self, slice: Option<&mut [u8]>, deadline: Deadline) -> Result<Option<Received>> {
        self.take_limited(slice, self.max_message.load(Relaxed), deadline.instant())
    }

    fn take_limited(
        &self,
        slice: Option<&mut [u8]>,
        limit: u64,
        deadline: Option<Instant>,
    ) -> Result<Option<Received>> {
        let Some(mut inlet) = lock(&self.inlet, deadline) else { return Ok(None) };
        let exact = self.exact.load(SeqCst) != 0;
        let request = Request { slice, limit, exact, deadline };
        self.explained(inlet.receive(&self.wire, &self.what, request))
    }

    /// Agrees on keys with the other side, where there is TLS.
    pub(crate) fn secure(&self, deadline: Option<Instant>) -> Result<()> {
        let Some(tls) = &self.wire.tls else { return Ok(()) };
        if self.wire.socket.keeps_bounds() {
            return Err(Error::Unsupported { what: format!("TLS on {}", self.what) });
        }
        tls.shake_hands(&self.wire.socket, deadline).map_err(|e| {
            self.wire.socket.shutdown();
            match e.kind() {
                _ if self.is_closed() => Error::Closed { what: self.what.clone() },
                std::io::ErrorKind::TimedOut => self.late("agree on keys"),
                _ => Error::Authentication { what: self.what.clone(), why: format!("TLS: {e}") },
            }
        })
    }

    /// Proves to the other side that we have the key, and has it prove the same: as the side that listens, or the one that connects.
    pub(crate) fn authenticate(&self, key: &AuthKey, listens: bool, deadline: Option<Instant>) -> Result<()> {
        let mut frames = Unproven { link: self, deadline };
        let proven = if listens {
            challenge::deliver(&mut frames, key).and_then(|()| challenge::answer(&mut frames, key))
        } else {
            challenge::answer(&mut frames, key).and_then(|()| challenge::deliver(&mut frames, key))
        };
        proven.map_err(|error| {
            self.wire.socket.shutdown();
            let what = self.what.clone();
            match error {
                Error::Authentication { why, .. } => Error::Authentication { what, why },
                Error::LimitReached { .. } | Error::Forged { .. } => {
                    Error::Authentication { what, why: "it says something else".into() }
                }
                Error::Disconnected { .. } | Error::Torn { .. } => {
                    Error::Authentication { what, why: "it went away before it had proven anything".into() }
                }
                other => other,
            }
        })
    }
}

fn lock<T>(mutex: &Mutex<T>, deadline: Option<Instant>) -> Option<MutexGuard<'_, T>> {
    match deadline {
        None => Some(mutex.lock()),
        Some(deadline) => mutex.try_lock().or_else(|| mutex.try_lock_until(deadline)),
    }
}

/// A link on which nothing is believed yet.
struct Unproven<'a> {
    link: &'a Link,
    deadline: Option<Instant>,
}

impl Frames for Unproven<'_> {
    fn put(&mut self, frame: &[u8]) -> Result<()> {
        let Some(mut outlet) = lock(&self.link.outlet, self.deadline) else {
            return Err(self.link.late("authenticate"));
        };
        let sent = outlet.send(&self.link.wire, &self.link.what, frame, &[], self.deadline);
        if self.link.explained(sent)? { Ok(()) } else { Err(self.link.late("authenticate")) }
    }

    fn take(&mut self) -> Result<Vec<u8>> {
        let received = self.link.take_limited(None, challenge::LONGEST, self.deadline)?;
        match received.ok_or_else(|| self.link.late("authenticate"))?.payload {
            Payload::Bytes(bytes) => Ok(bytes),
            Payload::InSlice(_) => Ok(Vec::new()), // there is no slice
        }
    }
}

mp_sys::impl_as_fd!(
    /// As [`Link::source`].
    Link,
    link => {
        link.exact.store(1, SeqCst);
        &link.wire.socket
    }
);

/// Ready when there is something to receive, or the connection is at its end.
///
/// # Platform
/// A named pipe (Windows) cannot be waited for together with other things, and is never ready there; [`Link::poll`] waits for it alone.
impl Waitable for Link {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        if let Some(source) = self.wire.socket.source() {
            to.descriptor(source, Interest::Readable);
        }
    }

    fn is_ready(&self) -> bool {
        // Whoever receives just now will have what comes.
        let ahead = self.inlet.try_lock().is_some_and(|inlet| inlet.has_any()) || self.wire.has_plain();
        let now = Some(Instant::now());
        ahead || self.is_closed() || self.wire.socket.readable(now).unwrap_or(true)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_closed() { ", closed" } else { "" };
        write!(f, "Link({}{state})", self.what)
    }
}
