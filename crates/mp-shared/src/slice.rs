//! `Slice<T>`: a part of an array, as a handle.

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::time::Duration;

use mp_session::Shared;
use mp_sync::__private::Patience;
use mp_wire::{Error, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Array;
use crate::access::{LockResult, TryLockResult};
use crate::board::Range;
use crate::frozen::Frozen;
use crate::lease::Lease;

/// A part of an [`Array`]: a handle that can be cloned and sent, and gives access where it arrives.
///
/// It gives none by itself: [`lease`](Slice::lease) it, or read it when the array is [frozen](Slice::frozen).
///
/// # Examples
///
/// ```
/// use mp_shared::{Array, Slice};
///
/// fn double(part: Slice<f64>) -> mp_shared::Result<()> {
///     part.lease()?.iter_mut().for_each(|x| *x *= 2.0);
///     Ok(())
/// }
///
/// let array = Array::from_fn(1000, |i| i as f64)?;
/// for part in array.chunks(300)? { double(part)?; } // a pool's `map` does it in as many processes
/// assert_eq!(array.get(999)?, 1998.0);
/// # Ok::<(), mp_shared::Error>(())
/// ```
pub struct Slice<T: Shared> {
    pub(crate) array: Array<T>,
    pub(crate) start: usize,
    pub(crate) len: usize,
}

impl<T: Shared> Slice<T> {
    pub(crate) fn of(array: Array<T>, range: impl RangeBounds<usize>) -> Result<Slice<T>> {
        let (start, len) = resolve(&range, array.len())?;
        Ok(Slice { array, start, len })
    }

    /// The array that it is a part of.
    pub fn as_array(&self) -> &Array<T> {
        &self.array
    }

    /// The index in the array of its first element.
    pub fn start(&self) -> usize {
        self.start
    }

    /// How many elements it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A part of it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when the range is not inside.
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Result<Slice<T>> {
        let (start, len) = resolve(&range, self.len)?;
        Ok(Slice { array: self.array.clone(), start: self.start + start, len })
    }

    /// Takes these elements until the lease is dropped; others may have others meanwhile. As [`Array::lease`].
    ///
    /// # Errors
    /// As [`Array::lease`].
    ///
    /// # Blocking
    /// As [`Array::lease`].
    pub fn lease(&self) -> LockResult<Lease<T>> {
        loop {
            if let Some(lease) = self.lease_within(Patience::Endless)? {
                return Ok(lease);
            }
        }
    }

    /// Takes these elements if that needs no waiting.
    ///
    /// # Errors
    /// As [`Array::lease`]; `Ok(None)` when somebody has the array or some of them.
    pub fn try_lease(&self) -> TryLockResult<Lease<T>> {
        self.lease_within(Patience::None)
    }

    /// Takes these elements, waiting no longer than this.
    ///
    /// # Errors
    /// As [`Array::lease`]; `Ok(None)` when the time is up.
    pub fn lease_timeout(&self, timeout: Duration) -> TryLockResult<Lease<T>> {
        self.lease_within(Patience::lasting(timeout))
    }

    fn lease_within(&self, patience: Patience) -> TryLockResult<Lease<T>> {
        Lease::take(&self.array, Range { start: self.start as u64, len: self.len as u64 }, patience)
    }

    /// The elements, if the array is frozen.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when it is not.
    pub fn frozen(&self) -> Result<FrozenSlice<T>> {
        Ok(FrozenSlice { all: self.array.frozen()?, start: self.start, len: self.len })
    }
}

fn resolve(range: &impl RangeBounds<usize>, len: usize) -> Result<(usize, usize)> {
    let start = match range.start_bound() {
        Bound::Included(start) => Some(*start),
        Bound::Excluded(before) => before.checked_add(1),
        Bound::Unbounded => Some(0),
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.checked_add(1),
        Bound::Excluded(end) => Some(*end),
        Bound::Unbounded => Some(len),
    };
    match (start, end) {
        (Some(start), Some(end)) if start <= end && end <= len => Ok((start, end - start)),
        _ => {
            let (from, to) = (range.start_bound(), range.end_bound());
            Err(Error::InvalidArgument { detail: format!("the range {from:?}..{to:?} of {len} elements") })
        }
    }
}

/// A part of a [`Frozen`] array: a `&[T]` without a lock.
pub struct FrozenSlice<T: Shared> {
    all: Frozen<T>,
    start: usize,
    len: usize,
}

impl<T: Shared> std::ops::Deref for FrozenSlice<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.all[self.start..self.start + self.len]
    }
}

impl<T: Shared + fmt::Debug> fmt::Debug for FrozenSlice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: Shared> Clone for Slice<T> {
    fn clone(&self) -> Slice<T> {
        Slice { array: self.array.clone(), start: self.start, len: self.len }
    }
}

impl<T: Shared> fmt::Debug for Slice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{} of {:?}", self.start, self.start + self.len, self.array)
    }
}

impl<T: Shared> Serialize for Slice<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.array, self.start as u64, self.len as u64).serialize(serializer)
    }
}

impl<'de, T: Shared> Deserialize<'de> for Slice<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Slice<T>, D::Error> {
        let (array, start, len) = <(Array<T>, u64, u64)>::deserialize(deserializer)?;
        let end = start.saturating_add(len);
        Slice::of(array, start as usize..end as usize).map_err(|e| de::Error::custom(carrier::refuse(e)))
    }
}
