//! The sending role.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use mp_session::{Object, Role, fingerprint};
use mp_wire::{Error, Message, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::PutError;
use crate::channel::{Channel, Deadline};
use crate::common::common_methods;
use crate::parcel::Parcel;

/// The role of a queue that puts messages into it.
///
/// It can be cloned, used by many threads at once, and sent to other processes inside messages and arguments. When the
/// last sender is gone, dropped or dead with its process, the receivers get what is left and then
/// [`Error::Disconnected`].
///
/// # Examples
///
/// ```
/// let (sender, receiver) = mp_queue::unbounded()?;
/// let copy = sender.clone();
/// std::thread::spawn(move || copy.put("from a thread".to_owned())).join().unwrap()?;
/// sender.put("from here".to_owned())?;
/// drop(sender);
/// let got: Result<Vec<String>, _> = receiver.iter().collect();
/// assert_eq!(got?, ["from a thread", "from here"]);
/// # Ok::<(), mp_queue::Error>(())
/// ```
pub struct Sender<T> {
    pub(crate) channel: Channel,
    pub(crate) values: PhantomData<fn(T) -> T>,
}

impl<T: Message> Sender<T> {
    /// Puts a message, and waits for room if there is none (Python's `put`).
    ///
    /// The value is turned into bytes here and now: what cannot be sent is an error of this call. If the message holds
    /// handles, their objects live on as long as the message does.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::Disconnected`] if no receiver is left, [`Error::Encode`] or what else a handle in the
    /// value objects to, [`Error::LimitReached`] when memory is out. The value is lost then; [`Sender::try_put`] and
    /// [`Sender::put_timeout`] give it back.
    ///
    /// # Blocking
    ///
    /// While a bounded queue is full.
    ///
    /// # If a process dies
    ///
    /// A message is in the queue completely or not at all. Who waits for room behind a consumer that was killed in
    /// the middle of its get goes on as soon as that is cleared up.
    pub fn put(&self, value: T) -> Result<()> {
        if self.channel.put_plain(&value) {
            return Ok(());
        }
        self.put_parcel(&value)
    }

    fn put_parcel(&self, value: &T) -> Result<()> {
        let mut parcel = Parcel::empty();
        self.channel.pack(&mut parcel, value)?;
        self.send(&parcel, Deadline::Never).map(|_| ())
    }

    /// Puts a message if there is room now (Python's `put_nowait`).
    ///
    /// # Errors
    ///
    /// [`Error::Full`], and those of [`Sender::put`], with the value.
    pub fn try_put(&self, value: T) -> Result<(), PutError<T>> {
        if self.channel.put_plain(&value) {
            return Ok(());
        }
        let mut parcel = Parcel::empty();
        let put = self.channel.pack(&mut parcel, &value).and_then(|()| self.channel.try_put(&parcel));
        match put {
            Ok(true) => {
                self.channel.announce();
                Ok(())
            }
            Ok(false) => Err(PutError { value, error: Error::Full }),
            Err(error) => Err(PutError { value, error }),
        }
    }

    /// Puts a message, and waits for room at most that long (Python's `put(timeout=...)`).
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], and those of [`Sender::put`], with the value.
    ///
    /// # Blocking
    ///
    /// While a bounded queue is full, until the time is up.
    pub fn put_timeout(&self, value: T, timeout: Duration) -> Result<(), PutError<T>> {
        if self.channel.put_plain(&value) {
            return Ok(());
        }
        let mut parcel = Parcel::empty();
        let put =
            self.channel.pack(&mut parcel, &value).and_then(|()| self.send(&parcel, Deadline::In(timeout)));
        match put {
            Ok(true) => Ok(()),
            Ok(false) => Err(PutError { value, error: Error::TimedOut { what: "put".into() } }),
            Err(error) => Err(PutError { value, error }),
        }
    }

    /// Puts all of them in order, and waits for room as often as there is none. Receivers are woken once in a while rather than
    /// for each.
    ///
    /// # Errors
    ///
    /// As [`Sender::put`]; what came before the error is in the queue.
    ///
    /// # Blocking
    ///
    /// While a bounded queue is full.
    pub fn put_many(&self, values: impl IntoIterator<Item = T>) -> Result<()> {
        /// Messages after which receivers are told at the latest: the iterator may take its time.
        const BATCH: usize = 64;
        /// Tells them also if the iterator panics.
        struct Untold<'a>(&'a Channel, usize);
        impl Untold<'_> {
            fn tell(&mut self) {
                if self.1 > 0 {
                    self.0.announce_many(self.1);
                    self.1 = 0;
                }
            }
        }
        impl Drop for Untold<'_> {
            fn drop(&mut self) {
                self.tell();
            }
        }
        let mut untold = Untold(&self.channel, 0);
        for value in values {
            if !self.channel.put_plain_quietly(&value, false) {
                let mut parcel = Parcel::empty();
                self.channel.pack(&mut parcel, &value)?;
                if !self.channel.put_quietly(&parcel)? {
                    untold.tell(); // or nobody makes room
                    self.send(&parcel, Deadline::Never)?;
                    continue;
                }
            }
            untold.1 += 1;
            if untold.1 == BATCH {
                untold.tell();
            }
        }
        Ok(())
    }

    #[inline]
    fn send(&self, parcel: &Parcel, deadline: Deadline) -> Result<bool> {
        let put = self.channel.put_now(parcel)? || self.channel.wait_put(parcel, deadline)?;
        if put {
            self.channel.announce();
        }
        Ok(put)
    }
}

common_methods!(Sender, channel);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender { channel: self.channel.clone(), values: PhantomData }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sender({:?})", self.channel)
    }
}

impl<T> Serialize for Sender<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.channel.object().serialize(to)
    }
}

impl<'de, T: 'static> Deserialize<'de> for Sender<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let object = Object::deserialize(from)?;
        Channel::open(object, fingerprint::<T>(), Role::First)
            .map(|channel| Sender { channel, values: PhantomData })
            .map_err(|e| de::Error::custom(carrier::refuse(e)))
    }
}
