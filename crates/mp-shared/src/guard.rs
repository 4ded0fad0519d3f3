//! The guard of shared data: exclusive access for a thread.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use mp_sync::__private::Found;

use crate::access::{Access, LockError, OwnerDied, sealed};
use crate::state::State;

/// Holds a [`Value`](crate::Value) or an [`Array`](crate::Array) for the thread that made it, until it is dropped: a `&mut T` or a
/// `&mut [T]` into shared memory.
///
/// It cannot be sent to another thread, since the lock names its owner:
///
/// ```compile_fail,E0277
/// let array = mp_shared::Array::<u64>::new(4).unwrap();
/// let guard = array.lock().unwrap();
/// std::thread::scope(|s| { s.spawn(move || drop(guard)); });
/// ```
///
/// Nor does what it gives access to outlive it, or the array:
///
/// ```compile_fail,E0597
/// let array = mp_shared::Array::<u64>::new(4).unwrap();
/// let first = { let mut guard = array.lock().unwrap(); &mut guard[0] };
/// *first = 1;
/// ```
///
/// ```compile_fail,E0505
/// let array = mp_shared::Array::<u64>::new(4).unwrap();
/// let guard = array.lock().unwrap();
/// drop(array);
/// assert_eq!(guard[0], 0);
/// ```
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct Guard<'a, T: ?Sized> {
    state: &'a State,
    data: NonNull<T>,
    /// Access to a `T`; not `Send`.
    stays_here: PhantomData<(&'a mut T, *const ())>,
}

// SAFETY: a shared guard lets another thread read the data, which is `Sync`.
unsafe impl<T: ?Sized + Sync> Sync for Guard<'_, T> {}

impl<'a, T: ?Sized> Guard<'a, T> {
    /// For who has just locked `state` and was told of no death; see [`Guard::new`].
    ///
    /// # Safety
    /// As there.
    #[inline]
    pub(crate) unsafe fn clean(state: &'a State, data: NonNull<T>) -> Self {
        Guard { state, data, stays_here: PhantomData }
    }

    /// For who has just locked `state`, whose data lies at `data`.
    ///
    /// # Safety
    /// The lock is held by this thread and is the guard's from now on; `data` is the state's data and lives as long as it.
    #[inline]
    pub(crate) unsafe fn new(
        state: &'a State,
        data: NonNull<T>,
        found: Found,
    ) -> Result<Self, LockError<Self>> {
        let guard = Guard { state, data, stays_here: PhantomData };
        match found {
            Found::Clean => Ok(guard),
            Found::OwnerDied(who) => Err(LockError::OwnerDied(OwnerDied::new(guard, who))),
        }
    }

    /// Says that the data is whole again after an owner died over it.
    pub fn mark_consistent(&mut self) {
        self.state.mark_consistent();
    }

    /// Whether no owner died over the data, or somebody has repaired it since.
    pub fn is_consistent(&self) -> bool {
        !self.state.is_inconsistent()
    }
}

impl<T: ?Sized> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the data is this guard's as long as the lock is held, which is until the drop (or until the process ends, if the
        // guard is leaked); it lives as long as the state, which is borrowed.
        unsafe { self.data.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and the guard is borrowed exclusively.
        unsafe { self.data.as_mut() }
    }
}

impl<T: ?Sized> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.state.unlock();
    }
}

impl<T: ?Sized> sealed::Sealed for Guard<'_, T> {}

impl<T: ?Sized> Access for Guard<'_, T> {
    type Data = T;

    fn data(&mut self) -> &mut T {
        self
    }

    fn mark_consistent(&mut self) {
        Guard::mark_consistent(self);
    }

    fn what(&self) -> String {
        self.state.name()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Guard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for Guard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}
