//! A cell: a place for one message, which a process may die in the middle of filling or emptying.
//!
//! Queues are rings of cells; a member slot has one for the arguments and one for the result. A cell is two words:
//!
//! ```text
//! state   lap(44) | thread slot + 1 (16) | status(4)
//! value   what it holds: an owned reference, or the header of bytes that follow the cell
//! ```
//!
//! | status | who may move it, and where |
//! |---|---|
//! | `FREE(l)` | any producer, to `CLAIMED(t, l)` |
//! | `CLAIMED(t, l)` | t, to `FULL(l)`, which is the commit; after t's death its sweeper, to `DEAD(l)` |
//! | `FULL(l)` | any consumer, to `TAKEN(t, l)` |
//! | `TAKEN(t, l)` | t, to `FREE(l + 1)`, which is the commit; after t's death its sweeper, back to `FULL(l)` |
//! | `DEAD(l)` | any consumer, to `FREE(l + 1)`: nothing was in it |
//! | `BYTES(n, l)` | any consumer that has copied them, to `FREE(l + 1)`, which is the commit |
//!
//! `BYTES` is `FULL` without a reference: all that the cell holds is bytes, from the value word on, and a note `n` of 16 bits by
//! whoever filled it, which stands where the thread stands otherwise. So it needs no `TAKEN`: a consumer copies the bytes, which
//! another may be about to overwrite, and if *then* the cell is still what it was, they are whole and its own.
//!
//! A word goes into a cell that lies on a multiple of 16 in one step, from `FREE(l)` to `BYTES(n, l)`, where the machine has a
//! compare-and-swap of two words ([`Cell::put_word`]): there is nothing that a death could cut in two.
//!
//! The claim and its owner are one compare-and-swap, so no claim is ever without a name. The claimer writes the intent
//! `PUT_TRY(cell, CLAIMED(t, l))` *before* that, so that its sweeper finds the cell without knowing what a queue is.
//!
//! # Handing a reference over
//!
//! Into a cell: the reference is in the producer's ledger. `FULL` makes the cell its owner, then the ledger record is
//! cleared. The intent is advanced to `PUT_HELD` after the claim:
//!
//! | intent | cell | meaning | recovery |
//! |---|---|---|---|
//! | `PUT_TRY` | `CLAIMED(t, l)` | claimed, not filled | `DEAD`; the record stays and is swept |
//! | `PUT_TRY` | anything else | never claimed | the record stays and is swept |
//! | `PUT_HELD` | `CLAIMED(t, l)` | not committed | `DEAD`; the record stays and is swept |
//! | `PUT_HELD` | anything else | committed | the record is cleared |
//!
//! Out of a cell it is the mirror image: the consumer writes a *tentative* record, which does not count, commits by
//! `FREE(l + 1)`, and makes the record count:
//!
//! | intent | cell | meaning | recovery |
//! |---|---|---|---|
//! | `TAKE_TRY` | `TAKEN(t, l)` | taken, not committed | back to `FULL`; the record is cleared |
//! | `TAKE_TRY` | anything else | never taken | the record is cleared |
//! | `TAKE_HELD` | `TAKEN(t, l)` | not committed | back to `FULL`; the record is cleared |
//! | `TAKE_HELD` | anything else | committed | the record counts, and is swept |
//!
//! Out of one cell into another, of which the mover knows that it is `FREE(m)` and that nobody else uses it. The intent says what the
//! other is to be: `FULL(m)`, or `BYTES(n, m)`.
//!
//! | intent | cell | meaning | recovery |
//! |---|---|---|---|
//! | `MOVE_TRY` | `TAKEN(t, l)` | taken, not committed | back to what it was; the other stays free |
//! | `MOVE_TRY` | anything else | never taken | nothing |
//! | `MOVE_HELD` | `TAKEN(t, l)` | not committed | back to what it was; the other stays free |
//! | `MOVE_HELD` | anything else | committed | the other is, if it still is `FREE(m)`, what it was to be |

use crate::primitive::{AtomicU64, Ordering::*};

use crate::ground::Ground;
use crate::ids::ThreadId;
use crate::intent::{Intent, Op};
use crate::owned::Owned;
use crate::region::Shared;
use crate::slots::IntentSlot;

/// The two words of a place for one message. See the module's essay in the source for the protocol.
#[repr(C)]
#[derive(Debug)]
pub struct Cell {
    pub(crate) state: AtomicU64,
    pub(crate) value: AtomicU64,
}

// SAFETY: repr(C), atomics only.
unsafe impl Shared for Cell {}

/// What a cell's state word says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CellState {
    /// How often the cell was emptied.
    pub lap: u64,
    /// Slot index + 1 of the thread at work on it; if it holds bytes, the note of who filled it.
    pub thread: u32,
    /// Which of the states.
    pub status: Status,
}

/// The states of a cell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Status {
    /// Empty.
    Free = 0,
    /// A producer is filling it.
    Claimed = 1,
    /// It holds a message.
    Full = 2,
    /// A consumer is emptying it.
    Taken = 3,
    /// Its producer died: nothing is in it, step over.
    Dead = 4,
    /// The ring goes on elsewhere.
    Moved = 5,
    /// It holds bytes, and no reference.
    Bytes = 6,
}

impl CellState {
    /// Reads a state word.
    #[inline]
    pub fn unpack(word: u64) -> CellState {
        let status = match word & 0xF {
            0 => Status::Free,
            1 => Status::Claimed,
            2 => Status::Full,
            3 => Status::Taken,
            4 => Status::Dead,
            6 => Status::Bytes,
            _ => Status::Moved,
        };
        CellState { lap: word >> 20, thread: (word >> 4) as u32 & 0xFFFF, status }
    }

    /// The word that says this.
    #[inline]
    pub fn pack(self) -> u64 {
        self.lap << 20 | u64::from(self.thread) << 4 | self.status as u64
    }

    fn with(self, status: Status) -> CellState {
        CellState { thread: 0, status, ..self }
    }

    fn by(self, thread: u32, status: Status) -> CellState {
        CellState { thread: thread + 1, status, ..self }
    }
}

/// Settles a cell intent that a thread which is gone left in `slot`; as often as sweepers die over it.
///
/// An operation that was not committed is first put back to its first phase: once the cell has been given up, "held and
/// not the claimer's any more" would read as committed.
pub(crate) fn settle(ground: &Ground, slot: &IntentSlot, intent: Intent) {
    let Intent { op, a: cell, b: mine, c: record, d: value } = intent;
    let cell = ground.region.at::<Cell>(cell);
    let held = cell.state.load(Acquire) == mine;
    let was = CellState::unpack(mine);
    let set_record = |value: u64| {
        if record != 0 {
            ground.word(record).store(value, Release);
        }
    };
    match op {
        Op::PutTry | Op::PutHeld => {
            if held {
                slot.advance(Op::PutTry);
                let _ = cell.state.compare_exchange(mine, was.with(Status::Dead).pack(), AcqRel, Relaxed);
            } else if op == Op::PutHeld {
                set_record(0);
            }
        }
        Op::TakeTry | Op::TakeHeld => {
            if held {
                slot.advance(Op::TakeTry);
                set_record(0);
                let _ = cell.state.compare_exchange(mine, was.with(Status::Full).pack(), AcqRel, Relaxed);
            } else {
                set_record(if op == Op::TakeHeld { value } else { 0 });
            }
        }
        Op::MoveTry | Op::MoveHeld => {
            let to = CellState::unpack(value);
            if held {
                slot.advance(Op::MoveTry);
                let back = CellState { lap: was.lap, ..to };
                let _ = cell.state.compare_exchange(mine, back.pack(), AcqRel, Relaxed);
            } else if op == Op::MoveHeld {
                // If this was done before, somebody may have taken it since.
                let other = ground.region.at::<Cell>(record);
                let _ = other.state.compare_exchange(to.with(Status::Free).pack(), value, AcqRel, Relaxed);
            }
        }
        _ => {}
    }
}

/// A claim on a cell, to be filled or emptied by the thread that made it.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    ground: &'a Ground,
    thread: u32,
    cell: &'a Cell,
    mine: u64,
}

impl<'a> Claim<'a> {
    /// Tries to turn `FREE(l)`, seen as `seen`, into `CLAIMED(t, l)`. `record` is the ledger word of the reference that
    /// is going to be handed over, or 0.
    pub(crate) fn put(
        ground: &'a Ground,
        thread: u32,
        cell: &'a Cell,
        seen: CellState,
        record: u64,
    ) -> Option<Claim<'a>> {
        Claim::put_noted(ground, thread, cell, seen, (record, 0))
    }

    /// The same with a note that [`claim_note`] tells others as long as the claim stands.
    #[inline]
    pub(crate) fn put_noted(
        ground: &'a Ground,
        thread: u32,
        cell: &'a Cell,
        seen: CellState,
        noted: (u64, u64),
    ) -> Option<Claim<'a>> {
        Claim::make(ground, thread, cell, seen, Status::Claimed, Op::PutTry, noted)
    }

    /// Tries to turn `FULL(l)` into `TAKEN(t, l)`; `record` is the ledger word to move the reference to, or 0.
    pub(crate) fn take(
        ground: &'a Ground,
        thread: u32,
        cell: &'a Cell,
        seen: CellState,
        record: u64,
    ) -> Option<Claim<'a>> {
        Claim::make(ground, thread, cell, seen, Status::Taken, Op::TakeTry, (record, 0))
    }

    #[inline]
    fn make(
        ground: &'a Ground,
        thread: u32,
        cell: &'a Cell,
        seen: CellState,
        to: Status,
        op: Op,
        (record, note): (u64, u64),
    ) -> Option<Claim<'a>> {
        let mine = seen.by(thread, to).pack();
        let intent = &ground.thread(thread).intent;
        intent.begin(op, ground.offset_of(&cell.state), mine, record, note);
        if cell.state.compare_exchange(seen.pack(), mine, AcqRel, Relaxed).is_err() {
            intent.clear();
            return None;
        }
        Some(Claim { ground, thread, cell, mine })
    }

    /// Publishes the bytes that were written behind the state, with a note. `told`: by a sequentially consistent operation, so that
    /// whoever is asleep and does not see it is seen by a sequentially consistent load after this.
    #[inline]
    pub(crate) fn fill_bytes(self, note: u16, told: bool) {
        let full = CellState { thread: u32::from(note), ..CellState::unpack(self.mine).with(Status::Bytes) };
        if told {
            self.cell.state.swap(full.pack(), SeqCst);
        } else {
            self.cell.state.store(full.pack(), Release);
        }
        self.ground.thread(self.thread).intent.clear();
    }

    /// Publishes what was written: `value`, and whatever bytes belong to it. With a reference, the cell owns it now.
    #[inline]
    pub(crate) fn fill(self, value: u64, record: u64) {
        let intent = &self.ground.thread(self.thread).intent;
        if record != 0 {
            intent.advance(Op::PutHeld);
        }
        self.cell.value.store(value, Relaxed);
        self.cell.state.swap(CellState::unpack(self.mine).with(Status::Full).pack(), SeqCst);
        if record != 0 {
            self.ground.word(record).store(0, Release);
        }
        intent.clear();
    }

    /// The value of a taken cell.
    #[inline]
    pub(crate) fn value(&self) -> u64 {
        self.cell.value.load(Relaxed)
    }

    /// Empties a taken cell whose bytes were copied out.
    #[inline]
    pub(crate) fn empty(self) {
        self.free();
        self.ground.thread(self.thread).intent.clear();
    }

    /// Empties a taken cell and moves its reference into the ledger word `record`.
    pub(crate) fn empty_into(self, record: u64) -> Option<Owned> {
        let intent = &self.ground.thread(self.thread).intent;
        let owned = Owned::unpack(self.value());
        if let Some(owned) = owned {
            intent.d.store(owned.pack(), Relaxed);
            self.ground.word(record).store(owned.tentative(), Release);
            intent.advance(Op::TakeHeld);
            self.free();
            self.ground.word(record).store(owned.pack(), Release);
        } else {
            self.free();
        }
        intent.clear();
        owned
    }

    /// Moves what the cell `from`, seen as `seen`, holds to the cell `to`, which is free and ours. `copy` copies the bytes behind the
    /// states. `false`: somebody else was faster.
    pub(crate) fn move_to(
        ground: &'a Ground,
        thread: u32,
        (from, seen): (&'a Cell, CellState),
        to: &Cell,
        copy: impl FnOnce(),
    ) -> bool {
        let intent = &ground.thread(thread).intent;
        let mine = seen.by(thread, Status::Taken).pack();
        let full = CellState { lap: to.state().lap, ..seen }.pack();
        intent.begin(Op::MoveTry, ground.offset_of(&from.state), mine, ground.offset_of(&to.state), full);
        if from.state.compare_exchange(seen.pack(), mine, AcqRel, Relaxed).is_err() {
            intent.clear();
            return false;
        }
        copy();
        intent.advance(Op::MoveHeld);
        Claim { ground, thread, cell: from, mine }.free();
        to.state.swap(full, SeqCst);
        intent.clear();
        true
    }

    /// Puts a taken cell back as it was.
    pub(crate) fn give_back(self) {
        self.cell.state.store(CellState::unpack(self.mine).with(Status::Full).pack(), Release);
        self.ground.thread(self.thread).intent.clear();
    }

    #[inline]
    fn free(&self) {
        let was = CellState::unpack(self.mine);
        let next = CellState { lap: was.lap + 1, thread: 0, status: Status::Free };
        self.cell.state.swap(next.pack(), SeqCst);
    }
}

impl Cell {
    /// Puts a word into a cell seen as `FREE`, with a note, in one sequentially consistent step. `false`: somebody else was faster, or
    /// there is no such step here (not on every machine, and only in a cell that lies on a multiple of 16): claim it then.
    #[inline]
    pub fn put_word(&self, seen: CellState, note: u16, word: u64) -> bool {
        let full = CellState { thread: u32::from(note), ..seen.with(Status::Bytes) };
        let before = (seen.pack(), self.value.load(Relaxed));
        seen.status == Status::Free
            && crate::primitive::replace_pair((&self.state, &self.value), before, (full.pack(), word))
    }

    /// The word of a cell that holds no more, as [`Cell::take_bytes`] wants it read: it is whole once that was true.
    #[inline]
    pub fn word(&self) -> u64 {
        self.value.load(Relaxed)
    }

    /// Takes the bytes that were copied from a cell seen as `seen`: they are whole, and the caller's, if this is `true`. A sequentially
    /// consistent operation, as [`Session::wake_one`](crate::Session::wake_one) wants it.
    #[inline]
    pub fn take_bytes(&self, seen: CellState) -> bool {
        let next = CellState { lap: seen.lap + 1, thread: 0, status: Status::Free };
        seen.status == Status::Bytes
            && self.state.compare_exchange(seen.pack(), next.pack(), SeqCst, Relaxed).is_ok()
    }

    /// What the cell's state word says now.
    #[inline]
    pub fn state(&self) -> CellState {
        CellState::unpack(self.state_bits())
    }

    /// The same, not taken apart.
    #[inline]
    pub fn state_bits(&self) -> u64 {
        self.state.load(Acquire)
    }

    /// Steps over a cell whose producer died. `true` if it was this call that did.
    pub fn bury(&self, seen: CellState) -> bool {
        let next = CellState { lap: seen.lap + 1, thread: 0, status: Status::Free };
        seen.status == Status::Dead
            && self.state.compare_exchange(seen.pack(), next.pack(), AcqRel, Relaxed).is_ok()
    }

    /// Closes an empty cell for good: the ring goes on elsewhere.
    pub fn mark_moved(&self, seen: CellState) -> bool {
        seen.status == Status::Free
            && self
                .state
                .compare_exchange(seen.pack(), seen.with(Status::Moved).pack(), AcqRel, Relaxed)
                .is_ok()
    }
}

/// The slot that a claim's state names, as an id with the generation that the slot has now.
pub(crate) fn claimer(ground: &Ground, state: CellState) -> Option<ThreadId> {
    let index = state.thread.checked_sub(1).filter(|i| *i < ground.layout.thread_count)?;
    let slot = crate::slots::SlotState::load(&ground.thread(index).state);
    Some(ThreadId::new(index, slot.generation))
}

/// What the claimer of a cell seen as `CLAIMED` noted about what it puts. `None`: the cell has changed.
pub(crate) fn claim_note(ground: &Ground, cell: &Cell, seen: CellState) -> Option<u64> {
    let index = seen.thread.checked_sub(1).filter(|i| *i < ground.layout.thread_count)?;
    // Written before the claim. If the claim still stands afterwards, it is of this claim.
    let note = ground.thread(index).intent.d.load(Acquire);
    (cell.state() == seen).then_some(note)
}

#[cfg(test)]
mod tests;
