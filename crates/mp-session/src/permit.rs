//! Permits: a count that many share, and records of who holds how much of it.
//!
//! An object that gives out permits counts in its word 0 how many there are to have. Whoever takes one may do it *anonymously*, which
//! changes the count and nothing else, or *for his process*, which also writes a record into the process's ledger: the sweeper
//! of a dead process finds it there and gives the permit back. Word 1 is the largest count there may be.
//!
//! ```text
//! hungry(1) | count(25) | thread slot + 1 (14) | sequence(24)
//! ```
//!
//! # Once, and not twice
//!
//! Count and record are two words, and a death may come between them. So a change with a record is *detectable*, as those of
//! references are ([`crate::refs`]): the word names the thread t that made the last such change, and the sequence s of that
//! change. Anonymous changes leave that name as it is. Whoever is about to overwrite another thread's name first marks, in that
//! thread's slot, that its change happened:
//!
//! | `permit` of thread slot t: `sequence(24) \| state(8)` | moved by |
//! |---|---|
//! | `(s, BEGUN)` | t, before the change |
//! | `(s, HAPPENED)` | who overwrites (t, s), by one compare-and-swap from `(s, BEGUN)` |
//! | `(s, IDLE)` | t, after the change and its record |
//!
//! The change (t, s) happened if the word names it, or else the slot says so; the word is read first. A thread whose own last
//! name in the word is by chance the one that it is about to use takes the next (*own-old-name*).
//!
//! # Deaths
//!
//! | dies | when | what its sweeper does |
//! |---|---|---|
//! | a taker | before the change | nothing: neither the word nor the slot says that it happened |
//! | | after it, before the record | it happened: writes the record; then as below |
//! | | after the record | gives the permit of the record back, by a change of its own that clears the record |
//! | a giver | before the change | gives the permit of the record back |
//! | | after it, before the record is clear | it happened: clears the record |
//! | | before it woke anybody | after a death everybody who sleeps looks again |
//! | the sweeper | in the middle | its own sweeper settles its change first, and goes on |
//!
//! A record keeps nothing alive. The [`Permit`] has a handle to the object, whose own record is swept after the permits.

use std::fmt;

use mp_wire::Result;

use crate::ids::Role;
use crate::intent::{Intent, Op};
use crate::ledger;
use crate::object::Object;
use crate::owned;
use crate::primitive::{AtomicU32, AtomicU64, Ordering::*};
use crate::thread::Me;

const SEQUENCE_BITS: u32 = 24;
const SEQUENCE: u64 = (1 << SEQUENCE_BITS) - 1;
const THREAD_BITS: u32 = 14;
const NAME_BITS: u32 = SEQUENCE_BITS + THREAD_BITS;
const NAME: u64 = (1 << NAME_BITS) - 1;
const HUNGRY: u64 = 1 << 63;

/// The states in the low byte of a thread slot's `permit`.
const IDLE: u32 = 0;
const BEGUN: u32 = 1;
const HAPPENED: u32 = 2;

/// What word 0 of an object with permits says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PermitWord(pub u64);

impl PermitWord {
    /// The flag of [`PermitWord::is_hungry`].
    pub const HUNGRY: u64 = HUNGRY;
    /// The most permits that there can be: 33,554,431.
    pub const MAX: u64 = (1 << (63 - NAME_BITS)) - 1;

    /// So many, and no change yet.
    pub fn new(count: u64) -> PermitWord {
        PermitWord(count.min(PermitWord::MAX) << NAME_BITS)
    }

    /// How many there are to have.
    #[inline]
    pub fn count(self) -> u64 {
        (self.0 & !HUNGRY) >> NAME_BITS
    }

    /// Another count, after an anonymous change.
    #[inline]
    #[must_use]
    pub fn with_count(self, count: u64) -> PermitWord {
        PermitWord(count << NAME_BITS | self.0 & (HUNGRY | NAME))
    }

    /// Whether somebody has waited too long, so that newcomers let him go first. Of no meaning to the session.
    #[inline]
    pub fn is_hungry(self) -> bool {
        self.0 & HUNGRY != 0
    }

    /// The same with that flag up or down.
    #[must_use]
    pub fn with_hungry(self, hungry: bool) -> PermitWord {
        PermitWord(self.0 & !HUNGRY | if hungry { HUNGRY } else { 0 })
    }

    fn name(self) -> Option<(u32, u32)> {
        let thread = (self.0 >> SEQUENCE_BITS) as u32 & ((1 << THREAD_BITS) - 1);
        Some((thread.checked_sub(1)?, (self.0 & SEQUENCE) as u32))
    }

    fn named(self, thread: u32, sequence: u32) -> PermitWord {
        let name = u64::from(thread + 1) << SEQUENCE_BITS | u64::from(sequence);
        PermitWord(self.0 & !NAME | name)
    }
}

impl fmt::Debug for PermitWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.count(), if self.is_hungry() { ", hungry" } else { "" })
    }
}

/// A permit that this process holds, until it is dropped or the process is gone.
///
/// It belongs to the process, so it may go from thread to thread.
#[must_use = "the permit is given back as soon as this is dropped"]
pub struct Permit {
    object: Object,
    record: u64,
}

impl Object {
    /// Takes a permit for this process, if there is one; with `served`, the hunger flag goes down in the same step.
    ///
    /// Word 0 is a [`PermitWord`], word 1 the largest count.
    ///
    /// # Errors
    /// As [`Object::create`].
    ///
    /// # If a process dies
    /// The permits that it held are given back, each once.
    pub fn take_permit(&self, served: bool) -> Result<Option<Permit>> {
        let session = self.session();
        let me = session.me()?;
        let (ground, book) = (&session.0.ground, &session.0.book);
        let record = book.take(ground, &session.0.magazines)?;
        let (index, _) = self.id();
        let taken = me.change_permits(Op::TakePermit, index, record, |seen| {
            let count = seen.count().checked_sub(1)?;
            Some(seen.with_count(count).with_hungry(seen.is_hungry() && !served))
        });
        if !taken {
            book.give(record);
            return Ok(None);
        }
        Ok(Some(Permit { object: self.clone(), record }))
    }
}

impl Permit {
    /// What it is a permit of.
    pub fn object(&self) -> &Object {
        &self.object
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let session = self.object.session();
        // In a foreign fork's child, and in a thread that is past its end, there is nobody to do it: the process's
        // sweeper will.
        let Ok(me) = session.me() else { return };
        me.give_permit_back(self.object.id().0, self.record);
        session.0.book.give(self.record);
        session.wake_one(self.object.words().waiters(Role::First));
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.object).finish()
    }
}

impl Me<'_> {
    /// Changes the count of an object, and the record with it. `false`: `change` did not want to.
    fn change_permits(
        &self,
        op: Op,
        index: u32,
        record: u64,
        change: impl Fn(PermitWord) -> Option<PermitWord>,
    ) -> bool {
        let (ground, slot) = (self.ground(), self.slot());
        let word = &ground.entry(index).words[0];
        let mut seen = PermitWord(word.load(Acquire));
        let mut sequence = next(slot.permit.load(Relaxed) >> 8);
        if seen.name() == Some((self.index, sequence)) {
            sequence = next(sequence); // *own-old-name*
        }
        slot.permit.store(sequence << 8 | BEGUN, Relaxed);
        let after = if op == Op::TakePermit { owned::permit(index) } else { 0 };
        slot.intent.begin(op, u64::from(index), record, after, u64::from(sequence));
        let changed = loop {
            let Some(new) = change(seen) else { break false };
            if let Some((thread, last)) = seen.name().filter(|(thread, _)| *thread != self.index) {
                confirm(&ground.thread(thread.min(ground.layout.thread_count - 1)).permit, last);
            }
            let named = new.named(self.index, sequence);
            match word.compare_exchange_weak(seen.0, named.0, SeqCst, Acquire) {
                Ok(_) => break true,
                Err(now) => seen = PermitWord(now),
            }
        };
        if changed {
            ground.word(record).store(after, Release);
        }
        slot.intent.clear();
        slot.permit.store(sequence << 8 | IDLE, Release);
        changed
    }

    /// Gives back the permit of a record, which is clear then. The count does not rise above what it may be.
    pub(crate) fn give_permit_back(&self, index: u32, record: u64) {
        let limit = self.ground().entry(index).words[1].load(Relaxed);
        self.change_permits(Op::ReturnPermit, index, record, |seen| {
            Some(seen.with_count((seen.count() + 1).min(limit).max(seen.count())))
        });
    }

    /// Settles a change that a thread which is gone was in the middle of.
    pub(crate) fn settle_permit(&self, victim: u32, intent: Intent) {
        let ground = self.ground();
        let Intent { a: index, b: record, c: after, d: sequence, .. } = intent;
        if index >= u64::from(ground.layout.entry_count) {
            return;
        }
        let word = PermitWord(ground.entry(index as u32).words[0].load(SeqCst));
        let named = word.name() == Some((victim, sequence as u32));
        if named || ground.thread(victim).permit.load(SeqCst) == (sequence as u32) << 8 | HAPPENED {
            ground.word(record).store(after, Release);
        }
    }

    /// Gives back all permits that a dead member holds.
    pub(crate) fn give_permits_back(&self, member: u32) {
        for (record, index) in ledger::permits(self.ground(), member) {
            self.give_permit_back(index, record);
        }
    }
}

/// Marks that the change of that sequence happened, if its author is still at it.
fn confirm(permit: &AtomicU32, sequence: u32) {
    let (begun, happened) = (sequence << 8 | BEGUN, sequence << 8 | HAPPENED);
    if permit.load(Acquire) == begun {
        let _ = permit.compare_exchange(begun, happened, SeqCst, Relaxed);
    }
}

fn next(sequence: u32) -> u32 {
    (sequence + 1) & SEQUENCE as u32
}

/// The words that count, for a type whose objects give out permits.
pub fn permit_words(count: &AtomicU64, limit: &AtomicU64, start: u64, most: u64) {
    count.store(PermitWord::new(start).0, Relaxed);
    limit.store(most.min(PermitWord::MAX), Relaxed);
}

#[cfg(test)]
#[expect(clippy::mem_forget, reason = "no destructor runs in a killed process")]
mod tests;
