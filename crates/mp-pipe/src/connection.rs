//! `Connection`: an end of a pipe that sends and receives.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use mp_session::{Message as SessionMessage, Object, Role, Session};
use mp_sys::BorrowedOsHandle;
use mp_wire::{Codec, Error, Message, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::deadline::Deadline;
use crate::descriptor::Descriptor;
use crate::end::End;
use crate::errors::{RecvIntoError, SendError};
use crate::receive::{Buffer, Received};

/// The codec number of messages that were sent as bytes.
pub(crate) const BYTES: u8 = 0xFF;
/// A scratch buffer larger than this is not kept.
const KEEP: usize = 64 << 10;
/// How many bytes a pipe holds each way unless it is told otherwise.
pub(crate) const CAPACITY: u64 = 128 << 10;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// One end of a connection between two processes (Python's `multiprocessing.connection.Connection`).
///
/// What one end sends, the other end receives: values of any type that serde knows, handles of mp among them, or bytes. Messages keep
/// their bounds and their order.
///
/// A connection is a value like any handle: put it into the arguments of a process or into a message, and it works where it
/// arrives. It is *not* `Clone`: sending it moves it, so that there is no forgotten copy which keeps the other side from being told of the end.
/// [`try_clone`](Connection::try_clone) makes a second handle where one is wanted.
///
/// Several threads can use one end at once; each message is sent and received whole, by one of them.
///
/// # If a process dies
///
/// When the last handle of an end is gone, dropped or dead with its process, the other end receives what was sent and then
/// [`Error::Disconnected`], which says who died and how. A message that was cut off in the middle is [`Error::Torn`], and never a part of one.
///
/// # Examples
///
/// ```
/// let (ours, theirs) = mp_pipe::pipe()?;
/// let child = std::thread::spawn(move || -> mp_pipe::Result<()> {
///     let question: String = theirs.recv()?;
///     theirs.send(question.len())
/// });
/// ours.send("how long is this?".to_owned())?;
/// assert_eq!(ours.recv::<usize>()?, 17);
/// child.join().unwrap()?;
/// assert!(ours.recv::<usize>().unwrap_err().is_closed());
/// # Ok::<(), mp_pipe::Error>(())
/// ```
pub struct Connection {
    pub(crate) end: End,
}

impl Connection {
    pub(crate) fn pair(session: &Session, capacity: u64) -> Result<(Connection, Connection)> {
        let (a, b) = End::pair(session, capacity)?;
        Ok((Connection { end: a }, Connection { end: b }))
    }

    /// Sends a value.
    ///
    /// It is turned into bytes here and now: what cannot be sent is an error of this call. Handles in it live on as long as the message does.
    ///
    /// # Errors
    /// [`Error::Disconnected`] when nobody has the other end; [`Error::Encode`], or what else a handle in the value objects to;
    /// [`Error::LimitReached`] when memory is out.
    ///
    /// # Blocking
    /// While the pipe is full: what it holds is bytes ([`pipe_with_capacity`](crate::pipe_with_capacity)).
    pub fn send<T: Message>(&self, value: T) -> Result<()> {
        self.send_value(&value, Deadline::Never).map(|_| ())
    }

    /// Sends a value, and waits for room at most that long.
    ///
    /// # Errors
    /// [`Error::TimedOut`], and those of [`Connection::send`]; the value comes back with them, and nothing of it was sent.
    ///
    /// # Blocking
    /// While the pipe is full, until the time is up.
    pub fn send_timeout<T: Message>(&self, value: T, timeout: Duration) -> Result<(), SendError<T>> {
        match self.send_value(&value, Deadline::after(timeout)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(SendError { value, error: Error::TimedOut { what: "send".into() } }),
            Err(error) => Err(SendError { value, error }),
        }
    }

    fn send_value<T: Message>(&self, value: &T, deadline: Deadline) -> Result<bool> {
        let mut scratch = SCRATCH.take();
        scratch.clear();
        let sent = mp_wire::encode(value, &mut scratch).and_then(|encoded| {
            let object = !encoded.exports.is_empty()
                || !matches!(deadline, Deadline::Never) && self.end.goes_in_parts(&scratch);
            if object {
                let session = self.end.object.session();
                let message = SessionMessage::pack(session, encoded.codec, &scratch, encoded.exports)?;
                self.end.send_object(&message, deadline)
            } else {
                self.end.send(encoded.codec.into(), &scratch, deadline)
            }
        });
        if scratch.capacity() <= KEEP {
            SCRATCH.set(scratch);
        }
        sent
    }

    /// Receives a value.
    ///
    /// # Errors
    /// [`Error::Disconnected`] when everything was received and nobody has the other end; [`Error::Torn`] when the next message was cut off, once
    /// for each; [`Error::Decode`] when the message is not a `T` (it is lost then, and the next one is not).
    ///
    /// # Blocking
    /// Until there is a message.
    pub fn recv<T: Message>(&self) -> Result<T> {
        self.recv_value(Deadline::Never)?.ok_or(Error::Empty)
    }

    /// Receives a value, and waits for it at most that long.
    ///
    /// # Errors
    /// [`Error::TimedOut`], and those of [`Connection::recv`]. Of a message that has begun to come nothing is lost: the next call goes on with it.
    ///
    /// # Blocking
    /// Until there is a message, or the time is up.
    pub fn recv_timeout<T: Message>(&self, timeout: Duration) -> Result<T> {
        self.recv_value(Deadline::after(timeout))?.ok_or_else(|| Error::TimedOut { what: "recv".into() })
    }

    /// Receives a value if there is one.
    ///
    /// # Errors
    /// [`Error::Empty`], and those of [`Connection::recv`].
    pub fn try_recv<T: Message>(&self) -> Result<T> {
        self.recv_value(Deadline::Now)?.ok_or(Error::Empty)
    }

    fn recv_value<T: Message>(&self, deadline: Deadline) -> Result<Option<T>> {
        let mut scratch = SCRATCH.take();
        let buffer = Buffer { slice: None, vec: &mut scratch };
        let value = self.end.receive(deadline, buffer).and_then(|received| match received {
            Some(Received::Message(message)) => message.decode().map(Some),
            Some(Received::Bytes(BYTES)) => Err(Error::Decode {
                type_name: std::any::type_name::<T>().into(),
                detail: "the message was sent as bytes; recv_bytes receives those".into(),
            }),
            Some(Received::Bytes(codec)) => {
                mp_wire::decode(Codec::try_from(codec)?, &scratch, Vec::new()).map(Some)
            }
            Some(Received::InSlice(_)) | None => Ok(None),
        });
        if scratch.capacity() <= KEEP {
            SCRATCH.set(scratch);
        }
        value
    }

    /// Sends bytes as one message; none at all are a message, too.
    ///
    /// # Errors
    /// [`Error::Disconnected`] when nobody has the other end.
    ///
    /// # Blocking
    /// While the pipe is full. A message from 32 KiB to 4 MiB that is large for the pipe (a quarter of it) lies in memory of the session's until it is
    /// received; 16 of them are on their way at most. One that is larger than that and than half of the pipe goes through it piece by piece, and the
    /// call returns when the last one is in.
    pub fn send_bytes(&self, bytes: &[u8]) -> Result<()> {
        self.end.send(BYTES, bytes, Deadline::Never).map(|_| ())
    }

    /// Receives a message as bytes: those that were sent, or those of a value in its encoding (which says nothing of the handles in it).
    ///
    /// # Errors
    /// As [`Connection::recv`], without [`Error::Decode`].
    ///
    /// # Blocking
    /// Until there is a message.
    pub fn recv_bytes(&self) -> Result<Vec<u8>> {
        self.recv_vec(Deadline::Never)?.ok_or(Error::Empty)
    }

    /// As [`Connection::recv_bytes`], and waits at most that long.
    ///
    /// # Errors
    /// As [`Connection::recv_timeout`].
    ///
    /// # Blocking
    /// Until there is a message, or the time is up.
    pub fn recv_bytes_timeout(&self, timeout: Duration) -> Result<Vec<u8>> {
        self.recv_vec(Deadline::after(timeout))?.ok_or_else(|| Error::TimedOut { what: "recv".into() })
    }

    fn recv_vec(&self, deadline: Deadline) -> Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        Ok(match self.end.receive(deadline, Buffer { slice: None, vec: &mut bytes })? {
            Some(Received::Message(message)) => Some(message.payload()?.1.to_vec()),
            Some(_) => Some(bytes),
            None => None,
        })
    }

    /// Receives a message as bytes into a buffer, and tells how many they were.
    ///
    /// # Errors
    /// [`RecvIntoError::TooShort`] when the buffer is too short: it carries the whole message, and nothing is lost. Otherwise as
    /// [`Connection::recv_bytes`].
    ///
    /// # Blocking
    /// Until there is a message.
    ///
    /// # Examples
    ///
    /// ```
    /// use mp_pipe::RecvIntoError;
    ///
    /// let (a, b) = mp_pipe::pipe()?;
    /// a.send_bytes(b"hello")?;
    /// a.send_bytes(b"a longer one")?;
    /// let mut buffer = [0; 8];
    /// assert_eq!(b.recv_bytes_into(&mut buffer)?, 5);
    /// match b.recv_bytes_into(&mut buffer) {
    ///     Err(RecvIntoError::TooShort(message)) => assert_eq!(message, b"a longer one"),
    ///     other => panic!("{other:?}"),
    /// }
    /// # Ok::<(), mp_pipe::Error>(())
    /// ```
    pub fn recv_bytes_into(&self, buffer: &mut [u8]) -> Result<usize, RecvIntoError> {
        let mut longer = Vec::new();
        let to = Buffer { slice: Some(&mut *buffer), vec: &mut longer };
        match self.end.receive(Deadline::Never, to)? {
            Some(Received::InSlice(length)) => Ok(length),
            Some(Received::Bytes(_)) => Err(RecvIntoError::TooShort(longer)),
            Some(Received::Message(message)) => {
                let (_, payload) = message.payload()?;
                match buffer.get_mut(..payload.len()) {
                    Some(to) => {
                        to.copy_from_slice(payload);
                        Ok(payload.len())
                    }
                    None => Err(RecvIntoError::TooShort(payload.to_vec())),
                }
            }
            None => Err(Error::Empty.into()),
        }
    }

    /// Waits until a message has begun to come or the other end is gone, at most that long; takes nothing. `true`: `recv` would have something
    /// to say.
    ///
    /// # Errors
    /// [`Error::ForeignFork`] in a process that does not take part in the session.
    ///
    /// # Blocking
    /// Until there is a message, the end, or the time is up; with [`Duration::ZERO`] not at all, with [`Duration::MAX`] for ever.
    pub fn poll(&self, timeout: Duration) -> Result<bool> {
        self.end.poll(Deadline::after(timeout))
    }

    /// A descriptor that is readable when there is something to receive or the other end is gone, for event loops that take descriptors and nothing else (Python's
    /// `fileno`). It is made when it is first asked for; do not read from it. For waiting on many things [`WaitSet`](mp_session::WaitSet) needs none.
    ///
    /// It follows what *this* handle receives. Where several handles or processes receive at one end, it may be readable and another one faster.
    ///
    /// # Errors
    /// [`Error::Os`] when the process has no descriptors left; what [`Session::current`] returns.
    ///
    /// # Platform
    /// The reading end of an anonymous pipe.
    pub fn descriptor(&self) -> Result<BorrowedOsHandle<'_>> {
        let end = &self.end;
        if end.descriptor.get().is_none() {
            // Another thread may be faster: then this one is dropped.
            let _ = end.descriptor.set(Descriptor::new(end)?);
        }
        end.descriptor.get().map(Descriptor::handle).ok_or(Error::Empty)
    }

    /// A second handle for the same end. The end is closed when both are gone.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when memory is out.
    pub fn try_clone(&self) -> Result<Connection> {
        Ok(Connection { end: self.end.try_clone()? })
    }

    /// Whether somebody still has the other end. If not, there may be messages all the same.
    pub fn is_connected(&self) -> bool {
        !self.end.peer_is_gone()
    }

    pub(crate) fn is_first(&self) -> bool {
        self.end.object.role() == Role::First
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slot, generation) = self.end.object.id();
        let end = if self.is_first() { "first" } else { "second" };
        let state = if self.is_connected() { "connected" } else { "the other end is gone" };
        write!(f, "Connection(pipe {slot}.{generation}, {end} end, {state})")
    }
}

impl Serialize for Connection {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.end.object.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Connection {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let object = Object::deserialize(from)?;
        End::open(object).map(|end| Connection { end }).map_err(|e| de::Error::custom(carrier::refuse(e)))
    }
}
