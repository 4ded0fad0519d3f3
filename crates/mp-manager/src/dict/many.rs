//! Many entries of a dict at once, and one after the other.

use std::fmt;

use mp_wire::{Message, Result};

use super::Dict;
use crate::key;
use crate::packed::{Packed, Raw};
use crate::shard;

impl<K: Message, V: Message> Dict<K, V> {
    /// Puts all these entries in, at one instant: Python's `update`. Nobody sees some of them without the others, whatever dies.
    ///
    /// # Errors
    /// As [`Dict::insert`]: then nothing has changed.
    pub fn update(&self, entries: impl IntoIterator<Item = (K, V)>) -> Result<()> {
        let session = self.0.object().session();
        let pack = |(key, value): (K, V)| Ok((self.0.seek(&key)?, Packed::new(session, &value)?));
        self.0.put_all(&entries.into_iter().map(pack).collect::<Result<Vec<_>>>()?)
    }

    /// Takes all entries out, at one instant: Python's `clear`.
    ///
    /// # Errors
    /// As [`Dict::len`].
    pub fn clear(&self) -> Result<()> {
        self.0.clear()
    }

    /// A new dict with the same entries: Python's `copy`. Handles in them are the same handles.
    ///
    /// # Errors
    /// As [`Dict::insert`].
    pub fn copy(&self) -> Result<Dict<K, V>> {
        let copy = Dict::with_shards(self.0.object().session(), self.0.shards.len() as u32)?;
        for entry in self.0.entries()? {
            let sought = copy.0.seek_bytes(&entry.key);
            copy.0.put(&sought, &entry.value.into_packed(), false)?;
        }
        Ok(copy)
    }

    /// All entries, one part of the dict after the other: it takes no more memory at a time than a part does, and locks no more.
    ///
    /// An entry that is there all the time comes exactly once; one that comes or goes meanwhile comes once or not at all. For entries as
    /// they are at one instant, in order, there is [`Dict::items`].
    pub fn iter(&self) -> Iter<K, V> {
        Iter { dict: self.clone(), shard: 0, part: Vec::new().into_iter() }
    }
}

/// The entries of a [`Dict`], from [`Dict::iter`].
pub struct Iter<K, V> {
    dict: Dict<K, V>,
    shard: usize,
    part: std::vec::IntoIter<(Box<[u8]>, Raw)>,
}

impl<K: Message, V: Message> Iterator for Iter<K, V> {
    type Item = Result<(K, V)>;

    fn next(&mut self) -> Option<Result<(K, V)>> {
        loop {
            if let Some((key, value)) = self.part.next() {
                return Some(key::decode(&key).and_then(|key| Ok((key, value.decode()?))));
            }
            if self.shard == self.dict.0.shards.len() {
                return None;
            }
            let part = self.dict.0.locked(self.shard).and_then(|held| match held {
                Some(mut held) => shard::entries(&mut held),
                None => Ok(Vec::new()),
            });
            self.shard += 1;
            match part {
                Ok(part) => {
                    self.part = part.into_iter().map(|e| (e.key, e.value)).collect::<Vec<_>>().into_iter();
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl<K, V> fmt::Debug for Iter<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Iter({:?})", self.dict)
    }
}

impl<K: Message, V: Message> IntoIterator for &Dict<K, V> {
    type Item = Result<(K, V)>;
    type IntoIter = Iter<K, V>;

    fn into_iter(self) -> Iter<K, V> {
        self.iter()
    }
}
