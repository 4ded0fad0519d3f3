//! A lane: what lies between the pool and one worker, in memory that both share.
//!
//! ```text
//! slots      64 of 256 bytes: 32 for batches, and 32 of which only the cell is used, for large results
//! words      see the constants
//! ring       128 KiB: results, one record behind the other (`record`)
//! ```
//!
//! # Batches
//!
//! A slot is written by the pool when it is known to be free, and handed over by its *stamp*. From then on its *claim word* says who has
//! which of its tasks:
//!
//! ```text
//! claim   limit(32) | next(32)
//! ```
//!
//! | change | by | meaning |
//! |---|---|---|
//! | `next + 1`, by one addition | the worker | task `next` is begun; if it was not below the limit there was none, and the batch is at its end |
//! | `limit` lowered, by compare-and-swap, never below `next` | the pool | the tasks from there on are the pool's again |
//!
//! So of every task it is certain at each moment whether it is the pool's, or was begun, and the pool can take back any that was
//! not: there is no chunk that waits behind a straggler.
//!
//! # Results
//!
//! The worker writes the record of each task before it begins the next. So what it began and has no record of is one task at
//! most (for tasks that run many at once: those).
//!
//! | death of the worker | what the pool finds | what it does |
//! |---|---|---|
//! | before the addition | the task not begun | sends it to another |
//! | after it, before `tail` moved past the record | begun, no record | this task was being worked on: its error says who died and how |
//! | after that | the record | takes it |
//!
//! Records too large for the ring, and those with handles, are messages handed over by a cell, which has its own protocol for deaths
//! (in mp-session), put there before the record that says so.
//!
//! # Wake-ups
//!
//! The worker wakes the pool when it has written as many records as `WAKE_AT` says, when a task has failed, when half of the ring is in
//! use, and before it goes to sleep; so a caller that needs a whole map sleeps through most of it, and nobody sleeps for ever: *told-before-idle*. It looks at
//! `WAKE_AT` after the claim that follows a record. *record-then-look*: the record's store of `tail` comes before that read-modify-write and
//! the look after it; the pool sets `WAKE_AT` and enters the wait word by sequentially consistent operations before it looks at `tail` for the
//! last time. One of the two sees the other.

use mp_session::primitive::{AtomicU64, Ordering::*, fence};

use mp_session::{
    Blueprint, CellState, Error, Kind, Message, Object, Result, Role, Session, Shape, Status, Taking,
};
use mp_wire::Codec;
use serde::{Deserialize, Serialize};

use crate::parcel;
use crate::task::Batch;

/// Slots for batches, and as many cells for large results.
pub(crate) const SLOTS: u64 = 32;
const STRIDE: u64 = 256;
const HEAD_SIZE: u64 = 64;
const WORDS_AT: u64 = HEAD_SIZE + 2 * SLOTS * STRIDE;
const WORDS_SIZE: u64 = 512;
pub(crate) const RING_AT: u64 = WORDS_AT + WORDS_SIZE;
/// Bytes of the ring.
pub(crate) const RING: u64 = 128 * 1024;
const SIZE: u64 = RING_AT + RING;

/// In a slot: behind the cell are stamp, claim, the shim's name, length and codec.
const CELL: u64 = 16;
const STAMP: u64 = CELL;
const CLAIM: u64 = CELL + 8;
const NAME: u64 = CELL + 16;
const LENGTH: u64 = CELL + 24;
const INLINE_AT: u64 = CELL + 32;
const INLINE: usize = (STRIDE - INLINE_AT) as usize;
const IN_MESSAGE: u64 = 1 << 40;

/// Words, in groups that have one writer each.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(crate) enum Word {
    /// The pool: no more batches will come.
    Closing = 0,
    /// The pool: it wants to be woken once so many records were written.
    WakeAt = 8,
    /// The pool: it has read so many bytes of the ring.
    Head = 64,
    /// The worker: it has written so many bytes of the ring.
    Tail = 128,
    /// The worker: it is ready for tasks.
    Ready = 192,
    /// The worker: since when it is at its task, in nanoseconds of [`mp_sys::shared_nanos`]; the low byte is that of the task's number.
    Started = 200,
    /// The worker: nanoseconds that a task takes it.
    Pace = 208,
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Lane(Object);

/// What the worker finds at a sequence.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) name: i64,
    pub(crate) content: Content,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one is the frequent one: no allocation for it")]
pub(crate) enum Content {
    Inline([u64; INLINE / 8], usize),
    Message(Message),
}

impl Content {
    pub(crate) fn bytes(&self) -> Result<&[u8]> {
        match self {
            Content::Inline(words, len) => {
                // SAFETY: the words are as many bytes and more, and any bytes are good.
                let all = unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), INLINE) };
                Ok(&all[..*len])
            }
            Content::Message(message) => Ok(message.payload()?.1),
        }
    }
}

impl Lane {
    pub(crate) fn create(session: &Session) -> Result<Lane> {
        let plan = Blueprint { kind: Kind::POOL, fingerprint: SIZE, shape: Shape::Ring, size: SIZE };
        let object = Object::create(session, plan, |_, bytes| {
            let Some(bytes) = bytes else { return };
            // SAFETY: the block has `plan.size` bytes and is ours alone until `create` returns. The ring need not be clear: it is read up
            // to `tail` only.
            unsafe {
                bytes.as_ptr().write_bytes(0, RING_AT as usize);
                bytes.as_ptr().cast::<u64>().write((2 * SLOTS) | (STRIDE << 32));
            }
        })?;
        Ok(Lane(object))
    }

    /// Checks what arrived from elsewhere.
    pub(crate) fn checked(self) -> Result<Lane> {
        self.0.expect(Kind::POOL, SIZE).map(Lane)
    }

    pub(crate) fn session(&self) -> &Session {
        self.0.session()
    }

    /// Where the worker waits for batches.
    pub(crate) fn waiters(&self) -> &AtomicU64 {
        self.0.words().waiters(Role::First)
    }

    /// Where the worker waits for room for its results.
    pub(crate) fn room(&self) -> &AtomicU64 {
        self.0.words().waiters(Role::Second)
    }

    #[inline]
    pub(crate) fn at(&self, offset: u64) -> *mut u8 {
        debug_assert!(offset < SIZE);
        // A lane always has bytes, all of them: `create` and `checked` saw to it.
        let base = self.0.bytes().map_or(std::ptr::null_mut(), |(p, _)| p.as_ptr());
        base.wrapping_add(offset as usize)
    }

    #[inline]
    fn atomic(&self, offset: u64) -> &AtomicU64 {
        // SAFETY: within the lane, aligned to 8, in memory that lives as long as the object; words at these places are accessed as
        // atomics only.
        unsafe { &*self.at(offset).cast::<AtomicU64>() }
    }

    #[inline]
    pub(crate) fn word(&self, word: Word) -> &AtomicU64 {
        self.atomic(WORDS_AT + word as u64)
    }

    /// The word at a position of the ring, which must be a multiple of 8.
    #[inline]
    pub(crate) fn ring_word(&self, position: u64) -> &AtomicU64 {
        self.atomic(RING_AT + position % RING)
    }

    fn slot(sequence: u64) -> u64 {
        HEAD_SIZE + sequence % SLOTS * STRIDE
    }

    #[inline]
    fn claims(&self, sequence: u64) -> &AtomicU64 {
        self.atomic(Lane::slot(sequence) + CLAIM)
    }

    /// The pool's side: writes a batch into a slot that is free, and hands it over.
    pub(crate) fn write(&self, sequence: u64, batch: &Batch) -> Result<()> {
        let slot = Lane::slot(sequence);
        let head = parcel::head(batch);
        let bytes = &batch.bundle.bytes[batch.bundle.span(&batch.tasks)];
        let length = head.len() + bytes.len();
        let exports = parcel::exports(batch);
        let mut kept = length as u64;
        if length > INLINE || !exports.is_empty() {
            kept |= IN_MESSAGE;
            let codec = batch.bundle.codec;
            let message = Message::pack_parts(self.session(), codec, &[head.bytes(), bytes], exports)?;
            self.hand_over(sequence % SLOTS, &message, true)?;
        } else {
            // SAFETY: `length` bytes fit behind the slot's head; the worker does not look before the stamp is set.
            unsafe {
                let to = self.at(slot + INLINE_AT);
                std::ptr::copy_nonoverlapping(head.bytes().as_ptr(), to, head.len());
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), to.add(head.len()), bytes.len());
            }
        }
        // SAFETY: two words of the slot; nobody else looks before the stamp is set.
        unsafe {
            self.at(slot + NAME).cast::<i64>().write(batch.bundle.order.shim);
            self.at(slot + LENGTH).cast::<u64>().write(kept);
        }
        self.claims(sequence).store(u64::from(batch.len()) << 32, Relaxed);
        self.atomic(slot + STAMP).store(sequence + 1, Release);
        // Before the caller looks whether the worker sleeps: the worker looks at the stamp after it said that it will.
        fence(SeqCst);
        Ok(())
    }

    /// The worker's side: whether there is a batch.
    #[inline]
    pub(crate) fn is_there(&self, sequence: u64) -> bool {
        self.atomic(Lane::slot(sequence) + STAMP).load(Acquire) == sequence + 1
    }

    /// The worker's side: reads a batch that is there.
    pub(crate) fn read(&self, sequence: u64) -> Result<Handed> {
        let slot = Lane::slot(sequence);
        // SAFETY: the stamp was read with acquire, so the words behind it are those that the pool wrote before.
        let (name, kept) = unsafe {
            (self.at(slot + NAME).cast::<i64>().read(), self.at(slot + LENGTH).cast::<u64>().read())
        };
        let content = if kept & IN_MESSAGE != 0 {
            Content::Message(self.take(sequence % SLOTS)?)
        } else {
            let len = (kept as u32 as usize).min(INLINE);
            let mut words = [0_u64; INLINE / 8];
            // SAFETY: `len` bytes behind the slot's head, written before the stamp, into as many words.
            unsafe {
                let from = self.at(slot + INLINE_AT).cast_const();
                std::ptr::copy_nonoverlapping(from, words.as_mut_ptr().cast::<u8>(), len);
            }
            Content::Inline(words, len)
        };
        Ok(Handed { name, content })
    }

    /// The worker's side: begins the next task of the batch; `None` if no more are to be had.
    #[inline]
    pub(crate) fn claim(&self, sequence: u64) -> Option<u32> {
        let seen = self.claims(sequence).fetch_add(1, SeqCst);
        let next = seen as u32;
        (u64::from(next) < seen >> 32).then_some(next)
    }

    /// The pool's side: how many tasks of the batch were begun.
    pub(crate) fn begun(&self, sequence: u64) -> u32 {
        let seen = self.claims(sequence).load(SeqCst);
        (seen as u32).min((seen >> 32) as u32)
    }

    /// The pool's side: takes back what is behind the first `keep` tasks and was not begun. How many stay.
    pub(crate) fn cut(&self, sequence: u64, keep: u32) -> u32 {
        let claims = self.claims(sequence);
        let mut seen = claims.load(SeqCst);
        loop {
            let (limit, next) = ((seen >> 32) as u32, seen as u32);
            let stay = keep.max(next).min(limit);
            let lowered = u64::from(stay) << 32 | u64::from(next);
            match claims.compare_exchange_weak(seen, lowered, SeqCst, SeqCst) {
                Ok(_) => return stay,
                Err(now) => seen = now,
            }
        }
    }

    /// Puts a large result, the worker's `number`th, into its cell. `false`: the cell is still in use.
    pub(crate) fn try_put_result(&self, number: u64, message: &Message) -> Result<bool> {
        self.hand_over(SLOTS + number % SLOTS, message, false)
    }

    /// Takes the `number`th large result.
    pub(crate) fn take_result(&self, number: u64) -> Result<Message> {
        self.take(SLOTS + number % SLOTS)
    }

    fn hand_over(&self, cell: u64, message: &Message, overwrite: bool) -> Result<bool> {
        let place = self.0.ring_cell(cell, STRIDE);
        loop {
            let seen = place.state();
            match seen.status {
                Status::Free => {
                    if Object::put_into(self.session(), place, seen, message.as_object())? {
                        return Ok(true);
                    }
                }
                Status::Dead => {
                    place.bury(seen);
                }
                // The last round's message was never taken (its batch was taken back): it goes now.
                Status::Full if overwrite => drop(self.take(cell)),
                _ if overwrite => {
                    return Err(Error::Layout {
                        detail: format!("pool: a slot of a lane is in use: {seen:?}"),
                    });
                }
                _ => return Ok(false),
            }
        }
    }

    fn take(&self, cell: u64) -> Result<Message> {
        let place = self.0.ring_cell(cell, STRIDE);
        loop {
            let seen: CellState = place.state();
            let claimed = if seen.status == Status::Full {
                Object::claim_for_take(self.session(), place, seen)?
            } else {
                return Err(lost());
            };
            match claimed {
                Some(Taking::Message(object)) => return Message::from_object(object),
                Some(_) => return Err(lost()),
                None => {}
            }
        }
    }
}

#[cold]
fn lost() -> Error {
    Error::Stale { what: "a message of the pool that was lost with a process".into() }
}

/// How the value of a slot is encoded travels in the batch's head ([`parcel`]), as it does for messages.
pub(crate) const fn codec_byte(codec: Codec) -> u8 {
    codec as u8
}

const _: () = assert!(RING_AT.is_multiple_of(64) && INLINE.is_multiple_of(8));
