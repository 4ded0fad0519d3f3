//! A queue whose last message comes first.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use mp_session::{Role, Session, Sources, Waitable, fingerprint, ready_in};
use mp_wire::{Error, Message, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::PutError;
use crate::channel::Deadline;
use crate::parcel::{Parcel, SHORT};
use crate::sorted::Sorted;

/// A queue from which the message that was put last comes first (Python's `queue.LifoQueue`, which `multiprocessing` has only
/// through a manager).
///
/// Any number of processes and threads put and get; a handle has both roles, can be cloned, and sent.
///
/// # If a process dies
///
/// The queue goes on, with all messages whose put had come so far. See `get` for what a consumer takes with it.
///
/// # Examples
///
/// ```
/// let queue = mp_queue::LifoQueue::new()?;
/// queue.put(1)?;
/// queue.put(2)?;
/// assert_eq!((queue.get()?, queue.get()?), (2, 1));
/// # Ok::<(), mp_queue::Error>(())
/// ```
pub struct LifoQueue<T> {
    sorted: Sorted,
    values: PhantomData<fn(T) -> T>,
}

impl<T: Message> LifoQueue<T> {
    /// An unbounded queue in the session of this process.
    ///
    /// # Errors
    ///
    /// [`Error::LimitReached`] when memory is out, and what founding a session may object to if this is the first thing in it.
    pub fn new() -> Result<Self> {
        LifoQueue::make(&Session::current()?, None)
    }

    /// A queue that holds at most `capacity` messages.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a capacity of 0, and as [`LifoQueue::new`].
    pub fn bounded(capacity: usize) -> Result<Self> {
        LifoQueue::make(&Session::current()?, Some(capacity))
    }

    /// A queue in a given session: for tests that play several members.
    #[doc(hidden)]
    pub fn make(session: &Session, capacity: Option<usize>) -> Result<Self> {
        Ok(LifoQueue { sorted: Sorted::make(session, fingerprint::<T>(), capacity)?, values: PhantomData })
    }

    /// Puts a message, and waits for room if there is none.
    ///
    /// The message is turned into bytes here and now: what cannot be sent is an error of this call.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Encode`] or what else a handle in the value objects to, [`Error::LimitReached`] when memory is
    /// out.
    ///
    /// # Blocking
    ///
    /// While a bounded queue is full.
    ///
    /// # If a process dies
    ///
    /// A message is in the queue completely or not at all.
    pub fn put(&self, value: T) -> Result<()> {
        let mut parcel = Parcel::empty();
        parcel.pack(self.sorted.session(), SHORT, &value)?;
        self.sorted.put(&parcel, 0, true, Deadline::Never).map(|_| ())
    }

    /// Puts a message if there is room now.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], and those of [`LifoQueue::put`], with the message.
    pub fn try_put(&self, value: T) -> Result<(), PutError<T>> {
        let mut parcel = Parcel::empty();
        let value = value;
        let put = parcel
            .pack(self.sorted.session(), SHORT, &value)
            .and_then(|()| self.sorted.try_put(&parcel, 0, true));
        match put {
            Ok(true) => Ok(()),
            Ok(false) => Err(PutError { value, error: Error::Full }),
            Err(error) => Err(PutError { value, error }),
        }
    }

    /// Puts a message, and waits for room at most that long.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], and those of [`LifoQueue::put`], with the message.
    ///
    /// # Blocking
    ///
    /// While a bounded queue is full, until the time is up.
    pub fn put_timeout(&self, value: T, timeout: Duration) -> Result<(), PutError<T>> {
        let mut parcel = Parcel::empty();
        let value = value;
        let put = parcel
            .pack(self.sorted.session(), SHORT, &value)
            .and_then(|()| self.sorted.put(&parcel, 0, true, Deadline::In(timeout)));
        match put {
            Ok(true) => Ok(()),
            Ok(false) => Err(PutError { value, error: Error::TimedOut { what: "put".into() } }),
            Err(error) => Err(PutError { value, error }),
        }
    }

    /// Gets the message that was put last, and waits for one if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] when nothing is left in the queue. [`Error::Decode`] if the bytes are no such message; it is gone then.
    ///
    /// # Blocking
    ///
    /// While there is no message.
    ///
    /// # If a process dies
    ///
    /// A consumer killed in the middle of its get took that one message with it at most.
    pub fn get(&self) -> Result<T> {
        // Without a deadline the wait ends with a message or an error; `Empty` does not come to pass.
        self.get_until(Deadline::Never, || Error::Empty)
    }

    /// Gets the message that was put last if there is one now.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`], and those of [`LifoQueue::get`].
    pub fn try_get(&self) -> Result<T> {
        let mut parcel = Parcel::empty();
        if self.sorted.try_get(&mut parcel)? { parcel.unpack() } else { Err(Error::Empty) }
    }

    /// Gets the message that was put last, and waits for one at most that long.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], and those of [`LifoQueue::get`].
    ///
    /// # Blocking
    ///
    /// As [`LifoQueue::get`], until the time is up.
    pub fn get_timeout(&self, timeout: Duration) -> Result<T> {
        self.get_until(Deadline::In(timeout), || Error::TimedOut { what: "get".into() })
    }

    /// All messages until the queue is closed and drained.
    ///
    /// # Blocking
    ///
    /// Each step as [`LifoQueue::get`].
    pub fn iter(&self) -> impl Iterator<Item = Result<T>> + '_ {
        std::iter::from_fn(|| match self.get() {
            Err(Error::Closed { .. }) => None,
            // A message that cannot be read is not the end.
            other => Some(other),
        })
    }

    /// [`LifoQueue::get`] for async tasks, on any runtime.
    ///
    /// # Errors
    ///
    /// As there, and those of [`mp_session::ready`].
    pub async fn get_async(&self) -> Result<T> {
        loop {
            match self.try_get() {
                Err(Error::Empty) => ready_in(self.sorted.session(), self).await?,
                other => return other,
            }
        }
    }

    fn get_until(&self, deadline: Deadline, late: impl FnOnce() -> Error) -> Result<T> {
        let mut parcel = Parcel::empty();
        if self.sorted.get(&mut parcel, deadline)? { parcel.unpack() } else { Err(late()) }
    }
}

impl<T> LifoQueue<T> {
    /// How many messages are in the queue.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there is no message in the queue.
    pub fn is_empty(&self) -> bool {
        self.sorted.len() == 0
    }

    /// Whether a put would have to wait. An unbounded queue never is.
    pub fn is_full(&self) -> bool {
        self.sorted.capacity().is_some_and(|n| self.sorted.len() >= n)
    }

    /// How many messages it can hold; `None` if it is unbounded.
    pub fn capacity(&self) -> Option<usize> {
        self.sorted.capacity()
    }

    /// Whether somebody closed it. There may be messages in it all the same.
    pub fn is_closed(&self) -> bool {
        self.sorted.is_closed()
    }

    /// Closes the queue for everybody: no more puts, and gets until it is drained.
    ///
    /// # Errors
    ///
    /// [`Error::ForeignFork`] in a process that does not take part in the session.
    pub fn close(&self) -> Result<()> {
        self.sorted.close()
    }
}

/// Ready when a get would not wait.
impl<T> Waitable for LifoQueue<T> {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        to.word(self.sorted.object().words().waiters(Role::Second));
    }

    fn is_ready(&self) -> bool {
        self.sorted.would_get()
    }
}

impl<T> Clone for LifoQueue<T> {
    fn clone(&self) -> Self {
        LifoQueue { sorted: self.sorted.clone(), values: PhantomData }
    }
}

impl<T> fmt::Debug for LifoQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slot, generation) = self.sorted.object().id();
        write!(f, "LifoQueue({slot}.{generation}, {} messages)", self.len())
    }
}

impl<T> Serialize for LifoQueue<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.sorted.serialize(to)
    }
}

impl<'de, T: 'static> Deserialize<'de> for LifoQueue<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let sorted = Sorted::deserialize(from, fingerprint::<T>())?;
        Ok(LifoQueue { sorted, values: PhantomData })
    }
}
