//! `List`: a list in shared memory. What it is made of is told in `row.rs`.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::Arc;

use mp_session::{Kind, Object, Session, fingerprint};
use mp_wire::{Message, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::packed::{Packed, Raw};
use crate::row;
use crate::shelf::{Held, Shelf};

/// A list for many processes: Python's `Manager().list()`, without a manager.
///
/// It is a handle: clones, and copies that were sent to other processes or put into other containers, are the same list. Elements
/// are whatever serde can write and read back, handles among them.
///
/// At both ends it grows and shrinks in constant time; in the middle, all of it is moved. Where Python takes an index that may be negative,
/// this takes a `usize`; where Python raises `IndexError`, this has `None`.
///
/// # Blocking
///
/// An operation holds the list's lock for as long as it takes to copy some bytes; no code of yours runs under it. Who is *stopped*
/// there holds up the others.
///
/// # If a process dies
///
/// Each operation has happened or has not; nobody waits for the dead one and nothing need be repaired.
///
/// # Examples
///
/// ```
/// use mp_manager::List;
///
/// let list = List::<String>::new()?;
/// list.append("b".to_owned())?;
/// list.extend(["d".to_owned(), "a".to_owned()])?;
/// list.insert(1, "c".to_owned())?;
/// list.sort()?;
/// assert_eq!(list.to_vec()?, ["a", "b", "c", "d"]);
/// assert_eq!(list.slice(1..3)?, ["b", "c"]);
/// assert_eq!(list.pop()?.as_deref(), Some("d"));
/// # Ok::<(), mp_manager::Error>(())
/// ```
pub struct List<T>(Arc<Shelf>, PhantomData<fn(T) -> T>);

impl<T: Message> List<T> {
    /// An empty one in this process's session.
    ///
    /// # Errors
    /// As [`Dict::new`](crate::Dict::new).
    pub fn new() -> Result<List<T>> {
        List::new_in(&Session::current()?)
    }

    /// An empty one in that session.
    ///
    /// # Errors
    /// As [`List::new`].
    pub fn new_in(session: &Session) -> Result<List<T>> {
        List::of_kind(Kind::MANAGED_LIST, session)
    }

    /// What is made of a list, and is called otherwise.
    pub(crate) fn of_kind(kind: Kind, session: &Session) -> Result<List<T>> {
        Ok(List(Arc::new(Shelf::create(session, kind, fingerprint::<T>())?), PhantomData))
    }

    /// The list in an object that arrived.
    pub(crate) fn from_object<E: de::Error>(kind: Kind, object: Object) -> Result<List<T>, E> {
        object
            .expect(kind, fingerprint::<T>())
            .and_then(Shelf::of)
            .map(|shelf| List(Arc::new(shelf), PhantomData))
            .map_err(|e| E::custom(carrier::refuse(e)))
    }

    /// One with these elements.
    ///
    /// # Errors
    /// As [`List::extend`].
    pub fn from_values(values: impl IntoIterator<Item = T>) -> Result<List<T>> {
        let list = List::new()?;
        list.extend(values)?;
        Ok(list)
    }

    fn locked(&self) -> Result<Held<'_>> {
        self.0.lock(row::repair)
    }

    fn pack(&self, value: &T) -> Result<Packed> {
        Packed::new(self.0.object().session(), value)
    }

    fn pack_all(&self, values: impl IntoIterator<Item = T>) -> Result<Vec<Packed>> {
        values.into_iter().map(|value| self.pack(&value)).collect()
    }

    /// Puts a value at the end: Python's `append`.
    ///
    /// # Errors
    /// [`Error::Encode`](mp_wire::Error::Encode) when it does not become bytes, [`Error::LimitReached`](mp_wire::Error::LimitReached) when there is no memory: then nothing has changed.
    pub fn append(&self, value: impl Borrow<T>) -> Result<()> {
        let value = self.pack(value.borrow())?;
        row::extend(&mut self.locked()?, &[value])
    }

    /// Puts values at the end, all at once: Python's `extend`, and `+=`.
    ///
    /// # Errors
    /// As [`List::append`].
    pub fn extend(&self, values: impl IntoIterator<Item = T>) -> Result<()> {
        let values = self.pack_all(values)?;
        row::extend(&mut self.locked()?, &values)
    }

    /// Puts a value before the one at `index`; at the end, if there are not so many: Python's `insert`.
    ///
    /// # Errors
    /// As [`List::append`].
    pub fn insert(&self, index: usize, value: impl Borrow<T>) -> Result<()> {
        let value = self.pack(value.borrow())?;
        let mut held = self.locked()?;
        let index = index.min(row::length(&held));
        row::splice(&mut held, index..index, &[value])
    }

    /// The element at `index`: Python's `list[index]`.
    ///
    /// # Errors
    /// [`Error::Decode`](mp_wire::Error::Decode) when its bytes are no `T`.
    pub fn get(&self, index: usize) -> Result<Option<T>> {
        let raw = {
            let mut held = self.locked()?;
            if index >= row::length(&held) {
                return Ok(None);
            }
            row::copy(&mut held, index)?
        };
        raw.decode().map(Some)
    }

    /// Puts a value in the place of the one at `index`: Python's `list[index] = value`. `false`: there is none.
    ///
    /// # Errors
    /// As [`List::append`].
    pub fn set(&self, index: usize, value: impl Borrow<T>) -> Result<bool> {
        let value = self.pack(value.borrow())?;
        let mut held = self.locked()?;
        let inside = index < row::length(&held);
        if inside {
            row::set(&mut held, index, &value)?;
        }
        Ok(inside)
    }

    /// Lets `f` make a new element of the one at `index`, atomically. It is called again with a newer one when somebody else was faster.
    /// What it made; `None`: there is no such element.
    ///
    /// # Errors
    /// As [`List::append`] and [`List::get`].
    pub fn alter(&self, index: usize, mut f: impl FnMut(T) -> T) -> Result<Option<T>> {
        loop {
            let seen = {
                let mut held = self.locked()?;
                if index >= row::length(&held) {
                    return Ok(None);
                }
                row::copy(&mut held, index)?
            };
            let new = f(seen.decode()?);
            let packed = self.pack(&new)?;
            let mut held = self.locked()?;
            if index < row::length(&held) && row::copy(&mut held, index)?.is_same(&seen) {
                row::set(&mut held, index, &packed)?;
                return Ok(Some(new));
            }
        }
    }

    /// Puts `new` in the place of an element that equals `expected`. `None`: there is no such index; an error inside: what is there in its place.
    ///
    /// # Errors
    /// As [`List::append`] and [`List::get`].
    pub fn compare_exchange(&self, index: usize, expected: &T, new: &T) -> Result<Option<Result<T, T>>>
    where
        T: PartialEq,
    {
        let packed = self.pack(new)?;
        loop {
            let seen = {
                let mut held = self.locked()?;
                if index >= row::length(&held) {
                    return Ok(None);
                }
                row::copy(&mut held, index)?
            };
            let value = seen.decode::<T>()?;
            if value != *expected {
                return Ok(Some(Err(value)));
            }
            let mut held = self.locked()?;
            if index < row::length(&held) && row::copy(&mut held, index)?.is_same(&seen) {
                row::set(&mut held, index, &packed)?;
                return Ok(Some(Ok(value)));
            }
        }
    }

    /// Takes the last element: Python's `pop()`.
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn pop(&self) -> Result<Option<T>> {
        self.take(|length| length.checked_sub(1))
    }

    /// Takes the element at `index`: Python's `pop(index)`.
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn pop_at(&self, index: usize) -> Result<Option<T>> {
        self.take(|length| (index < length).then_some(index))
    }

    fn take(&self, which: impl FnOnce(usize) -> Option<usize>) -> Result<Option<T>> {
        let raw = {
            let mut held = self.locked()?;
            let Some(index) = which(row::length(&held)) else { return Ok(None) };
            let raw = row::copy(&mut held, index)?;
            row::splice(&mut held, index..index + 1, &[])?;
            raw
        };
        raw.decode().map(Some)
    }

    /// All elements, as they are at one instant: Python's `copy`, and `list[:]`.
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn to_vec(&self) -> Result<Vec<T>> {
        self.slice(..)
    }

    /// The elements in a range, as far as there are any: Python's `list[a:b]`.
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Result<Vec<T>> {
        self.snapshot(range)?.1.iter().map(Raw::decode).collect()
    }

    /// The list's version, and elements.
    fn snapshot(&self, range: impl RangeBounds<usize>) -> Result<(u64, Vec<Raw>)> {
        let mut held = self.locked()?;
        let range = clamp(range, row::length(&held));
        Ok((row::version(&held), row::copies(&mut held, range)?))
    }

    /// Puts values, as many as you like, in the place of those in a range: Python's `list[a:b] = values`. Without values it
    /// is `del list[a:b]`.
    ///
    /// # Errors
    /// As [`List::append`].
    pub fn splice(&self, range: impl RangeBounds<usize>, values: impl IntoIterator<Item = T>) -> Result<()> {
        let values = self.pack_all(values)?;
        let mut held = self.locked()?;
        let range = clamp(range, row::length(&held));
        row::splice(&mut held, range, &values)
    }

    /// Takes all elements out: Python's `clear`.
    ///
    /// # Errors
    /// As [`List::len`].
    pub fn clear(&self) -> Result<()> {
        self.splice(.., [])
    }

    /// How many elements there are: Python's `len`.
    ///
    /// # Errors
    /// Those of [`Session::thread_id`].
    pub fn len(&self) -> Result<usize> {
        Ok(row::length(&self.locked()?))
    }

    /// Whether there is none.
    ///
    /// # Errors
    /// As [`List::len`].
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Turns the order round: Python's `reverse`.
    ///
    /// # Errors
    /// As [`List::len`].
    pub fn reverse(&self) -> Result<()> {
        let mut held = self.locked()?;
        let length = row::length(&held);
        row::reorder(&mut held, (0..length).rev());
        Ok(())
    }

    /// Puts the elements in order: Python's `sort`. Equal ones stay as they are.
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn sort(&self) -> Result<()>
    where
        T: Ord,
    {
        self.sort_by(T::cmp)
    }

    /// Puts the elements in the order of their keys: Python's `sort(key=...)`.
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn sort_by_key<K: Ord>(&self, mut key: impl FnMut(&T) -> K) -> Result<()> {
        self.sort_by(|a, b| key(a).cmp(&key(b)))
    }

    /// Puts the elements in the order that `compare` tells. It is begun again when somebody changes the list meanwhile.
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn sort_by(&self, mut compare: impl FnMut(&T, &T) -> std::cmp::Ordering) -> Result<()> {
        loop {
            let (version, raws) = self.snapshot(..)?;
            let values = raws.iter().map(Raw::decode).collect::<Result<Vec<T>>>()?;
            let mut order: Vec<usize> = (0..values.len()).collect();
            order.sort_by(|a, b| compare(&values[*a], &values[*b]));
            let mut held = self.locked()?;
            if row::version(&held) == version {
                row::reorder(&mut held, order.into_iter());
                return Ok(());
            }
        }
    }

    /// Repeats the list so often: Python's `*=`. Once changes nothing, never empties it.
    ///
    /// # Errors
    /// As [`List::append`].
    pub fn repeat(&self, times: usize) -> Result<()> {
        if times == 0 {
            return self.clear();
        }
        loop {
            let (version, raws) = self.snapshot(..)?;
            let once = raws.into_iter().map(|raw| raw.into_packed()).collect::<Vec<Packed>>();
            let mut held = self.locked()?;
            if row::version(&held) == version {
                return row::extend_again(&mut held, &once, times - 1);
            }
        }
    }

    /// Where the first element is that equals the value: Python's `index`.
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn index(&self, value: &T) -> Result<Option<usize>>
    where
        T: PartialEq,
    {
        Ok(self.to_vec()?.iter().position(|element| element == value))
    }

    /// How many elements equal the value: Python's `count`.
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn count(&self, value: &T) -> Result<usize>
    where
        T: PartialEq,
    {
        Ok(self.to_vec()?.iter().filter(|element| *element == value).count())
    }

    /// Whether an element equals the value: Python's `in`.
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn contains(&self, value: &T) -> Result<bool>
    where
        T: PartialEq,
    {
        Ok(self.index(value)?.is_some())
    }

    /// Takes out the first element that equals the value: Python's `remove`. `false`: there is none.
    ///
    /// # Errors
    /// As [`List::get`].
    pub fn remove(&self, value: &T) -> Result<bool>
    where
        T: PartialEq,
    {
        loop {
            let (version, raws) = self.snapshot(..)?;
            let mut found = None;
            for (index, raw) in raws.iter().enumerate() {
                if raw.decode::<T>()? == *value {
                    found = Some(index);
                    break;
                }
            }
            let Some(index) = found else { return Ok(false) };
            let mut held = self.locked()?;
            if row::version(&held) == version {
                row::splice(&mut held, index..index + 1, &[])?;
                return Ok(true);
            }
        }
    }

    /// The elements one by one, each as it is when its turn comes, as Python's iterator does it: whoever changes the list meanwhile
    /// changes what comes.
    pub fn iter(&self) -> impl Iterator<Item = Result<T>> + use<T> {
        let list = self.clone();
        let mut index = 0;
        std::iter::from_fn(move || {
            let item = list.get(index).transpose();
            index += 1;
            item
        })
    }
}

/// A range as far as it is inside.
fn clamp(range: impl RangeBounds<usize>, length: usize) -> Range<usize> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => length,
    };
    let start = start.min(length);
    start..end.clamp(start, length)
}

impl<T> Clone for List<T> {
    fn clone(&self) -> List<T> {
        List(self.0.clone(), PhantomData)
    }
}

impl<T> PartialEq for List<T> {
    /// Whether they are the same list.
    fn eq(&self, other: &List<T>) -> bool {
        self.0.object() == other.0.object()
    }
}

impl<T> Eq for List<T> {}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl<T> Serialize for List<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.object().serialize(serializer)
    }
}

impl<'de, T: Message> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<List<T>, D::Error> {
        List::from_object(Kind::MANAGED_LIST, Object::deserialize(deserializer)?)
    }
}
