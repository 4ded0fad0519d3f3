//! Leases: messages that were got and may come back.
//!
//! # Places
//!
//! A queue from which somebody ever got by a lease has a *board*: places for as many messages as can be leased at once. A place is
//! a cell of the session, with room for what a cell of the queue's rings holds, and a word that says whose it is.
//!
//! | owner | cell | meaning | moved by |
//! |---|---|---|---|
//! | 0 | `FREE` | nobody's | any process, to its own |
//! | M | `FREE` | M is about to take a message into it, or has dealt with one | M, to 0; anybody, once M is gone and swept |
//! | M | `FULL`, `BYTES` | M has the message | M, by freeing the cell (it is dealt with) or by giving it back |
//! | M, gone and swept | `FULL`, `BYTES` | the message is *back* | any process, to its own |
//! | `BACK` | `FULL`, `BYTES` | the same, given back by hand or in a panic | any process, to its own |
//!
//! The message goes from its ring to the board by [`Object::move_between`], so it is in one of the two, whoever dies when. The owner is
//! the process, not the thread: a lease may go from thread to thread.
//!
//! # Finding what came back
//!
//! Whoever takes looks at the board first if there is reason to: a word of the queue counts what was given back by hand
//! (`CALLS`), and the session counts deaths. Neither is believed; they say when to look.

use mp_session::primitive::{AtomicU64, Ordering::*};
use std::ptr::NonNull;

use mp_session::{
    Blueprint, Cell, CellState, Kind, MemberId, Message, Object, Session, Shape, Status, Taking,
};
use mp_wire::{Error, Result};

use crate::parcel::Parcel;

const KIND: Kind = Kind(37);
/// How many messages of a queue can be leased at once.
pub(crate) const PLACES: u64 = if cfg!(mp_model) { 4 } else { 256 };
const FIRST_PLACE: u64 = 64;
/// What of a place is not the cell's: the owner, and nothing.
const REST: u64 = 16;
const STATE: u64 = 8;
/// The owner of what was given back.
const BACK: u64 = u64::MAX;

/// This process's view of a board.
#[derive(Debug)]
pub(crate) struct Board {
    object: Object,
    base: NonNull<u8>,
    stride: u64,
}

// SAFETY: `base` points to the bytes of `object`, which stay mapped as long as it is held; all of them are used as atomics.
unsafe impl Send for Board {}
// SAFETY: as above.
unsafe impl Sync for Board {}

impl Board {
    /// A board for messages from cells of `inline` bytes.
    pub(crate) fn make(session: &Session, inline: usize) -> Result<Board> {
        let stride = (inline as u64 + STATE + REST).next_multiple_of(16);
        let plan =
            Blueprint { kind: KIND, fingerprint: 0, shape: Shape::Ring, size: FIRST_PLACE + PLACES * stride };
        let object = Object::create_zeroed(session, plan, "", |_, bytes| {
            if let Some(bytes) = bytes {
                // SAFETY: the block has more than a word and is ours alone until `create` returns.
                unsafe { bytes.cast::<u64>().write(PLACES | stride << 32) };
            }
        })?;
        Board::open(object, inline)
    }

    pub(crate) fn open(object: Object, inline: usize) -> Result<Board> {
        let object = object.expect(KIND, 0)?;
        let stride = (inline as u64 + STATE + REST).next_multiple_of(16);
        match object.bytes() {
            Some((base, size)) if size >= FIRST_PLACE + PLACES * stride => Ok(Board { object, base, stride }),
            _ => Err(Error::Layout { detail: "a board of leases that does not fit the queue".into() }),
        }
    }

    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    fn at(&self, place: u64, offset: u64) -> NonNull<AtomicU64> {
        // SAFETY: inside of the block, which has `PLACES` places of `stride` bytes; a multiple of 8.
        unsafe { self.base.add((FIRST_PLACE + place.min(PLACES - 1) * self.stride + offset) as usize).cast() }
    }

    pub(crate) fn cell(&self, place: u64) -> &Cell {
        // SAFETY: inside of the block; a cell is two atomics and aligned to 8.
        unsafe { self.at(place, 0).cast().as_ref() }
    }

    /// Where the bytes in a place are.
    pub(crate) fn payload(&self, place: u64) -> NonNull<AtomicU64> {
        self.at(place, STATE)
    }

    fn owner(&self, place: u64) -> &AtomicU64 {
        // SAFETY: inside of the block, at its place's end; a word that all processes use atomically.
        unsafe { self.at(place, self.stride - REST).as_ref() }
    }

    fn me(&self) -> u64 {
        owner_of(self.object.session().member())
    }

    /// Whether the process is gone, and what it was in the middle of is settled.
    fn is_gone(&self, owner: u64) -> bool {
        owner != BACK && self.object.session().is_swept(MemberId::from_bits(owner - 1))
    }

    fn is_full(&self, place: u64) -> bool {
        matches!(self.cell(place).state().status, Status::Full | Status::Bytes)
    }

    fn is_back(&self, place: u64) -> bool {
        let owner = self.owner(place).load(SeqCst);
        owner != 0 && (owner == BACK || self.is_gone(owner)) && self.is_full(place)
    }

    /// Makes a free place this process's.
    pub(crate) fn reserve(&self) -> Result<u64> {
        let me = self.me();
        // Each process begins elsewhere, so that they do not meet.
        let begin = (me & 0xFFFF) * 13;
        for i in 0..PLACES {
            let place = (begin + i) % PLACES;
            let word = self.owner(place);
            let seen = word.load(SeqCst);
            let is_free = seen == 0 || (self.is_gone(seen) && !self.is_full(place));
            if is_free && word.compare_exchange(seen, me, SeqCst, Relaxed).is_ok() {
                return Ok(place);
            }
        }
        Err(Error::LimitReached {
            limit: "leases of one queue".into(),
            detail: format!("{PLACES} messages are leased and not dealt with"),
        })
    }

    /// Makes a message that came back this process's.
    pub(crate) fn claim_back(&self) -> Option<u64> {
        (0..PLACES).find(|place| {
            let word = self.owner(*place);
            let seen = word.load(SeqCst);
            seen != 0
                && (seen == BACK || self.is_gone(seen))
                && self.is_full(*place)
                && word.compare_exchange(seen, self.me(), SeqCst, Relaxed).is_ok()
        })
    }

    /// How many messages came back and wait for somebody.
    pub(crate) fn back(&self) -> usize {
        (0..PLACES).filter(|place| self.is_back(*place)).count()
    }

    /// Whether anything is on the board, or may be in a moment.
    pub(crate) fn is_in_use(&self) -> bool {
        (0..PLACES).any(|place| {
            let owner = self.owner(place).load(SeqCst);
            owner != 0 && (!self.is_gone(owner) || self.is_full(place))
        })
    }

    /// Whether other living processes have messages that may come back.
    pub(crate) fn is_lent(&self) -> bool {
        (0..PLACES).any(|place| {
            let owner = self.owner(place).load(SeqCst);
            owner != 0 && owner != self.me() && self.is_full(place)
        })
    }

    /// Reads the message in a place of this process's.
    pub(crate) fn read(&self, place: u64, parcel: &mut Parcel) -> Result<()> {
        let (cell, seen) = (self.cell(place), self.cell(place).state());
        if seen.status == Status::Bytes {
            let note = seen.thread as u16;
            if Parcel::len_in(note) as u64 > self.stride - STATE - REST {
                return Err(Error::Layout { detail: "a lease that claims to hold more than fits".into() });
            }
            // SAFETY: as many bytes as a place has, by the check.
            unsafe { parcel.copy_from(self.payload(place), note) };
            return Ok(());
        }
        let object = Object::share_from(self.object.session(), cell)?;
        parcel.set_message(Message::from_object(object)?);
        Ok(())
    }

    /// The message in a place of this process's was dealt with: it goes.
    pub(crate) fn settle(&self, place: u64) -> Result<()> {
        let cell = self.cell(place);
        let seen: CellState = cell.state();
        if seen.status == Status::Bytes {
            cell.take_bytes(seen);
        } else if let Some(Taking::Message(message)) =
            Object::claim_for_take(self.object.session(), cell, seen)?
        {
            drop(message);
        }
        self.leave(place);
        Ok(())
    }

    /// Gives up a place of this process's that is free.
    pub(crate) fn leave(&self, place: u64) {
        self.owner(place).store(0, SeqCst);
    }

    /// Gives the message in a place of this process's back to all.
    pub(crate) fn give_back(&self, place: u64) {
        self.owner(place).store(BACK, SeqCst);
    }
}

/// 0 is nobody.
fn owner_of(member: MemberId) -> u64 {
    member.to_bits() + 1
}
