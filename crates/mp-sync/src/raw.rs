//! The lock itself, without what it guards. The protocol is told at the top of the crate.

use mp_session::primitive::{AtomicU64, Ordering::*};
use std::fmt;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use mp_session::{Blueprint, Object, Role, Session, ThreadId};
use mp_wire::{Error, Ident, Result};

use crate::contended::Contender;
use crate::word::Word;

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub enum Patience {
    /// Not at all.
    None,
    /// Until then.
    Until(Instant),
    /// As long as it takes.
    Endless,
}

impl Patience {
    /// So long from now on; a time that no clock will show is for ever.
    pub fn lasting(time: Duration) -> Patience {
        if time.is_zero() {
            return Patience::None;
        }
        Instant::now().checked_add(time).map_or(Patience::Endless, Patience::Until)
    }
}

/// In what state the lock was taken.
#[derive(Debug)]
pub(crate) enum Taken {
    /// As its last holder left it.
    Clean,
    /// An owner died and left it, whose name may be known.
    Left(Option<Ident>),
}

impl Taken {
    /// Who died, for a guard to tell. One whose name is not known any more has pid 0.
    #[inline]
    pub(crate) fn news(self) -> Option<Box<Ident>> {
        match self {
            Taken::Clean => None,
            Taken::Left(who) => Some(Box::new(who.unwrap_or_else(|| Ident::new(0, "unknown")))),
        }
    }
}

/// A lock in an object's words.
///
/// | word | holds |
/// |---|---|
/// | 0 | the lock word ([`Word`]) |
/// | 1 | pid of the owner that died last, while the word is inconsistent; written by who took over from it |
/// | 2 | the thread that is hungry (`hunger.rs`) |
/// | 3 | free for the type: an [`RLock`](crate::RLock)'s count |
/// | waiters, first role | who waits for the lock |
/// | waiters, second role | who waits on the porch |
#[derive(Clone)]
pub(crate) struct RawLock {
    object: Object,
    /// The object's session, its word 0 and its first wait word: by way of the object it takes four loads to find them, which
    /// is as much time as a whole lock and unlock should take.
    session: Session,
    word: NonNull<AtomicU64>,
    waiters: NonNull<AtomicU64>,
    /// Whether there is a value that a death leaves inconsistent.
    guards_value: bool,
}

// SAFETY: the pointers are to atomics in session memory, which any thread may use, and which stays mapped as long as the
// object.
unsafe impl Send for RawLock {}
// SAFETY: as above.
unsafe impl Sync for RawLock {}

impl RawLock {
    /// Makes the object for a lock.
    pub(crate) fn create(
        session: &Session,
        plan: Blueprint,
        guards_value: bool,
        init: impl FnOnce(Option<NonNull<u8>>),
    ) -> Result<RawLock> {
        RawLock::create_named(session, plan, "", guards_value, init)
    }

    /// The same, with a label for errors and reports.
    pub(crate) fn create_named(
        session: &Session,
        plan: Blueprint,
        label: &str,
        guards_value: bool,
        init: impl FnOnce(Option<NonNull<u8>>),
    ) -> Result<RawLock> {
        let object = Object::create_labelled(session, plan, label, |_, bytes| init(bytes))?;
        Ok(RawLock::of(object, guards_value))
    }

    /// The lock in an object that is known to hold one.
    pub(crate) fn of(object: Object, guards_value: bool) -> RawLock {
        let words = object.words();
        let (word, waiters) = (NonNull::from(words.word(0)), NonNull::from(words.waiters(Role::First)));
        RawLock { session: object.session().clone(), word, waiters, object, guards_value }
    }

    /// What it is, for errors: `Lock`, or `Lock "tickets"`.
    pub(crate) fn what(&self) -> String {
        let kind = self.object.kind().name();
        match self.object.label() {
            Some(name) => format!("{kind} {name:?}"),
            None => kind,
        }
    }

    /// The error for a thread that gives back what it does not hold.
    #[cold]
    pub(crate) fn not_owner(&self) -> Error {
        let holder = self.look().thread();
        Error::NotOwner { what: self.what(), holder: self.session.ident_of(holder) }
    }

    #[inline]
    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    #[inline]
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    #[inline]
    pub(crate) fn word(&self) -> &AtomicU64 {
        // SAFETY: taken from a reference to this very word; the object keeps it where it is.
        unsafe { self.word.as_ref() }
    }

    pub(crate) fn victim(&self) -> &AtomicU64 {
        self.object.words().word(1)
    }

    pub(crate) fn starving(&self) -> &AtomicU64 {
        self.object.words().word(2)
    }

    #[inline]
    pub(crate) fn waiters(&self) -> &AtomicU64 {
        // SAFETY: as in `word`.
        unsafe { self.waiters.as_ref() }
    }

    pub(crate) fn porch(&self) -> &AtomicU64 {
        self.object.words().waiters(Role::Second)
    }

    pub(crate) fn guards_value(&self) -> bool {
        self.guards_value
    }

    /// What the lock word says now.
    #[inline]
    pub(crate) fn look(&self) -> Word {
        Word(self.word().load(Acquire))
    }

    /// The calling thread, as an owner.
    #[inline]
    pub(crate) fn me(&self) -> Result<ThreadId> {
        self.session().thread_id()
    }

    /// Takes a lock that is free and has nothing to say: one compare-and-swap.
    #[inline]
    pub(crate) fn take_if_free(&self, holder: Word) -> bool {
        self.word().compare_exchange(Word::FREE.0, holder.0, Acquire, Relaxed).is_ok()
    }

    /// Takes the lock in whatever state it is, and waits for it as long as `patience` lasts. `None`: it did not last.
    #[cold]
    pub(crate) fn take(&self, holder: Word, patience: Patience) -> Result<Option<Taken>> {
        Contender::new(self, holder).take(patience)
    }

    /// Gives back what a guard of thread `me` holds, if it still does: a guard may outlive its thread's part in the session (in
    /// a thread-local's destructor), and somebody else may have taken over by then. Names are not given twice, so the
    /// word tells. The copy of a guard that a foreign fork made holds nothing.
    #[inline]
    pub(crate) fn give_back(&self, me: ThreadId) {
        if self.session.is_member() {
            self.give_back_as_member(me);
        }
    }

    /// The same for a process that is known not to be such a copy.
    #[inline]
    pub(crate) fn give_back_as_member(&self, me: ThreadId) {
        let clean = self.word().compare_exchange(Word::owned_by(me).0, Word::FREE.0, SeqCst, Relaxed);
        if clean.is_ok() || self.give_back_slow(me) {
            self.session.wake_one(self.waiters());
        }
    }

    /// A word with something more to say. `false`: it is not this thread's.
    #[cold]
    fn give_back_slow(&self, me: ThreadId) -> bool {
        let mut seen = self.look();
        while seen.owner() == Some(me) {
            match self.word().compare_exchange(seen.0, seen.released().0, SeqCst, Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = Word(now),
            }
        }
        false
    }

    /// Gives back what a guard of this thread holds, which the session was told of ([`Session::begin_owning`]): so the name
    /// is still ours, even in a thread-local's destructor.
    #[inline]
    pub(crate) fn give_back_owned(&self) {
        if self.session.is_member() {
            self.word().fetch_and(Word::LASTING, SeqCst);
            self.session.wake_one(self.waiters());
        }
        self.session.end_owning();
    }

    /// Gives back what somebody took anonymously.
    pub(crate) fn release(&self) -> Result<()> {
        self.me()?;
        let mut seen = self.look();
        loop {
            if seen.is_free() {
                return Err(Error::InvalidArgument {
                    detail: format!("{}: released, and nobody holds it", self.what()),
                });
            }
            if !seen.is_anonymous() {
                return Err(Error::InvalidArgument {
                    detail: format!("{}: released, and a guard holds it", self.what()),
                });
            }
            match self.word().compare_exchange(seen.0, seen.released().0, SeqCst, Acquire) {
                Ok(_) => break,
                Err(now) => seen = Word(now),
            }
        }
        self.session().wake_one(self.waiters());
        Ok(())
    }

    /// Says that what the lock guards is whole again. Only its holder may.
    pub(crate) fn mark_consistent(&self) {
        self.word().fetch_and(Word::CONSISTENT, AcqRel);
    }

    /// The process that died last while it held an inconsistent value.
    pub(crate) fn last_victim(&self) -> Option<Ident> {
        let pid = u32::try_from(self.victim().load(Relaxed)).ok().filter(|pid| *pid != 0)?;
        let name =
            self.object.departed(mp_session::Role::First).map(|(who, _)| who).filter(|who| who.pid == pid);
        Some(name.unwrap_or_else(|| Ident::new(pid, "")))
    }
}

/// The state in words, for `Debug`.
impl fmt::Display for RawLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(label) = self.object.label() {
            write!(f, "{label:?}, ")?;
        }
        let word = self.look();
        let who = self.session().ident_of(word.thread());
        match (word.is_free(), word.is_anonymous(), who) {
            (true, ..) => f.write_str("free")?,
            (_, true, Some(who)) => write!(f, "acquired by {who}")?,
            (_, true, None) => f.write_str("acquired by somebody who is gone")?,
            (_, false, Some(who)) => write!(f, "held by {who}")?,
            (_, false, None) => f.write_str("held by somebody who died")?,
        }
        if word.is_inconsistent() { f.write_str(", inconsistent") } else { Ok(()) }
    }
}
