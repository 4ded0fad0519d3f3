//! `Dict`: a dict in shared memory. What it is made of is told in `shards.rs` and `shard.rs`.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use mp_session::{Kind, Object, Session, fingerprint};
use mp_wire::{Message, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::key::{self, KeyOf};
use crate::packed::{Packed, Raw};
use crate::shard;
use crate::shards::{SHARDS, Shards};

mod entry;
mod many;

pub use entry::Entry;
pub use many::Iter;

/// A dict for many processes: Python's `Manager().dict()`, without a manager.
///
/// It is a handle: clones, and copies that were sent to other processes or put into other containers, are the same dict. Keys and
/// values are whatever serde can write and read back; values may contain handles, other dicts among them.
///
/// Keys are equal when their encoded bytes are. For a `HashMap` inside a key that is not what its `Eq` says; for floats, `-0.0` is not
/// `0.0`. The exception are [`Any`](crate::Any) keys, which are equal when Python's are.
///
/// Entries are in the order in which their keys were put in, as in Python.
///
/// # Blocking
///
/// An operation holds the lock of one shard for as long as it takes to copy some bytes; no code of yours runs under it. Who
/// is *stopped* there holds up those who want the same shard.
///
/// # If a process dies
///
/// Each operation has happened or has not; nobody waits for the dead one and nothing need be repaired.
///
/// # Examples
///
/// ```
/// use mp_manager::Dict;
///
/// let stock = Dict::<String, u32>::new()?;
/// let also = stock.clone(); // or sent to a process
/// also.insert("apples", 3)?;
/// stock.entry("apples").and_modify(|n| *n += 1).or_insert(0)?;
/// assert_eq!(stock.get("apples")?, Some(4));
/// assert_eq!(stock.pop("pears")?, None);
/// # Ok::<(), mp_manager::Error>(())
/// ```
pub struct Dict<K, V>(Arc<Shards>, Types<K, V>);

type Types<K, V> = PhantomData<fn(K, V) -> (K, V)>;

impl<K: Message, V: Message> Dict<K, V> {
    /// An empty one in this process's session.
    ///
    /// # Errors
    /// [`Error::LimitReached`](mp_wire::Error::LimitReached) when the session's memory or budget is used up.
    pub fn new() -> Result<Dict<K, V>> {
        Dict::new_in(&Session::current()?)
    }

    /// An empty one in that session.
    ///
    /// # Errors
    /// As [`Dict::new`].
    pub fn new_in(session: &Session) -> Result<Dict<K, V>> {
        Dict::with_shards(session, SHARDS)
    }

    /// An empty one that is made of so many parts with a lock each: more of them let more processes write at a time, fewer of them
    /// take less memory (some 400 bytes each, as soon as there is a key in them). It is 16 unless you say so.
    ///
    /// # Errors
    /// As [`Dict::new`], and [`Error::InvalidArgument`](mp_wire::Error::InvalidArgument) unless it is a power of two up to 256.
    pub fn with_shards(session: &Session, shards: u32) -> Result<Dict<K, V>> {
        let inner = Shards::create(Kind::DICT, fingerprint::<(K, V)>(), shards, session)?;
        Ok(Dict(Arc::new(inner), PhantomData))
    }

    /// The value of a key: Python's `get`.
    ///
    /// # Errors
    /// [`Error::Decode`](mp_wire::Error::Decode) when its bytes are no `V`; those of [`Session::thread_id`].
    pub fn get<Q: KeyOf<K> + ?Sized>(&self, key: &Q) -> Result<Option<V>> {
        self.0.get(&self.0.seek(key)?)?.map(|raw| raw.decode()).transpose()
    }

    /// Whether the key is there: Python's `in`.
    ///
    /// # Errors
    /// As [`Dict::get`].
    pub fn contains<Q: KeyOf<K> + ?Sized>(&self, key: &Q) -> Result<bool> {
        let sought = self.0.seek(key)?;
        Ok(self.0.locked(sought.shard)?.is_some_and(|held| shard::find(&held, sought.key()).is_some()))
    }

    /// Puts a value in: Python's `d[key] = value`. The old one goes.
    ///
    /// # Errors
    /// [`Error::Encode`](mp_wire::Error::Encode) when they do not become bytes, [`Error::InvalidArgument`](mp_wire::Error::InvalidArgument) for a key with handles in it,
    /// [`Error::LimitReached`](mp_wire::Error::LimitReached) when there is no memory: then nothing has changed.
    pub fn insert<Q: KeyOf<K> + ?Sized>(&self, key: &Q, value: impl Borrow<V>) -> Result<()> {
        let value = Packed::new(self.0.object().session(), value.borrow())?;
        self.0.put(&self.0.seek(key)?, &value, false).map(|_| ())
    }

    /// Puts a value in, and gives the old one.
    ///
    /// # Errors
    /// As [`Dict::insert`] and [`Dict::get`].
    pub fn replace<Q: KeyOf<K> + ?Sized>(&self, key: &Q, value: impl Borrow<V>) -> Result<Option<V>> {
        let value = Packed::new(self.0.object().session(), value.borrow())?;
        self.0.put(&self.0.seek(key)?, &value, true)?.map(|raw| raw.decode()).transpose()
    }

    /// Takes an entry out: Python's `pop`. The value, if it was there.
    ///
    /// # Errors
    /// As [`Dict::get`].
    pub fn pop<Q: KeyOf<K> + ?Sized>(&self, key: &Q) -> Result<Option<V>> {
        self.0.take(&self.0.seek(key)?)?.map(|raw| raw.decode()).transpose()
    }

    /// Takes an entry out: Python's `del d[key]`. Whether it was there.
    ///
    /// # Errors
    /// As [`Dict::get`].
    pub fn remove<Q: KeyOf<K> + ?Sized>(&self, key: &Q) -> Result<bool> {
        Ok(self.0.take(&self.0.seek(key)?)?.is_some())
    }

    /// Takes the entry out that was put in last: Python's `popitem`.
    ///
    /// # Errors
    /// As [`Dict::get`].
    pub fn pop_item(&self) -> Result<Option<(K, V)>> {
        let Some((key, value)) = self.0.take_last()? else { return Ok(None) };
        Ok(Some((key::decode(&key)?, value.decode()?)))
    }

    /// The value of a key; if it is not there, this one is put in: Python's `setdefault`.
    ///
    /// # Errors
    /// As [`Dict::insert`].
    pub fn set_default<Q: KeyOf<K> + ?Sized>(&self, key: &Q, value: V) -> Result<V> {
        let sought = self.0.seek(key)?;
        let new = Packed::new(self.0.object().session(), &value)?;
        loop {
            if let Some(raw) = self.0.get(&sought)? {
                return raw.decode();
            }
            if self.0.exchange(&sought, None, Some(&new))? {
                return Ok(value);
            }
        }
    }

    /// One entry, to be changed atomically.
    ///
    /// # Examples
    ///
    /// ```
    /// let words = mp_manager::Dict::<String, u64>::new()?;
    /// for word in "a rose is a rose".split(' ') {
    ///     words.entry(word).and_modify(|n| *n += 1).or_insert(1)?;
    /// }
    /// assert_eq!(words.get("rose")?, Some(2));
    /// # Ok::<(), mp_manager::Error>(())
    /// ```
    pub fn entry<'a, Q: KeyOf<K> + ?Sized>(&'a self, key: &'a Q) -> Entry<'a, K, V, Q> {
        Entry::new(self, key)
    }

    /// Lets `f` make a new value (`None`: no entry) of the present one, atomically. It is called again with a newer one when
    /// somebody else was faster. What it made, as it is in the dict now.
    ///
    /// # Errors
    /// As [`Dict::insert`] and [`Dict::get`].
    pub fn alter<Q: KeyOf<K> + ?Sized>(
        &self,
        key: &Q,
        mut f: impl FnMut(Option<V>) -> Option<V>,
    ) -> Result<Option<V>> {
        let sought = self.0.seek(key)?;
        loop {
            let seen = self.0.get(&sought)?;
            let new = f(seen.as_ref().map(Raw::decode).transpose()?);
            let packed = new.as_ref().map(|new| Packed::new(self.0.object().session(), new)).transpose()?;
            if self.0.exchange(&sought, seen.as_ref(), packed.as_ref())? {
                return Ok(new);
            }
        }
    }

    /// How many entries there are: Python's `len`.
    ///
    /// # Errors
    /// Those of [`Session::thread_id`].
    pub fn len(&self) -> Result<usize> {
        self.0.len().map(|len| len as usize)
    }

    /// Whether there is none.
    ///
    /// # Errors
    /// As [`Dict::len`].
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// All keys, as they are at one instant, in order of insertion: Python's `keys`.
    ///
    /// # Errors
    /// As [`Dict::get`].
    pub fn keys(&self) -> Result<Vec<K>> {
        self.0.keys()?.iter().map(|key| key::decode(key)).collect()
    }

    /// All values, as [`Dict::keys`]: Python's `values`.
    ///
    /// # Errors
    /// As [`Dict::get`].
    pub fn values(&self) -> Result<Vec<V>> {
        self.0.entries()?.iter().map(|entry| entry.value.decode()).collect()
    }

    /// All entries, as [`Dict::keys`]: Python's `items`.
    ///
    /// # Errors
    /// As [`Dict::get`].
    pub fn items(&self) -> Result<Vec<(K, V)>> {
        self.0.entries()?.iter().map(|e| Ok((key::decode(&e.key)?, e.value.decode()?))).collect()
    }
}

impl<K, V> Dict<K, V> {
    pub(crate) fn leave_locked(&self) -> Result<()> {
        let whole = self.0.whole()?;
        for shard in 0..self.0.shards.len() {
            std::mem::forget(self.0.locked(shard)?);
        }
        std::mem::forget(whole);
        Ok(())
    }
}

impl<K, V> Clone for Dict<K, V> {
    fn clone(&self) -> Dict<K, V> {
        Dict(self.0.clone(), PhantomData)
    }
}

impl<K, V> PartialEq for Dict<K, V> {
    /// Whether they are the same dict.
    fn eq(&self, other: &Dict<K, V>) -> bool {
        self.0.object() == other.0.object()
    }
}

impl<K, V> Eq for Dict<K, V> {}

impl<K, V> fmt::Debug for Dict<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.object())
    }
}

impl<K, V> Serialize for Dict<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.object().serialize(serializer)
    }
}

impl<'de, K: Message, V: Message> Deserialize<'de> for Dict<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Dict<K, V>, D::Error> {
        Object::deserialize(deserializer)?
            .expect(Kind::DICT, fingerprint::<(K, V)>())
            .and_then(Shards::of)
            .map(|inner| Dict(Arc::new(inner), PhantomData))
            .map_err(|e| de::Error::custom(carrier::refuse(e)))
    }
}
