//! Values on their way into a cell and out of it.
//!
//! A value whose bytes fit behind the cell and that carries no handles travels *inline*: no allocation, no reference. All
//! others become a message of the session, and the cell holds the reference. The header of inline bytes is
//!
//! ```text
//! length(8) | codec(8)
//! ```

use std::cell::Cell;

use mp_session::{Message, Session};
use mp_wire::{Codec, Error, Result};

/// How many bytes fit behind a cell.
pub(crate) const INLINE: usize = 48;
/// A scratch buffer larger than this is not kept.
const KEEP: usize = 64 << 10;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes short enough to lie behind a cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inline {
    bytes: [u8; INLINE],
    len: usize,
    codec: Codec,
}

impl Inline {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(crate) fn header(&self) -> u64 {
        (self.len as u64) << 8 | u64::from(u8::from(self.codec))
    }

    /// The reverse: `read` copies the bytes that the header announces.
    pub(crate) fn read(header: u64, read: impl FnOnce(&mut [u8])) -> Result<Inline> {
        let codec = Codec::try_from(header as u8)?;
        let len = (header >> 8) as usize;
        let mut bytes = [0; INLINE];
        let space = bytes.get_mut(..len).ok_or_else(|| Error::Layout {
            detail: format!("a cell of a queue that claims to hold {len} bytes"),
        })?;
        read(space);
        Ok(Inline { bytes, len, codec })
    }
}

/// A value as it lies in a queue.
#[derive(Debug)]
pub(crate) enum Parcel {
    Inline(Inline),
    Message(Message),
}

impl Parcel {
    /// Turns a value into bytes, in the caller: what cannot be sent is an error here, and not a riddle at the other end.
    pub(crate) fn pack<T: mp_wire::Message>(session: &Session, value: &T) -> Result<Parcel> {
        // A `Serialize` that puts into another queue finds an empty scratch buffer, not ours.
        let mut scratch = SCRATCH.take();
        scratch.clear();
        let packed = mp_wire::encode(value, &mut scratch).and_then(|encoded| {
            if encoded.exports.is_empty() && scratch.len() <= INLINE {
                let mut bytes = [0; INLINE];
                bytes[..scratch.len()].copy_from_slice(&scratch);
                return Ok(Parcel::Inline(Inline { bytes, len: scratch.len(), codec: encoded.codec }));
            }
            Message::pack(session, encoded.codec, &scratch, encoded.exports).map(Parcel::Message)
        });
        if scratch.capacity() <= KEEP {
            SCRATCH.set(scratch);
        }
        packed
    }

    /// Reads the value, with handles of this process's own.
    pub(crate) fn unpack<T: mp_wire::Message>(self) -> Result<T> {
        match self {
            Parcel::Inline(inline) => mp_wire::decode(inline.codec, inline.bytes(), Vec::new()),
            Parcel::Message(message) => message.decode(),
        }
    }
}
