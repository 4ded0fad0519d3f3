//! One end of a pipe in this process: what it is made of, and sending.
//!
//! # Sleeping and waking
//!
//! Whoever sleeps at an end, for a message, for room or for a turn, does so at the wait word of the end's role. Few threads do at a time, so
//! each wake-up is for all of them. A writer publishes the tail, a reader the head, by a sequentially consistent store, and then looks
//! at the other end's wait word (the reader only if `need` says that a writer wants the room). The sleeper enters the word
//! first and then looks again. So of two that cross one sees the other.

use std::ops::RangeInclusive;
use std::ptr::NonNull;
use std::sync::OnceLock;

use mp_session::primitive::{AtomicU64, Ordering::*};
use mp_session::{Blueprint, Kind as ObjectKind, Message, Object, Role, Session, Shape, ThreadId};
use mp_wire::{Codec, Error, Result};
use parking_lot::Mutex;

use crate::cells;
use crate::deadline::Deadline;
use crate::descriptor::Descriptor;
use crate::frame::{Frame, HEAD, Kind, size_of_frame};
use crate::receive::Partial;
use crate::stream::{STREAM_REST, Stream};
use crate::turn::Turn;

/// Which word of the pipe's object holds the capacity of a stream.
const CAPACITY: usize = 0;
/// The capacities that there are, in bytes.
const SMALLEST: u64 = 4 << 10;
const LARGEST: u64 = 1 << 30;
/// Messages of so many bytes that are not small for the pipe go by way of an object, of which there are as many on their way as there are cells:
/// through the ring a large one would have its writer and its reader wait for each other.
const AT_ONCE: RangeInclusive<usize> = 32 << 10..=4 << 20;

/// One end of a pipe.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) object: Object,
    pub(crate) cells: Object,
    pub(crate) out: Stream,
    pub(crate) incoming: Stream,
    /// Where the cells of either way begin.
    pub(crate) out_cells: u64,
    pub(crate) in_cells: u64,
    /// What was last seen of the other side's head and tail: they only grow, so there is at least that much room, and at
    /// least that much to read. Used by who has the turn.
    head_seen: AtomicU64,
    pub(crate) tail_seen: AtomicU64,
    /// A message in parts of which some have come.
    pub(crate) partial: Mutex<Option<Partial>>,
    /// If somebody wants one.
    pub(crate) descriptor: OnceLock<Descriptor>,
}

impl End {
    /// Makes a pipe whose streams hold `capacity` bytes each.
    pub(crate) fn pair(session: &Session, capacity: u64) -> Result<(End, End)> {
        if capacity > LARGEST {
            return Err(Error::LimitReached {
                limit: "bytes in a pipe".into(),
                detail: format!("{capacity} were asked for, a pipe holds {LARGEST} each way"),
            });
        }
        let capacity = capacity.next_power_of_two().max(SMALLEST);
        let cells = cells::make(session)?;
        let plan = Blueprint {
            kind: ObjectKind::PIPE,
            fingerprint: 0,
            shape: Shape::Plain,
            size: 2 * (STREAM_REST + capacity),
        };
        let (a, b) = Object::create_pair(session, plan, |words, bytes| {
            words.word(CAPACITY).store(capacity, Relaxed);
            if let Some(bytes) = bytes {
                // SAFETY: the block has the size of two streams and is aligned to 64; both have a multiple of 64 bytes.
                unsafe { streams(bytes, capacity) }.iter().for_each(Stream::clear);
            }
        })?;
        a.adopt(&cells)?;
        Ok((End::of(a, cells.clone())?, End::of(b, cells)?))
    }

    /// The end that a handle means which has just arrived.
    pub(crate) fn open(object: Object) -> Result<End> {
        let object = object.expect(ObjectKind::PIPE, 0)?;
        let cells = cells::open(object.child()?)?;
        End::of(object, cells)
    }

    fn of(object: Object, cells: Object) -> Result<End> {
        let damaged = || Error::Layout { detail: "a pipe that does not fit into its memory".into() };
        let capacity = object.words().word(CAPACITY).load(Relaxed);
        let (bytes, size) = object.bytes().ok_or_else(damaged)?;
        let fits = capacity.is_power_of_two()
            && (SMALLEST..=LARGEST).contains(&capacity)
            && 2 * (STREAM_REST + capacity) <= size;
        if !fits {
            return Err(damaged());
        }
        // SAFETY: the block has that size by the check above, is aligned to 64, and is mapped as long as `object`, which the end
        // holds beside the streams.
        let [forth, back] = unsafe { streams(bytes, capacity) };
        let first = object.role() == Role::First;
        let (out, incoming) = if first { (forth, back) } else { (back, forth) };
        let (out_cells, in_cells) = if first { (0, cells::CELLS) } else { (cells::CELLS, 0) };
        Ok(End {
            head_seen: AtomicU64::new(out.head().load(Acquire)),
            tail_seen: AtomicU64::new(incoming.head().load(Acquire)),
            partial: Mutex::new(None),
            descriptor: OnceLock::new(),
            object,
            cells,
            out,
            incoming,
            out_cells,
            in_cells,
        })
    }

    /// Another handle for the same end, counted by itself.
    pub(crate) fn try_clone(&self) -> Result<End> {
        End::of(self.object.try_clone_counted()?, self.cells.clone())
    }

    pub(crate) fn peer(&self) -> Role {
        End::other(self.object.role())
    }

    pub(crate) fn other(role: Role) -> Role {
        match role {
            Role::First => Role::Second,
            Role::Second => Role::First,
        }
    }

    /// Who sleeps at this end.
    #[inline]
    pub(crate) fn waiters(&self) -> &AtomicU64 {
        self.object.words().waiters(self.object.role())
    }

    #[inline]
    pub(crate) fn wake_peer(&self) {
        self.object.session().wake_all(self.object.words().waiters(self.peer()));
    }

    #[inline]
    pub(crate) fn peer_is_gone(&self) -> bool {
        self.object.holders(self.peer()) == 0
    }

    #[cold]
    pub(crate) fn disconnected(&self) -> Error {
        let (who, how) = self.object.departed(self.peer()).unzip();
        Error::Disconnected { what: "pipe".into(), who, how }
    }

    /// Sends bytes as one message, the way that suits their size. `false`: the deadline came first, and nothing was sent.
    #[inline]
    pub(crate) fn send(&self, codec: u8, payload: &[u8], deadline: Deadline) -> Result<bool> {
        if AT_ONCE.contains(&payload.len())
            && payload.len() as u64 > self.out.capacity() / 4
            && let Some(sent) = self.send_at_once(codec, payload, deadline)
        {
            return sent;
        }
        self.send_through(codec, payload, deadline)
    }

    /// By way of an object, with a copy on each side that do not wait for each other. `None`: memory is short, so it has to go through
    /// the stream.
    #[cold]
    fn send_at_once(&self, codec: u8, payload: &[u8], deadline: Deadline) -> Option<Result<bool>> {
        let coded = Codec::try_from(codec).unwrap_or(Codec::Plain);
        let message = Message::pack(self.object.session(), coded, payload, Vec::new()).ok()?;
        Some(match self.turn_to_write(deadline) {
            Ok(Some(turn)) => self.send_message(&turn, &message, codec, deadline),
            Ok(None) => Ok(false),
            Err(error) => Err(error),
        })
    }

    fn send_through(&self, codec: u8, payload: &[u8], deadline: Deadline) -> Result<bool> {
        let Some(turn) = self.turn_to_write(deadline)? else { return Ok(false) };
        if !self.goes_in_parts(payload) {
            let size = size_of_frame(payload.len() as u64);
            if self.wait_for(size, deadline, || Some(()))?.is_none() {
                return Ok(false);
            }
            let frame = Frame { length: payload.len() as u32, kind: Kind::Whole, codec, tag: 0 };
            self.publish(self.out.tail().load(Relaxed), frame, payload);
            return Ok(true);
        }
        self.send_in_parts(&turn, codec, payload)?;
        Ok(true)
    }

    /// Whether a message of that size goes in parts, which a deadline must not cut: it goes as an object instead.
    pub(crate) fn goes_in_parts(&self, payload: &[u8]) -> bool {
        payload.len() as u64 > self.out.capacity() / 2
    }

    /// Sends a message of the session. `false`: the deadline came first.
    pub(crate) fn send_object(&self, message: &Message, deadline: Deadline) -> Result<bool> {
        match self.turn_to_write(deadline)? {
            Some(turn) => self.send_message(&turn, message, 0, deadline),
            None => Ok(false),
        }
    }

    #[inline]
    fn turn_to_write(&self, deadline: Deadline) -> Result<Option<Turn<'_>>> {
        let turn = Turn::take(self.object.session(), self.out.writer(), self.waiters(), deadline)?;
        if turn.as_ref().is_some_and(|turn| turn.taken_over) {
            self.settle_note()?;
        }
        if self.peer_is_gone() {
            return Err(self.disconnected());
        }
        Ok(turn)
    }

    /// A large message, piece by piece, while the reader takes the pieces out.
    fn send_in_parts(&self, _turn: &Turn<'_>, codec: u8, payload: &[u8]) -> Result<()> {
        let part = (self.out.capacity() / 4 - HEAD) as usize;
        let total = (payload.len() as u64).to_le_bytes();
        let mut rest = payload;
        let mut kind = Kind::First;
        while !rest.is_empty() {
            let before = if kind == Kind::First { total.len() } else { 0 };
            let (now, later) = rest.split_at(rest.len().min(part - before));
            if kind != Kind::First && later.is_empty() {
                kind = Kind::Last;
            }
            let length = before + now.len();
            self.wait_for(size_of_frame(length as u64), Deadline::Never, || Some(()))?;
            let tail = self.out.tail().load(Relaxed);
            self.out.write(tail + HEAD, &total[..before]);
            self.out.write(tail + HEAD + before as u64, now);
            self.commit(tail, Frame { length: length as u32, kind, codec, tag: 0 });
            (rest, kind) = (later, Kind::More);
        }
        Ok(())
    }

    /// Writes a frame and makes it count.
    #[inline]
    pub(crate) fn publish(&self, tail: u64, frame: Frame, payload: &[u8]) {
        self.out.write(tail + HEAD, payload);
        self.commit(tail, frame);
    }

    #[inline]
    fn commit(&self, tail: u64, frame: Frame) {
        self.out.write_head(tail, frame.pack());
        self.out.tail().store(tail + frame.size(), SeqCst);
        self.wake_peer();
    }

    /// Waits until there are `size` bytes of room and `also` has something. The caller has the writer's turn.
    #[inline]
    pub(crate) fn wait_for<R>(
        &self,
        size: u64,
        deadline: Deadline,
        also: impl Fn() -> Option<R>,
    ) -> Result<Option<R>> {
        let used = self.out.tail().load(Relaxed).wrapping_sub(self.head_seen.load(Relaxed));
        if used + size <= self.out.capacity()
            && let Some(found) = also()
        {
            return Ok(Some(found));
        }
        self.sleep_for(size, deadline, also)
    }

    #[cold]
    fn sleep_for<R>(&self, size: u64, deadline: Deadline, also: impl Fn() -> Option<R>) -> Result<Option<R>> {
        self.out.need().store(size, SeqCst);
        let found = deadline.wait(self.object.session(), self.waiters(), &|| ThreadId::NONE, || {
            if self.peer_is_gone() {
                return Err(self.disconnected());
            }
            self.head_seen.store(self.out.head().load(SeqCst), Relaxed);
            Ok(if self.out.room() >= size { also() } else { None })
        });
        self.out.need().store(0, SeqCst);
        found
    }
}

/// The streams forth and back.
///
/// # Safety
/// `bytes` are `2 * (STREAM_REST + capacity)` bytes, aligned to 64, and stay mapped as long as the streams are used; `capacity` is a
/// power of two and at least 64.
unsafe fn streams(bytes: NonNull<u8>, capacity: u64) -> [Stream; 2] {
    // SAFETY: the second stream begins where the first one ends, inside of the block; each has its size.
    unsafe {
        let second = bytes.add((STREAM_REST + capacity) as usize);
        [Stream::new(bytes, capacity), Stream::new(second, capacity)]
    }
}
