//! The object table: creating, sharing and destroying objects.
//!
//! ```text
//! state   generation(40) | status(8) | thread slot + 1 (16)
//! ```
//!
//! | status | meaning | moved by |
//! |---|---|---|
//! | `FREE(g)` | nobody's | any thread, to `CREATING(t, g)` |
//! | `CREATING(t, g)` | being made | t, to `LIVE(g)`, the commit; t's sweeper, to `FREE(g + 1)` |
//! | `LIVE(g)` | counted references exist | who takes the last one away, to `DESTROYING(t, g)` |
//! | `DESTROYING(t, g)` | on t's stack | t or its sweeper, to `FREE(g + 1)` |
//!
//! A destruction can take many others with it (a message holds references, a ring holds messages), so it is not
//! recursive: each entry whose count fell to zero goes on a stack whose head is in the thread's slot, and the stack is
//! worked off. A sweeper finds the victim's stack there and works it off in place.

use crate::primitive::{AtomicU64, Ordering::*, fence};

use mp_wire::{Error, Result};

use crate::cell::{Cell, Status};
use crate::entries::refill_entries;
use crate::ground::Ground;
use crate::heap::{Block, Tag};
use crate::ids::{Kind, Role};
use crate::intent::Op;
use crate::owned::Owned;
use crate::refs::{self, Changed};
use crate::slots::Entry;
use crate::thread::Me;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EntryState {
    pub(crate) generation: u64,
    pub(crate) status: u8,
    pub(crate) thread: u16,
}

pub(crate) const FREE: u8 = 0;
pub(crate) const CREATING: u8 = 1;
pub(crate) const LIVE: u8 = 2;
pub(crate) const DESTROYING: u8 = 3;

impl EntryState {
    pub(crate) fn unpack(word: u64) -> EntryState {
        EntryState { generation: word >> 24, status: (word >> 16) as u8, thread: word as u16 }
    }
    pub(crate) fn pack(self) -> u64 {
        self.generation << 24 | u64::from(self.status) << 16 | u64::from(self.thread)
    }
    pub(crate) fn next_free(self) -> u64 {
        EntryState { generation: self.generation + 1, status: FREE, thread: 0 }.pack()
    }
}

/// How the session finds the references that an object owns, so that it can release them without knowing its type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Shape {
    /// It owns none, save perhaps the one that it adopted.
    Plain = 0,
    /// A message: its block starts with a list of references.
    Message = 1,
    /// A ring of cells: its block starts with a description, the next ring, and cells that may hold messages.
    Ring = 2,
    /// It owns others, listed at the start of its block as in a message ([`Object::own`](crate::Object::own)).
    Owner = 3,
}

/// What an object is, packed into one word: `fingerprint(44) | labelled(1) | shape(3) | kind(16)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TypeWord {
    pub(crate) kind: Kind,
    pub(crate) shape: Shape,
    pub(crate) fingerprint: u64,
    /// Whether its bytes end with a label ([`crate::label`]).
    pub(crate) labelled: bool,
}

const LABELLED: u64 = 1 << 19;

impl TypeWord {
    pub(crate) fn pack(self) -> u64 {
        let label = if self.labelled { LABELLED } else { 0 };
        self.fingerprint << 20 | label | (self.shape as u64) << 16 | u64::from(self.kind.0)
    }
    pub(crate) fn unpack(word: u64) -> TypeWord {
        let shape = match (word >> 16) & 0x7 {
            1 => Shape::Message,
            2 => Shape::Ring,
            3 => Shape::Owner,
            _ => Shape::Plain,
        };
        TypeWord { kind: Kind(word as u16), shape, fingerprint: word >> 20, labelled: word & LABELLED != 0 }
    }
}

/// Byte offset of the first cell in a ring's block, and of the words before it.
pub(crate) const RING_CELLS: u64 = 64;
pub(crate) const RING_NEXT: u64 = 8;
/// Where a message's list of references starts in its block.
pub(crate) const MESSAGE_LIST: u64 = 16;
/// The entry word that may own another object, and the two that hold waiters.
pub(crate) const CHILD_WORD: usize = 5;
/// And the one that remembers who died last of those who held the second role.
pub(crate) const DEPARTED_WORD: usize = 4;
pub(crate) const WAIT_WORDS: [usize; 2] = [6, 7];

/// What `create` makes.
#[derive(Debug)]
pub(crate) struct Created {
    pub(crate) index: u32,
    pub(crate) generation: u64,
    /// Ledger records of the first and, if asked for, the second role.
    pub(crate) records: [Option<u64>; 2],
}

impl<'s> Me<'s> {
    pub(crate) fn ground(&self) -> &'s Ground {
        &self.inner.ground
    }

    /// Makes an object of `size` bytes with a reference in each of `roles`. `init` sees the object's entry and its block
    /// before anybody else can; the bytes are whatever their last user left.
    pub(crate) fn create(
        &self,
        kind: TypeWord,
        size: u64,
        roles: &[Role],
        init: impl FnOnce(&Entry, Option<Block>),
    ) -> Result<Created> {
        let (ground, inner, slot) = (self.ground(), self.inner, self.slot());
        let mut records = [None, None];
        for role in roles {
            match inner.book.take(ground, &inner.magazines) {
                Ok(record) => records[*role as usize] = Some(record),
                Err(e) => {
                    records.into_iter().flatten().for_each(|r| inner.book.give(r));
                    return Err(e);
                }
            }
        }
        let offsets = records.map(|r| r.unwrap_or(0));
        let (index, state) = match self.claim_entry(offsets) {
            Ok(claimed) => claimed,
            Err(e) => {
                slot.intent.clear();
                records.into_iter().flatten().for_each(|r| inner.book.give(r));
                return Err(e);
            }
        };
        let entry = ground.entry(index);
        entry.offset.store(0, Relaxed);
        let block = if size == 0 {
            None
        } else {
            match ground.allocate_block(&inner.magazines, size, Tag::entry(index), &entry.offset) {
                Ok(block) => Some(block),
                Err(e) => {
                    entry.state.store(state.next_free(), Release);
                    slot.intent.clear();
                    records.into_iter().flatten().for_each(|r| inner.book.give(r));
                    return Err(e);
                }
            }
        };
        entry.size.store(size, Relaxed);
        entry.kind.store(kind.pack(), Relaxed);
        entry.departed.store(0, Relaxed);
        for word in &entry.words {
            word.store(0, Relaxed);
        }
        // *last-name-lost*: the counts of the last object here may still name a change whose author was killed before
        // it noted that it had happened. Whoever settles that must not take it for one that never happened.
        for word in &entry.refs {
            refs::confirm_last(word, |t| self.done_of(t));
        }
        let sequence = self.next_sequence();
        for (role, record) in [Role::First, Role::Second].into_iter().zip(records) {
            let tag = refs::Tag { thread: self.index, sequence };
            entry.refs[role as usize]
                .store(if record.is_some() { refs::first(tag) } else { refs::NONE }, Release);
            if let Some(record) = record {
                ground.word(record).store(Owned { index, role }.pack(), Relaxed);
            }
        }
        init(entry, block);
        entry.state.store(EntryState { status: LIVE, thread: 0, ..state }.pack(), Release);
        slot.done.store(sequence, Release);
        slot.intent.clear();
        Ok(Created { index, generation: state.generation, records })
    }

    /// Claims a free entry, with the intent that says so left standing.
    fn claim_entry(&self, records: [u64; 2]) -> Result<(u32, EntryState)> {
        let (ground, slot) = (self.ground(), self.slot());
        let mut stock = self.inner.entries.stock.lock();
        loop {
            while let Some(index) = stock.free.pop() {
                let entry = ground.entry(index);
                let seen = EntryState::unpack(entry.state.load(Acquire));
                if seen.status != FREE {
                    continue;
                }
                let mine = EntryState { status: CREATING, thread: self.index as u16 + 1, ..seen };
                slot.intent.begin(Op::Create, u64::from(index), mine.pack(), records[0], records[1]);
                if entry.state.compare_exchange(seen.pack(), mine.pack(), AcqRel, Relaxed).is_ok() {
                    return Ok((index, mine));
                }
            }
            refill_entries(ground, self.inner.member.index, &mut stock)?;
        }
    }

    pub(crate) fn next_sequence(&self) -> u32 {
        let word = &self.slot().sequence;
        let next = refs::next_sequence(word.load(Relaxed));
        word.store(next, Relaxed);
        next
    }

    /// Adds a reference in `role` and writes it into the word at `to`, which belongs to us (or to something of ours).
    /// The caller holds a reference of that role already, which is what keeps the object.
    pub(crate) fn retain(&self, owned: Owned, to: u64) -> Result<()> {
        let (ground, slot) = (self.ground(), self.slot());
        if owned.index >= ground.layout.entry_count {
            return Err(Error::Forged { what: format!("a reference to object {}", owned.index) });
        }
        let sequence = self.next_sequence();
        slot.intent.begin(Op::Retain, owned.pack(), to, owned.pack(), u64::from(sequence));
        let tag = refs::Tag { thread: self.index, sequence };
        let word = &ground.entry(owned.index).refs[owned.role as usize];
        let changed = refs::change(word, true, tag, |t| self.done_of(t));
        if let Changed::To(_) = changed {
            ground.word(to).store(owned.pack(), Release);
        }
        slot.done.store(sequence, Release);
        slot.intent.clear();
        match changed {
            Changed::To(_) => Ok(()),
            Changed::Refused(0) => Err(Error::Stale { what: format!("object {}", owned.index) }),
            Changed::Refused(n) => Err(ground.full("references to one object", n.to_string())),
        }
    }

    /// Takes away the reference that the word at `from` owns, clears that word, and destroys what nobody holds any more.
    pub(crate) fn release(&self, owned: Owned, from: u64) {
        self.release_one(owned, from);
        self.work_off(&self.slot().destroying);
    }

    fn done_of(&self, thread: u32) -> Option<&'s crate::primitive::AtomicU32> {
        let ground = self.ground();
        (thread < ground.layout.thread_count).then(|| &ground.thread(thread).done)
    }

    fn release_one(&self, owned: Owned, from: u64) {
        let (ground, slot) = (self.ground(), self.slot());
        let sequence = self.next_sequence();
        slot.intent.begin(Op::Release, owned.pack(), from, 0, u64::from(sequence));
        let entry = ground.entry(owned.index);
        let tag = refs::Tag { thread: self.index, sequence };
        let changed = refs::change(&entry.refs[owned.role as usize], false, tag, |t| self.done_of(t));
        ground.word(from).store(0, Release);
        if changed == Changed::To(0) {
            self.role_is_gone(owned.index);
        }
        slot.done.store(sequence, Release);
        slot.intent.clear();
    }

    /// Nobody holds one of the roles: tell who waits, and if nobody holds the other either, put it on our stack.
    fn role_is_gone(&self, index: u32) {
        let entry = self.ground().entry(index);
        // Two threads may take the two roles to zero at once: at least one of them has to see both.
        fence(SeqCst);
        if entry.refs.iter().any(|word| refs::count(word.load(Acquire)) != 0) {
            for at in WAIT_WORDS {
                self.inner.wake_all(&entry.words[at]);
            }
            return;
        }
        let seen = EntryState::unpack(entry.state.load(Acquire));
        let mine = EntryState { status: DESTROYING, thread: self.index as u16 + 1, ..seen };
        if seen.status == LIVE
            && entry.state.compare_exchange(seen.pack(), mine.pack(), AcqRel, Relaxed).is_ok()
        {
            self.push(index);
        }
    }

    fn push(&self, index: u32) {
        let head = &self.slot().destroying;
        self.ground().entry(index).next.store(head.load(Relaxed), Relaxed);
        head.store(u64::from(index) + 1, Release);
    }

    /// Destroys everything on a stack: ours, or that of a dead thread that we sweep.
    pub(crate) fn work_off(&self, head: &AtomicU64) {
        let ground = self.ground();
        while let Some(index) = (head.load(Acquire) as u32).checked_sub(1) {
            let entry = ground.entry(index);
            let state = EntryState::unpack(entry.state.load(Acquire));
            if state.status != DESTROYING {
                // Cannot be: an entry leaves its stack before it leaves this state. Do not loop on damage.
                head.store(0, Release);
                return;
            }
            // What the children drop to zero lands on our own stack, not on this one.
            each_child(ground, entry, |at, owned| self.release_one(owned, at));
            let next = entry.next.load(Acquire);
            let intent = &self.slot().intent;
            if std::ptr::eq(head, &self.slot().destroying) && head.load(Acquire) != u64::from(index) + 1 {
                // The children were pushed above it: they go first, then it comes round again, without children.
                continue;
            }
            intent.begin(Op::Destroy, u64::from(index), state.pack(), next, ground.offset_of(head));
            finish_destroy(ground, index, state.pack(), next, head);
            intent.clear();
        }
        if !std::ptr::eq(head, &self.slot().destroying) {
            self.work_off(&self.slot().destroying);
        }
    }
}

/// The last steps of a destruction; any number of times, by whoever settles it.
pub(crate) fn finish_destroy(ground: &Ground, index: u32, state: u64, next: u64, head: &AtomicU64) {
    let entry = ground.entry(index);
    if entry.state.load(Acquire) != state {
        return;
    }
    let offset = entry.offset.load(Acquire);
    if offset != 0 {
        ground.free(offset, Tag::entry(index));
    }
    let _ = head.compare_exchange(u64::from(index) + 1, next, AcqRel, Relaxed);
    let _ = entry.state.compare_exchange(state, EntryState::unpack(state).next_free(), AcqRel, Relaxed);
}

/// Calls `f` for each word of the object that owns a reference.
fn each_child(ground: &Ground, entry: &Entry, mut f: impl FnMut(u64, Owned)) {
    let mut visit = |at: u64| {
        let owned = Owned::unpack(ground.word(at).load(Acquire));
        if let Some(owned) = owned.filter(|owned| owned.index < ground.layout.entry_count) {
            f(at, owned);
        }
    };
    visit(ground.offset_of(&entry.words[CHILD_WORD]));
    let (block, size) = (entry.offset.load(Acquire), entry.size.load(Relaxed));
    if block == 0 {
        return;
    }
    match TypeWord::unpack(entry.kind.load(Relaxed)).shape {
        Shape::Plain => {}
        Shape::Message | Shape::Owner => {
            let count = u64::from(ground.word(block).load(Acquire) as u32);
            for i in 0..count.min(size.saturating_sub(MESSAGE_LIST) / 8) {
                visit(block + MESSAGE_LIST + i * 8);
            }
        }
        Shape::Ring => {
            visit(block + RING_NEXT);
            let word = ground.word(block).load(Acquire);
            let (count, stride) = (word as u32, (word >> 32).max(16));
            for i in 0..u64::from(count) {
                let at = block + RING_CELLS + i * stride;
                if at + 16 > block + size {
                    break;
                }
                let cell = ground.region.at::<Cell>(at);
                if matches!(cell.state().status, Status::Full | Status::Taken) {
                    visit(ground.offset_of(&cell.value));
                }
            }
        }
    }
}
