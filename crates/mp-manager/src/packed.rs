//! Values as bytes, on their way onto a shelf and off it.
//!
//! Most values lie in the store, in line. One that carries handles, or is large, becomes a message of the session, and the shelf keeps
//! that: the handles are then counted by the session, and a large value is not copied each time the store is replaced. Where a
//! value is, is told by one word, its *location*:
//!
//! ```text
//! 0                                               nowhere: there is no value
//! message(1) = 0 | codec(7) | length(24) | word of the store(32)
//! message(1) = 1 | 0                     | place(32)
//! ```
//!
//! so a value takes another's place by one store, and a death leaves the one or the other.
//!
//! User code (`Serialize`, `Deserialize`) runs before the lock is taken, and after it was given back.

use std::cell::RefCell;

use mp_session::{Message, Session};
use mp_wire::{Codec, Error, Result};

use crate::shelf::{Fresh, Held, words_for};

/// Values of more bytes become messages.
pub(crate) const LARGEST_INLINE: usize = 1024;
/// A scratch buffer larger than this is not kept.
const KEEP: usize = 64 << 10;
const MESSAGE: u64 = 1 << 63;

thread_local! {
    static SCRATCH: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer that goes back to its thread.
#[derive(Debug)]
pub(crate) struct Scratch(Vec<u8>);

impl Scratch {
    #[inline]
    pub(crate) fn new() -> Scratch {
        // A thread that is ending has none to give.
        Scratch(SCRATCH.try_with(|stack| stack.borrow_mut().pop()).ok().flatten().unwrap_or_default())
    }

    #[inline]
    pub(crate) fn copy_of(bytes: &[u8]) -> Scratch {
        let mut scratch = Scratch::new();
        scratch.0.extend_from_slice(bytes);
        scratch
    }

    #[inline]
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Scratch {
    #[inline]
    fn drop(&mut self) {
        if self.0.capacity() <= KEEP {
            self.0.clear();
            let buffer = std::mem::take(&mut self.0);
            // As in `new`: then it is freed.
            let _ = SCRATCH.try_with(|stack| stack.borrow_mut().push(buffer));
        }
    }
}

/// A value that is to be kept.
#[derive(Debug)]
pub(crate) enum Packed {
    Inline(Codec, Scratch),
    Message(Message),
}

impl Packed {
    /// Turns a value into bytes.
    #[inline]
    pub(crate) fn new<T: mp_wire::Message>(session: &Session, value: &T) -> Result<Packed> {
        let mut scratch = Scratch::new();
        let encoded = mp_wire::encode(value, scratch.buffer())?;
        if encoded.exports.is_empty() && scratch.bytes().len() <= LARGEST_INLINE {
            return Ok(Packed::Inline(encoded.codec, scratch));
        }
        Ok(Packed::Message(Message::pack(session, encoded.codec, scratch.bytes(), encoded.exports)?))
    }

    /// How many words of the store it needs.
    #[inline]
    pub(crate) fn words(&self) -> u64 {
        match self {
            Packed::Inline(_, scratch) => words_for(scratch.bytes().len()),
            Packed::Message(_) => 0,
        }
    }

    /// Writes it to word `at` of the store, or keeps it at a place. Nothing names it yet.
    #[inline]
    pub(crate) fn lay(&self, held: &mut Held<'_>, at: u32) -> Result<Location> {
        match self {
            Packed::Inline(codec, scratch) => {
                held.write(at, scratch.bytes());
                Ok(Location::inline(*codec, scratch.bytes().len(), at))
            }
            Packed::Message(message) => Ok(Location::message(held.keep(message)?)),
        }
    }
}

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location(pub(crate) u64);

impl Location {
    pub(crate) const NOWHERE: Location = Location(0);

    #[inline]
    fn inline(codec: Codec, len: usize, at: u32) -> Location {
        Location(u64::from(u8::from(codec)) << 56 | (len as u64) << 32 | u64::from(at))
    }

    fn message(place: u32) -> Location {
        Location(MESSAGE | u64::from(place))
    }

    /// The same bytes at another word.
    pub(crate) fn moved_to(self, at: u32) -> Location {
        if self.place().is_some() { self } else { Location(self.0 & !0xFFFF_FFFF | u64::from(at)) }
    }

    #[inline]
    pub(crate) fn is_nowhere(self) -> bool {
        self == Location::NOWHERE
    }

    /// The place of its message.
    #[inline]
    pub(crate) fn place(self) -> Option<u32> {
        (self.0 & MESSAGE != 0).then_some(self.0 as u32)
    }

    /// The word that its bytes begin at, if they are in the store.
    #[inline]
    pub(crate) fn at(self) -> u32 {
        self.0 as u32
    }

    #[inline]
    fn len(self) -> usize {
        (self.0 >> 32) as usize & 0xFF_FFFF
    }

    /// How many words of the store it takes.
    #[inline]
    pub(crate) fn words(self) -> u64 {
        if self.place().is_some() { 0 } else { words_for(self.len()) }
    }

    /// Its bytes in the store.
    pub(crate) fn bytes<'h>(self, held: &'h Held<'_>) -> &'h [u8] {
        if self.place().is_some() { &[] } else { held.bytes(self.at(), self.len()) }
    }

    /// Copies its bytes into a new store.
    pub(crate) fn copy_to(self, held: &Held<'_>, fresh: &mut Fresh, at: u32) -> Location {
        fresh.write(at, self.bytes(held));
        self.moved_to(at)
    }

    /// Takes a copy of the value, to be decoded without the lock.
    #[inline]
    pub(crate) fn take_copy(self, held: &mut Held<'_>) -> Result<Raw> {
        if let Some(place) = self.place() {
            return Ok(Raw::Message(held.message(place)?));
        }
        let codec = Codec::try_from((self.0 >> 56) as u8)?;
        Ok(Raw::Bytes(codec, Scratch::copy_of(held.bytes(self.at(), self.len()))))
    }

    /// Releases what nothing names any more.
    #[inline]
    pub(crate) fn release(self, held: &mut Held<'_>) -> Result<()> {
        match self.place() {
            Some(place) => held.discard(place),
            None => Ok(()),
        }
    }
}

/// A value that was taken off a shelf, still as bytes.
#[derive(Debug)]
pub(crate) enum Raw {
    Bytes(Codec, Scratch),
    Message(Message),
}

impl Raw {
    /// The value, with handles of this process's own.
    #[inline]
    pub(crate) fn decode<T: mp_wire::Message>(&self) -> Result<T> {
        match self {
            Raw::Bytes(codec, scratch) => mp_wire::decode(*codec, scratch.bytes(), Vec::new()),
            Raw::Message(message) => message.decode(),
        }
    }

    /// The same value, to be kept once more.
    pub(crate) fn into_packed(self) -> Packed {
        match self {
            Raw::Bytes(codec, scratch) => Packed::Inline(codec, scratch),
            Raw::Message(message) => Packed::Message(message),
        }
    }

    /// Whether it is still the same value: the same bytes, or the same message.
    pub(crate) fn is_same(&self, other: &Raw) -> bool {
        match (self, other) {
            (Raw::Bytes(_, a), Raw::Bytes(_, b)) => a.bytes() == b.bytes(),
            (Raw::Message(a), Raw::Message(b)) => a.as_object() == b.as_object(),
            _ => false,
        }
    }
}

/// The error for what cannot be looked for.
#[cold]
pub(crate) fn no_key(what: &str) -> Error {
    Error::InvalidArgument { detail: format!("{what} cannot be a key") }
}
