//! The fixed slots of the session: members, threads, entries.
//!
//! These are the words and nothing else; who may write them when is told by the modules that do.

use crate::primitive::{AtomicU32, AtomicU64, Ordering::*};

use mp_sys::Beacon;

use crate::cell::Cell;
use crate::layout::{ENTRY_SIZE, MEMBER_SIZE, NAME_SIZE, THREAD_SIZE};
use crate::region::Shared;

/// A process. See [`crate::member`] for the states.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct MemberSlot {
    /// `generation(32) | sweeper: member index + 1 (16) | status(16)`.
    pub(crate) state: AtomicU64,
    pub(crate) pid: AtomicU32,
    /// Slot index + 1 of the thread whose beacon speaks for the process.
    pub(crate) beacon: AtomicU32,
    pub(crate) start_time: AtomicU64,
    /// Bits of the parent's `MemberId`, or [`NO_PARENT`].
    pub(crate) parent: AtomicU64,
    /// Flags of the end: see [`crate::member::end`].
    pub(crate) end: AtomicU64,
    /// Who waits for the end ([`crate::wait`]).
    pub(crate) waiters: AtomicU64,
    /// What the parent sends along, and what the child leaves.
    pub(crate) arguments: Cell,
    pub(crate) result: Cell,
    pub(crate) name: [AtomicU64; 8],
    /// Free use for the layer that starts processes.
    pub(crate) user: [AtomicU64; 6],
    /// The ledger's later chunks ([`crate::ledger`]).
    pub(crate) ledger_chunks: [AtomicU64; 20],
    /// A span on its way from "free run" to "small blocks" ([`crate::heap`]).
    pub(crate) span_note: AtomicU64,
    _reserved: [AtomicU64; 5],
    /// The ledger's first records.
    pub(crate) ledger_first: [AtomicU64; FIRST_LEDGER],
}

pub(crate) const FIRST_LEDGER: usize = 64;
pub(crate) const NO_PARENT: u64 = u64::MAX;

// SAFETY: repr(C), atomics only.
unsafe impl Shared for MemberSlot {}
const _: () = assert!(size_of::<MemberSlot>() as u64 <= MEMBER_SIZE);

/// A thread that waits or owns. See [`crate::thread`].
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct ThreadSlot {
    /// The word that the kernel marks when the thread dies.
    pub(crate) beacon: Beacon,
    /// `generation(32) | member index + 1 (16) | status(16)`.
    pub(crate) state: AtomicU64,
    /// 0 quiet, 1 rung, 2 its owner sleeps.
    pub(crate) bell: AtomicU32,
    /// Sequence of the last reference operation known to have happened ([`crate::refs`]).
    pub(crate) done: AtomicU32,

    /// The wait record: `sequence(56) | status(8)`, the waited-for word's offset, and the ticket.
    pub(crate) wait: AtomicU64,
    pub(crate) wait_key: AtomicU64,
    pub(crate) wait_ticket: AtomicU64,
    /// Sequence of the next reference operation; lives on when the slot changes hands.
    pub(crate) sequence: AtomicU32,
    /// The last change of a count of permits, `sequence(24) | state(8)` ([`crate::permit`]); lives on as well.
    pub(crate) permit: AtomicU32,

    /// What this thread is in the middle of ([`crate::intent`]).
    pub(crate) intent: IntentSlot,
    /// Entries that this thread is destroying, a stack linked through them.
    pub(crate) destroying: AtomicU64,
    /// While it waits without a deadline: offset of the word that names who holds what it waits for ([`crate::deadlock`]).
    pub(crate) waits_for: AtomicU64,
    /// The system's number of the thread, and the first bytes of its name: for people.
    pub(crate) system_id: AtomicU64,
    pub(crate) name: [AtomicU64; 2],
    /// Under how many tokens it works ([`crate::cancel`]).
    pub(crate) cancellable: AtomicU64,
    /// The wait word whose wake-up it has and has not acted on yet ([`crate::in_line`]).
    pub(crate) carries: AtomicU64,
    /// The published name that this thread is looking at: slot + 1 ([`crate::directory`]).
    pub(crate) looking: AtomicU64,
}

/// The words of an intent; `op` is written last and cleared first.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct IntentSlot {
    pub(crate) op: AtomicU64,
    pub(crate) a: AtomicU64,
    pub(crate) b: AtomicU64,
    pub(crate) c: AtomicU64,
    pub(crate) d: AtomicU64,
}

// SAFETY: repr(C), atomics only (the beacon's pointers are atomics, and mean something to their owner alone).
unsafe impl Shared for ThreadSlot {}
const _: () = assert!(size_of::<ThreadSlot>() as u64 <= THREAD_SIZE);

/// A published object. See [`crate::directory`].
#[repr(C)]
#[derive(Debug)]
pub(crate) struct NameSlot {
    /// Holds the message that carries the name and the object.
    pub(crate) cell: Cell,
    /// Of the name: most slots need not be looked at.
    pub(crate) hash: AtomicU64,
    /// The thread that prepares it.
    pub(crate) publisher: AtomicU64,
}

// SAFETY: repr(C), atomics only.
unsafe impl Shared for NameSlot {}
const _: () = assert!(size_of::<NameSlot>() as u64 == NAME_SIZE);

/// An object's entry. See [`crate::table`].
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Entry {
    /// `generation(40) | status(8) | thread index + 1 (16)`.
    pub(crate) state: AtomicU64,
    /// Reference counts by role, with the tag of the last change ([`crate::refs`]).
    pub(crate) refs: [AtomicU64; 2],
    /// Where the object's bytes are (0: it has none), and how many.
    pub(crate) offset: AtomicU64,
    pub(crate) size: AtomicU64,
    /// `fingerprint(48) | kind(16)`.
    pub(crate) kind: AtomicU64,
    /// Who died last of those who held the first role: `pid(32) | how(32)`. For the second see `DEPARTED_WORD`.
    pub(crate) departed: AtomicU64,
    /// Link of the destroyer's stack.
    pub(crate) next: AtomicU64,
    /// Words of the object itself: locks, indices, wait words.
    pub(crate) words: [AtomicU64; 8],
}

// SAFETY: repr(C), atomics only.
unsafe impl Shared for Entry {}
const _: () = assert!(size_of::<Entry>() as u64 == ENTRY_SIZE);

/// `high(32) | middle(16) | low(16)`: the shape of members' and threads' state words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SlotState {
    pub(crate) generation: u32,
    pub(crate) partner: u16,
    pub(crate) status: u16,
}

impl SlotState {
    pub(crate) fn unpack(word: u64) -> SlotState {
        SlotState { generation: (word >> 32) as u32, partner: (word >> 16) as u16, status: word as u16 }
    }

    pub(crate) fn pack(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.partner) << 16 | u64::from(self.status)
    }

    pub(crate) fn load(word: &AtomicU64) -> SlotState {
        SlotState::unpack(word.load(Acquire))
    }

    /// One compare-and-swap; `true` if it was ours.
    pub(crate) fn swap(self, word: &AtomicU64, to: SlotState) -> bool {
        word.compare_exchange(self.pack(), to.pack(), AcqRel, Acquire).is_ok()
    }
}
