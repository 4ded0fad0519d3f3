//! The receiving role.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use mp_session::{Object, Role, fingerprint};
use mp_wire::{Departure, Error, Message, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Lease;
use crate::channel::{Channel, Deadline};
use crate::common::common_methods;
use crate::parcel::Parcel;

/// The role of a queue that gets messages out of it.
///
/// It can be cloned, used by many threads at once, and sent to other processes inside messages and arguments; each message
/// goes to one of the receivers. When the last of them is gone, dropped or dead with its process, puts
/// fail with [`Error::Disconnected`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let (sender, receiver) = mp_queue::bounded(10)?;
/// assert!(receiver.get_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
/// sender.put((1, "one".to_owned()))?;
/// assert_eq!(receiver.get()?, (1, "one".to_owned()));
/// drop(sender);
/// assert!(receiver.get().unwrap_err().is_closed());
/// # Ok::<(), mp_queue::Error>(())
/// ```
pub struct Receiver<T> {
    pub(crate) channel: Channel,
    pub(crate) values: PhantomData<fn(T) -> T>,
}

impl<T: Message> Receiver<T> {
    /// Gets a message, and waits for one if there is none (Python's `get`).
    ///
    /// Messages of one sending thread come in the order in which it put them.
    ///
    /// # Errors
    ///
    /// When nothing is left in the queue: [`Error::Closed`], or [`Error::Disconnected`] if no sender is left, with the process that died
    /// last as one of its users. [`Error::Decode`] if the bytes are no `T`; that message is gone then.
    ///
    /// # Blocking
    ///
    /// While there is no message, and while the next one is still being written.
    ///
    /// # If a process dies
    ///
    /// A sender killed in the middle of its put leaves nothing behind, and the next message comes. A receiver
    /// killed in the middle of its get took one message with it at most; if it had not got so far, another gets that message, perhaps
    /// later than messages that were put after it.
    pub fn get(&self) -> Result<T> {
        // Without a deadline the wait ends with a message or an error; `Empty` does not come to pass.
        self.receive(Deadline::Never, || Error::Empty)
    }

    /// Gets a message if there is one now (Python's `get_nowait`).
    ///
    /// # Errors
    ///
    /// [`Error::Empty`], and those of [`Receiver::get`].
    pub fn try_get(&self) -> Result<T> {
        if let Some(word) = self.take_word() {
            return word;
        }
        let mut parcel = Parcel::empty();
        if self.channel.try_take(&mut parcel)? { self.unpack(&parcel) } else { Err(Error::Empty) }
    }

    /// Gets a message, and waits for one at most that long (Python's `get(timeout=...)`).
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], and those of [`Receiver::get`].
    ///
    /// # Blocking
    ///
    /// As [`Receiver::get`], until the time is up.
    pub fn get_timeout(&self, timeout: Duration) -> Result<T> {
        self.receive(Deadline::In(timeout), || Error::TimedOut { what: "get".into() })
    }

    /// Gets at least one message, for which it waits, and up to `max` of those that are there.
    ///
    /// # Errors
    ///
    /// As [`Receiver::get`]. If a message cannot be read, it is gone, and with it those that this call took before.
    ///
    /// # Blocking
    ///
    /// As [`Receiver::get`].
    ///
    /// # Examples
    ///
    /// ```
    /// let queue = mp_queue::Queue::new()?;
    /// queue.put_many(0..10)?;
    /// assert_eq!(queue.get_many(4)?, [0, 1, 2, 3]);
    /// assert_eq!(queue.get_many(100)?.len(), 6);
    /// # Ok::<(), mp_queue::Error>(())
    /// ```
    pub fn get_many(&self, max: usize) -> Result<Vec<T>> {
        /// Room made at first: more is made for who gets more.
        const AT_ONCE: usize = 128;
        if max == 0 {
            return Ok(Vec::new());
        }
        let mut values = Vec::with_capacity(max.min(AT_ONCE));
        let mut trouble = None;
        let mut taken = 0;
        let mut parcel = Parcel::empty();
        let mut more = self.channel.wait_take(&mut parcel, Deadline::Never)?;
        while more {
            taken += 1;
            match self.channel.unpack(&parcel) {
                Ok(value) => values.push(value),
                Err(e) => {
                    trouble = Some(e);
                    break;
                }
            }
            while mp_wire::is_word::<T>() && taken < max {
                let Some(word) = self.channel.take_word_quietly() else { break };
                taken += 1;
                match self.word_value(word) {
                    Ok(value) => values.push(value),
                    Err(error) => trouble = Some(error),
                }
            }
            if trouble.is_some() {
                break;
            }
            // An error of the queue is no reason to lose what is here; the next call says it again.
            more = taken < max && self.channel.take(&mut parcel).unwrap_or(false);
        }
        self.channel.make_known_taken(taken);
        trouble.map_or(Ok(values), Err)
    }

    /// Gets a message that comes back if this process dies before the [`Lease`] is dropped, or if it is dropped by a panic.
    ///
    /// At most 256 messages of a queue can be leased at a time. While other processes have leases the end of the queue is not told: what
    /// they have may come back.
    ///
    /// # Errors
    ///
    /// As [`Receiver::get`], and [`Error::LimitReached`] if too many are leased. A message that cannot be read is gone.
    ///
    /// # Blocking
    ///
    /// As [`Receiver::get`].
    pub fn get_leased(&self) -> Result<Lease<T>> {
        self.lease(Some(Deadline::Never), || Error::Empty)
    }

    /// [`Receiver::get_leased`] if there is a message now.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`], and those of [`Receiver::get_leased`].
    pub fn try_get_leased(&self) -> Result<Lease<T>> {
        self.lease(None, || Error::Empty)
    }

    /// [`Receiver::get_leased`], waiting at most that long.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`], and those of [`Receiver::get_leased`].
    ///
    /// # Blocking
    ///
    /// As [`Receiver::get`], until the time is up.
    pub fn get_leased_timeout(&self, timeout: Duration) -> Result<Lease<T>> {
        self.lease(Some(Deadline::In(timeout)), || Error::TimedOut { what: "get".into() })
    }

    fn lease(&self, deadline: Option<Deadline>, late: impl FnOnce() -> Error) -> Result<Lease<T>> {
        let Some(place) = self.channel.lease(deadline)? else { return Err(late()) };
        let mut parcel = Parcel::empty();
        // If it cannot be read, dropping the place says that it was dealt with.
        self.channel.read_lease(place.index, &mut parcel)?;
        Ok(Lease::new(parcel.unpack()?, place))
    }

    /// All messages until the end of the queue.
    ///
    /// It ends when the queue was closed, or when all senders have left in good order, and nothing is left to get. If a process that
    /// used the queue died in another way than by exiting with code 0, the last item is that [`Error::Disconnected`]: what came may not
    /// be all that was meant to come.
    ///
    /// # Blocking
    ///
    /// Each step as [`Receiver::get`].
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = mp_queue::unbounded()?;
    /// sender.put_many(1..=4)?;
    /// drop(sender);
    /// let mut sum = 0;
    /// for number in receiver.iter() {
    ///     sum += number?;
    /// }
    /// assert_eq!(sum, 10);
    /// # Ok::<(), mp_queue::Error>(())
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self, ended: false }
    }

    #[inline]
    fn receive(&self, deadline: Deadline, late: impl FnOnce() -> Error) -> Result<T> {
        match self.take_word() {
            Some(word) => word,
            None => self.receive_parcel(deadline, late),
        }
    }

    /// A value that is a word or bytes, if one is there and nothing in the way.
    #[inline]
    fn take_word(&self) -> Option<Result<T>> {
        if !mp_wire::is_word::<T>() {
            let value = self.channel.take_bytes_quietly()?;
            self.channel.make_known_taken(1);
            return Some(value);
        }
        self.channel.take_word().map(|word| self.word_value(word))
    }

    #[inline]
    fn word_value(&self, word: (u64, usize)) -> Result<T> {
        match mp_wire::decode_word(word.0, word.1) {
            Some(value) => Ok(value),
            // Bits that are no such value: in the words that decoding has for it.
            None => {
                let mut parcel = Parcel::empty();
                parcel.set_word(word);
                self.channel.unpack(&parcel)
            }
        }
    }

    fn receive_parcel(&self, deadline: Deadline, late: impl FnOnce() -> Error) -> Result<T> {
        let mut parcel = Parcel::empty();
        if self.channel.wait_take(&mut parcel, deadline)? { self.unpack(&parcel) } else { Err(late()) }
    }

    #[inline]
    pub(crate) fn unpack(&self, parcel: &Parcel) -> Result<T> {
        self.channel.make_known_taken(1);
        self.channel.unpack(parcel)
    }
}

/// The messages of a queue until its end: see [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
    ended: bool,
}

impl<T: Message> Iterator for Iter<'_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        if self.ended {
            return None;
        }
        match self.receiver.get() {
            Err(e) if e.is_closed() => {
                self.ended = true;
                (!in_good_order(&e)).then_some(Err(e))
            }
            // A message that cannot be read is not the end.
            other => Some(other),
        }
    }
}

impl<T: Message> std::iter::FusedIterator for Iter<'_, T> {}

impl<'a, T: Message> IntoIterator for &'a Receiver<T> {
    type Item = Result<T>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

fn in_good_order(end: &Error) -> bool {
    match end {
        Error::Disconnected { who, how, .. } => match how {
            None => who.is_none(),
            Some(how) => matches!(how, Departure::Returned | Departure::Exited(0)),
        },
        _ => true,
    }
}

common_methods!(Receiver, channel);

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Receiver { channel: self.channel.clone(), values: PhantomData }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({:?})", self.channel)
    }
}

impl<T> Serialize for Receiver<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.channel.object().serialize(to)
    }
}

impl<'de, T: 'static> Deserialize<'de> for Receiver<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let object = Object::deserialize(from)?;
        Channel::open(object, fingerprint::<T>(), Role::Second)
            .map(|channel| Receiver { channel, values: PhantomData })
            .map_err(|e| de::Error::custom(carrier::refuse(e)))
    }
}
