//! The smallest queue.

use std::fmt;

use mp_session::{Session, Sources, Waitable};
use mp_wire::{Message, Result};
use serde::{Deserialize, Serialize};

use crate::Queue;

/// A queue with nothing but putting and getting (Python's `SimpleQueue`): unbounded, so that a put never waits.
///
/// It is a [`Queue`] that promises less; `Queue::from` makes one of it.
///
/// # If a process dies
///
/// As with a [`Queue`].
///
/// # Examples
///
/// ```
/// let queue = mp_queue::SimpleQueue::new()?;
/// queue.put(1)?;
/// assert!(!queue.is_empty());
/// assert_eq!(queue.get()?, 1);
/// # Ok::<(), mp_queue::Error>(())
/// ```
#[derive(Serialize, Deserialize)]
#[serde(bound = "T: 'static", transparent)]
pub struct SimpleQueue<T>(Queue<T>);

impl<T: Message> SimpleQueue<T> {
    /// A queue in the session of this process.
    ///
    /// # Errors
    ///
    /// As [`Queue::new`].
    pub fn new() -> Result<Self> {
        Queue::make(&Session::current()?, None).map(SimpleQueue)
    }

    /// Puts a message. It is turned into bytes here and now, and is in the queue when this returns.
    ///
    /// # Errors
    ///
    /// As [`Queue::put`].
    pub fn put(&self, value: T) -> Result<()> {
        self.0.put(value)
    }

    /// Gets a message, and waits for one if there is none.
    ///
    /// # Errors
    ///
    /// As [`Queue::get`].
    ///
    /// # Blocking
    ///
    /// While there is no message.
    pub fn get(&self) -> Result<T> {
        self.0.get()
    }
}

impl<T> SimpleQueue<T> {
    /// Whether there is no message in the queue (Python's `empty`).
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Closes the queue for everybody, as [`Queue::close`]. (Python's `close` closes the caller's end alone: that is to drop the handle.)
    ///
    /// # Errors
    ///
    /// As there.
    pub fn close(&self) -> Result<()> {
        self.0.close()
    }
}

impl<T> From<SimpleQueue<T>> for Queue<T> {
    fn from(simple: SimpleQueue<T>) -> Queue<T> {
        simple.0
    }
}

/// Ready when a get would not wait.
impl<T> Waitable for SimpleQueue<T> {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        self.0.sources(to);
    }

    fn is_ready(&self) -> bool {
        self.0.is_ready()
    }
}

impl<T> Clone for SimpleQueue<T> {
    fn clone(&self) -> Self {
        SimpleQueue(self.0.clone())
    }
}

impl<T> fmt::Debug for SimpleQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimpleQueue({:?})", self.0.sender.channel)
    }
}
