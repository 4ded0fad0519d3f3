//! What an object is called outside of the session.

use std::fmt;

use mp_wire::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::handle::Handle;

/// The place and the generation of an object in the session's table: no two objects ever have the same, and an object has the same for as long as it
/// lives, whichever gateway is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ObjectId {
    index: u32,
    generation: u64,
}

impl ObjectId {
    /// The object behind a handle.
    ///
    /// # Errors
    /// [`Error::NotInCarrier`] in a process that is no member.
    pub(crate) fn of(handle: &Handle) -> Result<ObjectId> {
        let id = handle.id().ok_or_else(|| Error::NotInCarrier { what: handle.type_name().into() })?;
        Ok(ObjectId { index: id.0, generation: id.1 })
    }

    /// What [`Display`](fmt::Display) wrote.
    pub(crate) fn parse(text: &str) -> Option<ObjectId> {
        let (generation, index) = text.split_once('.')?;
        let index = u32::from_str_radix(index, 16).ok()?;
        Some(ObjectId { index, generation: u64::from_str_radix(generation, 16).ok()? })
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{:x}", self.generation, self.index)
    }
}
