//! `RawValue` and `RawArray`: atomics in shared memory, without a lock.

use mp_session::primitive::user::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicIsize, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
    AtomicUsize,
};
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;

use mp_session::{Blueprint, Kind, Object, Session, Shape, Shared, layout_fingerprint};
use mp_wire::{Error, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::value::BLOCK_ALIGN;
use crate::{AtomicF32, AtomicF64};

/// Data that may be looked at through a `&` while another process changes it: atomics and nothing else.
///
/// # Safety
/// Every byte of the type is part of an atomic (of the same size wherever the type is used), or padding.
#[diagnostic::on_unimplemented(
    message = "`{Self}` may not be changed while others look at it",
    label = "not made of atomics",
    note = "atomics of `std::sync::atomic`, `AtomicF64`, and arrays of them may; for plain numbers use `Value` and `Array`, which have a lock"
)]
pub unsafe trait Atomic: Shared {}

macro_rules! atomic {
    ($($type:ty),+ $(,)?) => { $(
        // SAFETY: an atomic.
        unsafe impl Atomic for $type {}
    )+ };
}

atomic!(
    AtomicU8,
    AtomicU16,
    AtomicU32,
    AtomicU64,
    AtomicUsize,
    AtomicI8,
    AtomicI16,
    AtomicI32,
    AtomicI64,
    AtomicIsize,
    AtomicF32,
    AtomicF64,
);

// SAFETY: atomics side by side.
unsafe impl<T: Atomic, const N: usize> Atomic for [T; N] {}

/// Atomics in memory that processes share, without a lock: Python's `RawArray`, which has nothing to keep its users apart, made
/// sound.
///
/// It is a `&[T]` of atomics, for everybody at any time. A handle, as all others.
///
/// Plain numbers need a lock; this does not compile:
///
/// ```compile_fail,E0277
/// let array = mp_shared::RawArray::<u64>::new(4);
/// ```
///
/// # If a process dies
///
/// Each atomic has the value that was stored last.
///
/// # Examples
///
/// ```
/// use mp_shared::RawArray;
/// use mp_session::primitive::user::{AtomicU64, Ordering::Relaxed};
///
/// let counts = RawArray::<AtomicU64>::new(3)?;
/// counts[1].fetch_add(5, Relaxed);
/// assert_eq!(counts.iter().map(|c| c.load(Relaxed)).sum::<u64>(), 5);
/// # Ok::<(), mp_shared::Error>(())
/// ```
pub struct RawArray<T: Atomic> {
    object: Object,
    first: NonNull<T>,
    len: usize,
}

// SAFETY: the pointer is to atomics in session memory, which any thread may use, and which stay as long as the object.
unsafe impl<T: Atomic> Send for RawArray<T> {}
// SAFETY: as above.
unsafe impl<T: Atomic> Sync for RawArray<T> {}

impl<T: Atomic> RawArray<T> {
    const ELEMENT: u64 = {
        assert!(size_of::<T>() != 0, "elements of a shared array have a size");
        assert!(align_of::<T>() <= BLOCK_ALIGN, "the session's blocks are aligned to 64 bytes");
        size_of::<T>() as u64
    };

    /// So many atomics, all zero, in this process's session.
    ///
    /// # Errors
    /// As [`Array::new`](crate::Array::new).
    pub fn new(len: usize) -> Result<RawArray<T>> {
        RawArray::new_in(&Session::current()?, len)
    }

    /// The same in that session.
    ///
    /// # Errors
    /// As [`RawArray::new`].
    pub fn new_in(session: &Session, len: usize) -> Result<RawArray<T>> {
        let size = (len as u64).checked_mul(Self::ELEMENT).filter(|size| *size <= isize::MAX as u64);
        let size = size.ok_or_else(|| Error::LimitReached {
            limit: "size of an array".into(),
            detail: format!("{len} elements of {} bytes", Self::ELEMENT),
        })?;
        let plan =
            Blueprint { kind: Kind::RAW, fingerprint: layout_fingerprint::<T>(), shape: Shape::Plain, size };
        RawArray::of(Object::create_zeroed(session, plan, "", |_, _| {})?)
    }

    fn of(object: Object) -> Result<RawArray<T>> {
        let (first, len) = match object.bytes() {
            Some((bytes, size)) => (bytes.cast(), (size / Self::ELEMENT) as usize),
            None => (NonNull::dangling(), 0),
        };
        Ok(RawArray { object, first, len })
    }
}

impl<T: Atomic> Deref for RawArray<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: so many atomics, initialised with zeros, in a block that lives as long as the object; anybody may use atomics at
        // any time.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}

impl<T: Atomic> Clone for RawArray<T> {
    fn clone(&self) -> RawArray<T> {
        RawArray { object: self.object.clone(), first: self.first, len: self.len }
    }
}

impl<T: Atomic> fmt::Debug for RawArray<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawArray<{}; {}>", std::any::type_name::<T>(), self.len)
    }
}

impl<T: Atomic> Serialize for RawArray<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.object.serialize(serializer)
    }
}

impl<'de, T: Atomic> Deserialize<'de> for RawArray<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawArray<T>, D::Error> {
        Object::deserialize(deserializer)?
            .expect(Kind::RAW, layout_fingerprint::<T>())
            .and_then(RawArray::of)
            .map_err(|e| de::Error::custom(carrier::refuse(e)))
    }
}

/// One atomic in memory that processes share, without a lock: Python's `RawValue`. It is a `&T`, for everybody at any time.
///
/// # Examples
///
/// ```
/// use mp_shared::{AtomicF64, RawValue};
/// use std::sync::atomic::Ordering::Relaxed;
///
/// let temperature = RawValue::new(AtomicF64::new(20.5))?;
/// temperature.store(21.0, Relaxed);
/// # Ok::<(), mp_shared::Error>(())
/// ```
pub struct RawValue<T: Atomic>(RawArray<T>);

impl<T: Atomic> RawValue<T> {
    /// An atomic in this process's session.
    ///
    /// # Errors
    /// As [`Value::new`](crate::Value::new).
    pub fn new(value: T) -> Result<RawValue<T>> {
        RawValue::new_in(&Session::current()?, value)
    }

    /// The same in that session.
    ///
    /// # Errors
    /// As [`RawValue::new`].
    pub fn new_in(session: &Session, value: T) -> Result<RawValue<T>> {
        let one = RawArray::new_in(session, 1)?;
        // SAFETY: room for one, and nobody else has a handle yet.
        unsafe { one.first.write(value) };
        Ok(RawValue(one))
    }
}

impl<T: Atomic> Deref for RawValue<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: made with room for one, or checked to have it when it arrived; otherwise as for the array.
        unsafe { self.0.first.as_ref() }
    }
}

impl<T: Atomic> Clone for RawValue<T> {
    fn clone(&self) -> RawValue<T> {
        RawValue(self.0.clone())
    }
}

impl<T: Atomic + fmt::Debug> fmt::Debug for RawValue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RawValue").field(&**self).finish()
    }
}

impl<T: Atomic> Serialize for RawValue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Atomic> Deserialize<'de> for RawValue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawValue<T>, D::Error> {
        let all = RawArray::deserialize(deserializer)?;
        if all.len() == 1 {
            return Ok(RawValue(all));
        }
        let error = Error::WrongKind { expected: "RawValue".into(), found: "RawArray".into() };
        Err(de::Error::custom(carrier::refuse(error)))
    }
}
