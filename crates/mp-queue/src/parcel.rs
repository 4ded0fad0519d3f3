//! Values on their way into a cell and out of it.
//!
//! A value whose bytes fit behind the cell and that carries no handles travels *inline*: no allocation, no reference. All
//! others become a message of the session, and the cell holds the reference. The header of inline bytes is
//!
//! ```text
//! length(8) | codec(8)
//! ```
//!
//! Inline bytes are kept and copied as whole words: eight bytes are one load and one store, and nothing that was written in small
//! pieces is read back in large ones, for which the processor would have to wait.

use std::cell::Cell;

use mp_session::{Message, Session};
use mp_wire::{Codec, Error, Result};

/// How many words fit behind a cell.
pub(crate) const WORDS: usize = 6;
const INLINE: usize = WORDS * 8;
/// A scratch buffer larger than this is not kept.
const KEEP: usize = 64 << 10;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A value as it lies in a queue; filled in place, for it is too large to be handed from function to function.
#[derive(Debug)]
pub(crate) struct Parcel {
    words: [u64; WORDS],
    header: u64,
    /// If there is one, it is all that counts.
    message: Option<Message>,
}

impl Parcel {
    #[inline]
    pub(crate) fn empty() -> Parcel {
        Parcel { words: [0; WORDS], header: 0, message: None }
    }

    /// Turns a value into bytes, in the caller: what cannot be sent is an error here, and not a riddle at the other end.
    #[inline]
    pub(crate) fn pack<T: mp_wire::Message>(&mut self, session: &Session, value: &T) -> Result<()> {
        // A `Serialize` that puts into another queue finds an empty scratch buffer, not ours.
        let mut scratch = SCRATCH.take();
        scratch.clear();
        let packed = mp_wire::encode(value, &mut scratch).and_then(|encoded| {
            if encoded.exports.is_empty() && scratch.len() <= INLINE {
                self.keep(encoded.codec, &scratch);
            } else {
                self.message = Some(Message::pack(session, encoded.codec, &scratch, encoded.exports)?);
            }
            Ok(())
        });
        if scratch.capacity() <= KEEP {
            SCRATCH.set(scratch);
        }
        packed
    }

    #[inline]
    fn keep(&mut self, codec: Codec, bytes: &[u8]) {
        let (whole, rest) = bytes.as_chunks::<8>();
        for (word, eight) in self.words.iter_mut().zip(whole) {
            *word = u64::from_ne_bytes(*eight);
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.words[whole.len()] = u64::from_ne_bytes(last);
        }
        self.header = (bytes.len() as u64) << 8 | u64::from(u8::from(codec));
    }

    /// The message that it is, if its bytes are too many.
    #[inline]
    pub(crate) fn message(&self) -> Option<&Message> {
        self.message.as_ref()
    }

    #[inline]
    pub(crate) fn set_message(&mut self, message: Message) {
        self.message = Some(message);
    }

    /// What goes into the cell for inline bytes.
    #[inline]
    pub(crate) fn header(&self) -> u64 {
        self.header
    }

    /// The words that inline bytes take.
    #[inline]
    pub(crate) fn words(&self) -> &[u64] {
        &self.words[..words_of(self.header)]
    }

    /// Room for the words that inline bytes with this header take.
    #[inline]
    pub(crate) fn words_for(&mut self, header: u64) -> &mut [u64] {
        self.header = header;
        self.message = None;
        &mut self.words[..words_of(header)]
    }

    /// Reads the value, with handles of this process's own.
    #[inline]
    pub(crate) fn unpack<T: mp_wire::Message>(&self) -> Result<T> {
        if let Some(message) = &self.message {
            return message.decode();
        }
        let len = (self.header >> 8) as usize;
        let codec = Codec::try_from(self.header as u8)?;
        let bytes = self.words.as_ptr().cast::<u8>();
        if len > INLINE {
            return Err(Error::Layout {
                detail: format!("a cell of a queue that claims to hold {len} bytes"),
            });
        }
        // SAFETY: `words` are `INLINE` initialised bytes, and `len` is no more.
        mp_wire::decode(codec, unsafe { std::slice::from_raw_parts(bytes, len) }, Vec::new())
    }
}

#[inline]
fn words_of(header: u64) -> usize {
    ((header >> 8) as usize).div_ceil(8).min(WORDS)
}
