//! Messages: a value as bytes together with the references that travel with it.
//!
//! A message is an object like any other; its block is
//!
//! ```text
//! count of references(32) | codec(8)      word 0
//! length of the payload                   word 1
//! references                              a word each, owned
//! payload
//! ```
//!
//! so a message that nobody takes, or that nobody can decode, is released together with what it carries, by somebody
//! who need not know its type.

use crate::primitive::Ordering::*;
use std::any::Any;
use std::ops::Range;

use mp_wire::{Codec, Error, Result};

use crate::ids::Kind;
use crate::object::{Blueprint, Object};
use crate::session::Session;
use crate::table::{MESSAGE_LIST, Shape};

/// The largest payload: a frame above this is refused before anything is allocated.
pub const MAX_PAYLOAD: u64 = 4 << 30;

/// A value on its way, in session memory.
#[derive(Clone, Debug)]
pub struct Message(Object);

impl Message {
    /// Writes a value that was encoded, with the handles found in it, into session memory.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when it is too large or memory is out; [`Error::NotInCarrier`] when something that is not an
    /// object of a session was exported.
    pub fn pack(
        session: &Session,
        codec: Codec,
        payload: &[u8],
        exports: Vec<Box<dyn Any + Send>>,
    ) -> Result<Message> {
        Message::pack_parts(session, codec, &[payload], exports)
    }

    /// As [`Message::pack`], with the payload in several pieces.
    ///
    /// # Errors
    /// As there.
    pub fn pack_parts(
        session: &Session,
        codec: Codec,
        parts: &[&[u8]],
        exports: Vec<Box<dyn Any + Send>>,
    ) -> Result<Message> {
        let len = parts.iter().map(|part| part.len() as u64).sum::<u64>();
        if len > MAX_PAYLOAD {
            return Err(Error::LimitReached {
                limit: "size of a message".into(),
                detail: format!("{len} bytes"),
            });
        }
        let list = exports.len() as u64 * 8;
        let plan = Blueprint {
            kind: Kind::MESSAGE,
            fingerprint: 0,
            shape: Shape::Message,
            size: MESSAGE_LIST + list + len,
        };
        let count = exports.len() as u64;
        let object = Object::create(session, plan, |_, bytes| {
            let Some(bytes) = bytes else { return };
            // SAFETY: the block has `plan.size` bytes, is aligned to 64 and is ours alone until `create` returns.
            unsafe {
                let words = bytes.as_ptr().cast::<u64>();
                words.write(count | (codec as u64) << 32);
                words.add(1).write(len);
                words.add(2).write_bytes(0, count as usize);
                let mut to = bytes.as_ptr().add((MESSAGE_LIST + list) as usize);
                for part in parts {
                    std::ptr::copy_nonoverlapping(part.as_ptr(), to, part.len());
                    to = to.add(part.len());
                }
            }
        })?;
        let message = Message(object);
        for (i, export) in exports.into_iter().enumerate() {
            let export = Object::from_export(export)?;
            if export.session().id() != session.id() {
                return Err(Error::NotInCarrier { what: "an object of another session".into() });
            }
            export.lend(message.list_word(i as u64)?)?;
        }
        Ok(message)
    }

    /// Encodes and packs.
    ///
    /// # Errors
    /// As [`Message::pack`], and [`Error::Encode`].
    pub fn encode<T: mp_wire::Message>(session: &Session, value: &T) -> Result<Message> {
        let mut bytes = Vec::new();
        let encoded = mp_wire::encode(value, &mut bytes)?;
        Message::pack(session, encoded.codec, &bytes, encoded.exports)
    }

    /// The value, with handles of this process's own. Can be done again as long as the message is held.
    ///
    /// # Errors
    /// [`Error::Decode`] when the bytes are not a `T`.
    pub fn decode<T: mp_wire::Message>(&self) -> Result<T> {
        let (codec, payload) = self.payload()?;
        mp_wire::decode(codec, payload, self.imports()?)
    }

    /// Codec and bytes. Nobody changes a message once it was sent, so they can be looked at in place.
    ///
    /// # Errors
    /// [`Error::Layout`] when the message contradicts its own size.
    pub fn payload(&self) -> Result<(Codec, &[u8])> {
        let (words, size, count) = self.head()?;
        // SAFETY: `head` checked that the block holds two words.
        let (first, len) = unsafe { (words.read(), words.add(1).read()) };
        let at = MESSAGE_LIST + count * 8;
        if at.checked_add(len).is_none_or(|end| end > size) {
            return Err(damaged());
        }
        let codec = Codec::try_from((first >> 32) as u8)?;
        // SAFETY: in bounds by the check above; written before the message was published and never changed since; the
        // block lives as long as `self`.
        Ok((codec, unsafe { std::slice::from_raw_parts(words.cast::<u8>().add(at as usize), len as usize) }))
    }

    /// Handles of this process's own for all references in the message, in order.
    ///
    /// # Errors
    /// As [`Object::create`].
    pub fn imports(&self) -> Result<Vec<Box<dyn Any + Send>>> {
        self.imports_in(0..usize::MAX)
    }

    /// As [`Message::imports`], those of the references in that range of their order.
    ///
    /// # Errors
    /// As there.
    pub fn imports_in(&self, range: Range<usize>) -> Result<Vec<Box<dyn Any + Send>>> {
        let (_, _, count) = self.head()?;
        let session = self.0.session();
        (range.start as u64..count.min(range.end as u64))
            .map(|i| Ok(Box::new(Object::share(session, self.list_word(i)?)?) as Box<dyn Any + Send>))
            .collect()
    }

    /// The object that it is.
    pub fn as_object(&self) -> &Object {
        &self.0
    }

    /// Takes an object for a message.
    ///
    /// # Errors
    /// [`Error::WrongKind`] when it is none.
    pub fn from_object(object: Object) -> Result<Message> {
        object.expect(Kind::MESSAGE, 0).map(Message)
    }

    fn head(&self) -> Result<(*const u64, u64, u64)> {
        let (bytes, size) = self.0.bytes().filter(|(_, size)| *size >= MESSAGE_LIST).ok_or_else(damaged)?;
        let words = bytes.as_ptr().cast::<u64>().cast_const();
        // SAFETY: the block holds two words and is aligned to 64.
        let count = u64::from(unsafe { words.read() } as u32);
        if MESSAGE_LIST + count * 8 > size {
            return Err(damaged());
        }
        Ok((words, size, count))
    }

    fn list_word(&self, i: u64) -> Result<u64> {
        let ground = &self.0.session().0.ground;
        let block = ground.entry(self.0.id().0).offset.load(Acquire);
        if block == 0 { Err(damaged()) } else { Ok(block + MESSAGE_LIST + i * 8) }
    }
}

impl Object {
    /// What a handle exported while it was encoded, if that can lie in session memory.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a handle of the operating system, [`Error::NotInCarrier`] for anything else that is no object.
    pub fn from_export(export: Box<dyn Any + Send>) -> Result<Object> {
        export.downcast::<Object>().map(|object| *object).map_err(|other| {
            if other.is::<mp_sys::OsHandle>() {
                let what = "sending a handle of the operating system (a file, a socket) otherwise than in the \
                            arguments of a process";
                Error::Unsupported { what: what.into() }
            } else {
                Error::NotInCarrier { what: "an object that no session knows".into() }
            }
        })
    }
}

fn damaged() -> Error {
    Error::Layout { detail: "a message whose parts do not fit into it".into() }
}

#[cfg(test)]
mod tests;
