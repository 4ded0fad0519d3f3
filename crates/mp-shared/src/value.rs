//! `Value<T>`: one value in shared memory.

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use mp_session::{Blueprint, Kind, Object, Session, Shape, Shared, layout_fingerprint};
use mp_sync::__private::Patience;
use mp_wire::{Error, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::access::{LockResult, TryLockResult};
use crate::guard::Guard;
use crate::state::State;

/// The alignment of every block of the session.
pub(crate) const BLOCK_ALIGN: usize = 64;

/// One value in memory that processes share, with its lock: Python's `multiprocessing.Value`.
///
/// `*v.lock()? += 1` is atomic by construction, which Python's `v.value += 1` is not: there is no way to the value but through
/// the lock. A `Value` is a handle: clones, and copies that were sent to other processes, are the same value.
///
/// Without a lock there is [`RawValue`](crate::RawValue), for atomics.
///
/// # If a process dies
///
/// If it held the lock, the next one is told by [`LockError::OwnerDied`](crate::LockError::OwnerDied), and has the value as the victim left it. It repairs the
/// value and [marks it consistent](Guard::mark_consistent); until somebody does, everybody who locks is told.
///
/// # Examples
///
/// ```
/// use mp_shared::Value;
///
/// let counter = Value::new(0_u64)?;
/// *counter.lock()? += 1;
/// assert_eq!(counter.get()?, 1);
///
/// // The same, with an idea of how to go on if somebody died over it.
/// let mut guard = counter.lock().or_else(|e| e.repair(|value| *value = 0))?;
/// *guard += 1;
/// # Ok::<(), mp_shared::Error>(())
/// ```
///
/// A structure:
///
/// ```
/// use mp_shared::{Shared, Value};
///
/// #[derive(Clone, Copy, Shared)]
/// #[repr(C)]
/// struct Point { x: f64, y: f64 }
///
/// let point = Value::new(Point { x: 1.0, y: 2.0 })?;
/// point.lock()?.x += 0.5;
/// assert_eq!(point.get()?.x, 1.5);
/// # Ok::<(), mp_shared::Error>(())
/// ```
pub struct Value<T: Shared> {
    state: Arc<State>,
    value: NonNull<T>,
}

// SAFETY: the pointer is to session memory, which any thread may use, and which stays as long as the state's object; the value is
// touched only by the holder of the lock.
unsafe impl<T: Shared> Send for Value<T> {}
// SAFETY: as above.
unsafe impl<T: Shared> Sync for Value<T> {}

impl<T: Shared> Value<T> {
    const PLAN: Blueprint = {
        assert!(align_of::<T>() <= BLOCK_ALIGN, "the session's blocks are aligned to 64 bytes");
        Blueprint { kind: Kind::VALUE, fingerprint: 0, shape: Shape::Plain, size: size_of::<T>() as u64 }
    };

    /// A value in this process's session.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when the session has no room, and what [`Session::current`] returns.
    pub fn new(value: T) -> Result<Value<T>> {
        Value::new_in(&Session::current()?, value)
    }

    /// A value in that session.
    ///
    /// # Errors
    /// As [`Value::new`].
    pub fn new_in(session: &Session, value: T) -> Result<Value<T>> {
        let plan = Blueprint { fingerprint: layout_fingerprint::<T>(), ..Self::PLAN };
        let object = Object::create(session, plan, |_, bytes| {
            if let Some(bytes) = bytes {
                // SAFETY: the block has the size of a `T` by the plan, its alignment by the assertion there, and is ours alone
                // until `create` returns.
                unsafe { bytes.cast::<T>().write(value) };
            }
        })?;
        Value::of(object)
    }

    fn of(object: Object) -> Result<Value<T>> {
        let value = match object.bytes() {
            Some((bytes, size)) if size >= size_of::<T>() as u64 => bytes.cast(),
            _ if size_of::<T>() == 0 => NonNull::dangling(),
            _ => return Err(Error::Layout { detail: "a value without room".into() }),
        };
        Ok(Value { state: Arc::new(State::of(object)), value })
    }

    /// Takes the lock until the guard is dropped: Python's `get_lock()` and `get_obj()`.
    ///
    /// # Errors
    /// [`LockError::OwnerDied`](crate::LockError::OwnerDied) when the last owner died: the lock is held all the same, by the guard in the error. Otherwise
    /// [`LockError::Failed`](crate::LockError::Failed), with [`Error::InvalidArgument`] when this thread holds it already.
    ///
    /// # Blocking
    /// Until it is released, or its owner is dead.
    #[inline]
    pub fn lock(&self) -> LockResult<Guard<'_, T>> {
        if self.state.lock_at_once()? {
            // SAFETY: just locked; the data lies in the state's object (checked by `of`).
            return Ok(unsafe { Guard::clean(&self.state, self.value) });
        }
        loop {
            if let Some(guard) = self.lock_within(Patience::Endless)? {
                return Ok(guard);
            }
        }
    }

    /// Takes the lock if that needs no waiting.
    ///
    /// # Errors
    /// As [`Value::lock`]; `Ok(None)` when somebody holds it, this thread included.
    pub fn try_lock(&self) -> TryLockResult<Guard<'_, T>> {
        self.lock_within(Patience::None)
    }

    /// Takes the lock, waiting no longer than this.
    ///
    /// # Errors
    /// As [`Value::lock`]; `Ok(None)` when the time is up.
    pub fn lock_timeout(&self, timeout: Duration) -> TryLockResult<Guard<'_, T>> {
        self.lock_within(Patience::lasting(timeout))
    }

    #[cold]
    fn lock_within(&self, patience: Patience) -> TryLockResult<Guard<'_, T>> {
        match self.state.lock(patience)? {
            // SAFETY: just locked; the value lies in the state's object (checked by `of`).
            Some(found) => unsafe { Guard::new(&self.state, self.value, found) }.map(Some),
            None => Ok(None),
        }
    }

    /// Whether somebody holds the lock at this moment.
    pub fn locked(&self) -> bool {
        self.state.is_locked()
    }

    /// Puts `value` in its place and returns the one that was there.
    ///
    /// # Errors
    /// As [`Value::lock`].
    pub fn replace(&self, value: T) -> Result<T> {
        Ok(std::mem::replace(&mut *self.lock()?, value))
    }

    /// Changes the value: Python's `v.value = ...`.
    ///
    /// # Errors
    /// As [`Value::lock`].
    pub fn set(&self, value: T) -> Result<()> {
        *self.lock()? = value;
        Ok(())
    }
}

impl<T: Shared + Copy> Value<T> {
    /// The value as it is: Python's `v.value`.
    ///
    /// # Errors
    /// As [`Value::lock`].
    pub fn get(&self) -> Result<T> {
        Ok(*self.lock()?)
    }

    /// Another value of the same: Python's `sharedctypes.copy`.
    ///
    /// # Errors
    /// As [`Value::lock`] and [`Value::new`].
    pub fn copy(&self) -> Result<Value<T>> {
        let value = self.get()?;
        Value::new_in(self.state.session(), value)
    }
}

impl<T: Shared> Clone for Value<T> {
    fn clone(&self) -> Value<T> {
        Value { state: self.state.clone(), value: self.value }
    }
}

impl<T: Shared> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value<{}>({})", std::any::type_name::<T>(), self.state)
    }
}

impl<T: Shared> Serialize for Value<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.state.object().serialize(serializer)
    }
}

impl<'de, T: Shared> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value<T>, D::Error> {
        Object::deserialize(deserializer)?
            .expect(Kind::VALUE, layout_fingerprint::<T>())
            .and_then(Value::of)
            .map_err(|e| de::Error::custom(carrier::refuse(e)))
    }
}
