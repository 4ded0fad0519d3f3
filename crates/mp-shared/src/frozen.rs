//! `Frozen<T>`: an array that nobody changes ever again.

use std::fmt;
use std::ops::Deref;

use mp_session::Shared;
use mp_wire::{Error, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Array;

/// A frozen [`Array`]: a `&[T]` without a lock, in every process that it is sent to.
///
/// Nobody changes the elements ever again (atomics among them excepted, which is what they are for), so there is nothing that a
/// death could leave half done.
///
/// There is no way to write:
///
/// ```compile_fail,E0594
/// let mut frozen = mp_shared::Array::<u32>::new(3).unwrap().freeze().unwrap();
/// frozen[0] = 1;
/// ```
///
/// # Examples
///
/// ```
/// use mp_shared::{Array, Frozen};
///
/// let primes: Frozen<u32> = Array::from_slice(&[2, 3, 5, 7])?.freeze()?;
/// assert!(primes.binary_search(&5).is_ok());
/// # Ok::<(), mp_shared::Error>(())
/// ```
pub struct Frozen<T: Shared>(Array<T>);

impl<T: Shared> Frozen<T> {
    /// The view of an array that is frozen.
    pub(crate) fn of(array: Array<T>) -> Result<Frozen<T>> {
        if array.is_frozen() {
            Ok(Frozen(array))
        } else {
            Err(Error::InvalidArgument { detail: format!("{} is not frozen", array.state.name()) })
        }
    }

    /// The array.
    pub fn as_array(&self) -> &Array<T> {
        &self.0
    }
}

impl<T: Shared> Deref for Frozen<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: the array is frozen (checked by `of`, with acquire), so what was written before is visible, nobody has a lock or
        // a lease of it any more, and nobody gets one.
        unsafe { self.0.as_slice() }
    }
}

impl<T: Shared> Clone for Frozen<T> {
    fn clone(&self) -> Frozen<T> {
        Frozen(self.0.clone())
    }
}

impl<T: Shared + fmt::Debug> fmt::Debug for Frozen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: Shared> Serialize for Frozen<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Shared> Deserialize<'de> for Frozen<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Frozen<T>, D::Error> {
        Frozen::of(Array::deserialize(deserializer)?).map_err(|e| de::Error::custom(carrier::refuse(e)))
    }
}
