//! The lock word, bit by bit.
//!
//! ```text
//! unused(12) | PASSING | HUNGRY | INCONSISTENT | ANONYMOUS | owner: ThreadId(48)
//! ```
//!
//! | word | meaning |
//! |---|---|
//! | no owner | free; the flags that are left hold for the next one |
//! | owner | held by a guard of that thread; its death gives the lock to the next |
//! | owner, `ANONYMOUS` | taken by `acquire`; the thread only says who it was, anyone may release, no death does |
//! | `INCONSISTENT` | an owner died, and nobody has said yet that what the lock guards is whole again |
//! | owner, `PASSING` | held for an instant by a reader of an `RwLock` on its way in: its death changes nothing |
//! | `HUNGRY` | somebody has waited too long: who comes now waits on the porch (`hunger.rs`) |

use std::fmt;

use mp_session::ThreadId;

/// Taken by `acquire`.
const ANONYMOUS: u64 = 1 << ThreadId::BITS;
/// An owner died, and the value was not repaired since.
const INCONSISTENT: u64 = 2 << ThreadId::BITS;
/// Somebody starves.
const HUNGRY: u64 = 4 << ThreadId::BITS;

/// A reader on its way in.
const PASSING: u64 = 8 << ThreadId::BITS;

/// What a lock word says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) u64);

impl Word {
    /// Free, and nothing to say.
    pub(crate) const FREE: Word = Word(0);
    /// What stays when the lock is given back, as a mask.
    pub(crate) const LASTING: u64 = INCONSISTENT | HUNGRY;
    /// The flag for hunger.
    pub(crate) const HUNGRY: u64 = HUNGRY;
    /// Everything but [`INCONSISTENT`], as a mask.
    pub(crate) const CONSISTENT: u64 = !INCONSISTENT;

    /// Held by a guard of this thread.
    #[inline]
    pub(crate) fn owned_by(thread: ThreadId) -> Word {
        Word(thread.to_bits())
    }

    /// Taken by this thread, for whoever releases it.
    #[inline]
    pub(crate) fn anonymous(thread: ThreadId) -> Word {
        Word(thread.to_bits() | ANONYMOUS)
    }

    /// Held by this thread for an instant, to get in as a reader.
    pub(crate) fn passing(thread: ThreadId) -> Word {
        Word(thread.to_bits() | PASSING)
    }

    /// The thread that owns it or, if anonymous, took it.
    #[inline]
    pub(crate) fn thread(self) -> ThreadId {
        ThreadId::from_bits(self.0)
    }

    #[inline]
    pub(crate) fn is_free(self) -> bool {
        self.thread().is_none()
    }

    #[inline]
    pub(crate) fn is_anonymous(self) -> bool {
        self.0 & ANONYMOUS != 0
    }

    pub(crate) fn is_passing(self) -> bool {
        self.0 & PASSING != 0
    }

    pub(crate) fn is_inconsistent(self) -> bool {
        self.0 & INCONSISTENT != 0
    }

    /// The owner whose death gives the lock on: none of a free or an anonymous one.
    #[inline]
    pub(crate) fn owner(self) -> Option<ThreadId> {
        (!self.is_free() && !self.is_anonymous()).then(|| self.thread())
    }

    /// Nobody's, with the flags that last.
    #[inline]
    pub(crate) fn released(self) -> Word {
        Word(self.0 & Word::LASTING)
    }

    /// This holder, with the lasting flags of `other`.
    pub(crate) fn with_flags_of(self, other: Word) -> Word {
        Word(self.0 | other.0 & Word::LASTING)
    }

    pub(crate) fn inconsistent(self) -> Word {
        Word(self.0 | INCONSISTENT)
    }

    #[cfg(test)]
    pub(crate) fn hungry(self) -> Word {
        Word(self.0 | HUNGRY)
    }

    pub(crate) fn fed(self) -> Word {
        Word(self.0 & !HUNGRY)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.thread())?;
        let flags = [(ANONYMOUS, "anonymous"), (INCONSISTENT, "inconsistent"), (HUNGRY, "hungry")];
        flags.iter().filter(|(bit, _)| self.0 & bit != 0).try_for_each(|(_, name)| write!(f, ", {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_word_says_survives_packing() {
        let thread = ThreadId::from_bits((1 << 48) - 1);
        let owned = Word::owned_by(thread);
        assert_eq!((owned.owner(), owned.is_free(), owned.is_anonymous()), (Some(thread), false, false));
        let anonymous = Word::anonymous(thread);
        assert_eq!((anonymous.owner(), anonymous.is_free(), anonymous.thread()), (None, false, thread));
        let marked = owned.inconsistent().hungry();
        assert_eq!(marked.released(), Word::FREE.inconsistent().hungry());
        assert_eq!(owned.with_flags_of(marked.fed()), owned.inconsistent());
        assert!(marked.released().is_free() && marked.released().owner().is_none());
        assert_eq!(format!("{marked:?}"), format!("{thread:?}, inconsistent, hungry"));
    }
}
