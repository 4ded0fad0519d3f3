//! `Namespace`: attributes with names, in shared memory.

use std::fmt;
use std::sync::Arc;

use mp_session::{Kind, Object, Session};
use mp_wire::{Error, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::any::Any;
use crate::key;
use crate::packed::{Packed, Raw};
use crate::shard;
use crate::shards::Shards;

/// Namespaces are small.
const SHARDS: u32 = 4;

/// Attributes with names, for many processes: Python's `Manager().Namespace()`, without a manager.
///
/// What can be assigned is what [`Any`] can be made of: numbers, texts, bytes, lists and tuples of these, shared objects
/// ([`Handle`](crate::Handle)). It is a handle, as all containers are.
///
/// # If a process dies
///
/// An attribute was assigned or was not.
///
/// # Examples
///
/// ```
/// use mp_manager::{Any, Namespace};
///
/// let settings = Namespace::new()?;
/// settings.set("threads", 4)?;
/// settings.set("name", "bob")?;
/// assert_eq!(settings.get::<u32>("threads")?, Some(4));
/// settings.alter("threads", |n: Option<u32>| n.unwrap_or(0) + 1)?;
/// assert_eq!(settings.get_any("threads")?, Some(Any::from(5)));
/// assert!(settings.get::<u32>("name").is_err()); // it is a text
/// assert_eq!(settings.names()?, ["threads", "name"]);
/// # Ok::<(), mp_manager::Error>(())
/// ```
#[derive(Clone)]
pub struct Namespace(Arc<Shards>);

impl Namespace {
    /// An empty one in this process's session.
    ///
    /// # Errors
    /// As [`Dict::new`](crate::Dict::new).
    pub fn new() -> Result<Namespace> {
        Namespace::new_in(&Session::current()?)
    }

    /// An empty one in that session.
    ///
    /// # Errors
    /// As [`Namespace::new`].
    pub fn new_in(session: &Session) -> Result<Namespace> {
        Ok(Namespace(Arc::new(Shards::create(Kind::NAMESPACE, 0, SHARDS, session)?)))
    }

    fn pack(&self, value: &Any) -> Result<Packed> {
        Packed::new(self.0.object().session(), value)
    }

    /// Assigns an attribute: Python's `namespace.name = value`.
    ///
    /// # Errors
    /// As [`Dict::insert`](crate::Dict::insert).
    pub fn set(&self, name: &str, value: impl Into<Any>) -> Result<()> {
        let value = self.pack(&value.into())?;
        self.0.put(&self.0.seek::<String, str>(name)?, &value, false).map(|_| ())
    }

    /// An attribute of a known type. `None`: there is none of that name.
    ///
    /// # Errors
    /// [`Error::Decode`] when it is of another type.
    pub fn get<T: TryFrom<Any, Error = Error>>(&self, name: &str) -> Result<Option<T>> {
        self.get_any(name)?.map(T::try_from).transpose()
    }

    /// An attribute, whatever it is: Python's `namespace.name`. `None`: there is none of that name.
    ///
    /// # Errors
    /// As [`Dict::get`](crate::Dict::get).
    pub fn get_any(&self, name: &str) -> Result<Option<Any>> {
        self.0.get(&self.0.seek::<String, str>(name)?)?.map(|raw| raw.decode()).transpose()
    }

    /// Takes an attribute out: Python's `del namespace.name`. `false`: there is none.
    ///
    /// # Errors
    /// As [`Dict::get`](crate::Dict::get).
    pub fn delete(&self, name: &str) -> Result<bool> {
        Ok(self.0.take(&self.0.seek::<String, str>(name)?)?.is_some())
    }

    /// Whether there is such an attribute: Python's `hasattr`.
    ///
    /// # Errors
    /// As [`Dict::get`](crate::Dict::get).
    pub fn contains(&self, name: &str) -> Result<bool> {
        let sought = self.0.seek::<String, str>(name)?;
        Ok(self.0.locked(sought.shard)?.is_some_and(|held| shard::find(&held, sought.key()).is_some()))
    }

    /// Lets `f` make a new value of the present one, atomically. It is called again with a newer one when somebody else was faster.
    ///
    /// # Errors
    /// As [`Namespace::get`] and [`Namespace::set`].
    pub fn alter<T: TryFrom<Any, Error = Error>, U: Into<Any>>(
        &self,
        name: &str,
        mut f: impl FnMut(Option<T>) -> U,
    ) -> Result<()> {
        let sought = self.0.seek::<String, str>(name)?;
        loop {
            let seen = self.0.get(&sought)?;
            let old = seen.as_ref().map(Raw::decode::<Any>).transpose()?.map(T::try_from).transpose()?;
            let new = self.pack(&f(old).into())?;
            if self.0.exchange(&sought, seen.as_ref(), Some(&new))? {
                return Ok(());
            }
        }
    }

    /// The names of all attributes, in the order in which they were first assigned: Python's `dir`.
    ///
    /// # Errors
    /// As [`Dict::get`](crate::Dict::get).
    pub fn names(&self) -> Result<Vec<String>> {
        self.0.keys()?.iter().map(|name| key::decode(name)).collect()
    }

    /// All attributes, as they are at one instant: Python's `vars`.
    ///
    /// # Errors
    /// As [`Dict::get`](crate::Dict::get).
    pub fn items(&self) -> Result<Vec<(String, Any)>> {
        self.0.entries()?.iter().map(|e| Ok((key::decode(&e.key)?, e.value.decode()?))).collect()
    }
}

impl PartialEq for Namespace {
    /// Whether they are the same namespace.
    fn eq(&self, other: &Namespace) -> bool {
        self.0.object() == other.0.object()
    }
}

impl Eq for Namespace {}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.object())
    }
}

impl Serialize for Namespace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.object().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Namespace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Namespace, D::Error> {
        Object::deserialize(deserializer)?
            .expect(Kind::NAMESPACE, 0)
            .and_then(Shards::of)
            .map(|shards| Namespace(Arc::new(shards)))
            .map_err(|e| de::Error::custom(carrier::refuse(e)))
    }
}
