//! Waiting for queues together with other things ([`mp_session::wait()`], [`WaitSet`](mp_session::WaitSet)), and in async tasks.

use mp_session::{Role, Sources, Waitable, ready_in};
use mp_wire::{Message, Result};

use crate::parcel::Parcel;
use crate::{Queue, Receiver, Sender};

/// Ready when a get would not wait: there is a message to be got, or nobody is left to put one, or the queue was closed.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mp_session::WaitSet;
///
/// let queues: Vec<_> = (0..3).map(|_| mp_queue::unbounded::<u32>()).collect::<Result<_, _>>()?;
/// let mut set = WaitSet::new()?;
/// for (token, (_, receiver)) in queues.iter().enumerate() {
///     set.add(token as u64, receiver)?;
/// }
/// queues[1].0.put(7)?;
/// for token in set.wait(Duration::from_secs(1))? {
///     assert_eq!((token, queues[token as usize].1.try_get()), (1, Ok(7)));
/// }
/// # Ok::<(), mp_queue::Error>(())
/// ```
impl<T> Waitable for Receiver<T> {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        to.word(self.channel.object().words().waiters(Role::Second));
    }

    fn is_ready(&self) -> bool {
        self.channel.would_take()
    }
}

/// Ready when a put would not wait: there is room, or nobody is left to get, or the queue was closed. An unbounded queue always is.
impl<T> Waitable for Sender<T> {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        to.word(self.channel.object().words().waiters(Role::First));
    }

    fn is_ready(&self) -> bool {
        !self.channel.is_full() || self.channel.object().holders(Role::Second) == 0
    }
}

/// Ready when a get would not wait, as its [`Receiver`] is; wait for the [`Sender`] to wait for room.
impl<T> Waitable for Queue<T> {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        self.receiver.sources(to);
    }

    fn is_ready(&self) -> bool {
        self.receiver.is_ready()
    }
}

impl<T: Message> Receiver<T> {
    /// [`Receiver::get`] for async tasks, on any runtime.
    ///
    /// A future that is dropped before it is done has taken nothing: it may be raced against others.
    ///
    /// # Errors
    ///
    /// As [`Receiver::get`], and those of [`mp_session::ready`].
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = mp_queue::unbounded()?;
    /// let task = async move { receiver.get_async().await };
    /// sender.put(7)?;
    /// assert_eq!(pollster::block_on(task)?, 7);
    /// # Ok::<(), mp_queue::Error>(())
    /// ```
    pub async fn get_async(&self) -> Result<T> {
        loop {
            if let Some(value) = self.get_now()? {
                return Ok(value);
            }
            ready_in(self.channel.session(), self).await?;
        }
    }

    fn get_now(&self) -> Result<Option<T>> {
        let mut parcel = Parcel::empty();
        if self.channel.take(&mut parcel)? { self.unpack(&parcel).map(Some) } else { Ok(None) }
    }
}

impl<T: Message> Sender<T> {
    /// [`Sender::put`] for async tasks, on any runtime.
    ///
    /// The value is turned into bytes when the future is first polled. A future that is dropped before it is done has put nothing.
    ///
    /// # Errors
    ///
    /// As [`Sender::put`], and those of [`mp_session::ready`].
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = mp_queue::bounded(1)?;
    /// pollster::block_on(sender.put_async("one".to_owned()))?;
    /// assert_eq!(receiver.get()?, "one");
    /// # Ok::<(), mp_queue::Error>(())
    /// ```
    pub async fn put_async(&self, value: T) -> Result<()> {
        let mut parcel = Parcel::empty();
        self.channel.pack(&mut parcel, &value)?;
        drop(value);
        loop {
            // What is in the way of an unbounded queue is another thread that lets it grow.
            let unbounded = self.channel.capacity().is_none();
            if self.channel.put_now(&parcel)? || unbounded && self.channel.try_put(&parcel)? {
                self.channel.announce();
                return Ok(());
            }
            ready_in(self.channel.session(), self).await?;
        }
    }
}

impl<T: Message> Queue<T> {
    /// As [`Receiver::get_async`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn get_async(&self) -> Result<T> {
        self.receiver.get_async().await
    }

    /// As [`Sender::put_async`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn put_async(&self, value: T) -> Result<()> {
        self.sender.put_async(value).await
    }
}
