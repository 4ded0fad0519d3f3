//! A lane: what lies between the pool and one worker. Two rings of slots, one for tasks, one for results.
//!
//! Each ring has one writer and one reader, so a slot is handed over by one word, its *stamp*:
//!
//! ```text
//! stamp   sequence(62) | status(2)
//! ```
//!
//! | status | tasks: moved by | results: moved by |
//! |---|---|---|
//! | `EMPTY` (an older sequence) | the pool, to `FULL`, after writing the slot | the worker, to `FULL` |
//! | `FULL(s)` | the worker, to `TAKEN(s)`; the pool, to `REVOKED(s)` | read by the pool, overwritten a round later |
//! | `TAKEN(s)` | nobody: the worker is at it, or was | |
//! | `REVOKED(s)` | nobody: the worker steps over it, the pool sends the task to another | |
//!
//! Neither ring can overflow: a task gives exactly one result (a revoked one gives none, and its slot counts as answered),
//! and the pool has no more tasks on a lane than the rings have slots. So there are no indices to share.
//!
//! | death of the worker | what the pool finds | what it does |
//! |---|---|---|
//! | before `TAKEN(s)` | `FULL(s)` | sends the task to another worker |
//! | after `TAKEN(s)`, before the result is `FULL(s)` | `TAKEN(s)`, no result | this task was being worked on: its error says who died and how |
//! | after the result is `FULL(s)` | the result | takes it |
//!
//! Small payloads lie in the slot; large ones, and ones with handles, are messages handed over by the slot's cell, which
//! has its own protocol for deaths (in mp-session).

use mp_session::primitive::{AtomicU64, Ordering::*, fence};
use std::any::Any;

use mp_session::{
    Blueprint, CellState, Error, Kind, Message, Object, Result, Role, Session, Shape, Status, Taking,
};
use mp_wire::Codec;
use serde::{Deserialize, Serialize};

/// Slots of a ring.
pub(crate) const SLOTS: u64 = 64;
const STRIDE: u64 = 256;
const RING_HEAD: u64 = 64;
const CELL: u64 = 16;
/// stamp, name, length and codec
const SLOT_HEAD: u64 = 24;
const INLINE: usize = (STRIDE - CELL - SLOT_HEAD) as usize;

const FULL: u64 = 1;
const TAKEN: u64 = 2;
const REVOKED: u64 = 3;

const IN_MESSAGE: u64 = 1 << 40;

fn stamp(sequence: u64, status: u64) -> u64 {
    (sequence + 1) << 2 | status
}

/// One direction of a lane.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ring(Object);

/// A task or result as it is written.
#[derive(Debug)]
pub(crate) struct Parcel<'a> {
    /// The shim's name; free use for results.
    pub(crate) name: i64,
    pub(crate) codec: Codec,
    pub(crate) bytes: &'a [u8],
    pub(crate) exports: Vec<Box<dyn Any + Send>>,
}

/// A task or result as it is read.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) name: i64,
    pub(crate) codec: Codec,
    content: Content,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one is the frequent one: no allocation for it")]
enum Content {
    Inline([u8; INLINE], usize),
    Message(Message),
}

impl Delivery {
    pub(crate) fn bytes(&self) -> Result<&[u8]> {
        match &self.content {
            Content::Inline(bytes, len) => Ok(&bytes[..*len]),
            Content::Message(message) => Ok(message.payload()?.1),
        }
    }

    pub(crate) fn imports(&self) -> Result<Vec<Box<dyn Any + Send>>> {
        match &self.content {
            Content::Inline(..) => Ok(Vec::new()),
            Content::Message(message) => message.imports(),
        }
    }
}

/// What a reader finds in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    Ready,
    Revoked,
}

/// What the pool finds out about a task on the lane of a dead worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nobody began it.
    Untouched,
    /// The worker was at it.
    Begun,
}

impl Ring {
    pub(crate) fn create(session: &Session) -> Result<Ring> {
        let plan = Blueprint {
            kind: Kind::POOL,
            fingerprint: STRIDE,
            shape: Shape::Ring,
            size: RING_HEAD + SLOTS * STRIDE,
        };
        let object = Object::create(session, plan, |_, bytes| {
            let Some(bytes) = bytes else { return };
            // SAFETY: the block has `plan.size` bytes and is ours alone until `create` returns.
            unsafe {
                bytes.as_ptr().write_bytes(0, plan.size as usize);
                bytes.as_ptr().cast::<u64>().write(SLOTS | STRIDE << 32);
            }
        })?;
        Ok(Ring(object))
    }

    /// Checks what arrived from elsewhere.
    pub(crate) fn checked(self) -> Result<Ring> {
        self.0.expect(Kind::POOL, STRIDE).map(Ring)
    }

    /// Where the reader waits for something to read.
    pub(crate) fn waiters(&self) -> &AtomicU64 {
        self.0.words().waiters(Role::First)
    }

    /// A word of the ring for its users.
    pub(crate) fn word(&self, i: usize) -> &AtomicU64 {
        self.0.words().word(i)
    }

    fn slot(&self, sequence: u64) -> *mut u8 {
        let at = RING_HEAD + (sequence % SLOTS) * STRIDE + CELL;
        // A ring always has bytes, `at` and the rest of the slot within them: `create` and `checked` saw to it.
        let base = self.0.bytes().map_or(std::ptr::null_mut(), |(p, _)| p.as_ptr());
        base.wrapping_add(at as usize)
    }

    fn stamp_word(&self, sequence: u64) -> &AtomicU64 {
        // SAFETY: the slot starts with its stamp, aligned to 8, in memory that lives as long as the object; it is
        // accessed as an atomic only.
        unsafe { &*self.slot(sequence).cast::<AtomicU64>() }
    }

    /// Writes a slot that is known to be free, and hands it over.
    pub(crate) fn write(&self, sequence: u64, parcel: Parcel<'_>) -> Result<()> {
        let slot = self.slot(sequence);
        let mut head = parcel.bytes.len() as u64 | (parcel.codec as u64) << 32;
        if parcel.bytes.len() > INLINE || !parcel.exports.is_empty() {
            head |= IN_MESSAGE;
            let session = self.0.session();
            let message = Message::pack(session, parcel.codec, parcel.bytes, parcel.exports)?;
            self.hand_over(sequence, &message)?;
        } else {
            // SAFETY: at most INLINE bytes fit behind the slot's head; the reader does not look before the stamp is set.
            unsafe {
                let to = slot.add(SLOT_HEAD as usize);
                std::ptr::copy_nonoverlapping(parcel.bytes.as_ptr(), to, parcel.bytes.len());
            }
        }
        // SAFETY: name and head are the two words behind the stamp; nobody else looks before the stamp is set.
        unsafe {
            slot.add(8).cast::<i64>().write(parcel.name);
            slot.add(16).cast::<u64>().write(head);
        }
        self.stamp_word(sequence).store(stamp(sequence, FULL), Release);
        // Before the caller looks whether the reader sleeps: the reader looks at the stamp after it said that it will.
        fence(SeqCst);
        Ok(())
    }

    fn hand_over(&self, sequence: u64, message: &Message) -> Result<()> {
        let cell = self.0.ring_cell(sequence % SLOTS, STRIDE);
        loop {
            let seen = cell.state();
            match seen.status {
                Status::Free => {
                    if Object::put_into(self.0.session(), cell, seen, message.as_object())? {
                        return Ok(());
                    }
                }
                Status::Dead => {
                    cell.bury(seen);
                }
                // The last round's message was never taken (its slot was revoked): it goes now.
                Status::Full => drop(self.take_message(sequence)?),
                _ => {
                    return Err(Error::Layout {
                        detail: format!("pool: a slot of a lane is in use: {seen:?}"),
                    });
                }
            }
        }
    }

    fn take_message(&self, sequence: u64) -> Result<Option<Message>> {
        let cell = self.0.ring_cell(sequence % SLOTS, STRIDE);
        loop {
            let seen: CellState = cell.state();
            if seen.status != Status::Full {
                return Ok(None);
            }
            match Object::claim_for_take(self.0.session(), cell, seen)? {
                Some(Taking::Message(object)) => return Message::from_object(object).map(Some),
                Some(_) => return Ok(None),
                None => {}
            }
        }
    }

    /// Whether the slot of that sequence can be read.
    #[inline]
    pub(crate) fn look(&self, sequence: u64) -> Found {
        let word = self.stamp_word(sequence).load(Acquire);
        if word == stamp(sequence, FULL) {
            Found::Ready
        } else if word == stamp(sequence, REVOKED) {
            Found::Revoked
        } else {
            Found::Nothing
        }
    }

    /// Takes a task: `false` if it was revoked in the last moment.
    pub(crate) fn begin(&self, sequence: u64) -> bool {
        let (full, taken) = (stamp(sequence, FULL), stamp(sequence, TAKEN));
        self.stamp_word(sequence).compare_exchange(full, taken, AcqRel, Acquire).is_ok()
    }

    /// Takes a task back that nobody began. `true`: it is the pool's again.
    pub(crate) fn revoke(&self, sequence: u64) -> bool {
        let (full, revoked) = (stamp(sequence, FULL), stamp(sequence, REVOKED));
        self.stamp_word(sequence).compare_exchange(full, revoked, AcqRel, Acquire).is_ok()
    }

    /// How far the worker, who is dead, came with a task without result.
    pub(crate) fn fate(&self, sequence: u64) -> Fate {
        if self.stamp_word(sequence).load(Acquire) == stamp(sequence, TAKEN) {
            Fate::Begun
        } else {
            Fate::Untouched
        }
    }

    /// Reads a slot that is ready (a result) or was begun (a task).
    pub(crate) fn read(&self, sequence: u64) -> Result<Delivery> {
        let slot = self.slot(sequence);
        // SAFETY: the stamp was read with acquire, so the words behind it are those that the writer wrote before.
        let (name, head) = unsafe { (slot.add(8).cast::<i64>().read(), slot.add(16).cast::<u64>().read()) };
        let codec = Codec::try_from((head >> 32) as u8)?;
        let content = if head & IN_MESSAGE != 0 {
            Content::Message(self.take_message(sequence)?.ok_or_else(|| Error::Stale {
                what: "a message of the pool that was lost with a process".into(),
            })?)
        } else {
            let len = (head as u32 as usize).min(INLINE);
            let mut bytes = [0; INLINE];
            // SAFETY: `len` bytes behind the slot's head, written before the stamp.
            unsafe { std::ptr::copy_nonoverlapping(slot.add(SLOT_HEAD as usize), bytes.as_mut_ptr(), len) };
            Content::Inline(bytes, len)
        };
        Ok(Delivery { name, codec, content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> Ring {
        let heap = Session::on_heap(0).unwrap();
        let session = heap.member("pool").unwrap();
        Ring::create(&session).unwrap()
    }

    fn parcel(bytes: &[u8]) -> Parcel<'_> {
        Parcel { name: 7, codec: Codec::Plain, bytes, exports: Vec::new() }
    }

    #[test]
    fn small_and_large_parcels_arrive_round_after_round() {
        let ring = ring();
        for sequence in 0..SLOTS * 3 {
            let bytes = vec![sequence as u8; (sequence as usize * 37) % 900];
            assert_eq!(ring.look(sequence), Found::Nothing);
            ring.write(sequence, parcel(&bytes)).unwrap();
            assert_eq!(ring.look(sequence), Found::Ready);
            assert!(ring.begin(sequence) && !ring.revoke(sequence));
            assert_eq!(ring.fate(sequence), Fate::Begun);
            let got = ring.read(sequence).unwrap();
            assert_eq!((got.name, got.bytes().unwrap()), (7, &bytes[..]));
        }
    }

    #[test]
    fn a_revoked_task_is_not_begun_and_its_message_is_released() {
        let ring = ring();
        let session = ring.0.session().clone();
        let before = session.stats().objects;
        let big = vec![1; 5000];
        ring.write(0, parcel(&big)).unwrap();
        assert!(ring.revoke(0) && !ring.begin(0));
        assert_eq!((ring.look(0), ring.fate(0)), (Found::Revoked, Fate::Untouched));
        ring.write(SLOTS, parcel(&big)).unwrap();
        assert_eq!(
            session.stats().objects,
            before + 1,
            "the older message went when the slot was used again"
        );
        drop(ring);
        assert_eq!(session.stats().objects, before - 1, "and the younger with the ring");
    }
}
