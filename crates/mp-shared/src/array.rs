//! `Array<T>`: many values side by side in shared memory.

use std::fmt;
use std::ops::RangeBounds;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use mp_session::{Blueprint, Kind, Object, Session, Shape, Shared, layout_fingerprint};
use mp_sync::__private::Patience;
use mp_wire::{Error, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::access::{LockError, LockResult, TryLockResult};
use crate::frozen::Frozen;
use crate::guard::Guard;
use crate::slice::Slice;
use crate::state::State;
use crate::value::BLOCK_ALIGN;

/// So many values side by side in memory that processes share: Python's `multiprocessing.Array`.
///
/// Access is a Rust slice, by one of three ways that exclude each other:
///
/// | | gives | meanwhile |
/// |---|---|---|
/// | [`lock`](Array::lock) | `&mut [T]` to all of it | nobody else has any |
/// | [`lease`](Array::lease) | `&mut [T]` to a range | others have leases of other ranges |
/// | [`freeze`](Array::freeze) | `&[T]`, for ever and for everybody | nobody changes it ever again |
///
/// An `Array` is a handle: clones, and copies that were sent to other processes, are the same array. So are its parts
/// ([`slice`](Array::slice)). It takes no descriptor, and its memory is free when the last handle is gone, whoever has it.
///
/// # If a process dies
///
/// If it held the lock, the next one is told by [`LockError::OwnerDied`], as with a [`Value`](crate::Value). If it had a lease, the
/// next one that leases the same range, or locks, is told.
///
/// # Examples
///
/// ```
/// use mp_shared::Array;
///
/// let array = Array::from_slice(&[1.0, 2.0, 3.0])?;
/// array.lock()?.iter_mut().for_each(|x| *x *= 2.0);
/// assert_eq!(array.get(1)?, 4.0);
///
/// let frozen = array.freeze()?; // no lock from here on, in any process
/// assert_eq!(frozen.iter().sum::<f64>(), 12.0);
/// assert!(array.lock().is_err());
/// # Ok::<(), mp_shared::Error>(())
/// ```
pub struct Array<T: Shared> {
    pub(crate) state: Arc<State>,
    first: NonNull<T>,
    len: usize,
}

// SAFETY: the pointer is to session memory, which any thread may use, and which stays as long as the state's object; the elements
// are `Send + Sync`, and reached as the state allows only.
unsafe impl<T: Shared> Send for Array<T> {}
// SAFETY: as above.
unsafe impl<T: Shared> Sync for Array<T> {}

impl<T: Shared> Array<T> {
    const ELEMENT: u64 = {
        assert!(size_of::<T>() != 0, "elements of a shared array have a size");
        assert!(align_of::<T>() <= BLOCK_ALIGN, "the session's blocks are aligned to 64 bytes");
        size_of::<T>() as u64
    };

    fn plan(len: usize) -> Result<Blueprint> {
        let size = (len as u64)
            .checked_mul(Self::ELEMENT)
            .filter(|size| *size <= isize::MAX as u64)
            .ok_or_else(|| Error::LimitReached {
                limit: "size of an array".into(),
                detail: format!("{len} elements of {} bytes", Self::ELEMENT),
            })?;
        Ok(Blueprint { kind: Kind::ARRAY, fingerprint: layout_fingerprint::<T>(), shape: Shape::Plain, size })
    }

    /// An array of so many elements, all of their bytes zero, in this process's session.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when the session has no room or its budget is used up: nothing fails later, on access. And what
    /// [`Session::current`] returns.
    pub fn new(len: usize) -> Result<Array<T>> {
        Array::new_in(&Session::current()?, len)
    }

    /// An array of zeros in that session.
    ///
    /// # Errors
    /// As [`Array::new`].
    pub fn new_in(session: &Session, len: usize) -> Result<Array<T>> {
        Array::of(Object::create_zeroed(session, Self::plan(len)?, "", |_, _| {})?)
    }

    /// An array whose elements are what `f` returns for their indices.
    ///
    /// # Errors
    /// As [`Array::new`].
    ///
    /// # Examples
    ///
    /// ```
    /// let squares = mp_shared::Array::from_fn(5, |i| (i * i) as u32)?;
    /// assert_eq!(squares.to_vec()?, [0, 1, 4, 9, 16]);
    /// # Ok::<(), mp_shared::Error>(())
    /// ```
    pub fn from_fn(len: usize, f: impl FnMut(usize) -> T) -> Result<Array<T>> {
        Array::from_fn_in(&Session::current()?, len, f)
    }

    /// The same in that session.
    ///
    /// # Errors
    /// As [`Array::new`].
    pub fn from_fn_in(session: &Session, len: usize, mut f: impl FnMut(usize) -> T) -> Result<Array<T>> {
        // Nothing of the caller's may run while the object is being made, so it is made first: nobody else knows it yet.
        let array = Array::of(Object::create(session, Self::plan(len)?, |_, _| {})?)?;
        for i in 0..len {
            // SAFETY: in bounds, and nobody else has a handle.
            unsafe { array.first.add(i).write(f(i)) };
        }
        Ok(array)
    }

    fn of(object: Object) -> Result<Array<T>> {
        let (first, len) = match object.bytes() {
            Some((bytes, size)) if size % Self::ELEMENT == 0 => {
                (bytes.cast(), (size / Self::ELEMENT) as usize)
            }
            None => (NonNull::dangling(), 0),
            Some(_) => return Err(Error::Layout { detail: "an array whose last element is cut off".into() }),
        };
        Ok(Array { state: Arc::new(State::of(object)), first, len })
    }

    /// How many elements it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn data(&self) -> NonNull<[T]> {
        NonNull::slice_from_raw_parts(self.first, self.len)
    }

    /// Takes all of it until the guard is dropped: Python's `get_lock()` and `get_obj()`.
    ///
    /// # Errors
    /// [`LockError::OwnerDied`] when the last owner died, of the lock or of a lease: the lock is held all the same, by the
    /// guard in the error. Otherwise [`LockError::Failed`], with [`Error::Frozen`], or [`Error::InvalidArgument`] when this thread
    /// holds it already.
    ///
    /// # Blocking
    /// Until it is released and all leases are back, or their owners dead. A thread that has a lease itself waits for ever.
    #[inline]
    pub fn lock(&self) -> LockResult<Guard<'_, [T]>> {
        if self.state.lock_at_once()? {
            // SAFETY: just locked; the data lies in the state's object (checked by `of`).
            return Ok(unsafe { Guard::clean(&self.state, self.data()) });
        }
        loop {
            if let Some(guard) = self.lock_within(Patience::Endless)? {
                return Ok(guard);
            }
        }
    }

    /// Takes all of it if that needs no waiting.
    ///
    /// # Errors
    /// As [`Array::lock`]; `Ok(None)` when somebody holds it or a lease, this thread included.
    pub fn try_lock(&self) -> TryLockResult<Guard<'_, [T]>> {
        self.lock_within(Patience::None)
    }

    /// Takes all of it, waiting no longer than this.
    ///
    /// # Errors
    /// As [`Array::lock`]; `Ok(None)` when the time is up.
    pub fn lock_timeout(&self, timeout: Duration) -> TryLockResult<Guard<'_, [T]>> {
        self.lock_within(Patience::lasting(timeout))
    }

    #[cold]
    fn lock_within(&self, patience: Patience) -> TryLockResult<Guard<'_, [T]>> {
        match self.state.lock(patience)? {
            // SAFETY: just locked, with no lease out; the data lies in the state's object (checked by `of`).
            Some(found) => unsafe { Guard::new(&self.state, self.data(), found) }.map(Some),
            None => Ok(None),
        }
    }

    /// Whether somebody holds the lock at this moment.
    pub fn locked(&self) -> bool {
        self.state.is_locked()
    }

    /// Makes it unchangeable, for ever and for everybody, in one step. Freezing what is frozen is no error.
    ///
    /// # Errors
    /// [`Error::InUse`] when somebody holds the lock or a lease, [`Error::OwnerDied`] when a death left it inconsistent.
    pub fn freeze(&self) -> Result<Frozen<T>> {
        self.state.freeze()?;
        self.frozen()
    }

    /// The view of it, if somebody froze it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when nobody did.
    pub fn frozen(&self) -> Result<Frozen<T>> {
        Frozen::of(self.clone())
    }

    /// Whether somebody froze it.
    pub fn is_frozen(&self) -> bool {
        self.state.is_frozen()
    }

    /// A part of it, as a handle.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when the range is not inside the array.
    ///
    /// # Examples
    ///
    /// ```
    /// let array = mp_shared::Array::<u32>::new(10)?;
    /// let middle = array.slice(3..7)?; // to be sent to somebody who works on it
    /// middle.lease()?.fill(1);
    /// assert_eq!(array.to_vec()?, [0, 0, 0, 1, 1, 1, 1, 0, 0, 0]);
    /// # Ok::<(), mp_shared::Error>(())
    /// ```
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Result<Slice<T>> {
        Slice::of(self.clone(), range)
    }

    /// Parts of `size` elements each, the last one perhaps shorter: what a pool's workers can be given.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a size of 0.
    pub fn chunks(&self, size: usize) -> Result<Vec<Slice<T>>> {
        if size == 0 {
            return Err(Error::InvalidArgument { detail: "chunks of no elements".into() });
        }
        (0..self.len).step_by(size).map(|from| self.slice(from..(from + size).min(self.len))).collect()
    }

    /// Writes one element: Python's `a[i] = x`.
    ///
    /// # Errors
    /// As [`Array::lock`], and [`Error::InvalidArgument`] when there is no such element.
    pub fn set(&self, index: usize, value: T) -> Result<()> {
        let mut guard = self.lock()?;
        *guard.get_mut(index).ok_or_else(|| outside(index, self.len))? = value;
        Ok(())
    }

    /// The elements, whatever else happens to them.
    ///
    /// # Safety
    /// As long as the slice is used nobody changes them, in any process.
    pub unsafe fn as_slice(&self) -> &[T] {
        // SAFETY: the data lives as long as the handle; the rest is the caller's promise.
        unsafe { self.data().as_ref() }
    }

    /// The first element's address, for code that arranges access by other means. It is valid as long as the handle.
    pub fn as_mut_ptr(&self) -> *mut T {
        self.first.as_ptr()
    }
}

pub(crate) fn outside(index: usize, len: usize) -> Error {
    Error::InvalidArgument { detail: format!("index {index} of an array of {len} elements") }
}

impl<T: Shared + Copy> Array<T> {
    /// An array of these elements.
    ///
    /// # Errors
    /// As [`Array::new`].
    pub fn from_slice(elements: &[T]) -> Result<Array<T>> {
        Array::from_slice_in(&Session::current()?, elements)
    }

    /// The same in that session.
    ///
    /// # Errors
    /// As [`Array::new`].
    pub fn from_slice_in(session: &Session, elements: &[T]) -> Result<Array<T>> {
        Array::of(Object::create(session, Self::plan(elements.len())?, |_, bytes| {
            if let Some(bytes) = bytes {
                // SAFETY: the block has room for so many elements by the plan, their alignment by `ELEMENT`'s assertion, and is
                // ours alone until `create` returns.
                unsafe {
                    bytes.cast::<T>().as_ptr().copy_from_nonoverlapping(elements.as_ptr(), elements.len());
                }
            }
        })?)
    }

    /// One element: Python's `a[i]`.
    ///
    /// # Errors
    /// As [`Array::lock`], save that a frozen array can be read; [`Error::InvalidArgument`] when there is no such element.
    pub fn get(&self, index: usize) -> Result<T> {
        self.read(|all| all.get(index).copied())?.ok_or_else(|| outside(index, self.len))
    }

    /// A copy of all of it.
    ///
    /// # Errors
    /// As [`Array::lock`], save that a frozen array can be read.
    pub fn to_vec(&self) -> Result<Vec<T>> {
        self.read(<[T]>::to_vec)
    }

    /// Another array of the same elements, which nobody has frozen: Python's `sharedctypes.copy`.
    ///
    /// # Errors
    /// As [`Array::to_vec`] and [`Array::new`].
    pub fn copy(&self) -> Result<Array<T>> {
        self.read(|all| Array::from_slice_in(self.state.session(), all))?
    }

    fn read<R>(&self, read: impl FnOnce(&[T]) -> R) -> Result<R> {
        if self.is_frozen() {
            return Ok(read(&self.frozen()?));
        }
        match self.lock() {
            Ok(guard) => Ok(read(&guard)),
            // Frozen in between.
            Err(LockError::Failed(Error::Frozen { .. })) => Ok(read(&self.frozen()?)),
            Err(error) => Err(error.into()),
        }
    }
}

impl<T: Shared> Clone for Array<T> {
    fn clone(&self) -> Array<T> {
        Array { state: self.state.clone(), first: self.first, len: self.len }
    }
}

impl<T: Shared> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Array<{}; {}>({})", std::any::type_name::<T>(), self.len, self.state)
    }
}

impl<T: Shared> Serialize for Array<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.state.object().serialize(serializer)
    }
}

impl<'de, T: Shared> Deserialize<'de> for Array<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Array<T>, D::Error> {
        Object::deserialize(deserializer)?
            .expect(Kind::ARRAY, layout_fingerprint::<T>())
            .and_then(Array::of)
            .map_err(|e| de::Error::custom(carrier::refuse(e)))
    }
}
