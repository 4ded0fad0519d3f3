//! Values on their way into a cell and out of it.
//!
//! A value whose bytes fit into the cell and that carries no handles travels *inline*: no allocation, no reference. All
//! others become a message of the session, and the cell holds the reference. What inline bytes are is said by a note of 16 bits:
//!
//! ```text
//! length(14) | codec(2)
//! ```
//!
//! Inline bytes are copied as whole words. In a cell they are atomics, for a consumer copies them before it knows that they are its
//! own ([`mp_session::Cell::take_bytes`]): what it has then may be torn, and is never looked at.

use mp_session::primitive::{AtomicU64, Ordering::Relaxed};
use std::cell::Cell;
use std::ptr::NonNull;

use mp_session::{Message, Session};
use mp_wire::{Codec, Result};

/// How many words a parcel has in itself.
pub(crate) const WORDS: usize = 7;
/// And bytes.
pub(crate) const SHORT: usize = WORDS * 8;
/// A buffer larger than this is not kept.
const KEEP: usize = 64 << 10;

thread_local! {
    /// For what is being encoded. A `Serialize` that puts into another queue finds an empty one, not ours.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// For bytes that were taken and do not fit into a parcel; as long as they ever were.
    static LANDING: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A value as it lies in a queue; filled in place, for it is too large to be handed from function to function.
#[derive(Debug)]
pub(crate) struct Parcel {
    words: [u64; WORDS],
    len: usize,
    codec: Codec,
    /// The bytes, if they are more than `SHORT`.
    long: Vec<u8>,
    /// If there is one, it is all that counts.
    message: Option<Message>,
}

impl Parcel {
    #[inline]
    pub(crate) fn empty() -> Parcel {
        Parcel { words: [0; WORDS], len: 0, codec: Codec::Plain, long: Vec::new(), message: None }
    }

    /// Turns a value into bytes, in the caller: what cannot be sent is an error here, and not a riddle at the other end. More
    /// than `limit` bytes become a message.
    #[inline]
    pub(crate) fn pack<T: mp_wire::Message>(
        &mut self,
        session: &Session,
        limit: usize,
        value: &T,
    ) -> Result<()> {
        if let Some((word, len)) = mp_wire::encode_word(value)
            && len <= limit
        {
            self.words[0] = word;
            self.len = len;
            return Ok(());
        }
        if let Some(bytes) = mp_wire::as_bytes(value) {
            if bytes.len() > limit {
                self.message = Some(Message::pack(session, Codec::Plain, bytes, Vec::new())?);
            } else if bytes.len() > SHORT {
                let mut long = SCRATCH.take();
                long.clear();
                long.extend_from_slice(bytes);
                (self.len, self.long) = (bytes.len(), long);
            } else {
                self.keep(Codec::Plain, bytes);
            }
            return Ok(());
        }
        let mut scratch = SCRATCH.take();
        scratch.clear();
        let packed = mp_wire::encode(value, &mut scratch).and_then(|encoded| {
            self.codec = encoded.codec;
            if !encoded.exports.is_empty() || scratch.len() > limit {
                self.message = Some(Message::pack(session, encoded.codec, &scratch, encoded.exports)?);
            } else if scratch.len() > SHORT {
                (self.len, self.long) = (scratch.len(), std::mem::take(&mut scratch));
            } else {
                self.keep(encoded.codec, &scratch);
            }
            Ok(())
        });
        give_back(&SCRATCH, scratch);
        packed
    }

    #[inline]
    fn keep(&mut self, codec: Codec, bytes: &[u8]) {
        let (whole, rest) = bytes.as_chunks::<8>();
        for (word, eight) in self.words.iter_mut().zip(whole) {
            *word = u64::from_ne_bytes(*eight);
        }
        if !rest.is_empty() {
            self.words[whole.len()] = word_of(rest);
        }
        (self.len, self.codec) = (bytes.len(), codec);
    }

    /// The message that it is, if it does not travel inline.
    #[inline]
    pub(crate) fn message(&self) -> Option<&Message> {
        self.message.as_ref()
    }

    #[inline]
    pub(crate) fn set_message(&mut self, message: Message) {
        self.message = Some(message);
    }

    /// How many bytes it counts for in a queue that is bounded by bytes.
    pub(crate) fn size(&self) -> u64 {
        match &self.message {
            None => self.len as u64,
            Some(message) => message.payload().map_or(0, |(_, bytes)| bytes.len() as u64),
        }
    }

    /// What is to be known of inline bytes. They are no more than the `limit` that `pack` was given, for which there are 14 bits.
    #[inline]
    pub(crate) fn note(&self) -> u16 {
        (self.len as u16) << 2 | u16::from(u8::from(self.codec))
    }

    /// The note of so many bytes of plain data.
    #[inline]
    pub(crate) fn plain_note(len: usize) -> u16 {
        (len as u16) << 2 | u16::from(u8::from(Codec::Plain))
    }

    /// How many bytes a note tells of, if they are plain data and fit into a word.
    #[inline]
    pub(crate) fn word_in(note: u16) -> Option<usize> {
        let len = Parcel::len_in(note);
        (len <= 8 && note == Parcel::plain_note(len)).then_some(len)
    }

    /// A word that was taken.
    pub(crate) fn set_word(&mut self, (word, len): (u64, usize)) {
        self.words[0] = word;
        (self.len, self.codec, self.message) = (len, Codec::Plain, None);
    }

    /// How many bytes a note tells of.
    #[inline]
    pub(crate) fn len_in(note: u16) -> usize {
        usize::from(note >> 2)
    }

    /// Copies inline bytes to where they travel.
    ///
    /// # Safety
    /// As many words as hold the bytes may be used at `to`, as atomics.
    #[inline]
    pub(crate) unsafe fn copy_to(&self, to: NonNull<AtomicU64>) {
        // SAFETY: by the caller's promise.
        let put = |i: usize, word: u64| unsafe { to.add(i).as_ref() }.store(word, Relaxed);
        if self.len <= SHORT {
            let words = &self.words[..self.len.div_ceil(8)];
            words.iter().enumerate().for_each(|(i, word)| put(i, *word));
            return;
        }
        // SAFETY: as above.
        unsafe { copy_out(&self.long[..self.len], to) }
    }

    /// Copies the inline bytes that a note tells of from where they are.
    ///
    /// # Safety
    /// As many words as hold the bytes may be used at `from`, as atomics.
    #[inline]
    pub(crate) unsafe fn copy_from(&mut self, from: NonNull<AtomicU64>, note: u16) {
        // SAFETY: by the caller's promise.
        let word = |i: usize| unsafe { from.add(i).as_ref() }.load(Relaxed);
        self.len = Parcel::len_in(note);
        self.codec = if note & 3 == 0 { Codec::Plain } else { Codec::Postcard };
        self.message = None;
        let count = self.len.div_ceil(8);
        if let Some(words) = self.words.get_mut(..count) {
            words.iter_mut().enumerate().for_each(|(i, to)| *to = word(i));
            return;
        }
        if self.long.len() < count * 8 {
            if self.long.is_empty() {
                self.long = LANDING.take();
            }
            // Whatever it holds is overwritten.
            if self.long.len() < count * 8 {
                self.long.resize(count * 8, 0);
            }
        }
        let (eights, _) = self.long.as_chunks_mut::<8>();
        eights[..count].iter_mut().enumerate().for_each(|(i, eight)| *eight = word(i).to_ne_bytes());
    }

    /// Reads the value, with handles of this process's own.
    #[inline]
    pub(crate) fn unpack<T: mp_wire::Message>(&self) -> Result<T> {
        if let Some(message) = &self.message {
            return message.decode();
        }
        if self.len > SHORT {
            return mp_wire::decode(self.codec, &self.long[..self.len], Vec::new());
        }
        let bytes = self.words.as_ptr().cast::<u8>();
        // SAFETY: `words` are `SHORT` initialised bytes, and `len` is no more.
        mp_wire::decode(self.codec, unsafe { std::slice::from_raw_parts(bytes, self.len) }, Vec::new())
    }
}

impl Drop for Parcel {
    #[inline]
    fn drop(&mut self) {
        if self.long.capacity() > 0 {
            give_back(&LANDING, std::mem::take(&mut self.long));
        }
    }
}

#[inline]
fn give_back(to: &'static std::thread::LocalKey<Cell<Vec<u8>>>, buffer: Vec<u8>) {
    if buffer.capacity() <= KEEP {
        // A thread that is ending has no more use for it.
        let _ = to.try_with(|kept| kept.set(buffer));
    }
}

/// Copies bytes to where they travel.
///
/// # Safety
/// As many words as hold the bytes may be used at `to`, as atomics.
#[inline]
pub(crate) unsafe fn copy_out(bytes: &[u8], to: NonNull<AtomicU64>) {
    // SAFETY: by the caller's promise.
    let put = |i: usize, word: u64| unsafe { to.add(i).as_ref() }.store(word, Relaxed);
    let (whole, rest) = bytes.as_chunks::<8>();
    whole.iter().enumerate().for_each(|(i, eight)| put(i, u64::from_ne_bytes(*eight)));
    if !rest.is_empty() {
        put(whole.len(), word_of(rest));
    }
}

/// Copies bytes from where they travel. What they are shows only when they were taken.
///
/// # Safety
/// As many words as hold the bytes may be used at `from`, as atomics.
#[inline]
pub(crate) unsafe fn copy_in(from: NonNull<AtomicU64>, len: usize) -> Vec<u8> {
    let words = len.div_ceil(8);
    let mut bytes = Vec::<u8>::with_capacity(words * 8);
    for (i, eight) in bytes.spare_capacity_mut().as_chunks_mut::<8>().0.iter_mut().take(words).enumerate() {
        // SAFETY: by the caller's promise.
        let word = unsafe { from.add(i).as_ref() }.load(Relaxed);
        *eight = word.to_ne_bytes().map(std::mem::MaybeUninit::new);
    }
    // SAFETY: `words * 8` bytes, which are `len` at least, have just been written.
    unsafe { bytes.set_len(len) };
    bytes
}

fn word_of(rest: &[u8]) -> u64 {
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    u64::from_ne_bytes(last)
}
