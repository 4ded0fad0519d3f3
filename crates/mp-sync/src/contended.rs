//! Taking a lock that is not simply free: waiting, and taking over from the dead.

use mp_session::primitive::{AtomicU64, Ordering::*};
use std::cell::RefCell;

use mp_session::{Session, ThreadId};
use mp_wire::{Error, Ident, Result};

use crate::hunger::{Contested, Hunger};
use crate::raw::{Patience, RawLock, Taken};
use crate::word::Word;

/// A thread on its way to a lock.
pub(crate) struct Contender<'a> {
    pub(crate) lock: &'a RawLock,
    /// The word that will say that we have it.
    pub(crate) holder: Word,
    /// Whom we saw holding it before we went to sleep, and the name: it cannot be asked for once the dead are cleared up.
    seen: RefCell<Option<(ThreadId, Option<Ident>)>>,
    hunger: Hunger<'a, RawLock>,
}

impl<'a> Contender<'a> {
    pub(crate) fn new(lock: &'a RawLock, holder: Word) -> Contender<'a> {
        Contender { lock, holder, seen: RefCell::default(), hunger: Hunger::new(lock, holder.thread()) }
    }

    pub(crate) fn take(&self, patience: Patience) -> Result<Option<Taken>> {
        let deadline = match patience {
            Patience::None => return self.try_take(),
            Patience::Until(deadline) => Some(deadline),
            Patience::Endless => None,
        };
        if self.lock.look().owner() == Some(self.holder.thread()) {
            // Only we could end this wait.
            return Err(Error::InvalidArgument {
                detail: format!("{}: this thread holds it already", self.lock.what()),
            });
        }
        self.hunger.wait_on_porch(deadline)?;
        let watch = || self.before_sleep();
        let attempt = || {
            let taken = self.attempt()?;
            if taken.is_none() {
                self.hunger.may_get_hungry();
            }
            Ok(taken)
        };
        let (session, waiters) = (self.lock.session(), self.lock.waiters());
        let taken = match deadline {
            None => session.wait_for_holder(waiters, None, self.lock.word(), &watch, attempt),
            // Who gives up by himself is in no deadlock.
            Some(_) => session.wait(waiters, deadline, &watch, attempt),
        };
        self.hunger.no_longer_hungry();
        taken
    }

    /// Without waiting; where the kernel does not mark the dead, they are looked for.
    fn try_take(&self) -> Result<Option<Taken>> {
        match self.attempt()? {
            None if self.lock.look().owner().is_some() && self.lock.session().notice_deaths()? => {
                self.attempt()
            }
            taken => Ok(taken),
        }
    }

    /// Takes the lock if it is free or its owner is dead. The death tables at the top of the crate tell why each step is one
    /// compare-and-swap from exactly the word that was judged.
    fn attempt(&self) -> Result<Option<Taken>> {
        let (lock, session) = (self.lock, self.lock.session());
        let mut seen = Word(lock.word().load(SeqCst));
        loop {
            let mut new = self.holder.with_flags_of(seen);
            let mut victim = None;
            if let Some(owner) = seen.owner() {
                if !session.is_gone(owner) {
                    return Ok(None);
                }
                let who = session.ident_of(owner);
                // The kernel marks a thread a moment before the last of its process is gone; until the death is certain,
                // another thread of it could still be in the middle of a write. A slot without that name has been cleared.
                if who.is_some() && !session.clear_up_after(owner)? {
                    return Ok(None);
                }
                // A reader on its way in has touched nothing.
                if !seen.is_passing() {
                    victim = Some(who.or_else(|| self.remembered(owner)));
                    if lock.guards_value() {
                        new = new.inconsistent();
                    }
                }
            } else if !seen.is_free() {
                return Ok(None);
            }
            if self.hunger.is_hungry() {
                new = new.fed();
            }
            match lock.word().compare_exchange(seen.0, new.0, SeqCst, SeqCst) {
                Ok(_) => return Ok(Some(self.taken(seen, victim))),
                Err(now) => seen = Word(now),
            }
        }
    }

    /// The lock is ours; `victim` died holding it, `seen` is what it said.
    fn taken(&self, seen: Word, victim: Option<Option<Ident>>) -> Taken {
        match victim {
            Some(who) => {
                self.lock.victim().store(who.as_ref().map_or(0, |w| u64::from(w.pid)), Relaxed);
                Taken::Left(who)
            }
            None if seen.is_inconsistent() => Taken::Left(self.lock.last_victim()),
            None => Taken::Clean,
        }
    }

    /// Called right before each sleep: whose death to watch for in particular.
    fn before_sleep(&self) -> ThreadId {
        self.hunger.slept();
        let owner = self.lock.look().owner().unwrap_or(ThreadId::NONE);
        if !self.seen.borrow().as_ref().is_some_and(|(known, _)| *known == owner) {
            *self.seen.borrow_mut() = Some((owner, self.lock.session().ident_of(owner)));
        }
        owner
    }

    /// The process of a thread whose slot has been cleared: from our memory, or from the object, which knows who of its
    /// holders died last.
    fn remembered(&self, owner: ThreadId) -> Option<Ident> {
        let seen =
            self.seen.borrow().as_ref().filter(|(id, _)| *id == owner).and_then(|(_, name)| name.clone());
        seen.or_else(|| self.lock.object().departed(mp_session::Role::First).map(|(who, _)| who))
    }
}

impl Contested for RawLock {
    const HUNGRY: u64 = Word::HUNGRY;

    fn session(&self) -> &Session {
        RawLock::session(self)
    }

    fn word(&self) -> &AtomicU64 {
        RawLock::word(self)
    }

    fn starving(&self) -> &AtomicU64 {
        RawLock::starving(self)
    }

    fn porch(&self) -> &AtomicU64 {
        RawLock::porch(self)
    }

    fn is_free(word: u64) -> bool {
        Word(word).is_free()
    }

    fn holder(&self) -> Option<&AtomicU64> {
        Some(RawLock::word(self))
    }
}
