//! One entry of a dict, to be changed atomically.

use std::fmt;

use mp_wire::{Message, Result};

use crate::dict::Dict;
use crate::key::KeyOf;

/// An entry that may or may not be there, from [`Dict::entry`]. Nothing happens before one of its last words is called
/// ([`or_insert`](Entry::or_insert) and the like), and then all of it happens at once.
#[must_use = "nothing happens before `or_insert` or another of its last words"]
pub struct Entry<'a, K, V, Q: ?Sized> {
    dict: &'a Dict<K, V>,
    key: &'a Q,
    changes: Vec<Change<'a, V>>,
}

type Change<'a, V> = Box<dyn FnMut(&mut V) + 'a>;

impl<'a, K: Message, V: Message, Q: KeyOf<K> + ?Sized> Entry<'a, K, V, Q> {
    pub(super) fn new(dict: &'a Dict<K, V>, key: &'a Q) -> Entry<'a, K, V, Q> {
        Entry { dict, key, changes: Vec::new() }
    }

    /// Changes the value if there is one. It is called again with a newer one when somebody else was faster.
    pub fn and_modify(mut self, change: impl FnMut(&mut V) + 'a) -> Entry<'a, K, V, Q> {
        self.changes.push(Box::new(change));
        self
    }

    /// And if there is none, makes it this. The value as it is now.
    ///
    /// # Errors
    /// As [`Dict::alter`].
    pub fn or_insert(self, value: V) -> Result<V>
    where
        V: Clone,
    {
        self.or_insert_with(|| value.clone())
    }

    /// And if there is none, makes it what `make` gives. The value as it is now.
    ///
    /// # Errors
    /// As [`Dict::alter`].
    pub fn or_insert_with(self, mut make: impl FnMut() -> V) -> Result<V> {
        let Entry { dict, key, mut changes } = self;
        if changes.is_empty() {
            return match dict.get(key)? {
                Some(value) => Ok(value),
                None => dict.set_default(key, make()),
            };
        }
        loop {
            let altered = dict.alter(key, |seen| {
                Some(match seen {
                    Some(mut value) => {
                        changes.iter_mut().for_each(|change| change(&mut value));
                        value
                    }
                    None => make(),
                })
            })?;
            if let Some(value) = altered {
                return Ok(value);
            }
        }
    }

    /// And if there is none, makes it the default. The value as it is now.
    ///
    /// # Errors
    /// As [`Dict::alter`].
    pub fn or_default(self) -> Result<V>
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }

    /// And if there is none, leaves it so. The value as it is now.
    ///
    /// # Errors
    /// As [`Dict::alter`].
    pub fn if_there(self) -> Result<Option<V>> {
        let Entry { dict, key, mut changes } = self;
        dict.alter(key, |seen| {
            seen.map(|mut value| {
                changes.iter_mut().for_each(|change| change(&mut value));
                value
            })
        })
    }
}

impl<K, V, Q: fmt::Debug + ?Sized> fmt::Debug for Entry<'_, K, V, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({:?}, {} changes)", self.key, self.changes.len())
    }
}
