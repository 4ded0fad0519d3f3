//! Two-ended connections between processes that may be killed at any instruction.
//!
//! | here | Python |
//! |---|---|
//! | [`pipe`] | `Pipe()` |
//! | [`one_way`] | `Pipe(duplex=False)` |
//! | [`Connection::send`], [`recv`](Connection::recv) | `send`, `recv` |
//! | [`Connection::send_bytes`], [`recv_bytes`](Connection::recv_bytes), [`recv_bytes_into`](Connection::recv_bytes_into) | the same; slicing replaces offset and size |
//! | [`Connection::poll`] | `poll` |
//! | dropping it | `close` |
//! | [`Error::Disconnected`] | `EOFError`, and `BrokenPipeError` at the sender |
//! | [`Error::Torn`] | `OSError("got end of file during message")` |
//! | [`RecvIntoError::TooShort`] | `BufferTooShort` |
//! | [`Connection::descriptor`] | `fileno` |
//! | [`Listener`], [`Client`], [`Address`] | the same, and addresses as tuples and strings |
//! | [`Link`] | `Connection`, where the other side is another program |
//! | [`AuthKey`], [`Error::Authentication`] | `authkey`, `AuthenticationError` |
//! | [`wait`](mp_session::wait()), [`WaitSet`](mp_session::WaitSet) | `wait`, without a limit |
//!
//! ```
//! let (ours, theirs) = mp_pipe::pipe()?;
//! ours.send(vec![1, 2, 3])?;
//! assert_eq!(theirs.recv::<Vec<i32>>()?, [1, 2, 3]);
//! drop(ours);
//! assert!(theirs.recv::<Vec<i32>>().unwrap_err().is_closed());
//! # Ok::<(), mp_pipe::Error>(())
//! ```
//!
//! # Relatives and strangers
//!
//! | | [`Connection`] | [`Link`] |
//! |---|---|---|
//! | with | processes of one session | any program, in Rust or Python, on any machine |
//! | made by | [`pipe`] | [`Listener`] and [`Client`], or [`Link::pair`] |
//! | carried by | shared memory | the kernel: TCP, local sockets, named pipes |
//! | carries | values, handles of mp | bytes; values; handles of the system, on local sockets |
//! | trusts | the other end: it runs our code | nobody |
//!
//! # What is promised
//!
//! - *Whole messages, in order.* From none to 4 GiB of bytes; what one thread sends comes in the order in which it was sent.
//! - *The end is seen* as soon as the last handle of the other end is dropped or its process is dead, and it says who that was.
//! - *No system call* unless somebody sleeps, and no descriptor.
//! - *A killed process* leaves no part of a message to be taken for a whole one, and keeps nobody at either end waiting for a turn.
//!
//! # How it works
//!
//! A pipe is an object of the session with two roles, one for each end, and two *streams*, one for each way: rings of bytes with one writer and one
//! reader at a time. What carries handles goes by way of a cell, which the session can clear up without knowing what a pipe is.
//!
//! | file | idea |
//! |---|---|
//! | `connection`, `one_way`, `errors` | the handles: values and bytes |
//! | `end` | an end, its wait word, and sending |
//! | `receive` | receiving, and messages that come in parts |
//! | `stream`, `frame` | bytes in shared memory, and what they say; the table of deaths |
//! | `turn` | several threads at one end |
//! | `cells` | messages with handles |
//! | `deadline`, `waiting`, `descriptor` | how long to wait, and waiting for other things besides |
//! | `listener`, `reception`, `client`, `address`, `authkey` | strangers meet, and prove that they know each other |
//! | `link` | a connection with a stranger |
//! | `link/framing`, `link/inlet`, `link/outlet` | frames on a stream, as CPython writes them; receiving and sending them |
//! | `link/challenge` | the mutual proof, as CPython does it |
//! | `link/values`, `link/giving` | values, and links, in frames |
//! | `link/wire`, `link/tls` | the socket, and what may be over it |
//!
//! # Limits
//!
//! A connection that timed out in the middle of receiving a message in parts keeps those parts in its process: if it is then sent elsewhere, that
//! message is lost. On a link a value carries at most 1,000 handles of the system. A pipe that holds a message which holds one of its own ends is a cycle of references, and is freed with the session.
//!
//! # Platform
//!
//! That of [`mp_session`]: nothing here knows the operating system. What a link can be is told at [`Address`].

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod address;
mod authkey;
mod cells;
mod client;
mod connection;
mod deadline;
mod descriptor;
mod end;
mod errors;
mod frame;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod link;
mod listener;
mod one_way;
mod receive;
mod reception;
mod stream;
mod turn;
mod waiting;

pub use address::Address;
pub use authkey::AuthKey;
pub use client::Client;
pub use connection::Connection;
pub use errors::{RecvIntoError, SendError};
pub use link::{DEFAULT_MAX_MESSAGE, Link};
pub use listener::{Listener, ListenerBuilder, Refused};
pub use mp_session;
pub use mp_sys::Peer;
pub use mp_wire::{Error, Message, Result};
pub use one_way::{Reader, Writer};
#[cfg(feature = "tls")]
pub use rustls;

use mp_session::Session;

/// A pipe that goes both ways, as its two ends (Python's `Pipe()`).
///
/// # Errors
/// [`Error::LimitReached`] when the session has no room, and what [`Session::current`] returns.
pub fn pipe() -> Result<(Connection, Connection)> {
    pipe_with_capacity(connection::CAPACITY as usize)
}

/// A pipe that goes both ways and holds at least so many bytes each way, rounded up to a power of two of 4 KiB or more. A message takes its own bytes,
/// eight more, and up to seven for padding.
///
/// # Errors
/// As [`pipe`]; a pipe of more than 1 GiB is [`Error::LimitReached`].
pub fn pipe_with_capacity(bytes: usize) -> Result<(Connection, Connection)> {
    Connection::pair(&Session::current()?, bytes as u64)
}

/// A pipe that goes one way (Python's `Pipe(duplex=False)`).
///
/// # Errors
/// As [`pipe`].
///
/// # Examples
///
/// ```
/// let (reader, writer) = mp_pipe::one_way()?;
/// writer.send("once".to_owned())?;
/// drop(writer);
/// assert_eq!(reader.recv::<String>()?, "once");
/// assert!(reader.recv::<String>().unwrap_err().is_closed());
/// # Ok::<(), mp_pipe::Error>(())
/// ```
pub fn one_way() -> Result<(Reader, Writer)> {
    let (reader, writer) = pipe()?;
    Ok((Reader(reader), Writer(writer)))
}

/// As [`pipe_with_capacity`], in a session of the caller's choice: for tests.
#[doc(hidden)]
pub fn pipe_in(session: &Session, bytes: usize) -> Result<(Connection, Connection)> {
    Connection::pair(session, bytes as u64)
}
