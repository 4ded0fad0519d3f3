//! The short way for values that are a word: one step into a cell and one out of it, if nothing is in the way; and for bytes and text, which
//! are copied once on each side. Whatever is in the way, the ordinary way deals with it.

use mp_session::Role;
use mp_session::primitive::Ordering::Acquire;
use mp_wire::{Codec, Message, Result};

use super::{CALLS, Channel};
use crate::ring::Ring;

impl Channel {
    /// Puts a word, if that is a matter of one step, without telling. `false`: nothing was done, and the ordinary way has to decide.
    #[inline]
    fn put_word_quietly(&self, word: (u64, usize)) -> bool {
        word.1 <= self.inline && self.open_end().is_some_and(|ring| ring.put_word(word))
    }

    /// Puts a value that is a word or bytes and tells of it, if nothing is in the way. `false`: nothing was done.
    #[inline]
    pub(crate) fn put_plain<T: Message>(&self, value: &T) -> bool {
        let put = self.put_plain_quietly(value, true);
        if put {
            self.announce();
        }
        put
    }

    /// The same without telling; `told` as [`mp_session::Filling::finish_bytes`] means it.
    #[inline]
    pub(crate) fn put_plain_quietly<T: Message>(&self, value: &T, told: bool) -> bool {
        if let Some(word) = mp_wire::encode_word(value) {
            return self.put_word_quietly(word);
        }
        let Some(bytes) = mp_wire::as_bytes(value) else { return false };
        self.open_end().is_some_and(|ring| ring.put_bytes(bytes, told))
    }

    /// The ring to put into, if messages are not weighed and somebody is there to get them.
    #[inline]
    fn open_end(&self) -> Option<&Ring> {
        if self.bytes.is_some() || !self.session().is_member() || self.object.holders(Role::Second) == 0 {
            return None;
        }
        self.rings.tail().ok().map(|(_, ring)| ring)
    }

    /// Takes a value that is bytes, if one is there and nothing in the way, without telling.
    #[inline]
    pub(crate) fn take_bytes_quietly<T: Message>(&self) -> Option<Result<T>> {
        if !mp_wire::is_bytes::<T>() {
            return None;
        }
        let bytes = self.open_head()?.take_bytes()?;
        // What is no text is an error, in the words that decoding has for it.
        Some(mp_wire::from_bytes(bytes).or_else(|bytes| mp_wire::decode(Codec::Plain, &bytes, Vec::new())))
    }

    /// The ring to take from, if nothing is owed for what is taken and nothing came back.
    #[inline]
    fn open_head(&self) -> Option<&Ring> {
        let is_open = self.tasks.is_none()
            && self.session().is_member()
            && self.object.words().word(CALLS).load(Acquire) == 0;
        if is_open { self.rings.head().ok().map(|(_, ring)| ring) } else { None }
    }

    /// Takes a word and tells of it, if one is there and nothing in the way. `None`: the ordinary way has to look.
    #[inline]
    pub(crate) fn take_word(&self) -> Option<(u64, usize)> {
        let word = self.take_word_quietly();
        if word.is_some() {
            self.make_known_taken(1);
        }
        word
    }

    /// The same as one of several, which [`Channel::make_known_taken`] tells of.
    #[inline]
    pub(crate) fn take_word_quietly(&self) -> Option<(u64, usize)> {
        self.open_head()?.take_word()
    }
}
