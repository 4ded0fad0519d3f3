//! The state of shared data: open, frozen, with parts on lease; and the lock that every change of it is under.
//!
//! | word of the object | holds |
//! |---|---|
//! | 0 to 2, wait words | the lock, as a mutex's |
//! | 3 | the state: [`FROZEN`], [`LEASED`] |
//! | child | the board of leases ([`crate::board`]), once there has been one |
//!
//! | state | meaning | moved by the holder of the lock |
//! |---|---|---|
//! | 0 | open: who has the lock has the data | to `LEASED`, to `FROZEN` |
//! | `LEASED` | the board may hold leases: who has the lock waits for them | to 0, when it found the board empty |
//! | `FROZEN` | nobody changes the data ever again | never |
//!
//! `FROZEN` is set by one operation, under the lock, with no lease out: there is no instant at which somebody may write
//! and somebody else may already read.
//!
//! # Deaths
//!
//! A holder that dies leaves its name in the lock word, and the next one is told that the data may be half changed. It is told so
//! as well when the victim had changed nothing yet, or only the state: a false alarm, of a death that did happen.

use std::fmt;
use std::ptr::NonNull;
use std::sync::OnceLock;

use mp_session::primitive::{AtomicU64, Ordering::*};
use mp_session::{Object, Session};
use mp_sync::__private::{EmbeddedLock, Found, Patience};
use mp_wire::{Error, Ident, Result};

use crate::board::Board;

/// Nobody changes it any more.
const FROZEN: u64 = 1;
/// Parts of it may be on lease.
const LEASED: u64 = 2;

/// Data in an object, its lock and its state.
pub(crate) struct State {
    lock: EmbeddedLock,
    word: NonNull<AtomicU64>,
    board: OnceLock<Board>,
}

// SAFETY: the pointer is to an atomic in session memory, which any thread may use, and which stays as long as the object.
unsafe impl Send for State {}
// SAFETY: as above.
unsafe impl Sync for State {}

impl State {
    /// The state in an object that is known to have one.
    pub(crate) fn of(object: Object) -> State {
        let word = NonNull::from(object.words().word(3));
        State { word, lock: EmbeddedLock::of(object, true), board: OnceLock::new() }
    }

    #[inline]
    pub(crate) fn object(&self) -> &Object {
        self.lock.object()
    }

    pub(crate) fn session(&self) -> &Session {
        self.object().session()
    }

    #[inline]
    fn word(&self) -> &AtomicU64 {
        // SAFETY: taken from a reference to this very word; the object keeps it where it is.
        unsafe { self.word.as_ref() }
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.word().load(Acquire) & FROZEN != 0
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }

    pub(crate) fn is_inconsistent(&self) -> bool {
        self.lock.is_inconsistent()
    }

    pub(crate) fn mark_consistent(&self) {
        self.lock.mark_consistent();
    }

    /// Takes all of the data if it is open, free and clean: the fast path.
    #[inline]
    pub(crate) fn lock_at_once(&self) -> Result<bool> {
        if !self.lock.lock_if_clean()? {
            return Ok(false);
        }
        let is_open = self.word().load(Acquire) == 0;
        if !is_open {
            self.unlock();
        }
        Ok(is_open)
    }

    /// Takes the lock and, with it, all of the data. `None`: the patience did not last.
    pub(crate) fn lock(&self, patience: Patience) -> Result<Option<Found>> {
        let Some(found) = self.lock.lock(patience)? else { return Ok(None) };
        if self.word().load(Acquire) == 0 {
            return Ok(Some(found));
        }
        self.lock_what_is_not_open(found, patience)
    }

    /// Gives back what [`State::lock`] took.
    #[inline]
    pub(crate) fn unlock(&self) {
        self.lock.unlock();
    }

    /// The lock is ours, and the data frozen or perhaps on lease.
    #[cold]
    fn lock_what_is_not_open(&self, found: Found, patience: Patience) -> Result<Option<Found>> {
        let back = self.take_leases_back(found, patience);
        if !matches!(back, Ok(Some(_))) {
            self.unlock();
        }
        back
    }

    fn take_leases_back(&self, found: Found, patience: Patience) -> Result<Option<Found>> {
        if self.is_frozen() {
            return Err(self.frozen());
        }
        let board = self.board()?;
        if !board.wait_for_all(patience)? {
            return Ok(None);
        }
        let mut found = found;
        // Who died with a part of it leaves all of it inconsistent. That is said before the lease is forgotten.
        for (slot, victim) in board.left_behind() {
            let victim = self.named(victim);
            self.lock.mark_inconsistent(victim.as_ref());
            board.forget(slot);
            found = Found::OwnerDied(victim);
        }
        self.word().fetch_and(!LEASED, AcqRel);
        Ok(Some(found))
    }

    /// The name that belongs to a pid, if it is still known.
    pub(crate) fn named(&self, pid: u32) -> Option<Ident> {
        if pid == 0 {
            return None;
        }
        let last = self.object().departed(mp_session::Role::First).map(|(who, _)| who);
        Some(last.filter(|who| who.pid == pid).unwrap_or_else(|| Ident::new(pid, "")))
    }

    /// Freezes the data, if nobody uses it.
    pub(crate) fn freeze(&self) -> Result<()> {
        let in_use = |detail: &str| Error::InUse { what: self.name(), detail: detail.into() };
        if self.is_frozen() {
            return Ok(());
        }
        match self.lock(Patience::None) {
            Ok(Some(Found::Clean)) => {
                self.word().fetch_or(FROZEN, SeqCst);
                self.unlock();
                Ok(())
            }
            Ok(Some(Found::OwnerDied(who))) => {
                self.unlock();
                Err(Error::OwnerDied { what: self.name(), who })
            }
            Ok(None) if self.word().load(Acquire) & LEASED != 0 => Err(in_use("parts of it are on lease")),
            Ok(None) => Err(in_use("it is locked")),
            // Somebody else was faster.
            Err(Error::Frozen { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes the lock for granting a lease: leases that are out stay out.
    pub(crate) fn lock_for_lease(&self, patience: Patience) -> Result<bool> {
        let Some(found) = self.lock.lock(patience)? else { return Ok(false) };
        let refused = match found {
            _ if self.is_frozen() => self.frozen(),
            Found::OwnerDied(who) => Error::OwnerDied { what: self.name(), who },
            Found::Clean => return Ok(true),
        };
        self.unlock();
        Err(refused)
    }

    /// Says that there are leases, before there is one. Under the lock.
    pub(crate) fn mark_leased(&self) {
        self.word().fetch_or(LEASED, SeqCst);
    }

    /// The board, if there is one or under the lock: then it is made.
    pub(crate) fn board(&self) -> Result<&Board> {
        if let Some(board) = self.board.get() {
            return Ok(board);
        }
        let board = match self.object().child() {
            Ok(child) => Board::open(child)?,
            Err(Error::Stale { .. }) => {
                let board = Board::make(self.session())?;
                self.object().adopt(board.object())?;
                board
            }
            Err(other) => return Err(other),
        };
        Ok(self.board.get_or_init(|| board))
    }

    pub(crate) fn frozen(&self) -> Error {
        Error::Frozen { what: self.name() }
    }

    pub(crate) fn name(&self) -> String {
        let kind = self.object().kind().name();
        self.object().label().map_or(kind.clone(), |label| format!("{kind} {label:?}"))
    }
}

/// The state in words, for `Debug`.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_frozen() { f.write_str("frozen") } else { fmt::Debug::fmt(&self.lock, f) }
    }
}
