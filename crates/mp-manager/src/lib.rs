//! Containers in shared memory: Python's `multiprocessing.Manager`, without the manager.
//!
//! In Python a manager is a process. The dicts and lists live in it, each operation is a message to it, and if it dies all is lost.
//! Here the data lives in the session's memory, and every process works on it itself: nobody serves it, so nobody's death takes it away.
//!
//! | type | Python |
//! |---|---|
//! | [`Dict<K, V>`] | `Manager().dict()` |
//! | [`List<T>`] | `Manager().list()` |
//! | [`Set<T>`] | `Manager().set()` |
//! | [`Namespace`] | `Manager().Namespace()` |
//! | [`Value<T>`] | `Manager().Value()`: any type of yours, swapped whole |
//! | [`Array<T>`] | `Manager().Array()` |
//! | [`Guarded<T>`] | a type registered with a manager, whose fields are shared things |
//! | [`Host`], [`Hosted`] | a type registered with a manager that cannot be shared: a pool, open files |
//! | [`Gateway`] | `BaseManager.get_server()`: for other sessions, other machines, and stock CPython |
//! | [`RemoteManager`], or [`Manager::connect`] | `BaseManager.connect()` |
//!
//! [`Manager`] makes them, and queues, locks and signals beside them, and publishes them under names.
//!
//! All of them are handles: clone them, send them, put them into each other. Where they arrive they are the same container.
//!
//! ```
//! use mp_manager::{Dict, List};
//!
//! let teams = Dict::<String, List<String>>::new()?;
//! teams.insert("red", List::from_values(["ann".to_owned()])?)?;
//! let red = teams.get("red")?.unwrap();
//! red.append("bob".to_owned())?; // the list that is in the dict, not a copy of it
//! assert_eq!(teams.get("red")?.unwrap().len()?, 2);
//! # Ok::<(), mp_manager::Error>(())
//! ```
//!
//! # How containers keep keys and values
//!
//! As bytes, encoded by mp-wire: keys and values may be of any types that serde can write and read back. **Keys compare by their
//! encoded bytes**, not by `Eq`. A value that carries handles, or is larger than a kibibyte, is a message of the session, and the container owns
//! it; all others lie side by side in the container's own store.
//!
//! [`Any`] is the value whose type is known when the program runs. Containers that CPython may see (through a gateway) are containers of
//! that: `Dict<Any, Any>`, `List<Any>`. Its keys are equal when Python's are.
//!
//! # What a death leaves
//!
//! Each operation ends with one store that makes it count. Before it, the container is as it was; after it, as it is meant to be.
//! A part of a container is changed by one process at a time, under a lock that names its owner; whoever finds the owner dead takes over and
//! makes anew what was derived (indices, counts, free places) from what counts. The essays are beside the code:
//!
//! | file | idea |
//! |---|---|
//! | `shelf` | a lock, a store of words that is replaced as a whole, places for messages; truth and hints; deaths |
//! | `shard`, `shards` | a log of entries and an index of it; a row of them, and transactions over several |
//! | `dict`, `key` | dicts; keys as bytes |
//! | `row`, `list`, `value` | slots in two versions; lists, and what is made of them |
//! | `set`, `namespace` | what else is made of shards |
//! | `packed` | values as bytes |
//! | `any`, `handle` | values of Python's types |
//! | `guarded`, `hosted` | types of one's own: a lock around shared things; a supervised process for what cannot be shared |
//! | `manager`, `api` | making and finding objects; what they can do, wherever they are |
//!
//! # Platform
//!
//! That of [`mp_session`]: nothing here knows the operating system.

pub mod any;
mod api;
mod dict;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod gateway;
mod guarded;
mod handle;
mod hosted;
mod key;
mod list;
mod manager;
mod namespace;
mod packed;
mod python;
mod row;
mod set;
mod shard;
mod shards;
mod shelf;
mod value;

pub use any::{Any, BigInt};
pub use api::{SharedDict, SharedList, SharedNamespace, SharedSet, SharedValue};
pub use dict::{Dict, Entry, Iter};
pub use gateway::Gateway;
pub use gateway::remote::RemoteManager;
pub use guarded::{Guarded, GuardedRef};
pub use handle::Handle;
pub use hosted::{Host, Hosted, Keeper, Service};
pub use key::KeyOf;
pub use list::List;
pub use manager::Manager;
pub use mp_wire::{Error, Message, Result};
pub use namespace::Namespace;
pub use set::Set;
pub use value::{Array, Value};

/// For the checks of this crate.
#[doc(hidden)]
pub mod __private {
    use mp_wire::Result;

    use crate::Dict;

    /// Takes all locks of a dict, and never gives them back: what is left when somebody dies there.
    ///
    /// # Errors
    /// As [`Dict::len`].
    pub fn leave_locked<K, V>(dict: &Dict<K, V>) -> Result<()> {
        dict.leave_locked()
    }
}
