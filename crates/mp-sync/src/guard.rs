//! What locking a [`Mutex`] gives.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use crate::owner_died::{ValueGuard, ValueGuardMut, sealed::Sealed};
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

    pub(crate) fn of(&self) -> &'a Mutex<T> {
        self.mutex
    }

    /// Gives the lock back, while the thread goes on counting as an owner.
    pub(crate) fn give_back_owning(self) {
        let raw = &self.mutex.raw;
        raw.give_back(raw.look().thread());
        std::mem::forget(self);
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

impl<T: Plain> Sealed for MutexGuard<'_, T> {}

impl<T: Plain> ValueGuard for MutexGuard<'_, T> {
    const LOCK: &'static str = "Mutex";
}

impl<T: Plain> ValueGuardMut for MutexGuard<'_, T> {
    fn mark_consistent(&mut self) {
        self.mutex.raw.mark_consistent();
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
