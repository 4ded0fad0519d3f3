//! `Mutex<T>`: a value in shared memory, one thread at a time.

use std::fmt;
use std::ptr::NonNull;
use std::time::Duration;

use mp_session::{Blueprint, Kind, Object, Session, Shape, ThreadId, layout_fingerprint};
use mp_wire::{Error, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::plain::Plain;
use crate::raw::{Patience, RawLock, Taken};
use crate::word::Word;
use crate::{LockError, MutexGuard, OwnerDied};

/// A value in the session's memory that threads of any process change one at a time, and that tells when one died over it.
///
/// Python has `Value(..., lock=True)` for this. `T` is [`Plain`] data. A `Mutex` is a handle: clones, and copies that were
/// sent to other processes, are the same mutex with the same value.
///
/// # If a process dies
///
/// If it held the mutex, the next one gets [`LockError::OwnerDied`]: it has the lock, and the value as the victim left it,
/// perhaps half changed. It repairs the value and [marks it consistent](MutexGuard::mark_consistent); until somebody
/// does, everybody who locks is told. `?` on it releases the mutex, as inconsistent as it was, and gives
/// [`Error::OwnerDied`].
///
/// A panic is no death: a guard that is dropped by unwinding releases the mutex as any other.
///
/// # Leaking a guard
///
/// A guard that is leaked (`mem::forget`, `Box::leak`) owns the mutex as long as its process lives, also when its thread has
/// ended: references to the value may be anywhere in the process by then.
///
/// # Fairness
///
/// As [`Lock`](crate::Lock).
///
/// # Examples
///
/// ```
/// use mp_sync::Mutex;
///
/// let stock = Mutex::new(10_u32)?;
/// *stock.lock()? -= 1;
///
/// // The same, with an idea of how to go on if somebody died while it held the mutex.
/// let mut guard = stock.lock().or_else(|e| e.repair(|value| *value = (*value).min(10)))?;
/// *guard -= 1;
/// assert_eq!(*guard, 8);
/// # Ok::<(), mp_sync::Error>(())
/// ```
pub struct Mutex<T: Plain> {
    pub(crate) raw: RawLock,
    pub(crate) value: NonNull<T>,
}

// SAFETY: the pointer is to session memory, which any thread may use, and which stays as long as the object in `raw`; the
// value behind it is plain data, touched only by the holder of the lock.
unsafe impl<T: Plain> Send for Mutex<T> {}
// SAFETY: as above.
unsafe impl<T: Plain> Sync for Mutex<T> {}

/// The alignment of every block of the session.
const BLOCK_ALIGN: usize = 64;

impl<T: Plain> Mutex<T> {
    const PLAN: Blueprint = {
        assert!(align_of::<T>() <= BLOCK_ALIGN, "the session's blocks are aligned to 64 bytes");
        Blueprint { kind: Kind::MUTEX, fingerprint: 0, shape: Shape::Plain, size: size_of::<T>() as u64 }
    };

    /// The type's name and layout.
    fn fingerprint() -> u64 {
        layout_fingerprint::<T>()
    }

    /// A mutex around `value`, in this process's session.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when the session has no room, and what [`Session::current`] returns.
    pub fn new(value: T) -> Result<Mutex<T>> {
        Mutex::new_in(&Session::current()?, value)
    }

    /// A mutex around `value`, in that session.
    ///
    /// # Errors
    /// As [`Mutex::new`].
    pub fn new_in(session: &Session, value: T) -> Result<Mutex<T>> {
        Mutex::make(session, "", value)
    }

    /// A mutex with a name (31 bytes of it are kept) that appears in [`Error::Deadlock`], in [`Session::report`] and in
    /// `Debug`.
    ///
    /// # Errors
    /// As [`Mutex::new`].
    pub fn named(name: &str, value: T) -> Result<Mutex<T>> {
        Mutex::make(&Session::current()?, name, value)
    }

    /// The name that it was made with.
    pub fn name(&self) -> Option<String> {
        self.raw.object().label()
    }

    fn make(session: &Session, name: &str, value: T) -> Result<Mutex<T>> {
        let plan = Blueprint { fingerprint: Self::fingerprint(), ..Self::PLAN };
        let raw = RawLock::create_named(session, plan, name, true, |bytes| {
            if let Some(bytes) = bytes {
                // SAFETY: the block has the size of a `T` by the plan, its alignment by the assertion there, and is ours alone
                // until `create` returns.
                unsafe { bytes.cast::<T>().write(value) };
            }
        })?;
        Mutex::of(raw)
    }

    fn of(raw: RawLock) -> Result<Mutex<T>> {
        let value = match raw.object().bytes() {
            Some((bytes, size)) if size >= size_of::<T>() as u64 => bytes.cast(),
            _ if size_of::<T>() == 0 => NonNull::dangling(),
            _ => return Err(Error::Layout { detail: "a mutex without room for its value".into() }),
        };
        Ok(Mutex { raw, value })
    }

    /// Takes the lock until the guard is dropped.
    ///
    /// # Errors
    /// [`LockError::OwnerDied`] when the last owner died: the lock is held all the same, by the guard in the error. Otherwise
    /// [`LockError::Failed`], with [`Error::InvalidArgument`] when this thread holds the mutex already,
    /// [`Error::LimitReached`] and [`Error::ForeignFork`] as [`Session::thread_id`].
    ///
    /// # Blocking
    /// Until it is released, or its owner is dead.
    #[inline]
    pub fn lock(&self) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        let me = self.raw.session().begin_owning()?;
        if self.raw.take_if_free(Word::owned_by(me)) {
            return Ok(MutexGuard::new(self));
        }
        match self.lock_slow(me, Patience::Endless) {
            Ok(Some(guard)) => Ok(guard),
            Err(error) => Err(error),
            // Endless patience ends with the lock or an error.
            Ok(None) => self.lock(),
        }
    }

    /// Takes the lock if that needs no waiting.
    ///
    /// # Errors
    /// As [`Mutex::lock`]; `Ok(None)` when somebody holds it, this thread included.
    #[inline]
    pub fn try_lock(&self) -> Result<Option<MutexGuard<'_, T>>, LockError<MutexGuard<'_, T>>> {
        self.lock_within(Patience::None)
    }

    /// Takes the lock, waiting no longer than this.
    ///
    /// # Errors
    /// As [`Mutex::lock`]; `Ok(None)` when the time is up.
    pub fn lock_timeout(
        &self,
        timeout: Duration,
    ) -> Result<Option<MutexGuard<'_, T>>, LockError<MutexGuard<'_, T>>> {
        self.lock_within(Patience::lasting(timeout))
    }

    /// Whether somebody holds it at this moment.
    pub fn locked(&self) -> bool {
        !self.raw.look().is_free()
    }

    #[inline]
    fn lock_within(
        &self,
        patience: Patience,
    ) -> Result<Option<MutexGuard<'_, T>>, LockError<MutexGuard<'_, T>>> {
        let me = self.raw.session().begin_owning()?;
        if self.raw.take_if_free(Word::owned_by(me)) {
            return Ok(Some(MutexGuard::new(self)));
        }
        self.lock_slow(me, patience)
    }

    /// The session takes the thread for an owner already, which ends if this does not end with a guard.
    #[cold]
    fn lock_slow(
        &self,
        me: ThreadId,
        patience: Patience,
    ) -> Result<Option<MutexGuard<'_, T>>, LockError<MutexGuard<'_, T>>> {
        match self.raw.take(Word::owned_by(me), patience) {
            Ok(Some(Taken::Clean)) => Ok(Some(MutexGuard::new(self))),
            Ok(Some(Taken::Left(who))) => {
                Err(LockError::OwnerDied(OwnerDied::new(MutexGuard::new(self), who)))
            }
            Ok(None) => {
                self.raw.session().end_owning();
                Ok(None)
            }
            Err(error) => {
                self.raw.session().end_owning();
                Err(LockError::Failed(error))
            }
        }
    }
}

impl<T: Plain> Clone for Mutex<T> {
    fn clone(&self) -> Mutex<T> {
        Mutex { raw: self.raw.clone(), value: self.value }
    }
}

impl<T: Plain> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mutex<{}>({})", std::any::type_name::<T>(), self.raw)
    }
}

impl<T: Plain> Serialize for Mutex<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.object().serialize(serializer)
    }
}

impl<'de, T: Plain> Deserialize<'de> for Mutex<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Mutex<T>, D::Error> {
        Object::deserialize(deserializer)?
            .expect(Kind::MUTEX, Self::fingerprint())
            .and_then(|object| Mutex::of(RawLock::of(object, true)))
            .map_err(|e| de::Error::custom(carrier::refuse(e)))
    }
}
