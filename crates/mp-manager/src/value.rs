//! `Value`: one value of any type, swapped whole; and `Array`: a row of them of a fixed length.

use std::borrow::Borrow;
use std::fmt;

use mp_session::{Kind, Object, Session};
use mp_wire::{Error, Message, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::list::List;

/// One value of any type, for many processes: Python's `Manager().Value()`, without a manager.
///
/// It is what to put a structure of your own into that serde can write and read back: it is read whole and swapped whole. (Plain numbers and
/// structures of them are faster in `mp_shared::Value`, where they are changed in place.)
///
/// # If a process dies
///
/// There is the old value or the new one.
///
/// # Examples
///
/// ```
/// use mp_manager::Value;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Account { owner: String, cents: i64 }
///
/// let account = Value::new(Account { owner: "bob".into(), cents: 0 })?;
/// account.update(|a| a.cents += 250)?;
/// assert_eq!(account.get()?.cents, 250);
/// # Ok::<(), mp_manager::Error>(())
/// ```
pub struct Value<T>(List<T>);

impl<T: Message> Value<T> {
    /// A value in this process's session.
    ///
    /// # Errors
    /// As [`List::append`].
    pub fn new(value: impl Borrow<T>) -> Result<Value<T>> {
        Value::new_in(&Session::current()?, value)
    }

    /// A value in that session.
    ///
    /// # Errors
    /// As [`Value::new`].
    pub fn new_in(session: &Session, value: impl Borrow<T>) -> Result<Value<T>> {
        let list = List::of_kind(Kind::MANAGED_VALUE, session)?;
        list.append(value)?;
        Ok(Value(list))
    }

    /// The value: Python's `value.value`.
    ///
    /// # Errors
    /// [`Error::Decode`] when its bytes are no `T`.
    pub fn get(&self) -> Result<T> {
        self.0.get(0)?.ok_or_else(gone)
    }

    /// Puts another value in its place: Python's `value.value = x`.
    ///
    /// # Errors
    /// As [`List::append`].
    pub fn set(&self, value: impl Borrow<T>) -> Result<()> {
        if self.0.set(0, value)? { Ok(()) } else { Err(gone()) }
    }

    /// Changes the value, atomically. It is called again with a newer one when somebody else was faster. The value that it made.
    ///
    /// # Errors
    /// As [`Value::get`] and [`Value::set`].
    pub fn update(&self, mut change: impl FnMut(&mut T)) -> Result<T> {
        let change = |mut value| {
            change(&mut value);
            value
        };
        self.0.alter(0, change)?.ok_or_else(gone)
    }

    /// Puts `new` in the place of a value that equals `expected`. The value that was there: if it does not equal, nothing has changed.
    ///
    /// # Errors
    /// As [`Value::get`] and [`Value::set`].
    pub fn compare_exchange(&self, expected: &T, new: impl Borrow<T>) -> Result<Result<T, T>>
    where
        T: PartialEq,
    {
        self.0.compare_exchange(0, expected, new.borrow())?.ok_or_else(gone)
    }
}

/// A row of a fixed length of values of any type, for many processes: Python's `Manager().Array()`, without a manager.
///
/// (Numbers are faster in `mp_shared::Array`, where they are a slice.)
///
/// # If a process dies
///
/// Each operation has happened or has not.
///
/// # Examples
///
/// ```
/// use mp_manager::Array;
///
/// let array = Array::new([1.5, 2.5])?;
/// assert!(array.set(1, 7.0)?);
/// assert_eq!(array.to_vec()?, [1.5, 7.0]);
/// assert!(!array.set(2, 0.0)?); // there is no such element
/// # Ok::<(), mp_manager::Error>(())
/// ```
pub struct Array<T>(List<T>);

impl<T: Message> Array<T> {
    /// These values, in this process's session.
    ///
    /// # Errors
    /// As [`List::extend`].
    pub fn new(values: impl IntoIterator<Item = T>) -> Result<Array<T>> {
        Array::new_in(&Session::current()?, values)
    }

    /// These values, in that session.
    ///
    /// # Errors
    /// As [`Array::new`].
    pub fn new_in(session: &Session, values: impl IntoIterator<Item = T>) -> Result<Array<T>> {
        let list = List::of_kind(Kind::MANAGED_ARRAY, session)?;
        list.extend(values)?;
        Ok(Array(list))
    }

    /// How many there are: Python's `len`.
    ///
    /// # Errors
    /// As [`List::len`].
    pub fn len(&self) -> Result<usize> {
        self.0.len()
    }

    /// Whether there is none.
    ///
    /// # Errors
    /// As [`List::len`].
    pub fn is_empty(&self) -> Result<bool> {
        self.0.is_empty()
    }

    /// The element at `index`: Python's `array[index]`.
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn get(&self, index: usize) -> Result<Option<T>> {
        self.0.get(index)
    }

    /// Puts a value in the place of the one at `index`: Python's `array[index] = value`. `false`: there is none.
    ///
    /// # Errors
    /// As [`List::set`].
    pub fn set(&self, index: usize, value: impl Borrow<T>) -> Result<bool> {
        self.0.set(index, value)
    }

    /// Lets `f` make a new element of the one at `index`, as [`List::alter`].
    ///
    /// # Errors
    /// As [`List::alter`].
    pub fn alter(&self, index: usize, f: impl FnMut(T) -> T) -> Result<Option<T>> {
        self.0.alter(index, f)
    }

    /// The elements in a range, as far as there are any: Python's `array[a:b]`.
    ///
    /// # Errors
    /// As [`List::slice`].
    pub fn slice(&self, range: impl std::ops::RangeBounds<usize>) -> Result<Vec<T>> {
        self.0.slice(range)
    }

    /// Puts values in the place of as many, from `start` on, all at once: Python's `array[a:b] = values`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when there are not so many; as [`List::splice`].
    pub fn set_slice(&self, start: usize, values: impl IntoIterator<Item = T>) -> Result<()> {
        let values: Vec<T> = values.into_iter().collect();
        let (len, end) = (self.len()?, start.saturating_add(values.len()));
        if end > len {
            let detail = format!("elements {start} to {end} of an array of {len}");
            return Err(Error::InvalidArgument { detail });
        }
        self.0.splice(start..end, values)
    }

    /// All elements, as they are at one instant.
    ///
    /// # Errors
    /// As [`List::to_vec`].
    pub fn to_vec(&self) -> Result<Vec<T>> {
        self.0.to_vec()
    }
}

#[cold]
fn gone() -> Error {
    Error::Layout { detail: "a value's shelf without its value".into() }
}

macro_rules! handle {
    ($type:ident, $kind:expr) => {
        impl<T> Clone for $type<T> {
            fn clone(&self) -> $type<T> {
                $type(self.0.clone())
            }
        }

        impl<T> PartialEq for $type<T> {
            /// Whether they are the same object.
            fn eq(&self, other: &$type<T>) -> bool {
                self.0 == other.0
            }
        }

        impl<T> Eq for $type<T> {}

        impl<T> fmt::Debug for $type<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<T> Serialize for $type<T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(serializer)
            }
        }

        impl<'de, T: Message> Deserialize<'de> for $type<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type<T>, D::Error> {
                List::from_object($kind, Object::deserialize(deserializer)?).map($type)
            }
        }
    };
}

handle!(Value, Kind::MANAGED_VALUE);
handle!(Array, Kind::MANAGED_ARRAY);
