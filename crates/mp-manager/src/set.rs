//! `Set`: a set in shared memory: a dict's keys (`shards.rs`).

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use mp_session::{Kind, Object, Session, fingerprint};
use mp_wire::{Message, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::key::{self, KeyOf};
use crate::packed::Packed;
use crate::shard;
use crate::shards::{SHARDS, Shards};

/// A set for many processes: Python's `Manager().set()` (3.14), without a manager.
///
/// It is a handle, as a [`Dict`](crate::Dict) is, and its elements are what a dict's keys are: equal when their encoded bytes are, in order of
/// insertion, and without handles in them.
///
/// # If a process dies
///
/// Each operation has happened or has not; [`update`](Set::update) and [`clear`](Set::clear) as a whole.
///
/// # Examples
///
/// ```
/// use mp_manager::Set;
///
/// let seen = Set::<String>::new()?;
/// assert!(seen.add("bob")?);
/// assert!(!seen.add("bob")?); // it was there already: of many processes, one is told `true`
/// seen.update(["ann".to_owned(), "eve".to_owned()])?;
/// seen.subtract(["bob".to_owned()])?;
/// assert_eq!(seen.to_vec()?, ["ann", "eve"]);
/// # Ok::<(), mp_manager::Error>(())
/// ```
pub struct Set<T>(Arc<Shards>, PhantomData<fn(T) -> T>);

impl<T: Message> Set<T> {
    /// An empty one in this process's session.
    ///
    /// # Errors
    /// As [`Dict::new`](crate::Dict::new).
    pub fn new() -> Result<Set<T>> {
        Set::new_in(&Session::current()?)
    }

    /// An empty one in that session.
    ///
    /// # Errors
    /// As [`Set::new`].
    pub fn new_in(session: &Session) -> Result<Set<T>> {
        let shards = Shards::create(Kind::SET, fingerprint::<T>(), SHARDS, session)?;
        Ok(Set(Arc::new(shards), PhantomData))
    }

    /// One with these elements.
    ///
    /// # Errors
    /// As [`Set::update`].
    pub fn from_values(values: impl IntoIterator<Item = T>) -> Result<Set<T>> {
        let set = Set::new()?;
        set.update(values)?;
        Ok(set)
    }

    fn nothing(&self) -> Result<Packed> {
        Packed::new(self.0.object().session(), &())
    }

    /// Puts an element in: Python's `add`. `false`: it was there.
    ///
    /// # Errors
    /// As [`Dict::insert`](crate::Dict::insert).
    pub fn add<Q: KeyOf<T> + ?Sized>(&self, value: &Q) -> Result<bool> {
        self.0.exchange(&self.0.seek(value)?, None, Some(&self.nothing()?))
    }

    /// Takes an element out: Python's `discard`. `false`: it was not there.
    ///
    /// # Errors
    /// As [`Dict::get`](crate::Dict::get).
    pub fn remove<Q: KeyOf<T> + ?Sized>(&self, value: &Q) -> Result<bool> {
        Ok(self.0.take(&self.0.seek(value)?)?.is_some())
    }

    /// Whether the element is there: Python's `in`.
    ///
    /// # Errors
    /// As [`Dict::get`](crate::Dict::get).
    pub fn contains<Q: KeyOf<T> + ?Sized>(&self, value: &Q) -> Result<bool> {
        let sought = self.0.seek(value)?;
        Ok(self.0.locked(sought.shard)?.is_some_and(|held| shard::find(&held, sought.key()).is_some()))
    }

    /// Takes some element out, the last one that was put in: Python's `pop`.
    ///
    /// # Errors
    /// As [`Dict::get`](crate::Dict::get).
    pub fn pop(&self) -> Result<Option<T>> {
        self.0.take_last()?.map(|(value, _)| key::decode(&value)).transpose()
    }

    /// Puts all these elements in, at one instant: Python's `update`, and `|=`.
    ///
    /// # Errors
    /// As [`Dict::update`](crate::Dict::update).
    pub fn update(&self, values: impl IntoIterator<Item = T>) -> Result<()> {
        let pack = |value: T| Ok((self.0.seek(&value)?, self.nothing()?));
        self.0.put_all(&values.into_iter().map(pack).collect::<Result<Vec<_>>>()?)
    }

    /// Takes these elements out, one after the other: Python's `difference_update`, and `-=`.
    ///
    /// # Errors
    /// As [`Set::remove`].
    pub fn subtract(&self, values: impl IntoIterator<Item = T>) -> Result<()> {
        values.into_iter().try_for_each(|value| self.remove(&value).map(|_| ()))
    }

    /// Takes out, one after the other, all elements of which `keep` does not say that they stay: with `|x| other.contains(x)` it is
    /// Python's `intersection_update`, and `&=`.
    ///
    /// # Errors
    /// As [`Set::remove`].
    pub fn retain(&self, mut keep: impl FnMut(&T) -> bool) -> Result<()> {
        for value in self.to_vec()? {
            if !keep(&value) {
                self.remove(&value)?;
            }
        }
        Ok(())
    }

    /// Takes all elements out, at one instant: Python's `clear`.
    ///
    /// # Errors
    /// As [`Set::len`].
    pub fn clear(&self) -> Result<()> {
        self.0.clear()
    }

    /// A new set with the same elements: Python's `copy`.
    ///
    /// # Errors
    /// As [`Set::update`].
    pub fn copy(&self) -> Result<Set<T>> {
        let copy = Set::new_in(self.0.object().session())?;
        copy.update(self.to_vec()?)?;
        Ok(copy)
    }

    /// All elements, as they are at one instant, in order of insertion. Collected into a `HashSet`, they have its union, intersection and
    /// so on.
    ///
    /// # Errors
    /// As [`Dict::get`](crate::Dict::get).
    pub fn to_vec(&self) -> Result<Vec<T>> {
        self.0.keys()?.iter().map(|value| key::decode(value)).collect()
    }

    /// Whether all elements of this one are in the other: Python's `issubset`, and `<=`.
    ///
    /// # Errors
    /// As [`Dict::get`](crate::Dict::get).
    pub fn is_subset(&self, other: &Set<T>) -> Result<bool> {
        for value in self.to_vec()? {
            if !other.contains(&value)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether they have no element in common: Python's `isdisjoint`.
    ///
    /// # Errors
    /// As [`Dict::get`](crate::Dict::get).
    pub fn is_disjoint(&self, other: &Set<T>) -> Result<bool> {
        for value in self.to_vec()? {
            if other.contains(&value)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How many elements there are: Python's `len`.
    ///
    /// # Errors
    /// Those of [`Session::thread_id`].
    pub fn len(&self) -> Result<usize> {
        self.0.len().map(|len| len as usize)
    }

    /// Whether there is none.
    ///
    /// # Errors
    /// As [`Set::len`].
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }
}

impl<T> Clone for Set<T> {
    fn clone(&self) -> Set<T> {
        Set(self.0.clone(), PhantomData)
    }
}

impl<T> PartialEq for Set<T> {
    /// Whether they are the same set.
    fn eq(&self, other: &Set<T>) -> bool {
        self.0.object() == other.0.object()
    }
}

impl<T> Eq for Set<T> {}

impl<T> fmt::Debug for Set<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.object())
    }
}

impl<T> Serialize for Set<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.object().serialize(serializer)
    }
}

impl<'de, T: Message> Deserialize<'de> for Set<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Set<T>, D::Error> {
        Object::deserialize(deserializer)?
            .expect(Kind::SET, fingerprint::<T>())
            .and_then(Shards::of)
            .map(|shards| Set(Arc::new(shards), PhantomData))
            .map_err(|e| de::Error::custom(carrier::refuse(e)))
    }
}
