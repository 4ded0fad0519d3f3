//! Both roles in one handle.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use mp_session::{Session, fingerprint};
use mp_wire::{Message, Result};
use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::common::common_methods;
use crate::receiver::Iter;
use crate::ring::stride_for;
use crate::{Lease, PutError, QueueOptions, Receiver, Sender};

/// A many-to-many message queue (Python's `multiprocessing.Queue`): any number of processes and threads put, and any number get.
///
/// It can be cloned, and sent to other processes inside messages and arguments. It holds both roles, so as long
/// as anybody has a `Queue`, nobody is told [`Error::Disconnected`](crate::Error::Disconnected); where that is wanted, use [`Queue::split`] or the
/// functions [`unbounded`](crate::unbounded) and [`bounded`](crate::bounded).
///
/// # If a process dies
///
/// The queue goes on. See [`Sender::put`] and [`Receiver::get`] for what a death in the middle of them leaves.
///
/// # Examples
///
/// ```
/// use mp_queue::Queue;
///
/// let queue = Queue::bounded(100)?;
/// let worker = {
///     let queue = queue.clone(); // or send it to a process
///     std::thread::spawn(move || queue.put(vec![1.5, 2.5]))
/// };
/// assert_eq!(queue.get()?, [1.5, 2.5]);
/// worker.join().unwrap()?;
/// # Ok::<(), mp_queue::Error>(())
/// ```
#[derive(Serialize, Deserialize)]
#[serde(bound = "T: 'static", from = "Roles<T>")]
pub struct Queue<T> {
    pub(crate) sender: Sender<T>,
    pub(crate) receiver: Receiver<T>,
}

/// A queue as it arrives.
#[derive(Deserialize)]
#[serde(bound = "T: 'static")]
struct Roles<T> {
    sender: Sender<T>,
    receiver: Receiver<T>,
}

impl<T> From<Roles<T>> for Queue<T> {
    fn from(Roles { sender, receiver }: Roles<T>) -> Self {
        // One view of the rings does for both.
        let channel = receiver.channel.with_rings_of(&sender.channel);
        Queue { sender, receiver: Receiver { channel, values: PhantomData } }
    }
}

impl<T: Message> Queue<T> {
    /// An unbounded queue in the session of this process.
    ///
    /// # Errors
    ///
    /// [`Error::LimitReached`](crate::Error::LimitReached) when memory is out, and what founding a session may object to if this is the first thing in it.
    pub fn new() -> Result<Self> {
        Queue::make(&Session::current()?, None)
    }

    /// A queue that holds at most `capacity` messages.
    ///
    /// Room for that many small messages is set aside at once: 16 bytes for each number, and up to 128 for other types.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a capacity of 0, and as [`Queue::new`].
    pub fn bounded(capacity: usize) -> Result<Self> {
        Queue::make(&Session::current()?, Some(capacity))
    }

    /// A queue in a given session: for tests that play several members.
    #[doc(hidden)]
    pub fn make(session: &Session, capacity: Option<usize>) -> Result<Self> {
        Queue::make_as(session, QueueOptions { capacity, ..QueueOptions::new() })
    }

    /// The same with all options.
    #[doc(hidden)]
    pub fn make_as(session: &Session, options: QueueOptions) -> Result<Self> {
        options.check()?;
        let stride = stride_for(options.message_size.unwrap_or_else(usual_size::<T>));
        let (senders, receivers) = Channel::make(session, fingerprint::<T>(), options, stride)?;
        Ok(Queue {
            sender: Sender { channel: senders, values: PhantomData },
            receiver: Receiver { channel: receivers, values: PhantomData },
        })
    }

    /// As [`Sender::put`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn put(&self, value: T) -> Result<()> {
        self.sender.put(value)
    }

    /// As [`Sender::try_put`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_put(&self, value: T) -> Result<(), PutError<T>> {
        self.sender.try_put(value)
    }

    /// As [`Sender::put_timeout`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn put_timeout(&self, value: T, timeout: Duration) -> Result<(), PutError<T>> {
        self.sender.put_timeout(value, timeout)
    }

    /// As [`Sender::put_many`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn put_many(&self, values: impl IntoIterator<Item = T>) -> Result<()> {
        self.sender.put_many(values)
    }

    /// As [`Receiver::get`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn get(&self) -> Result<T> {
        self.receiver.get()
    }

    /// As [`Receiver::try_get`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_get(&self) -> Result<T> {
        self.receiver.try_get()
    }

    /// As [`Receiver::get_timeout`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn get_timeout(&self, timeout: Duration) -> Result<T> {
        self.receiver.get_timeout(timeout)
    }

    /// As [`Receiver::get_many`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn get_many(&self, max: usize) -> Result<Vec<T>> {
        self.receiver.get_many(max)
    }

    /// As [`Receiver::get_leased`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn get_leased(&self) -> Result<Lease<T>> {
        self.receiver.get_leased()
    }

    /// As [`Receiver::try_get_leased`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_get_leased(&self) -> Result<Lease<T>> {
        self.receiver.try_get_leased()
    }

    /// As [`Receiver::get_leased_timeout`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn get_leased_timeout(&self, timeout: Duration) -> Result<Lease<T>> {
        self.receiver.get_leased_timeout(timeout)
    }

    /// As [`Receiver::iter`]. As this handle is a sender, too, only [`Queue::close`] ends it.
    pub fn iter(&self) -> Iter<'_, T> {
        self.receiver.iter()
    }
}

impl<T> Queue<T> {
    /// A handle for the sending role alone.
    pub fn sender(&self) -> Sender<T> {
        self.sender.clone()
    }

    /// A handle for the receiving role alone.
    pub fn receiver(&self) -> Receiver<T> {
        self.receiver.clone()
    }

    /// The two roles, each by itself.
    pub fn split(self) -> (Sender<T>, Receiver<T>) {
        (self.sender, self.receiver)
    }
}

/// How many bytes a message of the type has, as a rule: those that are larger have memory of their own. Values with memory of
/// their own (text, vectors) are taken to be shorter than two cache lines, others for what they are, with some more for
/// numbers of variable length.
fn usual_size<T: 'static>() -> usize {
    const LONG: usize = 120;
    match size_of::<T>() {
        _ if std::mem::needs_drop::<T>() => LONG,
        size @ 0..=8 if mp_wire::is_plain::<T>() => size,
        size => (size + size.div_ceil(4) + 1).min(LONG),
    }
}

common_methods!(Queue, sender.channel);

impl<'a, T: Message> IntoIterator for &'a Queue<T> {
    type Item = Result<T>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Queue { sender: self.sender.clone(), receiver: self.receiver.clone() }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({:?})", self.sender.channel)
    }
}
