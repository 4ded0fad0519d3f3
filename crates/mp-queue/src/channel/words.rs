//! The short way for values that are a word: one step into a cell and one out of it, if nothing is in the way. Whatever is, the ordinary
//! way deals with it.

use mp_session::Role;
use mp_session::primitive::Ordering::Acquire;

use super::{CALLS, Channel};

impl Channel {
    /// Puts a word and tells of it, if that is a matter of one step. `false`: nothing was done, and the ordinary way has to decide.
    #[inline]
    pub(crate) fn put_word(&self, word: (u64, usize)) -> bool {
        let put = self.put_word_quietly(word);
        if put {
            self.announce();
        }
        put
    }

    /// The same as one of several, which [`Channel::announce_many`] tells of.
    #[inline]
    pub(crate) fn put_word_quietly(&self, word: (u64, usize)) -> bool {
        if self.bytes.is_some() || word.1 > self.inline || self.object.holders(Role::Second) == 0 {
            return false;
        }
        let Ok((_, ring)) = self.rings.tail() else { return false };
        ring.put_word(word)
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
        if self.tasks.is_some() || self.object.words().word(CALLS).load(Acquire) != 0 {
            return None;
        }
        self.rings.head().ok()?.1.take_word()
    }
}
