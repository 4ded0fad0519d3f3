//! Containers and queues.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use mp_wire::{Error, Result};

use super::super::fault::Exception;
use super::Reference;
use super::objects::{Sealed, all, handle, kinds, seconds, typed, unless};
use crate::any::Any;
use crate::python;

kinds!(RemoteDict<K, V>, "dict");
kinds!(RemoteList<T>, "list", "Array");
kinds!(RemoteSet<T>, "set");
kinds!(RemoteNamespace, "Namespace");
kinds!(RemoteValue<T>, "Value");
kinds!(RemoteQueue<T>, "Queue", "JoinableQueue");

handle! {
    /// A [`Dict`](crate::Dict) behind a gateway.
    RemoteDict<K, V>
}

impl<K: Into<Any>, V> RemoteDict<K, V> {
    /// The value of a key.
    ///
    /// # Errors
    /// See the type.
    pub fn get(&self, key: K) -> Result<Option<V>>
    where
        V: TryFrom<Any, Error: Display>,
    {
        unless(self.0.ask("__getitem__", &[key.into()]), &Exception::Key)?.map(typed).transpose()
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// See the type.
    pub fn insert(&self, key: K, value: V) -> Result<()>
    where
        V: Into<Any>,
    {
        self.0.ask("__setitem__", &[key.into(), value.into()])?;
        Ok(())
    }

    /// The values of many keys: the calls are on their way together.
    ///
    /// # Errors
    /// See the type.
    pub fn get_many(&self, keys: impl IntoIterator<Item = K>) -> Result<Vec<Option<V>>>
    where
        V: TryFrom<Any, Error: Display>,
    {
        let calls = keys.into_iter().map(|key| vec![key.into()]);
        let answers = self.0.manager.ask_many(&self.0.id, "__getitem__", calls);
        answers.into_iter().map(|answer| unless(answer, &Exception::Key)?.map(typed).transpose()).collect()
    }

    /// Sets many: the calls are on their way together. Each of them is done once; all together they are not one change.
    ///
    /// # Errors
    /// The first; see the type.
    pub fn insert_many(&self, entries: impl IntoIterator<Item = (K, V)>) -> Result<()>
    where
        V: Into<Any>,
    {
        let calls = entries.into_iter().map(|(key, value)| vec![key.into(), value.into()]);
        for answer in self.0.manager.ask_many(&self.0.id, "__setitem__", calls) {
            answer?;
        }
        Ok(())
    }

    /// Takes a key out, and returns its value.
    ///
    /// # Errors
    /// See the type.
    pub fn pop(&self, key: K) -> Result<Option<V>>
    where
        V: TryFrom<Any, Error: Display>,
    {
        unless(self.0.ask("pop", &[key.into()]), &Exception::Key)?.map(typed).transpose()
    }

    /// Takes a key out. `false`: it is not there.
    ///
    /// # Errors
    /// See the type.
    pub fn remove(&self, key: K) -> Result<bool> {
        Ok(unless(self.0.ask("__delitem__", &[key.into()]), &Exception::Key)?.is_some())
    }

    /// The value of a key, which is this one if it had none.
    ///
    /// # Errors
    /// See the type.
    pub fn set_default(&self, key: K, value: V) -> Result<V>
    where
        V: Into<Any> + TryFrom<Any, Error: Display>,
    {
        typed(self.0.ask("setdefault", &[key.into(), value.into()])?)
    }

    /// Puts a value, or none, in the place of the one that is expected, or of none. `false`: there is another.
    ///
    /// # Errors
    /// See the type.
    pub fn exchange(&self, key: K, expected: Option<V>, new: Option<V>) -> Result<bool>
    where
        V: Into<Any>,
    {
        let optional = |value: Option<V>| Any::Tuple(value.into_iter().map(Into::into).collect());
        typed(self.0.ask("#EXCHANGE", &[key.into(), optional(expected), optional(new)])?)
    }

    /// Whether a key is there.
    ///
    /// # Errors
    /// See the type.
    pub fn contains(&self, key: K) -> Result<bool> {
        typed(self.0.ask("__contains__", &[key.into()])?)
    }
}

impl<K: TryFrom<Any, Error: Display>, V> RemoteDict<K, V> {
    /// How many keys there are.
    ///
    /// # Errors
    /// See the type.
    pub fn len(&self) -> Result<usize> {
        typed(self.0.ask("__len__", &[])?)
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// See the type.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// All keys, in the order in which they were put in.
    ///
    /// # Errors
    /// See the type.
    pub fn keys(&self) -> Result<Vec<K>> {
        all(self.0.ask("keys", &[])?)
    }

    /// All keys with their values.
    ///
    /// # Errors
    /// See the type.
    pub fn items(&self) -> Result<Vec<(K, V)>>
    where
        V: TryFrom<Any, Error: Display>,
    {
        all::<Any>(self.0.ask("items", &[])?)?
            .into_iter()
            .map(|pair| match pair {
                Any::Tuple(pair) => match <[Any; 2]>::try_from(pair) {
                    Ok([key, value]) => Ok((typed(key)?, typed(value)?)),
                    Err(_) => Err(Error::msg("an item of a dict that is no pair")),
                },
                _ => Err(Error::msg("an item of a dict that is no pair")),
            })
            .collect()
    }

    /// Takes everything out.
    ///
    /// # Errors
    /// See the type.
    pub fn clear(&self) -> Result<()> {
        self.0.ask("clear", &[])?;
        Ok(())
    }
}

handle! {
    /// A [`List`](crate::List) behind a gateway.
    RemoteList<T>
}

impl<T: Into<Any> + TryFrom<Any, Error: Display>> RemoteList<T> {
    /// Appends a value.
    ///
    /// # Errors
    /// See the type.
    pub fn append(&self, value: T) -> Result<()> {
        self.0.ask("append", &[value.into()])?;
        Ok(())
    }

    /// Appends many, all at once.
    ///
    /// # Errors
    /// See the type.
    pub fn extend(&self, values: impl IntoIterator<Item = T>) -> Result<()> {
        self.0.ask("extend", &[Any::list(values)])?;
        Ok(())
    }

    /// The value at a place.
    ///
    /// # Errors
    /// See the type.
    pub fn get(&self, index: usize) -> Result<Option<T>> {
        unless(self.0.ask("__getitem__", &[index.into()]), &Exception::Index)?.map(typed).transpose()
    }

    /// Puts a value in the place of another. `false`: there is no such place.
    ///
    /// # Errors
    /// See the type.
    pub fn set(&self, index: usize, value: T) -> Result<bool> {
        Ok(unless(self.0.ask("__setitem__", &[index.into(), value.into()]), &Exception::Index)?.is_some())
    }

    /// Takes the last value out.
    ///
    /// # Errors
    /// See the type.
    pub fn pop(&self) -> Result<Option<T>> {
        unless(self.0.ask("pop", &[]), &Exception::Index)?.map(typed).transpose()
    }

    /// How many values there are.
    ///
    /// # Errors
    /// See the type.
    pub fn len(&self) -> Result<usize> {
        typed(self.0.ask("__len__", &[])?)
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// See the type.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// All values.
    ///
    /// # Errors
    /// See the type.
    pub fn to_vec(&self) -> Result<Vec<T>> {
        all(self.0.ask("#GETVALUE", &[])?)
    }
}

handle! {
    /// A set behind a gateway.
    RemoteSet<T>
}

impl<T: Into<Any> + TryFrom<Any, Error: Display>> RemoteSet<T> {
    /// Adds an element.
    ///
    /// # Errors
    /// See the type.
    pub fn add(&self, element: T) -> Result<()> {
        self.0.ask("add", &[element.into()])?;
        Ok(())
    }

    /// Takes an element out. `false`: it is not there.
    ///
    /// # Errors
    /// See the type.
    pub fn remove(&self, element: T) -> Result<bool> {
        Ok(unless(self.0.ask("remove", &[element.into()]), &Exception::Key)?.is_some())
    }

    /// Whether an element is there.
    ///
    /// # Errors
    /// See the type.
    pub fn contains(&self, element: T) -> Result<bool> {
        typed(self.0.ask("__contains__", &[element.into()])?)
    }

    /// All elements.
    ///
    /// # Errors
    /// See the type.
    pub fn to_vec(&self) -> Result<Vec<T>> {
        all(self.0.ask("#GETVALUE", &[])?)
    }
}

handle! {
    /// A namespace behind a gateway.
    RemoteNamespace
}

impl RemoteNamespace {
    /// The value of an attribute.
    ///
    /// # Errors
    /// See the type.
    pub fn get<T: TryFrom<Any, Error: Display>>(&self, name: &str) -> Result<Option<T>> {
        unless(self.0.ask("__getattribute__", &[name.into()]), &Exception::Attribute)?.map(typed).transpose()
    }

    /// Sets an attribute.
    ///
    /// # Errors
    /// See the type.
    pub fn set(&self, name: &str, value: impl Into<Any>) -> Result<()> {
        self.0.ask("__setattr__", &[name.into(), value.into()])?;
        Ok(())
    }

    /// Takes an attribute away. `false`: it is not there.
    ///
    /// # Errors
    /// See the type.
    pub fn remove(&self, name: &str) -> Result<bool> {
        Ok(unless(self.0.ask("__delattr__", &[name.into()]), &Exception::Attribute)?.is_some())
    }
}

handle! {
    /// A value behind a gateway.
    RemoteValue<T>
}

impl<T: Into<Any> + TryFrom<Any, Error: Display>> RemoteValue<T> {
    /// Puts another value in the place of this one, if it is still there.
    ///
    /// # Errors
    /// See the type.
    pub fn exchange(&self, expected: T, new: T) -> Result<bool> {
        typed(self.0.ask("#EXCHANGE", &[expected.into(), new.into()])?)
    }

    /// The value.
    ///
    /// # Errors
    /// See the type.
    pub fn get(&self) -> Result<T> {
        typed(self.0.ask("get", &[])?)
    }

    /// Sets it.
    ///
    /// # Errors
    /// See the type.
    pub fn set(&self, value: T) -> Result<()> {
        self.0.ask("set", &[value.into()])?;
        Ok(())
    }
}

handle! {
    /// A queue behind a gateway.
    RemoteQueue<T>
}

impl<T: Into<Any> + TryFrom<Any, Error: Display>> RemoteQueue<T> {
    /// Puts a value, waiting for room if need be.
    ///
    /// # Errors
    /// See the type.
    pub fn put(&self, value: T) -> Result<()> {
        self.0.ask("put", &[value.into()])?;
        Ok(())
    }

    /// Puts a value if there is room.
    ///
    /// # Errors
    /// [`Error::Full`]; see the type.
    pub fn try_put(&self, value: T) -> Result<()> {
        self.0.ask("put", &[value.into(), false.into()])?;
        Ok(())
    }

    /// Gets a value, waiting for one if need be.
    ///
    /// # Errors
    /// See the type.
    pub fn get(&self) -> Result<T> {
        typed(self.0.ask("get", &[])?)
    }

    /// Gets a value if there is one.
    ///
    /// # Errors
    /// [`Error::Empty`]; see the type.
    pub fn try_get(&self) -> Result<T> {
        typed(self.0.ask("get", &[false.into()])?)
    }

    /// Gets a value, waiting no longer than this.
    ///
    /// # Errors
    /// [`Error::Empty`] when the time was up; see the type.
    pub fn get_timeout(&self, timeout: Duration) -> Result<T> {
        typed(self.0.ask("get", &[true.into(), seconds(timeout)])?)
    }

    /// How many values there are.
    ///
    /// # Errors
    /// See the type.
    pub fn len(&self) -> Result<usize> {
        typed(self.0.ask("qsize", &[])?)
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// See the type.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }
}
