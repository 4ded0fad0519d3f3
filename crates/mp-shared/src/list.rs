//! `ShareableList`: a row of values of mixed types, of a fixed length.
//!
//! One object, whose words are its lock. Its block:
//!
//! ```text
//! count                                    a word
//! slots: state, offset, room               three words each
//! the slots' bytes                         twice `room` for each: two sides
//! ```
//!
//! A slot's state is `length(32) | side(8) | code(8)`: what kind of value is on which side. A change is written to the *other* side
//! and then made to count by one store of the state, so a death leaves the old value or the new one, and nothing to repair.
//! Lengths are kept, so that every string and every row of bytes comes back as it was, zeros at its end included (CPython's list
//! strips those).

use std::fmt;
use std::ptr::NonNull;

use mp_session::primitive::{AtomicU64, Ordering::*};
use mp_session::{Blueprint, Kind, Object, Session, Shape};
use mp_sync::__private::{EmbeddedLock, Patience};
use mp_wire::{Error, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Item;

const COUNT: u64 = 8;
const SLOT: u64 = 24;

/// A list of a fixed length, of numbers, strings, bytes, booleans and nothing: Python's `ShareableList`.
///
/// Values may change, in type, too, as long as they fit into the room of their place, which is that of its first value rounded up to
/// eight bytes (or more, with [`with_room`](ShareableList::with_room)). Each operation takes the list's lock. It is a handle, as all
/// others.
///
/// It is a list of this session and not of CPython's format, which cannot tell a zero at the end of a string from padding.
///
/// # If a process dies
///
/// Each value is the old one or the new one. There is nothing to repair.
///
/// # Examples
///
/// ```
/// use mp_shared::{Item, ShareableList};
///
/// let list = ShareableList::new([Item::from("hëllo\0"), 7.into(), 2.5.into(), Item::None])?;
/// list.set(3, "short")?;
/// assert_eq!(list.get(0)?, Item::from("hëllo\0"));
/// assert_eq!(list.index(7)?, Some(1));
/// assert!(list.set(1, "longer than eight").is_err());
/// assert_eq!(list.to_vec()?.len(), 4);
/// # Ok::<(), mp_shared::Error>(())
/// ```
#[derive(Clone)]
pub struct ShareableList {
    lock: EmbeddedLock,
    block: NonNull<u8>,
    size: u64,
    count: usize,
}

// SAFETY: the pointer is to session memory, which any thread may use, and which stays as long as the lock's object; the bytes are
// touched by the holder of the lock only.
unsafe impl Send for ShareableList {}
// SAFETY: as above.
unsafe impl Sync for ShareableList {}

/// A place, as its slot describes it.
struct Place<'a> {
    state: &'a AtomicU64,
    /// The two sides.
    sides: [NonNull<u8>; 2],
    room: usize,
}

impl ShareableList {
    /// A list of these values, in this process's session.
    ///
    /// # Errors
    /// As [`Array::new`](crate::Array::new).
    pub fn new<T: Into<Item>>(values: impl IntoIterator<Item = T>) -> Result<ShareableList> {
        ShareableList::new_in(&Session::current()?, values, 0)
    }

    /// The same with room for so many bytes in each place, at least.
    ///
    /// # Errors
    /// As [`ShareableList::new`].
    pub fn with_room<T: Into<Item>>(
        values: impl IntoIterator<Item = T>,
        room: usize,
    ) -> Result<ShareableList> {
        ShareableList::new_in(&Session::current()?, values, room)
    }

    /// The same in that session.
    ///
    /// # Errors
    /// As [`ShareableList::new`].
    pub fn new_in<T: Into<Item>>(
        session: &Session,
        values: impl IntoIterator<Item = T>,
        room: usize,
    ) -> Result<ShareableList> {
        let items: Vec<Item> = values.into_iter().map(Into::into).collect();
        let rooms: Vec<u64> = items
            .iter()
            .map(|item| item.encode().1.len().max(room).max(8).next_multiple_of(8) as u64)
            .collect();
        let slots = COUNT + items.len() as u64 * SLOT;
        let size = rooms.iter().try_fold(slots, |sum, room| sum.checked_add(room.checked_mul(2)?));
        let size = size.filter(|size| *size <= isize::MAX as u64).ok_or_else(|| Error::LimitReached {
            limit: "size of a list".into(),
            detail: "its values together".into(),
        })?;
        let plan = Blueprint { kind: Kind::LIST, fingerprint: 0, shape: Shape::Plain, size };
        let object = Object::create(session, plan, |_, bytes| {
            let Some(bytes) = bytes else { return };
            let word = |i: u64| {
                // SAFETY: the block is ours alone until `create` returns; so many words are inside by `slots`, and aligned.
                unsafe { bytes.cast::<AtomicU64>().add(i as usize).as_ref() }
            };
            word(0).store(items.len() as u64, Relaxed);
            let mut offset = slots;
            for (i, room) in (0..).zip(&rooms) {
                word(1 + i * 3).store(0, Relaxed);
                word(2 + i * 3).store(offset, Relaxed);
                word(3 + i * 3).store(*room, Relaxed);
                offset += room * 2;
            }
        })?;
        let list = ShareableList::of(object)?;
        for (i, item) in items.iter().enumerate() {
            list.place(i)?.put(item)?;
        }
        Ok(list)
    }

    fn of(object: Object) -> Result<ShareableList> {
        let damaged = || Error::Layout { detail: "a list whose parts do not fit into it".into() };
        let (block, size) = object.bytes().filter(|(_, size)| *size >= COUNT).ok_or_else(damaged)?;
        // SAFETY: the block has a word, is aligned to 64, and lives as long as the object.
        let count = unsafe { block.cast::<AtomicU64>().as_ref() }.load(Relaxed);
        let fits = count.checked_mul(SLOT).is_some_and(|slots| slots <= size - COUNT);
        if !fits {
            return Err(damaged());
        }
        Ok(ShareableList { lock: EmbeddedLock::of(object, false), block, size, count: count as usize })
    }

    /// How many values it has, always.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// A value: Python's `l[i]`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when there is no such place.
    pub fn get(&self, index: usize) -> Result<Item> {
        let place = self.place(index)?;
        self.locked(|| place.get())
    }

    /// Another value for a place: Python's `l[i] = x`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when there is no such place; [`Error::LimitReached`] when the value does not fit there.
    pub fn set(&self, index: usize, value: impl Into<Item>) -> Result<()> {
        let (place, value) = (self.place(index)?, value.into());
        self.locked(|| place.put(&value))
    }

    /// How many bytes a value at that place may have.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when there is no such place.
    pub fn room(&self, index: usize) -> Result<usize> {
        Ok(self.place(index)?.room)
    }

    /// All values, as they are at one instant.
    ///
    /// # Errors
    /// As those of a lock.
    pub fn to_vec(&self) -> Result<Vec<Item>> {
        self.locked(|| (0..self.count).map(|i| self.place(i)?.get()).collect())
    }

    /// The values one by one; they may change meanwhile.
    pub fn iter(&self) -> impl Iterator<Item = Result<Item>> {
        (0..self.count).map(|i| self.get(i))
    }

    /// How often a value is there: Python's `count`.
    ///
    /// # Errors
    /// As those of a lock.
    pub fn count(&self, value: impl Into<Item>) -> Result<usize> {
        let value = value.into();
        Ok(self.to_vec()?.iter().filter(|item| **item == value).count())
    }

    /// The first place of a value: Python's `index`.
    ///
    /// # Errors
    /// As those of a lock.
    pub fn index(&self, value: impl Into<Item>) -> Result<Option<usize>> {
        let value = value.into();
        Ok(self.to_vec()?.iter().position(|item| *item == value))
    }

    /// Another list of the same values and rooms.
    ///
    /// # Errors
    /// As [`ShareableList::new`].
    pub fn copy(&self) -> Result<ShareableList> {
        let room = (0..self.count).filter_map(|i| self.room(i).ok()).min().unwrap_or(0);
        ShareableList::new_in(self.lock.object().session(), self.to_vec()?, room)
    }

    /// Does something under the lock. A death of its last holder left nothing half done.
    fn locked<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        while self.lock.lock(Patience::Endless)?.is_none() {}
        let result = work();
        self.lock.unlock();
        result
    }

    fn place(&self, index: usize) -> Result<Place<'_>> {
        if index >= self.count {
            return Err(Error::InvalidArgument {
                detail: format!("index {index} of a list of {} values", self.count),
            });
        }
        let word = |i: usize| {
            // SAFETY: the slots are inside the block (checked by `of`), which lives as long as the lock's object.
            unsafe { self.block.cast::<AtomicU64>().add(1 + index * 3 + i).as_ref() }
        };
        let (offset, room) = (word(1).load(Relaxed), word(2).load(Relaxed));
        let inside =
            room.checked_mul(2).and_then(|both| both.checked_add(offset)).is_some_and(|end| end <= self.size);
        if !inside {
            return Err(Error::Layout { detail: "a list whose values lie outside of it".into() });
        }
        let side = |n: u64| {
            // SAFETY: inside the block by the check above.
            unsafe { self.block.add((offset + n * room) as usize) }
        };
        Ok(Place { state: word(0), sides: [side(0), side(1)], room: room as usize })
    }
}

impl Place<'_> {
    /// Under the lock.
    fn get(&self) -> Result<Item> {
        let state = self.state.load(Acquire);
        let (len, side, code) = ((state >> 32) as usize, (state >> 8 & 1) as usize, state as u8);
        let damaged = || Error::Layout { detail: "a list with a value that is none".into() };
        if len > self.room {
            return Err(damaged());
        }
        // SAFETY: so many bytes were written on that side, which is ours under the lock.
        let bytes = unsafe { std::slice::from_raw_parts(self.sides[side].as_ptr(), len) };
        Item::decode(code, bytes).ok_or_else(damaged)
    }

    /// Under the lock.
    fn put(&self, value: &Item) -> Result<()> {
        let (code, bytes) = value.encode();
        if bytes.len() > self.room || bytes.len() > u32::MAX as usize {
            return Err(Error::LimitReached {
                limit: "room of a value in a list".into(),
                detail: format!("{} bytes, and there are {}", bytes.len(), self.room),
            });
        }
        let side = (self.state.load(Relaxed) >> 8 & 1) ^ 1;
        // SAFETY: there is room on that side, which does not count yet and is ours under the lock.
        unsafe {
            self.sides[side as usize].as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        self.state.store((bytes.len() as u64) << 32 | side << 8 | u64::from(code), Release);
        Ok(())
    }
}

impl fmt::Debug for ShareableList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShareableList({} values, {:?})", self.count, self.lock)
    }
}

impl Serialize for ShareableList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.lock.object().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ShareableList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ShareableList, D::Error> {
        Object::deserialize(deserializer)?
            .expect(Kind::LIST, 0)
            .and_then(ShareableList::of)
            .map_err(|e| de::Error::custom(carrier::refuse(e)))
    }
}
