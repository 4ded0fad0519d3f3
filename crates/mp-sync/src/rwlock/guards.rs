//! What locking an [`RwLock`] gives.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use mp_session::primitive::AtomicU64;

use super::RwLock;
use crate::Plain;
use crate::owner_died::{ValueGuard, ValueGuardMut, sealed::Sealed};

/// Reads an [`RwLock`] for the thread that made it, until it is dropped.
///
/// It cannot be sent to another thread, since the lock names its readers:
///
/// ```compile_fail,E0277
/// let lock = mp_sync::RwLock::new(1).unwrap();
/// let guard = lock.read().unwrap();
/// std::thread::scope(|s| { s.spawn(move || drop(guard)); });
/// ```
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct RwLockReadGuard<'a, T: Plain> {
    lock: &'a RwLock<T>,
    place: &'a AtomicU64,
    /// Not `Send`.
    stays_here: PhantomData<*const ()>,
}

/// Holds an [`RwLock`] alone for the thread that made it, until it is dropped.
///
/// It cannot be sent to another thread, since the lock names its owner:
///
/// ```compile_fail,E0277
/// let lock = mp_sync::RwLock::new(1).unwrap();
/// let guard = lock.write().unwrap();
/// std::thread::scope(|s| { s.spawn(move || drop(guard)); });
/// ```
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct RwLockWriteGuard<'a, T: Plain> {
    lock: &'a RwLock<T>,
    /// Not `Send`.
    stays_here: PhantomData<*const ()>,
}

// SAFETY: a shared guard lets another thread read the value, which is `Sync`.
unsafe impl<T: Plain> Sync for RwLockReadGuard<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Plain> Sync for RwLockWriteGuard<'_, T> {}

impl<'a, T: Plain> RwLockReadGuard<'a, T> {
    /// For a thread that is a reader, in that place, and has told the session.
    #[inline]
    pub(super) fn new(lock: &'a RwLock<T>, place: &'a AtomicU64) -> RwLockReadGuard<'a, T> {
        RwLockReadGuard { lock, place, stays_here: PhantomData }
    }

    /// Whether no writer died over the value, or somebody has repaired it since.
    pub fn is_consistent(&self) -> bool {
        !self.lock.raw.look().is_inconsistent()
    }
}

impl<'a, T: Plain> RwLockWriteGuard<'a, T> {
    /// For the holder of the lock, which it has told the session, when there are no readers.
    #[inline]
    pub(super) fn new(lock: &'a RwLock<T>) -> RwLockWriteGuard<'a, T> {
        RwLockWriteGuard { lock, stays_here: PhantomData }
    }

    /// Says that the value is whole again after a writer died over it.
    pub fn mark_consistent(&mut self) {
        self.lock.raw.mark_consistent();
    }

    /// Whether no writer died over the value, or somebody has repaired it since.
    pub fn is_consistent(&self) -> bool {
        !self.lock.raw.look().is_inconsistent()
    }
}

impl<T: Plain> Sealed for RwLockReadGuard<'_, T> {}
impl<T: Plain> Sealed for RwLockWriteGuard<'_, T> {}

impl<T: Plain> ValueGuard for RwLockReadGuard<'_, T> {
    const LOCK: &'static str = "RwLock";
}

impl<T: Plain> ValueGuard for RwLockWriteGuard<'_, T> {
    const LOCK: &'static str = "RwLock";
}

impl<T: Plain> ValueGuardMut for RwLockWriteGuard<'_, T> {
    fn mark_consistent(&mut self) {
        self.lock.raw.mark_consistent();
    }
}

impl<T: Plain> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the pointer is to a block that holds a `T` (checked by `RwLock::of`) and lives as long as the lock; this thread's
        // name is in its place until the guard is dropped or the process is gone, even if the guard is leaked and the
        // thread ends, and a writer waits until it is not. So nobody changes the value while this reference can be used.
        unsafe { self.lock.value.as_ref() }
    }
}

impl<T: Plain> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: as for readers; the lock word names this thread, as above, and there are no readers.
        unsafe { self.lock.value.as_ref() }
    }
}

impl<T: Plain> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        let mut value = self.lock.value;
        // SAFETY: as in `deref`, and the guard is borrowed exclusively.
        unsafe { value.as_mut() }
    }
}

impl<T: Plain> Drop for RwLockReadGuard<'_, T> {
    #[inline(always)] // as `RwLock::read`
    fn drop(&mut self) {
        // The copy of a guard that a foreign fork made reads nothing.
        if self.lock.raw.session().is_member() {
            self.lock.readers.leave(self.place);
        }
        self.lock.raw.session().end_owning();
    }
}

impl<T: Plain> Drop for RwLockWriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.raw.give_back_owned();
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: Plain + fmt::Display> fmt::Display for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: Plain + fmt::Display> fmt::Display for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}
