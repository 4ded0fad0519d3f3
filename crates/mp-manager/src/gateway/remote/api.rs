//! What the containers of a session can do, here as there.

use std::fmt::Display;
use std::ops::Range;

use mp_wire::{Message, Result};

use super::containers::{RemoteDict, RemoteList, RemoteNamespace, RemoteSet, RemoteValue};
use super::objects::{all, typed, unless};
use crate::any::Any;
use crate::api::{SharedDict, SharedList, SharedNamespace, SharedSet, SharedValue};

use super::super::fault::Exception;

/// What can be a key or a value on both sides.
trait Both: Message + Clone + Into<Any> + TryFrom<Any, Error: Display> {}

impl<T: Message + Clone + Into<Any> + TryFrom<Any, Error: Display>> Both for T {}

impl<K: Both, V: Both> SharedDict<K, V> for RemoteDict<K, V> {
    fn get(&self, key: &K) -> Result<Option<V>> {
        RemoteDict::get(self, key.clone())
    }

    fn contains(&self, key: &K) -> Result<bool> {
        RemoteDict::contains(self, key.clone())
    }

    fn insert(&self, key: &K, value: &V) -> Result<()> {
        RemoteDict::insert(self, key.clone(), value.clone())
    }

    fn replace(&self, key: &K, value: &V) -> Result<Option<V>> {
        loop {
            let old = RemoteDict::get(self, key.clone())?;
            if self.exchange(key.clone(), old.clone(), Some(value.clone()))? {
                return Ok(old);
            }
        }
    }

    fn pop(&self, key: &K) -> Result<Option<V>> {
        RemoteDict::pop(self, key.clone())
    }

    fn remove(&self, key: &K) -> Result<bool> {
        RemoteDict::remove(self, key.clone())
    }

    fn pop_item(&self) -> Result<Option<(K, V)>> {
        match unless(self.0.ask("popitem", &[]), &Exception::Key)? {
            None => Ok(None),
            Some(pair) => match <[Any; 2]>::try_from(all::<Any>(pair)?) {
                Ok([key, value]) => Ok(Some((typed(key)?, typed(value)?))),
                Err(_) => Err(mp_wire::Error::msg("an item of a dict that is no pair")),
            },
        }
    }

    fn set_default(&self, key: &K, value: V) -> Result<V> {
        RemoteDict::set_default(self, key.clone(), value)
    }

    /// `f` is called again when somebody else was faster.
    fn alter(&self, key: &K, mut f: impl FnMut(Option<V>) -> Option<V>) -> Result<Option<V>> {
        loop {
            let old = RemoteDict::get(self, key.clone())?;
            let new = f(old.clone());
            if self.exchange(key.clone(), old, new.clone())? {
                return Ok(new);
            }
        }
    }

    fn update(&self, entries: Vec<(K, V)>) -> Result<()> {
        let entries = entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        self.0.ask("update", &[Any::Dict(entries)])?;
        Ok(())
    }

    fn clear(&self) -> Result<()> {
        RemoteDict::clear(self)
    }

    fn len(&self) -> Result<usize> {
        RemoteDict::len(self)
    }

    fn is_empty(&self) -> Result<bool> {
        RemoteDict::is_empty(self)
    }

    fn keys(&self) -> Result<Vec<K>> {
        RemoteDict::keys(self)
    }

    fn values(&self) -> Result<Vec<V>> {
        all(self.0.ask("values", &[])?)
    }

    fn items(&self) -> Result<Vec<(K, V)>> {
        RemoteDict::items(self)
    }
}

/// A slice as Python pickles it.
fn slice(range: &Range<usize>) -> Any {
    crate::python::slice(range.start, range.end)
}

impl<T: Both> SharedList<T> for RemoteList<T> {
    fn append(&self, value: &T) -> Result<()> {
        RemoteList::append(self, value.clone())
    }

    fn extend(&self, values: Vec<T>) -> Result<()> {
        RemoteList::extend(self, values)
    }

    fn insert(&self, index: usize, value: &T) -> Result<()> {
        self.0.ask("insert", &[index.into(), value.clone().into()])?;
        Ok(())
    }

    fn get(&self, index: usize) -> Result<Option<T>> {
        RemoteList::get(self, index)
    }

    fn set(&self, index: usize, value: &T) -> Result<bool> {
        RemoteList::set(self, index, value.clone())
    }

    fn pop(&self) -> Result<Option<T>> {
        RemoteList::pop(self)
    }

    fn pop_at(&self, index: usize) -> Result<Option<T>> {
        unless(self.0.ask("pop", &[index.into()]), &Exception::Index)?.map(typed).transpose()
    }

    fn slice(&self, range: Range<usize>) -> Result<Vec<T>> {
        all(self.0.ask("__getitem__", &[slice(&range)])?)
    }

    fn splice(&self, range: Range<usize>, values: Vec<T>) -> Result<()> {
        self.0.ask("__setitem__", &[slice(&range), Any::list(values)])?;
        Ok(())
    }

    fn to_vec(&self) -> Result<Vec<T>> {
        RemoteList::to_vec(self)
    }

    fn clear(&self) -> Result<()> {
        self.0.ask("clear", &[])?;
        Ok(())
    }

    fn reverse(&self) -> Result<()> {
        self.0.ask("reverse", &[])?;
        Ok(())
    }

    fn len(&self) -> Result<usize> {
        RemoteList::len(self)
    }

    fn is_empty(&self) -> Result<bool> {
        RemoteList::is_empty(self)
    }
}

impl<T: Both> SharedSet<T> for RemoteSet<T> {
    fn add(&self, value: &T) -> Result<bool> {
        typed(self.0.ask("#ADD", &[value.clone().into()])?)
    }

    fn remove(&self, value: &T) -> Result<bool> {
        RemoteSet::remove(self, value.clone())
    }

    fn contains(&self, value: &T) -> Result<bool> {
        RemoteSet::contains(self, value.clone())
    }

    fn pop(&self) -> Result<Option<T>> {
        unless(self.0.ask("pop", &[]), &Exception::Key)?.map(typed).transpose()
    }

    fn update(&self, values: Vec<T>) -> Result<()> {
        self.0.ask("update", &[Any::list(values)])?;
        Ok(())
    }

    fn clear(&self) -> Result<()> {
        self.0.ask("clear", &[])?;
        Ok(())
    }

    fn to_vec(&self) -> Result<Vec<T>> {
        RemoteSet::to_vec(self)
    }

    fn len(&self) -> Result<usize> {
        typed(self.0.ask("__len__", &[])?)
    }

    fn is_empty(&self) -> Result<bool> {
        Ok(SharedSet::len(self)? == 0)
    }
}

impl<T: Both> SharedValue<T> for RemoteValue<T> {
    fn get(&self) -> Result<T> {
        RemoteValue::get(self)
    }

    fn set(&self, value: &T) -> Result<()> {
        RemoteValue::set(self, value.clone())
    }

    /// `change` is called again when somebody else was faster.
    fn update(&self, mut change: impl FnMut(&mut T)) -> Result<T> {
        loop {
            let old = RemoteValue::get(self)?;
            let mut new = old.clone();
            change(&mut new);
            if self.exchange(old, new.clone())? {
                return Ok(new);
            }
        }
    }
}

impl SharedNamespace for RemoteNamespace {
    fn set(&self, name: &str, value: impl Into<Any>) -> Result<()> {
        RemoteNamespace::set(self, name, value)
    }

    fn get<T: TryFrom<Any, Error = mp_wire::Error>>(&self, name: &str) -> Result<Option<T>> {
        RemoteNamespace::get(self, name)
    }

    fn delete(&self, name: &str) -> Result<bool> {
        self.remove(name)
    }

    fn names(&self) -> Result<Vec<String>> {
        match self.0.ask("#GETVALUE", &[])? {
            Any::Dict(items) => items.into_iter().map(|(name, _)| typed(name)).collect(),
            _ => Err(mp_wire::Error::msg("a namespace that is none")),
        }
    }
}
