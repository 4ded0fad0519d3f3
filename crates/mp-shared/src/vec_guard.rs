//! The guard of a `SharedVec`: its elements, and growing. The steps and what a death after each leaves are told in `vec.rs`.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use mp_session::primitive::Ordering::*;
use mp_session::{Blueprint, Kind, Object, Shape, Shared};
use mp_wire::{Error, Ident, Result};

use crate::SharedVec;
use crate::access::{Access, sealed};
use crate::vec::{GROWTHS, Known, LENGTH};

/// The first block has room for so many.
const FIRST_ROOM: usize = 4;

/// Holds a [`SharedVec`] for the thread that made it, until it is dropped: a `&mut [T]` that can grow.
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct VecGuard<'a, T: Shared> {
    vec: &'a SharedVec<T>,
    first: NonNull<T>,
    capacity: usize,
    len: usize,
    /// Access to elements; not `Send`.
    stays_here: PhantomData<(&'a mut T, *const ())>,
}

// SAFETY: a shared guard lets another thread read the elements, which are `Sync`.
unsafe impl<T: Shared> Sync for VecGuard<'_, T> {}

impl<'a, T: Shared> VecGuard<'a, T> {
    /// For who has just locked `vec`.
    pub(crate) fn new(vec: &'a SharedVec<T>) -> Result<VecGuard<'a, T>> {
        let mut guard =
            VecGuard { vec, first: NonNull::dangling(), capacity: 0, len: 0, stays_here: PhantomData };
        guard.look()?;
        Ok(guard)
    }

    /// Finds the elements.
    fn look(&mut self) -> Result<()> {
        let inner = &self.vec.0;
        let growths = inner.word(GROWTHS).load(Acquire);
        let mut known = inner.known.lock();
        if growths != known.growths {
            known.block = Some(inner.object().owned(growths & 1)?);
            known.growths = growths;
        }
        if let Some((bytes, size)) = known.block.as_ref().and_then(Object::bytes) {
            self.first = bytes.cast();
            self.capacity = size as usize / SharedVec::<T>::ELEMENT;
        }
        self.len = inner.word(LENGTH).load(Acquire) as usize;
        if self.len <= self.capacity {
            return Ok(());
        }
        let detail = format!("a vector of {} elements with room for {}", self.len, self.capacity);
        self.len = 0;
        Err(Error::Layout { detail })
    }

    /// Releases the block that somebody who died did not come to use, or to release.
    pub(crate) fn release_spare(&self) -> Result<()> {
        let inner = &self.vec.0;
        let growths = inner.word(GROWTHS).load(Acquire);
        if growths == 0 {
            inner.object().disown(0)?;
        }
        inner.object().disown((growths & 1) ^ 1)
    }

    fn set_len(&mut self, len: usize) {
        self.vec.0.word(LENGTH).store(len as u64, Release);
        self.len = len;
    }

    /// How many elements there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Makes room for so many more.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when there is none: then nothing has changed.
    pub fn reserve(&mut self, more: usize) -> Result<()> {
        self.reserve_behind(self.len, more)
    }

    /// Makes room for so many behind `len` elements, not all of which may count yet.
    fn reserve_behind(&mut self, len: usize, more: usize) -> Result<()> {
        if self.capacity - len >= more {
            return Ok(());
        }
        let too_many = || Error::LimitReached {
            limit: "size of a vector".into(),
            detail: format!("{len} and {more} elements of {} bytes", SharedVec::<T>::ELEMENT),
        };
        let needed = len.checked_add(more).ok_or_else(too_many)?;
        let room = needed.max(self.capacity.saturating_mul(2)).max(FIRST_ROOM);
        let size = room.checked_mul(SharedVec::<T>::ELEMENT).filter(|size| *size <= isize::MAX as usize);
        self.grow(size.ok_or_else(too_many)? as u64, len)
    }

    /// The steps of the table at the top.
    #[cold]
    fn grow(&mut self, size: u64, len: usize) -> Result<()> {
        let inner = &self.vec.0;
        let growths = inner.word(GROWTHS).load(Relaxed);
        let (counts, next) = (growths & 1, (growths + 1) & 1);
        let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size };
        let block = Object::create(inner.object().session(), plan, |_, bytes| {
            if let Some(bytes) = bytes {
                // SAFETY: the old block holds `len` elements, which are ours under the lock; the new one is larger, aligned to 64,
                // and ours alone.
                unsafe { bytes.cast::<T>().copy_from_nonoverlapping(self.first, len) };
            }
        })?;
        inner.object().own(next, &block)?;
        inner.word(GROWTHS).store(growths + 1, Release);
        if growths != 0 {
            inner.object().disown(counts)?;
        }
        *inner.known.lock() = Known { growths: growths + 1, block: Some(block) };
        self.look()
    }

    /// Puts an element at the end.
    ///
    /// # Errors
    /// As [`VecGuard::reserve`].
    pub fn push(&mut self, value: T) -> Result<()> {
        self.reserve(1)?;
        // SAFETY: there is room for one more, and the lock makes it ours.
        unsafe { self.first.add(self.len).write(value) };
        self.set_len(self.len + 1);
        Ok(())
    }

    /// Takes the last element away.
    pub fn pop(&mut self) -> Option<T>
    where
        T: Copy,
    {
        let last = self.last().copied()?;
        self.set_len(self.len - 1);
        Some(last)
    }

    /// Puts elements at the end. The length changes once, after all of them: a death leaves all or none.
    ///
    /// # Errors
    /// As [`VecGuard::reserve`]: then those that came before are there.
    pub fn extend(&mut self, values: impl IntoIterator<Item = T>) -> Result<()> {
        let values = values.into_iter();
        let mut len = self.len;
        let mut outcome = self.reserve(values.size_hint().0);
        for value in values {
            outcome = outcome.and_then(|()| self.reserve_behind(len, 1));
            if outcome.is_err() {
                break;
            }
            // SAFETY: there is room for one more, and the lock makes it ours.
            unsafe { self.first.add(len).write(value) };
            len += 1;
        }
        self.set_len(len);
        outcome
    }

    /// Keeps the first `len` elements only.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.set_len(len);
        }
    }

    /// Keeps no element. The room stays.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Takes the element at `index` away, and puts the last one in its place.
    pub fn swap_remove(&mut self, index: usize) -> Option<T>
    where
        T: Copy,
    {
        let removed = self.get(index).copied()?;
        let last = self.len - 1;
        self.swap(index, last);
        self.set_len(last);
        Some(removed)
    }

    /// Says that the elements are whole again after an owner died over them.
    pub fn mark_consistent(&mut self) {
        self.vec.0.lock.mark_consistent();
    }

    /// Who died over them, if somebody did and nobody has repaired them since.
    pub fn owner_died(&self) -> Option<Ident> {
        if self.vec.0.lock.is_inconsistent() { self.vec.0.lock.last_victim() } else { None }
    }
}

impl<T: Shared> Deref for VecGuard<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: so many elements were written there, and `look` checked that there is room for them. They are this guard's as long as
        // the lock is held, and the block stays as long as `known` keeps it, which changes under the lock only.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}

impl<T: Shared> DerefMut for VecGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and the guard is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.first.as_ptr(), self.len) }
    }
}

impl<T: Shared> Drop for VecGuard<'_, T> {
    fn drop(&mut self) {
        self.vec.0.lock.unlock();
    }
}

impl<T: Shared> sealed::Sealed for VecGuard<'_, T> {}

impl<T: Shared> Access for VecGuard<'_, T> {
    type Data = Self;

    fn data(&mut self) -> &mut Self {
        self
    }

    fn mark_consistent(&mut self) {
        VecGuard::mark_consistent(self);
    }

    fn what(&self) -> String {
        Kind::VEC.name()
    }
}

impl<T: Shared + fmt::Debug> fmt::Debug for VecGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: Shared, U> PartialEq<U> for VecGuard<'_, T>
where
    [T]: PartialEq<U>,
{
    fn eq(&self, other: &U) -> bool {
        **self == *other
    }
}
