//! `SharedVec<T>`: an array that grows.
//!
//! An object that owns the block its elements are in, and while it grows the next one, too ([`Object::own`]). Its own block:
//!
//! | word | holds |
//! |---|---|
//! | 0 | 2: how many references follow at 2 |
//! | 1 | `growths`: how often it grew; 0: it has no elements' block; otherwise that is reference `growths & 1` |
//! | 2, 3 | references to blocks of elements |
//! | 4 | the length in elements |
//!
//! Words 0 to 2 of the object and its wait words are its lock, and all of this is changed under it.
//!
//! | step | a death after it leaves |
//! |---|---|
//! | the new block is made | the old elements; the block is swept |
//! | it is owned, at the reference that does not count | the old elements; the next growth, or the next owner's repair, releases the block |
//! | the elements are copied | the same |
//! | `growths` is one more: the commit | the elements, in the new block; the old block is released as above |
//! | the old block is released | the elements, in the new block |
//! | *push*: the element is written, and then the length | the old length, or the new one with its element |
//!
//! So the vector is whole after each death, save for elements that its holder was changing in place.

use std::fmt;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use mp_session::primitive::{AtomicU64, Ordering::*};
use mp_session::{Blueprint, Kind, Object, Session, Shape, Shared, layout_fingerprint};
use mp_sync::__private::{EmbeddedLock, Found, Patience};
use mp_wire::{Error, Result, carrier};
use parking_lot::Mutex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::access::{LockError, LockResult, OwnerDied, TryLockResult};
use crate::value::BLOCK_ALIGN;
use crate::vec_guard::VecGuard;

pub(crate) const GROWTHS: usize = 1;
pub(crate) const LENGTH: usize = 4;
const HEADER: u64 = Object::owner_header(2) + 8;

/// An array in shared memory that grows: a `Vec<T>` behind a lock, for many processes.
///
/// Python has none; its lists are a manager's. A `SharedVec` is a handle: clones, and copies that were sent to other processes, are
/// the same vector.
///
/// # If a process dies
///
/// The vector is whole, however it was cut off: growing has happened or has not, an element was pushed or was not. If the process
/// held the lock the next one is told by [`LockError::OwnerDied`] all the same, for elements that it was changing in place.
///
/// # Examples
///
/// ```
/// use mp_shared::SharedVec;
///
/// let found = SharedVec::<u64>::new()?;
/// let also = found.clone(); // or sent to a process
/// also.push(7)?;
/// found.extend([8, 9])?;
/// let mut guard = found.lock()?;
/// guard.sort_by(|a, b| b.cmp(a));
/// assert_eq!(*guard, [9, 8, 7]);
/// # Ok::<(), mp_shared::Error>(())
/// ```
pub struct SharedVec<T: Shared>(pub(crate) Arc<Inner>, PhantomData<fn(T) -> T>);

pub(crate) struct Inner {
    pub(crate) lock: EmbeddedLock,
    header: NonNull<AtomicU64>,
    /// The block of elements as this process knows it. Looked at under the shared lock only.
    pub(crate) known: Mutex<Known>,
}

#[derive(Default)]
pub(crate) struct Known {
    pub(crate) growths: u64,
    /// Keeps the block where it is.
    pub(crate) block: Option<Object>,
}

// SAFETY: the pointer is to atomics in session memory, which any thread may use, and which stay as long as the lock's object.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Inner {
    pub(crate) fn word(&self, i: usize) -> &AtomicU64 {
        debug_assert!((i as u64) < HEADER / 8);
        // SAFETY: inside the header, which `SharedVec::of` checked to be there.
        unsafe { self.header.add(i).as_ref() }
    }

    pub(crate) fn object(&self) -> &Object {
        self.lock.object()
    }
}

impl<T: Shared> SharedVec<T> {
    pub(crate) const ELEMENT: usize = {
        assert!(size_of::<T>() != 0, "elements of a shared vector have a size");
        assert!(align_of::<T>() <= BLOCK_ALIGN, "the session's blocks are aligned to 64 bytes");
        size_of::<T>()
    };

    /// An empty one in this process's session. It has no room yet.
    ///
    /// # Errors
    /// As [`Array::new`](crate::Array::new).
    pub fn new() -> Result<SharedVec<T>> {
        SharedVec::new_in(&Session::current()?)
    }

    /// An empty one in that session.
    ///
    /// # Errors
    /// As [`SharedVec::new`].
    pub fn new_in(session: &Session) -> Result<SharedVec<T>> {
        let plan = Blueprint {
            kind: Kind::VEC,
            fingerprint: layout_fingerprint::<T>(),
            shape: Shape::Owner,
            size: HEADER,
        };
        let object = Object::create_zeroed(session, plan, "", |_, bytes| {
            if let Some(bytes) = bytes {
                // SAFETY: the block is ours alone until `create_zeroed` returns, aligned to 64, and has that header's size.
                unsafe { Object::write_owner_header(bytes, 2) };
            }
        })?;
        SharedVec::of(object)
    }

    /// An empty one with room for so many.
    ///
    /// # Errors
    /// As [`SharedVec::new`].
    pub fn with_capacity(capacity: usize) -> Result<SharedVec<T>> {
        let vec = SharedVec::new()?;
        vec.lock()?.reserve(capacity)?;
        Ok(vec)
    }

    fn of(object: Object) -> Result<SharedVec<T>> {
        match object.bytes() {
            Some((bytes, size)) if size >= HEADER => {
                let header = bytes.cast();
                let lock = EmbeddedLock::of(object, true);
                Ok(SharedVec(Arc::new(Inner { lock, header, known: Mutex::default() }), PhantomData))
            }
            _ => Err(Error::Layout { detail: "a vector without its header".into() }),
        }
    }

    /// Takes it until the guard is dropped.
    ///
    /// # Errors
    /// As [`Value::lock`](crate::Value::lock).
    ///
    /// # Blocking
    /// As [`Value::lock`](crate::Value::lock).
    pub fn lock(&self) -> LockResult<VecGuard<'_, T>> {
        loop {
            if let Some(guard) = self.lock_within(Patience::Endless)? {
                return Ok(guard);
            }
        }
    }

    /// Takes it if that needs no waiting.
    ///
    /// # Errors
    /// As [`SharedVec::lock`]; `Ok(None)` when somebody holds it, this thread included.
    pub fn try_lock(&self) -> TryLockResult<VecGuard<'_, T>> {
        self.lock_within(Patience::None)
    }

    /// Takes it, waiting no longer than this.
    ///
    /// # Errors
    /// As [`SharedVec::lock`]; `Ok(None)` when the time is up.
    pub fn lock_timeout(&self, timeout: Duration) -> TryLockResult<VecGuard<'_, T>> {
        self.lock_within(Patience::lasting(timeout))
    }

    fn lock_within(&self, patience: Patience) -> TryLockResult<VecGuard<'_, T>> {
        let Some(found) = self.0.lock.lock(patience)? else { return Ok(None) };
        let guard = VecGuard::new(self)?;
        match found {
            Found::Clean => Ok(Some(guard)),
            Found::OwnerDied(who) => {
                guard.release_spare()?;
                Err(LockError::OwnerDied(OwnerDied::new(guard, who)))
            }
        }
    }

    /// Puts an element at the end. Whoever locks next has it or, if this process dies first, has not.
    ///
    /// # Errors
    /// As [`SharedVec::lock`], and [`Error::LimitReached`] when there is no room to grow.
    pub fn push(&self, value: T) -> Result<()> {
        self.lock()?.push(value)
    }

    /// Takes the last element away.
    ///
    /// # Errors
    /// As [`SharedVec::lock`].
    pub fn pop(&self) -> Result<Option<T>>
    where
        T: Copy,
    {
        Ok(self.lock()?.pop())
    }

    /// Puts elements at the end, one after the other, with nobody's in between.
    ///
    /// # Errors
    /// As [`SharedVec::push`].
    pub fn extend(&self, values: impl IntoIterator<Item = T>) -> Result<()> {
        self.lock()?.extend(values)
    }

    /// How many elements there are at this moment.
    pub fn len(&self) -> usize {
        self.0.word(LENGTH).load(Acquire) as usize
    }

    /// Whether there is none at this moment.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of all elements.
    ///
    /// # Errors
    /// As [`SharedVec::lock`].
    pub fn to_vec(&self) -> Result<Vec<T>>
    where
        T: Copy,
    {
        Ok(self.lock()?.to_vec())
    }
}

impl<T: Shared> Clone for SharedVec<T> {
    fn clone(&self) -> SharedVec<T> {
        SharedVec(self.0.clone(), PhantomData)
    }
}

impl<T: Shared> fmt::Debug for SharedVec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedVec<{}; {}>({:?})", std::any::type_name::<T>(), self.len(), self.0.lock)
    }
}

impl<T: Shared> Serialize for SharedVec<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.object().serialize(serializer)
    }
}

impl<'de, T: Shared> Deserialize<'de> for SharedVec<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SharedVec<T>, D::Error> {
        Object::deserialize(deserializer)?
            .expect(Kind::VEC, layout_fingerprint::<T>())
            .and_then(SharedVec::of)
            .map_err(|e| de::Error::custom(carrier::refuse(e)))
    }
}
