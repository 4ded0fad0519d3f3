//! Many-to-many message queues between processes that may be killed at any instruction.
//!
//! Python's `multiprocessing.Queue`, without its feeder thread, its locks and what they cost: a put has happened when it
//! returns, a killed process never leaves the others waiting for it, the length is exact, the end of the queue is known,
//! and a queue can be sent wherever a value can.
//!
//! | handle | role |
//! |---|---|
//! | [`Queue`] | both |
//! | [`Sender`] | puts; when the last one is gone, receivers are told |
//! | [`Receiver`] | gets; when the last one is gone, senders are told |
//! | [`JoinableQueue`] | both; who got a message says when it is done, and others wait for that |
//! | [`PriorityQueue`], [`LifoQueue`] | both; messages come by priority, or the last one first |
//! | [`SimpleQueue`] | both, and nothing more than putting and getting |
//!
//! ```
//! let (sender, receiver) = mp_queue::unbounded()?;
//! sender.put(("bob".to_owned(), 7))?;
//! drop(sender);
//! assert_eq!(receiver.get()?, ("bob".to_owned(), 7));
//! assert!(receiver.get().unwrap_err().is_closed()); // nobody can put any more
//! # Ok::<(), mp_queue::Error>(())
//! ```
//!
//! # What is promised
//!
//! - *Whole messages.* A message is in the queue completely or not at all, whenever its sender is killed.
//! - *Order.* What one thread put comes in the order in which it was put. The exceptions are a message whose
//!   receiver was killed while taking it, and one that comes back from a [`Lease`]: they come to another one, perhaps late.
//! - *Losses.* A receiver killed in `get` takes one message with it at most. Nothing else is lost or doubled. With
//!   [`Receiver::get_leased`] nothing is lost; what a receiver was at when it died, another one gets.
//! - *Bounds.* A queue may be bounded by messages and by bytes ([`QueueOptions`]); neither bound is ever exceeded.
//! - *News.* Who waits is told within the time that the session needs to notice a death, if nobody is left who could end
//!   the wait ([`Error::Disconnected`]), or if the queue was closed ([`Error::Closed`]).
//! - *No system call* unless somebody sleeps.
//!
//! # How it works
//!
//! A queue is an object of the session with two roles, senders and receivers, whose counts say who is left, and it owns a
//! *ring* of cells, or a chain of them if it is unbounded. Each cell names its own state, owner and lap in one word; there is no lock,
//! and no counter that a death could tear away from what it counts. The essays are beside the code:
//!
//! | file | idea |
//! |---|---|
//! | `queue`, `sender`, `receiver`, `options`, `put_error`, `common` | the handles: values and types |
//! | `channel`, `deadline` | waiting, waking, and who is left |
//! | `waiting` | waiting for queues together with other things |
//! | `board`, `lease`, `channel/leasing` | messages that come back if their consumer dies |
//! | `rings` | growing and closing: what follows a ring |
//! | `ring` | which cell is next, and what a death leaves in it |
//! | `channel/words`, `ring/bytes` | the short way of numbers and bytes, when nothing is in the way |
//! | `position` | counting without division |
//! | `tasks`, `joinable` | what was got and is not done |
//! | `sorted`, `segment`, `heap`, `rank`, `priority`, `lifo` | another order than that of the puts |
//! | `simple` | the smallest queue |
//! | `parcel` | values as bytes, behind a cell or in a message of their own |
//!
//! # Limits
//!
//! A queue that holds a message that holds the queue is a cycle of references: while it is in there nobody is told that the
//! other side is gone, and it is freed with the session. A thread that is *stopped* (not killed) in the few
//! instructions between claiming a cell and filling it holds up the receivers until it goes on or is killed. An unbounded queue keeps
//! the memory of its rings, for each message of its high-water mark twice, until it is destroyed. Messages that do not fit into a cell
//! ([`QueueOptions::message_size`]) have memory of their own, which is free again when they were got.
//!
//! # Platform
//!
//! That of [`mp_session`]: nothing here knows the operating system.

mod board;
mod channel;
mod common;
mod deadline;
mod heap;
mod joinable;
mod lease;
mod lifo;
mod options;
mod parcel;
mod position;
mod priority;
mod put_error;
mod queue;
mod rank;
mod receiver;
mod ring;
mod rings;
mod segment;
mod sender;
mod simple;
mod size;
mod sorted;
mod tasks;
mod waiting;

pub use joinable::JoinableQueue;
pub use lease::Lease;
pub use lifo::LifoQueue;
pub use mp_wire::{Error, Message, Result};
pub use options::QueueOptions;
pub use priority::PriorityQueue;
pub use put_error::PutError;
pub use queue::Queue;
pub use rank::{NarrowPriority, Priority};
pub use receiver::{Iter, Receiver};
pub use sender::Sender;
pub use simple::SimpleQueue;

/// An unbounded queue, as its two roles.
///
/// # Errors
///
/// As [`Queue::new`].
pub fn unbounded<T: Message>() -> Result<(Sender<T>, Receiver<T>)> {
    Queue::new().map(Queue::split)
}

/// A queue for at most `capacity` messages, as its two roles.
///
/// # Errors
///
/// As [`Queue::bounded`].
///
/// # Examples
///
/// ```
/// use mp_queue::Error;
///
/// let (sender, _receiver) = mp_queue::bounded(1)?;
/// sender.put(1)?;
/// assert!(sender.is_full());
/// assert_eq!(sender.try_put(2).unwrap_err().error, Error::Full);
/// # Ok::<(), Error>(())
/// ```
pub fn bounded<T: Message>(capacity: usize) -> Result<(Sender<T>, Receiver<T>)> {
    Queue::bounded(capacity).map(Queue::split)
}
