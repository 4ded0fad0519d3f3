//! A lock in the words of another crate's object.
//!
//! Shared arrays, lists and the like have data of their own, a state of their own (frozen, leased), and the very lock that a
//! [`Mutex`](crate::Mutex) has. The object gives it words 0 to 2 and both of its wait words; word 3 stays its own.

use mp_session::Object;
use mp_session::primitive::Ordering::*;
use mp_wire::{Ident, Result};

use crate::raw::{Patience, RawLock, Taken};
use crate::word::Word;

/// The lock of an object that guards data of the object's own.
#[derive(Clone)]
pub struct EmbeddedLock(RawLock);

/// In what state the lock was taken.
#[derive(Debug)]
pub enum Found {
    /// As its last holder left it.
    Clean,
    /// An owner died and left it, whose name may be known; what it guards may be half changed.
    OwnerDied(Option<Ident>),
}

impl EmbeddedLock {
    /// The lock in an object whose words are the lock's from the beginning. With `guards_value`, a death is told until somebody
    /// marks the data consistent; otherwise once.
    pub fn of(object: Object, guards_value: bool) -> EmbeddedLock {
        EmbeddedLock(RawLock::of(object, guards_value))
    }

    /// The object whose words it is in.
    #[inline]
    pub fn object(&self) -> &Object {
        self.0.object()
    }

    /// Takes the lock if it is free and nobody died over it: the fast path, which carries no news.
    ///
    /// # Errors
    /// As [`EmbeddedLock::lock`].
    #[inline]
    pub fn lock_if_clean(&self) -> Result<bool> {
        let taken = self.0.take_if_free(Word::owned_by(self.0.session().begin_owning()?));
        if !taken {
            self.0.session().end_owning();
        }
        Ok(taken)
    }

    /// Takes the lock for this thread, which counts as an owner from then on. `None`: the patience did not last.
    ///
    /// # Errors
    /// As [`Mutex::lock`](crate::Mutex::lock), save for the news of a death.
    #[inline]
    pub fn lock(&self, patience: Patience) -> Result<Option<Found>> {
        let holder = Word::owned_by(self.0.session().begin_owning()?);
        if self.0.take_if_free(holder) {
            return Ok(Some(Found::Clean));
        }
        self.lock_slow(holder, patience)
    }

    #[cold]
    fn lock_slow(&self, holder: Word, patience: Patience) -> Result<Option<Found>> {
        loop {
            match self.0.take(holder, patience) {
                Ok(Some(Taken::Clean)) => return Ok(Some(Found::Clean)),
                Ok(Some(Taken::Left(who))) => return Ok(Some(Found::OwnerDied(who))),
                // Endless patience ends with the lock or an error.
                Ok(None) if matches!(patience, Patience::Endless) => {}
                Ok(None) => {
                    self.0.session().end_owning();
                    return Ok(None);
                }
                Err(error) => {
                    self.0.session().end_owning();
                    return Err(error);
                }
            }
        }
    }

    /// Gives back what [`EmbeddedLock::lock`] took in this thread.
    #[inline]
    pub fn unlock(&self) {
        self.0.give_back_owned();
    }

    /// Says that what the lock guards is whole again. Only its holder may.
    pub fn mark_consistent(&self) {
        self.0.mark_consistent();
    }

    /// Says that what the lock guards may be half changed, by that process, which died. Only its holder may.
    pub fn mark_inconsistent(&self, victim: Option<&Ident>) {
        self.0.victim().store(victim.map_or(0, |who| u64::from(who.pid)), Relaxed);
        self.0.word().fetch_or(Word::FREE.inconsistent().0, AcqRel);
    }

    /// Whether an owner died over it and nobody has marked it consistent since.
    pub fn is_inconsistent(&self) -> bool {
        self.0.look().is_inconsistent()
    }

    /// Whether somebody holds it at this moment.
    pub fn is_locked(&self) -> bool {
        !self.0.look().is_free()
    }

    /// Who died last over it, while it is inconsistent.
    pub fn last_victim(&self) -> Option<Ident> {
        self.0.last_victim()
    }
}

impl std::fmt::Debug for EmbeddedLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}
