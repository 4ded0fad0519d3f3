//! A ring of cells: the part of a queue that messages go through.
//!
//! # Layout
//!
//! ```text
//! 0                  count of cells (32) | stride (32)
//! 8                  unused
//! 16                 head hint
//! 64 + i * stride    cell i: its state, and a reference or bytes
//! then               tail hint, on a line of its own
//! ```
//!
//! Cells and what may happen to each are [`mp_session::Cell`]'s. This module says which cell is next. How large the cells are is
//! decided for the type of the messages: numbers have four to a cache line, which is what makes them fast.
//!
//! # The truth is in the cells
//!
//! Message number `p` is in cell `p % n`, in that cell's lap `p / n`. So each cell tells of the position that maps to it
//! whether it is yet to come (`FREE(p / n)`, or an earlier lap), is there, or is gone (a later lap). No counter could be torn away
//! from that truth by a death, because there is none. Head and tail are *hints*: where to begin to look.
//!
//! | hint | promise | who moves it |
//! |---|---|---|
//! | tail | every position before it was claimed | who claims, and who finds it behind |
//! | head | every position before it was emptied | who empties, and who finds it behind |
//!
//! Hints are stored, not compared-and-swapped: a thread that slept between looking and storing may set one back, which
//! keeps its promise and costs the next ones some steps. No store can take one beyond the truth, for the promise of each
//! position held when it was looked at, and holds for ever after.
//!
//! # The spare cell
//!
//! Position `p` is claimed only while the cell of `p + 1` is free for its lap. So *the cell at the true tail is always
//! `FREE`, or `MOVED`*: claims go in order, and between that look and the claim of `p` nobody can have claimed `p + 1`.
//! A ring of `n + 1` cells therefore holds at most `n` messages, and its end can be sealed at any time by one
//! compare-and-swap, `FREE` to `MOVED`, which decides at the same moment that every put before it counts and no
//! later one does.
//!
//! # Deaths
//!
//! | who dies | what is left | what the others do |
//! |---|---|---|
//! | a producer before its claim | nothing | nothing |
//! | one that puts a word in one step | nothing, or a message | nothing, or get it |
//! | with a claim | `CLAIMED`; the sweep makes it `DEAD` | consumers wait for that, then bury the cell and go on |
//! | after `FULL`, before the hint or a wake-up | a message, a hint behind | walk on; the sweep rings everybody |
//! | a consumer that copies bytes | `BYTES` | get it |
//! | with a taken cell | `TAKEN`; the sweep makes it `FULL` again | get it: head has not passed it |
//! | after `FREE(l + 1)` | the message is its own, and swept with it | it was taken, and is lost |
//!
//! A `TAKEN` cell is stepped over by other consumers, a `CLAIMED` one is not: a later message of the same producer
//! must not overtake. A cell that is taken for long (its thread was stopped just there) holds up producers one lap later.

mod bytes;
mod looking;

use mp_session::primitive::{AtomicU64, Ordering::*};
use std::ptr::NonNull;

use mp_session::{Blueprint, Cell, CellState, Kind, Message, Object, Session, Shape, Status, Taking};
use mp_wire::{Error, Result};

use crate::parcel::Parcel;
use crate::position::{Lap, MAX_CELLS, Position};
use crate::size;

/// What the rings of queues are in the object table.
const RING: Kind = Kind(33);
const FIRST_CELL: u64 = 64;
const HEAD: u64 = 16;
/// A line of the cache.
const LINE: u64 = 64;
/// The largest cell: what does not fit into it is a message of its own.
const LARGEST: u64 = 4096;
/// What of a cell is its state, and not for bytes.
const STATE: u64 = 8;
const _: () = assert!(size_of::<Cell>() == 16 && ((LARGEST - STATE) as usize) < 1 << 14);

/// How far apart cells are that hold `bytes` bytes each, or as many as a cell can.
pub(crate) fn stride_for(bytes: usize) -> u64 {
    let need = (bytes as u64).saturating_add(STATE);
    match need {
        0..=128 => need.next_power_of_two().max(16),
        _ => need.min(LARGEST).next_multiple_of(LINE),
    }
}

/// This process's view of a ring.
#[derive(Debug)]
pub(crate) struct Ring {
    object: Object,
    base: NonNull<u8>,
    count: u64,
    stride: u64,
    /// Where the tail hint is.
    tail: u64,
}

// SAFETY: `base` points to the bytes of `object`, which stay mapped as long as it is held; they are used as atomics, and
// as bytes that a claim on their cell makes exclusive.
unsafe impl Send for Ring {}
// SAFETY: as above.
unsafe impl Sync for Ring {}

/// Where the next message would go.
pub(crate) enum Spot {
    /// Into this cell, if it is still as it was seen.
    Free(Position, CellState),
    /// Nowhere, until a message is taken out.
    Full,
    /// Not into this ring any more.
    Moved,
}

/// What a walk from the head came to.
#[derive(Clone, Copy)]
pub(crate) enum Found {
    /// A message, which the parcel holds now.
    Parcel,
    /// No message, and none on its way.
    Empty,
    /// The next one is being written.
    Busy,
    /// The end of the ring. `done`: nothing can come back here.
    Moved { done: bool },
}

impl Ring {
    /// Makes a ring that holds `room` messages in cells `stride` bytes apart.
    pub(crate) fn make(session: &Session, room: u64, stride: u64) -> Result<Ring> {
        let count = room + 1;
        if count > MAX_CELLS {
            return Err(Error::LimitReached {
                limit: "messages in a queue".into(),
                detail: format!("{room} were asked for, a ring holds {}", MAX_CELLS - 1),
            });
        }
        let plan =
            Blueprint { kind: RING, fingerprint: 0, shape: Shape::Ring, size: tail_at(count, stride) + LINE };
        let object = Object::create(session, plan, |_, bytes| {
            let Some(bytes) = bytes else { return };
            let word = |at: u64, value: u64| {
                // SAFETY: `at` is below the block's size and a multiple of 8; the block is aligned to 64 and is ours
                // alone until `create` returns.
                unsafe { bytes.as_ptr().add(at as usize).cast::<u64>().write(value) }
            };
            word(0, count | stride << 32);
            word(8, 0);
            word(HEAD, 0);
            for i in 0..count {
                word(FIRST_CELL + i * stride, 0);
                word(FIRST_CELL + i * stride + 8, 0);
            }
            word(tail_at(count, stride), 0);
        })?;
        Ring::open(object)
    }

    /// Looks at an object as a ring.
    pub(crate) fn open(object: Object) -> Result<Ring> {
        let object = object.expect(RING, 0)?;
        let damaged = || damaged("a ring that does not fit into its memory");
        let (base, size) = object.bytes().filter(|(_, size)| *size >= FIRST_CELL).ok_or_else(damaged)?;
        // SAFETY: the block has at least `FIRST_CELL` bytes and is aligned to 64; its first word is written before anybody else
        // sees it and never changed.
        let geometry = unsafe { base.cast::<u64>().read() };
        let (count, stride) = (geometry & 0xFFFF_FFFF, geometry >> 32);
        let strides = 16..=LARGEST;
        if !(2..=MAX_CELLS).contains(&count)
            || !strides.contains(&stride)
            || tail_at(count, stride) + LINE > size
        {
            return Err(damaged());
        }
        Ok(Ring { object, base, count, stride, tail: tail_at(count, stride) })
    }

    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    /// How many messages it can hold.
    pub(crate) fn room(&self) -> u64 {
        self.count - 1
    }

    /// How far apart its cells are.
    pub(crate) fn stride(&self) -> u64 {
        self.stride
    }

    /// How many bytes a cell holds.
    pub(crate) fn inline(&self) -> usize {
        (self.stride - STATE) as usize
    }

    #[inline]
    fn word(&self, at: u64) -> &AtomicU64 {
        // SAFETY: only called for the two hints, which `open` found to be inside of the block; aligned to 8; a word that
        // all processes use atomically.
        unsafe { self.base.add(at as usize).cast().as_ref() }
    }

    #[inline]
    fn head(&self) -> &AtomicU64 {
        self.word(HEAD)
    }

    #[inline]
    fn tail(&self) -> &AtomicU64 {
        self.word(self.tail)
    }

    #[inline]
    fn cell(&self, at: Position) -> &Cell {
        // An index out of bounds can only come from a hint that somebody damaged: stay inside.
        let index = at.index().min(self.count - 1);
        // SAFETY: inside of the block by `open`; a cell is two atomics and aligned to 8.
        unsafe { self.base.add((FIRST_CELL + index * self.stride) as usize).cast().as_ref() }
    }

    /// The words of a cell that bytes may be in.
    #[inline]
    fn payload(&self, at: Position) -> NonNull<AtomicU64> {
        let index = at.index().min(self.count - 1);
        // SAFETY: inside of the block by `open`.
        unsafe { self.base.add((FIRST_CELL + index * self.stride + STATE) as usize).cast() }
    }

    /// Moves a hint on, unless somebody else moved it meanwhile.
    #[inline]
    fn advance(hint: &AtomicU64, from: Position, to: Position) {
        if hint.load(Relaxed) == from.to_bits() {
            hint.store(to.to_bits(), Release);
        }
    }

    /// Looks for the true tail.
    #[inline]
    pub(crate) fn spot(&self) -> Spot {
        let start = Position::from_bits(self.tail().load(Acquire));
        let mut at = start;
        let spot = loop {
            let seen = self.cell(at).state();
            match at.look(seen.lap) {
                Lap::Here if seen.status == Status::Free => {
                    let next = at.next(self.count);
                    let spare = self.cell(next).state();
                    match next.look(spare.lap) {
                        Lap::Here if spare.status == Status::Free => break Spot::Free(at, seen),
                        Lap::Before if spare.status == Status::Dead => {
                            self.cell(next).bury(spare);
                        }
                        Lap::Before => break Spot::Full,
                        // Somebody claimed `at` since we looked.
                        Lap::Here | Lap::Past(_) => {}
                    }
                }
                Lap::Here if seen.status == Status::Moved => break Spot::Moved,
                Lap::Here => at = at.next(self.count),
                // The hint is far behind: the position one lap before the cell's own was claimed.
                Lap::Past(laps) => at = at.later(laps - 1).next(self.count),
                // Cannot be (the spare cell); if it is damage, it is not ours to walk over.
                Lap::Before => break Spot::Full,
            }
        };
        if at != start {
            Ring::advance(self.tail(), start, at);
        }
        spot
    }

    /// Puts a parcel where [`Ring::spot`] said, and `told` as [`mp_session::Filling::finish_bytes`] means it. `false`: somebody else
    /// was faster.
    #[inline]
    pub(crate) fn fill(&self, at: Position, seen: CellState, parcel: &Parcel, told: bool) -> Result<bool> {
        let cell = self.cell(at);
        if let Some(message) = parcel.message() {
            let note = size::note(parcel.size());
            let put = Object::put_noted(self.object.session(), cell, seen, message.as_object(), note)?;
            if put {
                Ring::advance(self.tail(), at, at.next(self.count));
            }
            return Ok(put);
        }
        let note = size::note(parcel.size());
        let Some(filling) = self.object.claim_noted(cell, seen, note)? else { return Ok(false) };
        // Others need not wait for our bytes to find the next cell.
        Ring::advance(self.tail(), at, at.next(self.count));
        // SAFETY: the claim lets nobody else write to the cell until `finish_bytes`, and a parcel that is no message has no more
        // bytes than `inline`.
        unsafe { parcel.copy_to(self.payload(at)) };
        filling.finish_bytes(parcel.note(), told);
        Ok(true)
    }

    /// Puts a word at the tail, in one step. `false`: nothing was done, and [`Ring::spot`] and [`Ring::fill`] have to.
    #[inline]
    pub(crate) fn put_word(&self, (word, len): (u64, usize)) -> bool {
        let start = Position::from_bits(self.tail().load(Acquire));
        let mut at = start;
        loop {
            let (cell, next) = (self.cell(at), at.next(self.count));
            let seen = cell.state_bits();
            if at.is_free_in(seen) {
                if !next.is_free_in(self.cell(next).state_bits()) {
                    return false;
                }
                if cell.put_word(CellState::unpack(seen), Parcel::plain_note(len), word) {
                    Ring::advance(self.tail(), start, next);
                    return true;
                }
                if cell.state_bits() == seen {
                    return false; // there is no such step here
                }
                continue;
            }
            let seen = CellState::unpack(seen);
            if at.look(seen.lap) != Lap::Here || seen.status == Status::Moved {
                return false;
            }
            at = next;
        }
    }

    /// Takes the first message if it is a word and nobody is in the way: its bits and their length. `None`: [`Ring::take`] has to look.
    #[inline]
    pub(crate) fn take_word(&self) -> Option<(u64, usize)> {
        let start = Position::from_bits(self.head().load(Acquire));
        let mut at = start;
        loop {
            let cell = self.cell(at);
            let seen = cell.state();
            match at.look(seen.lap) {
                Lap::Here if seen.status == Status::Bytes => {
                    let len = Parcel::word_in(seen.thread as u16)?;
                    let word = cell.word();
                    if cell.take_bytes(seen) {
                        // All before it were emptied.
                        Ring::advance(self.head(), start, at.next(self.count));
                        return Some((word, len));
                    }
                }
                Lap::Past(1) => at = at.next(self.count),
                _ => return None,
            }
        }
    }

    /// Takes the first message that nobody else is taking.
    #[inline]
    pub(crate) fn take(&self, parcel: &mut Parcel) -> Result<Found> {
        self.take_by(|cell, seen, payload| {
            if seen.status == Status::Bytes {
                let note = seen.thread as u16;
                if Parcel::len_in(note) > self.inline() {
                    return Err(damaged("a cell that claims to hold more than fits"));
                }
                // SAFETY: as many bytes as fit into a cell, by the check above. They may be overwritten meanwhile, by atomics.
                unsafe { parcel.copy_from(payload, note) };
                return Ok(cell.take_bytes(seen));
            }
            match Object::claim_for_take(self.object.session(), cell, seen)? {
                Some(Taking::Message(object)) => parcel.set_message(Message::from_object(object)?),
                // Of a kind that is not put here.
                Some(Taking::Inline(emptying)) => {
                    emptying.finish();
                    return Ok(false);
                }
                Some(Taking::Nothing) | None => return Ok(false),
            }
            Ok(true)
        })
    }

    /// Moves the first message that nobody else is taking to a cell which the caller knows to be free and its own.
    pub(crate) fn take_into(&self, to: &Cell, to_payload: NonNull<AtomicU64>) -> Result<Found> {
        self.take_by(|cell, seen, payload| {
            let words = match seen.status {
                Status::Bytes => Parcel::len_in(seen.thread as u16).min(self.inline()).div_ceil(8),
                _ => 1, // the reference
            };
            Object::move_between(self.object.session(), cell, seen, to, || {
                for i in 0..words {
                    // SAFETY: both cells have room for `inline` bytes; the claim and the caller's word make them ours.
                    unsafe {
                        to_payload.add(i).as_ref().store(payload.add(i).as_ref().load(Relaxed), Relaxed)
                    };
                }
            })
        })
    }

    /// Walks to the first message that nobody else is taking, and lets `take` take it: `false` if it cannot after all.
    #[inline]
    fn take_by(
        &self,
        mut take: impl FnMut(&Cell, CellState, NonNull<AtomicU64>) -> Result<bool>,
    ) -> Result<Found> {
        let mut at = Position::from_bits(self.head().load(Acquire));
        // As long as everything before `at` was emptied, the head hint may follow.
        let mut emptied = true;
        loop {
            let cell = self.cell(at);
            let seen = cell.state();
            match (at.look(seen.lap), seen.status) {
                (Lap::Here, Status::Bytes | Status::Full) => {
                    if !take(cell, seen, self.payload(at))? {
                        continue;
                    }
                    if emptied {
                        Ring::advance(self.head(), at, at.next(self.count));
                    }
                    return Ok(Found::Parcel);
                }
                (Lap::Past(laps), _) => {
                    let next = self.after(at, laps);
                    if emptied {
                        Ring::advance(self.head(), at, next);
                    }
                    at = next;
                }
                (Lap::Here, Status::Taken) => {
                    emptied = false;
                    at = at.next(self.count);
                }
                // Whether this call buries it or another: the cell's lap goes on.
                (Lap::Here, Status::Dead) => {
                    cell.bury(seen);
                }
                (Lap::Here, Status::Claimed) => return Ok(Found::Busy),
                (Lap::Here, Status::Moved) => return Ok(Found::Moved { done: emptied }),
                (Lap::Here, Status::Free) | (Lap::Before, _) => return Ok(Found::Empty),
            }
        }
    }

    /// The next position to look at after one whose cell is `laps` ahead.
    fn after(&self, at: Position, laps: u64) -> Position {
        if laps <= 2 {
            return at.next(self.count);
        }
        // Two laps before the cell's own everything up to here was emptied: the claim of the position one lap before
        // the cell's own found its spare cell free, and so did each claim before it.
        at.later(laps - 2).next(self.count)
    }

    /// Closes the end of the ring for good.
    pub(crate) fn seal(&self) {
        let mut at = Position::from_bits(self.tail().load(Acquire));
        loop {
            let cell = self.cell(at);
            let seen = cell.state();
            match (at.look(seen.lap), seen.status) {
                (Lap::Here, Status::Free) => {
                    if cell.mark_moved(seen) {
                        return;
                    }
                }
                (Lap::Here, Status::Moved) | (Lap::Before, _) => return,
                (Lap::Here, _) => at = at.next(self.count),
                (Lap::Past(laps), _) => at = at.later(laps - 1).next(self.count),
            }
        }
    }
}

/// Where the tail hint is.
#[inline]
fn tail_at(count: u64, stride: u64) -> u64 {
    (FIRST_CELL + count * stride).next_multiple_of(LINE)
}

#[cold]
fn damaged(what: &str) -> Error {
    Error::Layout { detail: format!("a queue with {what}") }
}
