//! `RwLock<T>`: a value in shared memory, one writer or many readers.
//!
//! # Protocol
//!
//! The lock word of the crate's essay belongs to writers. Each reader has a place of its own (`rwlock/readers.rs`), in which it
//! writes its name.
//!
//! - A *reader* writes its name into its place and then looks at the lock word. If the word is zero, it reads. If not, it takes its
//!   name out again and goes by way of the lock: it waits for it as a writer does (so it does not starve either), writes its name
//!   while it has it, and gives it back.
//! - A *writer* takes the lock and then waits until every place is empty. Readers that come meanwhile find the lock taken, so it
//!   does not starve.
//! - A reader that reads already may do so again at any time: it is in nobody's way who is not waiting for it anyway.
//!
//! *reader-or-writer*: both announce themselves and then look for the other, sequentially consistent: at least one sees the other, and
//! if both do, the reader goes back.
//!
//! | who dies | when | what the others see |
//! |---|---|---|
//! | a reader | its name in its place | a writer that waits for it clears the place, when the death is certain |
//! | | while it has the lock to get in | `PASSING` in the lock word: it is taken over without news, for nothing was changed |
//! | a writer | with the lock | its name in the word; one takes over, with the news, also if the writer was waiting for readers yet |
//! | | after it gave it back | a free lock, and sleepers who are made to look |
//! | one that waits | any time | as with every lock |

use std::fmt;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use mp_session::primitive::Ordering::{Relaxed, SeqCst};
use mp_session::{Blueprint, Kind, Object, Session, Shape, ThreadId, layout_fingerprint};
use mp_wire::{Error, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::plain::Plain;
use crate::raw::{Patience, RawLock, Taken};
use crate::word::Word;
use crate::{LockError, OwnerDied};

mod guards;
mod readers;

pub use guards::{RwLockReadGuard, RwLockWriteGuard};
use readers::{Entry, Readers, WORDS, reader};

/// A value in the session's memory that many threads, of any processes, read at once, or one changes.
///
/// Python has no counterpart; it is what [`std::sync::RwLock`] is for threads. `T` is [`Plain`] data. An `RwLock` is a handle: clones, and
/// copies that were sent to other processes, are the same lock with the same value.
///
/// # If a process dies
/// If it was reading, nothing happens but that it reads no more. If it was writing, or was about to, the next one gets
/// [`LockError::OwnerDied`], as with a [`Mutex`](crate::Mutex), until a writer has
/// [marked the value consistent](RwLockWriteGuard::mark_consistent).
///
/// # Leaking a guard
/// As with a [`Mutex`](crate::Mutex): it holds the lock as long as its process lives.
///
/// # Fairness
/// Writers keep out readers that come after them. Readers that have to wait do so as writers do. None starves. A thread that reads may
/// read again, whoever waits.
///
/// # Examples
///
/// ```
/// let rates = mp_sync::RwLock::new([1.0_f64; 8])?;
/// {
///     let one = rates.read()?;
///     let two = rates.read()?;
///     assert_eq!(one[0], two[7]);
///     assert!(rates.try_write().is_err(), "this thread is reading");
/// }
/// rates.write()?[0] = 1.25;
/// assert_eq!(rates.read()?[0], 1.25);
/// # Ok::<(), mp_sync::Error>(())
/// ```
pub struct RwLock<T: Plain> {
    pub(crate) raw: RawLock,
    readers: Readers,
    value: NonNull<T>,
}

// SAFETY: the pointer is to session memory, which any thread may use, and which stays as long as the object in `raw`; the
// value behind it is plain data, changed only by the holder of the lock, when nobody reads.
unsafe impl<T: Plain> Send for RwLock<T> {}
// SAFETY: as above.
unsafe impl<T: Plain> Sync for RwLock<T> {}

/// The alignment of every block of the session, and so of the value, which begins at a multiple of it.
const BLOCK_ALIGN: usize = 64;
const VALUE_AT: usize = WORDS * 8;
const _: () = assert!(VALUE_AT.is_multiple_of(BLOCK_ALIGN));

impl<T: Plain> RwLock<T> {
    fn plan() -> Blueprint {
        const { assert!(align_of::<T>() <= BLOCK_ALIGN, "the session's blocks are aligned to 64 bytes") };
        let size = (VALUE_AT + size_of::<T>()) as u64;
        Blueprint { kind: Kind::RW_LOCK, fingerprint: layout_fingerprint::<T>(), shape: Shape::Plain, size }
    }

    /// A lock around `value`, in this process's session.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when the session has no room, and what [`Session::current`] returns.
    pub fn new(value: T) -> Result<RwLock<T>> {
        RwLock::new_in(&Session::current()?, value)
    }

    /// A lock around `value`, in that session.
    ///
    /// # Errors
    /// As [`RwLock::new`].
    pub fn new_in(session: &Session, value: T) -> Result<RwLock<T>> {
        RwLock::make(session, "", value)
    }

    /// A lock with a name (31 bytes of it are kept) that appears in [`Error::Deadlock`], in [`Session::report`] and in `Debug`.
    ///
    /// # Errors
    /// As [`RwLock::new`].
    pub fn named(name: &str, value: T) -> Result<RwLock<T>> {
        RwLock::make(&Session::current()?, name, value)
    }

    /// The name that it was made with.
    pub fn name(&self) -> Option<String> {
        self.raw.object().label()
    }

    fn make(session: &Session, name: &str, value: T) -> Result<RwLock<T>> {
        let raw = RawLock::create_named(session, Self::plan(), name, true, |bytes| {
            if let Some(bytes) = bytes {
                // SAFETY: the block has room for the words and, at a place that is aligned for it, a `T`; it is ours alone until
                // `create` returns.
                unsafe {
                    bytes.write_bytes(0, VALUE_AT);
                    bytes.add(VALUE_AT).cast::<T>().write(value);
                }
            }
        })?;
        RwLock::of(raw)
    }

    fn of(raw: RawLock) -> Result<RwLock<T>> {
        let value = match raw.object().bytes() {
            // SAFETY: the block is that large.
            Some((bytes, size)) if size >= Self::plan().size => unsafe { bytes.add(VALUE_AT).cast() },
            _ => return Err(Error::Layout { detail: "an RwLock without room for its value".into() }),
        };
        Ok(RwLock { readers: Readers::of(&raw), raw, value })
    }

    /// Reads until the guard is dropped; at once if this thread reads already.
    ///
    /// # Errors
    /// [`LockError::OwnerDied`] when a writer died and nobody has repaired the value since: the guard in the error reads all
    /// the same. Otherwise [`LockError::Failed`], with [`Error::InvalidArgument`] when this thread is writing,
    /// [`Error::LimitReached`] and [`Error::ForeignFork`] as [`Session::thread_id`].
    ///
    /// # Blocking
    /// As long as somebody writes, or waits to write.
    // Not inlined, the guard comes back by way of memory, and in two parts: see `RLock::lock`.
    #[inline(always)]
    pub fn read(&self) -> Result<RwLockReadGuard<'_, T>, LockError<RwLockReadGuard<'_, T>>> {
        // Endless patience ends with the lock or an error.
        loop {
            if let Some(guard) = self.read_within(Patience::Endless)? {
                return Ok(guard);
            }
        }
    }

    /// Reads if that needs no waiting. It may fail by chance when other readers are just on their way in.
    ///
    /// # Errors
    /// As [`RwLock::read`].
    #[inline]
    pub fn try_read(&self) -> Result<Option<RwLockReadGuard<'_, T>>, LockError<RwLockReadGuard<'_, T>>> {
        self.read_within(Patience::None)
    }

    /// Reads, waiting no longer than this.
    ///
    /// # Errors
    /// As [`RwLock::read`].
    pub fn read_timeout(
        &self,
        timeout: Duration,
    ) -> Result<Option<RwLockReadGuard<'_, T>>, LockError<RwLockReadGuard<'_, T>>> {
        self.read_within(Patience::lasting(timeout))
    }

    /// Writes until the guard is dropped.
    ///
    /// # Errors
    /// As [`RwLock::read`], and with a guard that writes; [`Error::InvalidArgument`] also when this thread is reading.
    ///
    /// # Blocking
    /// As long as somebody reads or writes.
    #[inline]
    pub fn write(&self) -> Result<RwLockWriteGuard<'_, T>, LockError<RwLockWriteGuard<'_, T>>> {
        loop {
            if let Some(guard) = self.write_within(Patience::Endless)? {
                return Ok(guard);
            }
        }
    }

    /// Writes if that needs no waiting.
    ///
    /// # Errors
    /// As [`RwLock::write`].
    pub fn try_write(&self) -> Result<Option<RwLockWriteGuard<'_, T>>, LockError<RwLockWriteGuard<'_, T>>> {
        self.write_within(Patience::None)
    }

    /// Writes, waiting no longer than this.
    ///
    /// # Errors
    /// As [`RwLock::write`].
    pub fn write_timeout(
        &self,
        timeout: Duration,
    ) -> Result<Option<RwLockWriteGuard<'_, T>>, LockError<RwLockWriteGuard<'_, T>>> {
        self.write_within(Patience::lasting(timeout))
    }

    /// Whether somebody reads or writes at this moment.
    pub fn locked(&self) -> bool {
        !self.raw.look().is_free() || self.readers.count() > 0
    }

    #[inline]
    fn read_within(
        &self,
        patience: Patience,
    ) -> Result<Option<RwLockReadGuard<'_, T>>, LockError<RwLockReadGuard<'_, T>>> {
        let owning = Owning::begin(self.raw.session())?;
        if let Entry::In(place) = self.readers.enter(owning.me)? {
            owning.kept();
            return Ok(Some(RwLockReadGuard::new(self, place)));
        }
        self.read_slow(owning, patience)
    }

    #[cold]
    fn read_slow(
        &self,
        owning: Owning<'_>,
        patience: Patience,
    ) -> Result<Option<RwLockReadGuard<'_, T>>, LockError<RwLockReadGuard<'_, T>>> {
        let passing = Word::passing(owning.me);
        let Some(taken) = self.raw.take(passing, patience)? else { return Ok(None) };
        let entered = self.readers.enter_with_lock(owning.me);
        self.raw.give_back(owning.me);
        owning.kept();
        let guard = entered.map(|place| RwLockReadGuard::new(self, place)).inspect_err(|_| {
            self.raw.session().end_owning();
        })?;
        match taken {
            Taken::Clean => Ok(Some(guard)),
            Taken::Left(who) => Err(LockError::OwnerDied(OwnerDied::new(guard, who))),
        }
    }

    #[inline]
    fn write_within(
        &self,
        patience: Patience,
    ) -> Result<Option<RwLockWriteGuard<'_, T>>, LockError<RwLockWriteGuard<'_, T>>> {
        let owning = Owning::begin(self.raw.session())?;
        if self.readers.reads(owning.me)? {
            return Err(self.reading_already().into());
        }
        let holder = Word::owned_by(owning.me);
        // *reader-or-writer*: sequentially consistent, unlike the fast way of other locks.
        let free = self.raw.word().compare_exchange(Word::FREE.0, holder.0, SeqCst, Relaxed).is_ok();
        let taken = if free {
            Taken::Clean
        } else {
            match self.raw.take(holder, patience)? {
                Some(taken) => taken,
                None => return Ok(None),
            }
        };
        match self.alone(patience) {
            Ok(true) => {}
            outcome => {
                self.raw.give_back(owning.me);
                return outcome.map(|_| None).map_err(LockError::Failed);
            }
        }
        owning.kept();
        let guard = RwLockWriteGuard::new(self);
        match taken {
            Taken::Clean => Ok(Some(guard)),
            Taken::Left(who) => Err(LockError::OwnerDied(OwnerDied::new(guard, who))),
        }
    }

    /// Waits until nobody reads. This thread has the lock. `false`: the patience did not last.
    #[inline]
    fn alone(&self, patience: Patience) -> Result<bool> {
        if self.readers.somebody()?.is_none() {
            return Ok(true);
        }
        match patience {
            Patience::None => Ok(false),
            Patience::Until(deadline) => self.wait_for_readers(Some(deadline)),
            Patience::Endless => self.wait_for_readers(None),
        }
    }

    #[cold]
    fn wait_for_readers(&self, deadline: Option<Instant>) -> Result<bool> {
        let (session, leaving) = (self.raw.session(), self.readers.leaving());
        // One reader after the other: so that the sleep watches the one that it waits for, and the finder of deadlocks knows it.
        while let Some(place) = self.readers.somebody()? {
            let seen = place.load(SeqCst);
            let watch = || reader(place.load(SeqCst));
            let gone = || {
                let left = reader(place.load(SeqCst)) != reader(seen) || session.is_gone(reader(seen));
                Ok(left.then_some(()))
            };
            let left = match deadline {
                None => session.wait_for_holder(leaving, None, place, &watch, gone)?,
                Some(_) => session.wait(leaving, deadline, &watch, gone)?,
            };
            if left.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    #[cold]
    fn reading_already(&self) -> Error {
        Error::InvalidArgument { detail: format!("{}: this thread is reading it", self.raw.what()) }
    }
}

/// A thread that counts as an owner for the session, until this is dropped or [kept](Owning::kept).
struct Owning<'a> {
    session: &'a Session,
    me: ThreadId,
}

impl<'a> Owning<'a> {
    #[inline]
    fn begin(session: &'a Session) -> Result<Owning<'a>> {
        Ok(Owning { me: session.begin_owning()?, session })
    }

    /// From now on a guard's business.
    #[inline]
    fn kept(self) {
        std::mem::forget(self);
    }
}

impl Drop for Owning<'_> {
    fn drop(&mut self) {
        self.session.end_owning();
    }
}

impl<T: Plain> Clone for RwLock<T> {
    fn clone(&self) -> RwLock<T> {
        RwLock { raw: self.raw.clone(), readers: self.readers.clone(), value: self.value }
    }
}

impl<T: Plain> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RwLock<{}>({}", std::any::type_name::<T>(), self.raw)?;
        match self.readers.count() {
            0 => f.write_str(")"),
            n => write!(f, ", {n} reading)"),
        }
    }
}

impl<T: Plain> Serialize for RwLock<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.object().serialize(serializer)
    }
}

impl<'de, T: Plain> Deserialize<'de> for RwLock<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RwLock<T>, D::Error> {
        let plan = RwLock::<T>::plan();
        Object::deserialize(deserializer)?
            .expect(plan.kind, plan.fingerprint)
            .and_then(|object| RwLock::of(RawLock::of(object, true)))
            .map_err(|e| de::Error::custom(carrier::refuse(e)))
    }
}
