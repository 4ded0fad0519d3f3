//! What a child leaves behind: in a message, or, if it is a few bytes, in the words of its place.
//!
//! Most functions that are run for what they do return nothing, and a result of that size need not touch the session's heap:
//! in a process that is about to end each page touched for the first time costs as much as all the rest of leaving a result.
//!
//! ```text
//! word 2   length + 1 (8) | codec (8) | bytes 0 to 5     written last
//! word 3   bytes 6 to 13
//! ```
//!
//! The child alone writes them, once; they are zero before. A child that dies between the words leaves the first one zero, and
//! so no result. Words 0 and 1 are the fork server's ([`crate::fork_server`], [`crate::spare`]).

use std::any::Any;
use std::sync::atomic::Ordering::*;

use mp_session::{Message, Place, Session};
use mp_wire::{Codec, Result};

use crate::target::Produced;

const FIRST: usize = 2;
/// Bytes in the two words, without length and codec.
const ROOM: usize = 14;

/// What a child has left.
#[derive(Debug)]
pub(crate) enum Returned {
    /// A few bytes.
    Few { codec: Codec, bytes: [u8; ROOM], length: usize },
    /// More, or something that carries handles.
    Message(Message),
}

/// Leaves what the child's function came to.
pub(crate) fn leave(session: &Session, produced: Produced) -> Result<()> {
    if produced.exports.is_empty() && produced.payload.len() <= ROOM {
        let mut bytes = [0; ROOM + 2];
        bytes[0] = produced.payload.len() as u8 + 1;
        bytes[1] = produced.codec as u8;
        bytes[2..2 + produced.payload.len()].copy_from_slice(&produced.payload);
        for (i, eight) in bytes.chunks_exact(8).enumerate().rev() {
            if let Some(word) = session.user_word(FIRST + i) {
                word.store(u64::from_le_bytes(eight.try_into().unwrap_or_default()), Release);
            }
        }
        session.finish();
        return Ok(());
    }
    let message = match Message::pack(session, produced.codec, &produced.payload, produced.exports) {
        Ok(message) => message,
        // Too large for what is left of the session: say that instead.
        Err(error) => {
            let failed = Produced::failed(error);
            Message::pack(session, failed.codec, &failed.payload, failed.exports)?
        }
    };
    session.leave_result(&message)
}

/// Takes what the child in that place has left; it has ended.
pub(crate) fn take(place: &Place) -> Result<Option<Returned>> {
    let mut words = [0_u8; ROOM + 2];
    for (i, eight) in words.chunks_exact_mut(8).enumerate() {
        let word = place.user_word(FIRST + i).map_or(0, |word| word.load(Acquire));
        eight.copy_from_slice(&word.to_le_bytes());
    }
    match usize::from(words[0]).checked_sub(1).filter(|length| *length <= ROOM) {
        Some(length) => {
            let mut bytes = [0; ROOM];
            bytes.copy_from_slice(&words[2..]);
            Ok(Some(Returned::Few { codec: Codec::try_from(words[1])?, bytes, length }))
        }
        None => Ok(place.take_result()?.map(Returned::Message)),
    }
}

impl Returned {
    /// Codec and bytes.
    pub(crate) fn payload(&self) -> Result<(Codec, &[u8])> {
        match self {
            Returned::Few { codec, bytes, length } => Ok((*codec, &bytes[..*length])),
            Returned::Message(message) => message.payload(),
        }
    }

    /// Handles in it.
    pub(crate) fn imports(&self) -> Result<Vec<Box<dyn Any + Send>>> {
        match self {
            Returned::Few { .. } => Ok(Vec::new()),
            Returned::Message(message) => message.imports(),
        }
    }
}
