//! What a gateway knows and must not lose, in the session's memory: which objects were given out, who holds what.
//!
//! A gateway that is killed leaves this behind, and the next one of the same name goes on with it.

use mp_session::Session;
use mp_wire::Result;
use serde::{Deserialize, Serialize};

use crate::dict::Dict;
use crate::handle::Handle;

use super::id::ObjectId;
use super::journal::Journal;

/// The dicts of a gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Store {
    /// Objects that were given out.
    pub(crate) objects: Dict<ObjectId, Given>,
    /// Objects that can be asked for by name.
    pub(crate) names: Dict<String, Handle>,
    /// What clients hold, by the number of the record.
    pub(crate) holds: Dict<u64, Hold>,
    /// The clients that come back.
    pub(crate) clients: Dict<u128, Journal>,
    /// Results of theirs that are too large for a journal.
    pub(crate) large: Dict<(u128, u64), Vec<u8>>,
}

/// An object that was given out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Given {
    pub(crate) typeid: String,
    pub(crate) handle: Handle,
    pub(crate) refs: Vec<(Holder, u64)>,
}

/// Who has references to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Holder {
    /// A process of this machine. Its references end with it.
    Process {
        /// Its number.
        pid: u32,
        /// When it was started.
        start_time: u64,
    },
    /// Somebody whose end is not seen: a CPython client on another machine.
    Unseen,
    /// A client of our own protocol. Its references end with it.
    Client(u128),
}

/// Something that was taken for a client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hold {
    /// The client.
    pub(crate) client: u128,
    pub(crate) object: ObjectId,
    pub(crate) handle: Handle,
    /// It was taken; otherwise it was about to be.
    pub(crate) taken: bool,
}

impl Store {
    /// What the last gateway of that name left, or a new one.
    ///
    /// # Errors
    /// When the session has no room.
    pub(crate) fn open(session: &Session, name: &str) -> Result<Store> {
        let name = format!("mp.gateway {name}");
        if let Some(store) = session.lookup(&name)? {
            return Ok(store);
        }
        let store = Store {
            objects: Dict::new_in(session)?,
            names: Dict::new_in(session)?,
            holds: Dict::new_in(session)?,
            clients: Dict::new_in(session)?,
            large: Dict::new_in(session)?,
        };
        session.publish(&name, &store)?;
        Ok(store)
    }
}
