//! The words that every object has.

use std::fmt;

use crate::ids::Role;
use crate::primitive::{AtomicU64, Ordering::*};
use crate::slots::Entry;
use crate::table::{DEPARTED_WORD, WAIT_WORDS};

/// The words of an object: four for the type's own use, and two for waiters.
#[derive(Clone, Copy)]
pub struct Words<'a>(pub(super) &'a Entry);

impl<'a> Words<'a> {
    /// How many words are free for the type's own use.
    pub const COUNT: usize = DEPARTED_WORD;

    /// One of the type's own words.
    ///
    /// # Panics
    /// When `i` is not below [`Words::COUNT`].
    #[inline]
    pub fn word(self, i: usize) -> &'a AtomicU64 {
        assert!(i < Self::COUNT);
        &self.0.words[i]
    }

    /// The wait word of a role. Its waiters are woken, too, when a role has lost its last holder.
    #[inline]
    pub fn waiters(self, role: Role) -> &'a AtomicU64 {
        &self.0.words[WAIT_WORDS[role as usize]]
    }
}

impl fmt::Debug for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.words.iter().map(|w| w.load(Relaxed))).finish()
    }
}
