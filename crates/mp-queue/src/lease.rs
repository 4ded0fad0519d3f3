//! A message that comes back if its consumer does not live to deal with it.

use std::fmt;
use std::ops::{Deref, DerefMut};

use mp_wire::{Message, Result};

use crate::channel::Channel;

/// A message that was got and stays in the queue's care until this is dropped.
///
/// Dropping it says that the message was dealt with. If the process dies before that, or the lease is dropped by a panic, another
/// consumer gets the message, perhaps later than messages that were put after it. So no message is lost with a consumer, and one may be
/// dealt with twice: by a consumer that died just before it could say so, and by the next.
///
/// The lease belongs to its process and may go from thread to thread. A lease that is leaked (`mem::forget`) keeps its message
/// until the process ends.
///
/// # Examples
///
/// ```
/// let queue = mp_queue::Queue::new()?;
/// queue.put_many([1, 2])?;
/// let one = queue.get_leased()?;
/// assert_eq!((*one, queue.len()), (1, 1));
/// one.give_back()?; // for somebody else
/// assert_eq!(queue.get()?, 1);
/// drop(queue.get_leased()?); // dealt with
/// assert!(queue.is_empty());
/// # Ok::<(), mp_queue::Error>(())
/// ```
#[must_use = "the message is dealt with when this is dropped"]
pub struct Lease<T> {
    value: T,
    place: Place,
}

/// The place on the board, and what is to be done with it.
pub(crate) struct Place {
    pub(crate) channel: Channel,
    pub(crate) index: u64,
    pub(crate) settled: bool,
}

impl<T: Message> Lease<T> {
    pub(crate) fn new(value: T, place: Place) -> Lease<T> {
        Lease { value, place }
    }

    /// Says that the message was dealt with, as dropping does, and keeps the value.
    ///
    /// # Errors
    ///
    /// [`Error::LimitReached`](crate::Error::LimitReached) when memory is out; the message comes back when this process ends.
    pub fn done(mut self) -> Result<T> {
        self.place.settled = true;
        self.place.channel.settle_lease(self.place.index)?;
        Ok(self.value)
    }

    /// Gives the message back: the next consumer gets it. Changes to the value are lost.
    ///
    /// # Errors
    ///
    /// [`Error::ForeignFork`](crate::Error::ForeignFork) in a process that does not take part in the session.
    pub fn give_back(mut self) -> Result<()> {
        self.place.settled = true;
        self.place.channel.return_lease(self.place.index)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // In a child of somebody else's `fork` it is not ours to say.
        if self.settled || !self.channel.session().is_member() {
            return;
        }
        let dropped = if std::thread::panicking() {
            self.channel.return_lease(self.index)
        } else {
            self.channel.settle_lease(self.index)
        };
        // What cannot be done here (memory is out) is as if we had died: it comes back when this process ends.
        drop(dropped);
    }
}

impl<T> Deref for Lease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Lease<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Lease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&self.value).finish()
    }
}
