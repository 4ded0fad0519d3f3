//! What locking a [`Mutex`] gives: a guard, or the news of a death together with a guard.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use mp_wire::{Error, Ident, Result};

use crate::{Mutex, Plain};

/// Holds a [`Mutex`] for the thread that made it, until it is dropped; the way to its value.
///
/// It cannot be sent to another thread, since the lock word names its owner:
///
/// ```compile_fail,E0277
/// let mutex = mp_sync::Mutex::new(1).unwrap();
/// let guard = mutex.lock().unwrap();
/// std::thread::scope(|s| { s.spawn(move || drop(guard)); });
/// ```
#[must_use = "the mutex is released as soon as the guard is dropped"]
pub struct MutexGuard<'a, T: Plain> {
    mutex: &'a Mutex<T>,
    /// Not `Send`.
    stays_here: PhantomData<*const ()>,
}

// SAFETY: a shared guard lets another thread read the value, which is `Sync`.
unsafe impl<T: Plain> Sync for MutexGuard<'_, T> {}

impl<'a, T: Plain> MutexGuard<'a, T> {
    /// For the holder of the lock, which it has told the session.
    #[inline]
    pub(crate) fn new(mutex: &'a Mutex<T>) -> MutexGuard<'a, T> {
        MutexGuard { mutex, stays_here: PhantomData }
    }

    /// Says that the value is whole again after an owner died over it.
    pub fn mark_consistent(&mut self) {
        self.mutex.raw.mark_consistent();
    }

    /// Whether no owner died over the value, or somebody has repaired it since.
    pub fn is_consistent(&self) -> bool {
        !self.mutex.raw.look().is_inconsistent()
    }
}

impl<T: Plain> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the pointer is to a block that holds a `T` (checked by `Mutex::of`) and lives as long as the mutex; the
        // lock word names this thread, and does so until the guard is dropped or the process is gone, even if the guard is
        // leaked and the thread ends. So nobody else touches the value while this reference can be used.
        unsafe { self.mutex.value.as_ref() }
    }
}

impl<T: Plain> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        let mut value = self.mutex.value;
        // SAFETY: as in `deref`, and the guard is borrowed exclusively.
        unsafe { value.as_mut() }
    }
}

impl<T: Plain> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.raw.give_back_owned();
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: Plain + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

/// The mutex is locked, and its last owner died over the value.
///
/// Dropping it releases the mutex and leaves the value inconsistent, for the next one to be told.
#[must_use = "the mutex is held until this is dropped"]
pub struct OwnerDied<'a, T: Plain> {
    guard: MutexGuard<'a, T>,
    who: Option<Ident>,
}

impl<'a, T: Plain> OwnerDied<'a, T> {
    pub(crate) fn new(guard: MutexGuard<'a, T>, who: Option<Ident>) -> OwnerDied<'a, T> {
        OwnerDied { guard, who }
    }

    /// The process that died, if it is still known.
    pub fn who(&self) -> Option<&Ident> {
        self.who.as_ref()
    }

    /// The guard, over a value that stays inconsistent unless [marked](MutexGuard::mark_consistent).
    pub fn into_guard(self) -> MutexGuard<'a, T> {
        self.guard
    }

    /// The guard, over a value that is good as it is.
    pub fn mark_consistent(mut self) -> MutexGuard<'a, T> {
        self.guard.mark_consistent();
        self.guard
    }
}

impl<T: Plain> fmt::Debug for OwnerDied<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnerDied").field("mutex", self.guard.mutex).field("who", &self.who).finish()
    }
}

/// Why [`Mutex::lock`] gave no clean guard.
///
/// `?` turns it into an [`Error`] in functions that return one. As it may hold the lock it cannot leave the thread; for
/// other error types, go through `.map_err(Error::from)`.
pub enum LockError<'a, T: Plain> {
    /// The lock is held, and the value may be half changed.
    OwnerDied(OwnerDied<'a, T>),
    /// The lock is not held.
    Failed(Error),
}

impl<'a, T: Plain> LockError<'a, T> {
    /// Repairs the value if an owner died over it, marks it consistent, and goes on with the guard.
    ///
    /// # Errors
    /// The error, if it was another one.
    ///
    /// # Examples
    ///
    /// ```
    /// let total = mp_sync::Mutex::new(0_u64)?;
    /// let guard = total.lock().or_else(|e| e.repair(|value| *value = 0))?;
    /// # drop(guard);
    /// # Ok::<(), mp_sync::Error>(())
    /// ```
    pub fn repair(self, repair: impl FnOnce(&mut T)) -> Result<MutexGuard<'a, T>> {
        match self {
            LockError::OwnerDied(OwnerDied { mut guard, .. }) => {
                repair(&mut guard);
                guard.mark_consistent();
                Ok(guard)
            }
            LockError::Failed(error) => Err(error),
        }
    }
}

impl<T: Plain> From<Error> for LockError<'_, T> {
    fn from(error: Error) -> Self {
        LockError::Failed(error)
    }
}

/// Releases the mutex, if it was held.
impl<T: Plain> From<LockError<'_, T>> for Error {
    fn from(error: LockError<'_, T>) -> Error {
        match error {
            LockError::OwnerDied(OwnerDied { who, .. }) => Error::OwnerDied { what: "Mutex".into(), who },
            LockError::Failed(error) => error,
        }
    }
}

impl<T: Plain> fmt::Display for LockError<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::OwnerDied(died) => match died.who() {
                Some(who) => write!(f, "Mutex: its owner {who} died holding it"),
                None => f.write_str("Mutex: its owner died holding it"),
            },
            LockError::Failed(error) => error.fmt(f),
        }
    }
}

impl<T: Plain> fmt::Debug for LockError<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::OwnerDied(died) => died.fmt(f),
            LockError::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

impl<T: Plain> std::error::Error for LockError<'_, T> {}
