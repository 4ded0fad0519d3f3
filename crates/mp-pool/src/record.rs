//! The ring of results: records, written by the worker one behind the other.
//!
//! ```text
//! record := length(32) | task(16) | kind(8) | codec(8)      a word, then as many bytes, padded to 8
//! run    := the same word, length `OPEN` while it grows; stride, a word; values of that many bytes each, without padding
//! ```
//!
//! The task is its number in the bundle. Values that are all of one length and follow each other make a *run*: each costs its bytes and a store
//! of `tail`. A run is closed, its length written, before anything else follows. *open-run*: a reader that finds `OPEN` knows that all
//! up to the `tail` that it loaded before belongs to the run, for what follows a run moves `tail` only after the length was written.
//! A writer that dies leaves its last run open, and the values up to `tail` are whole.
//!
//! A record does not go around the end of the ring: `SKIP` fills the rest.

use std::any::Any;

use mp_session::primitive::Ordering::*;
use mp_session::{CancelToken, Error, Message, Object, Result, Role, Session, ThreadId};
use mp_wire::{Codec, Failure, Outcome};

use crate::lane::{Lane, RING, RING_AT, Word};

const OPEN: u32 = u32::MAX;
/// Longer results go by a message.
const LONGEST: usize = (RING / 8) as usize;
/// Longer values do not make runs.
const WIDEST: usize = 256;
const LONGEST_RUN: u64 = RING / 4;

const SKIP: u8 = 0;
const VALUE: u8 = 1;
const OUTCOME: u8 = 2;
const RUN: u8 = 3;
/// In its cell.
const LARGE_VALUE: u8 = 4;

fn header(length: u32, task: u32, kind: u8, codec: Codec) -> u64 {
    u64::from(length) | u64::from(task & 0xFFFF) << 32 | u64::from(kind) << 48 | (codec as u64) << 56
}

struct Run {
    at: u64,
    stride: usize,
    codec: Codec,
    first: u32,
    next: u32,
    /// How far `tail` may go within it.
    limit: u64,
}

/// The worker's end.
pub(crate) struct Writer<'a> {
    lane: &'a Lane,
    /// Whom to wake when there is no room.
    control: &'a Object,
    tail: u64,
    head: u64,
    run: Option<Run>,
    large: u64,
    /// Results written.
    pub(crate) records: u64,
    told: u64,
    told_at: u64,
    /// There is news that is not to wait: a task has failed.
    is_urgent: bool,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(lane: &'a Lane, control: &'a Object) -> Writer<'a> {
        Writer {
            lane,
            control,
            tail: 0,
            head: 0,
            run: None,
            large: 0,
            records: 0,
            told: 0,
            told_at: 0,
            is_urgent: false,
        }
    }

    /// A value that is a word of so many bytes.
    #[inline]
    pub(crate) fn word(&mut self, task: u32, word: u64, length: usize) -> Result<()> {
        let bytes = word.to_ne_bytes();
        let bytes = bytes.get(..length).unwrap_or(&bytes);
        self.records += 1;
        if self.continues(task, Codec::Plain, bytes.len()) {
            self.append(bytes);
            return Ok(());
        }
        self.begin_run(task, Codec::Plain, bytes)
    }

    /// Whether a value of so many bytes is the next of the run that is open; if so it counts as that.
    #[inline]
    fn continues(&mut self, task: u32, codec: Codec, length: usize) -> bool {
        let tail = self.tail;
        let Some(run) = &mut self.run else { return false };
        let next = run.stride == length
            && run.next == task
            && tail + length as u64 <= run.limit
            && run.codec == codec;
        run.next += u32::from(next);
        next
    }

    /// A value, as it was encoded.
    #[inline]
    pub(crate) fn value(
        &mut self,
        task: u32,
        codec: Codec,
        bytes: &[u8],
        exports: Vec<Box<dyn Any + Send>>,
    ) -> Result<()> {
        self.records += 1;
        if exports.is_empty() && self.continues(task, codec, bytes.len()) {
            self.append(bytes);
            return Ok(());
        }
        if !exports.is_empty() || bytes.len() > LONGEST {
            return self.large(task, codec, bytes, exports);
        }
        if bytes.is_empty() || bytes.len() > WIDEST {
            return self.record(task, VALUE, codec, bytes);
        }
        self.begin_run(task, codec, bytes)
    }

    #[inline]
    fn append(&mut self, bytes: &[u8]) {
        // SAFETY: the caller made sure of the room; the reader does not look there before `tail` says so.
        unsafe {
            let to = self.lane.at(RING_AT + self.tail % RING);
            match <&[u8; 8]>::try_from(bytes) {
                // The most common, and a call of `memcpy` takes longer than all the rest.
                Ok(eight) => to.cast::<[u8; 8]>().write(*eight),
                Err(_) => std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()),
            }
        }
        self.tail += bytes.len() as u64;
        self.lane.word(Word::Tail).store(self.tail, Release);
    }

    #[cold]
    fn begin_run(&mut self, task: u32, codec: Codec, bytes: &[u8]) -> Result<()> {
        self.close_run();
        self.make_room(16 + bytes.len() as u64)?;
        let at = self.tail;
        self.lane.ring_word(at).store(header(OPEN, task, RUN, codec), Relaxed);
        self.lane.ring_word(at + 8).store(bytes.len() as u64, Relaxed);
        self.tail += 16;
        let to_the_end = at - at % RING + RING;
        let limit = to_the_end.min(self.head + RING).min(at + LONGEST_RUN);
        self.run = Some(Run { at, stride: bytes.len(), codec, first: task, next: task + 1, limit });
        self.append(bytes);
        Ok(())
    }

    /// Ends the run that is open: what follows belongs to another batch, or is no value like the others.
    pub(crate) fn close_run(&mut self) {
        if let Some(run) = self.run.take() {
            let length = self.tail - run.at - 16;
            self.lane.ring_word(run.at).store(header(length as u32, run.first, RUN, run.codec), Release);
            self.tail = self.tail.next_multiple_of(8);
        }
    }

    fn record(&mut self, task: u32, kind: u8, codec: Codec, bytes: &[u8]) -> Result<()> {
        self.close_run();
        let padded = (bytes.len() as u64).next_multiple_of(8);
        self.make_room(8 + padded)?;
        self.lane.ring_word(self.tail).store(header(bytes.len() as u32, task, kind, codec), Relaxed);
        // SAFETY: there is room, and the reader does not look there before `tail` says so.
        unsafe {
            let to = self.lane.at(RING_AT + (self.tail + 8) % RING);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
        self.tail += 8 + padded;
        self.lane.word(Word::Tail).store(self.tail, Release);
        Ok(())
    }

    /// Something else than a value.
    #[cold]
    pub(crate) fn outcome(&mut self, task: u32, outcome: &Outcome) -> Result<()> {
        self.records += 1;
        self.is_urgent = true;
        let mut bytes = Vec::new();
        outcome.encode(&mut bytes);
        if bytes.len() > LONGEST {
            let what = match outcome {
                Outcome::Failure(failure) => failure.message.clone(),
                Outcome::Panic(report) => report.message.clone(),
                Outcome::Value => String::new(),
            };
            let cut: String = what.chars().take(1000).collect();
            bytes.clear();
            Outcome::Failure(Failure::capture(cut)).encode(&mut bytes);
        }
        self.record(task, OUTCOME, Codec::Plain, &bytes)
    }

    #[cold]
    fn large(
        &mut self,
        task: u32,
        codec: Codec,
        bytes: &[u8],
        exports: Vec<Box<dyn Any + Send>>,
    ) -> Result<()> {
        match Message::pack(self.lane.session(), codec, bytes, exports) {
            Ok(message) => {
                let number = self.large;
                self.wait_for_room(|writer| writer.lane.try_put_result(number, &message))?;
                self.large += 1;
                self.record(task, LARGE_VALUE, codec, &[])
            }
            // A result that does not fit into the session, or may not travel so, is this task's error.
            Err(error) => {
                self.records -= 1;
                self.outcome(task, &Outcome::Failure(Failure::capture(error)))
            }
        }
    }

    fn make_room(&mut self, need: u64) -> Result<()> {
        let left = RING - self.tail % RING;
        let skip = if left < need { left } else { 0 };
        let total = skip + need;
        if self.tail + total > self.head + RING {
            self.wait_for_room(|writer| {
                writer.head = writer.lane.word(Word::Head).load(SeqCst);
                Ok(writer.tail + total <= writer.head + RING)
            })?;
        }
        if skip > 0 {
            self.lane.ring_word(self.tail).store(header((skip - 8) as u32, 0, SKIP, Codec::Plain), Relaxed);
            self.tail += skip;
        }
        Ok(())
    }

    /// Waits for the pool to take results. Whoever was cancelled waits all the same: what was done is to be handed over.
    fn wait_for_room(&mut self, mut is_there: impl FnMut(&mut Self) -> Result<bool>) -> Result<()> {
        if is_there(self)? {
            return Ok(());
        }
        let lane = self.lane;
        self.wake_pool();
        let session: &Session = lane.session();
        CancelToken::shield(|| {
            session.wait(lane.room(), None, &|| ThreadId::NONE, || {
                if lane.word(Word::Closing).load(SeqCst) == STOP {
                    return Err(Error::Cancelled);
                }
                Ok(is_there(self)?.then_some(()))
            })
        })?;
        Ok(())
    }

    fn wake_pool(&mut self) {
        (self.told, self.told_at, self.is_urgent) = (self.records, self.tail, false);
        wake_pool(self.lane.session(), self.control);
    }

    /// Wakes the pool if it is time (*record-then-look*).
    #[inline]
    pub(crate) fn look(&mut self) {
        if self.is_urgent
            || self.records > self.told && self.records >= self.lane.word(Word::WakeAt).load(SeqCst)
        {
            self.wake_pool();
        } else if self.tail - self.head > RING / 2 {
            self.look_at_room();
        }
    }

    #[cold]
    fn look_at_room(&mut self) {
        self.head = self.lane.word(Word::Head).load(Acquire);
        if self.tail - self.head > RING / 2 && self.tail - self.told_at > RING / 8 {
            self.wake_pool();
        }
    }

    /// *told-before-idle*.
    pub(crate) fn tell(&mut self) {
        if self.records > self.told {
            self.wake_pool();
        }
    }
}

/// In [`Word::Closing`]: leave at once, nobody takes results any more.
pub(crate) const STOP: u64 = 2;

/// Wakes whoever waits for a result in a call; else the thread that minds the pool.
pub(crate) fn wake_pool(session: &Session, control: &Object) {
    if !session.wake_one(control.words().waiters(Role::First)) {
        session.wake_one(control.words().waiters(Role::Second));
    }
}

/// Results as the pool takes them, not decoded.
#[derive(Debug)]
pub(crate) enum Span {
    /// Values of one length.
    Run { task: u32, stride: u32, codec: Codec, bytes: Vec<u8> },
    /// A value.
    Value { task: u32, codec: Codec, bytes: Vec<u8> },
    /// A value in a message, or why that is lost.
    Large { task: u32, message: Result<Message> },
    /// An error or a panic.
    Outcome { task: u32, bytes: Vec<u8> },
}

impl Span {
    /// How many tasks it is of.
    pub(crate) fn count(&self) -> u32 {
        match self {
            Span::Run { stride, bytes, .. } => bytes.len() as u32 / (*stride).max(1),
            _ => 1,
        }
    }

    pub(crate) fn task(&self) -> u32 {
        match self {
            Span::Run { task, .. }
            | Span::Value { task, .. }
            | Span::Large { task, .. }
            | Span::Outcome { task, .. } => *task,
        }
    }
}

#[derive(Debug)]
struct OpenRun {
    at: u64,
    next: u32,
    stride: u64,
    codec: Codec,
}

/// The pool's end.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    head: u64,
    told: u64,
    run: Option<OpenRun>,
    large: u64,
}

impl Reader {
    /// Takes the next results, if there are any.
    pub(crate) fn next(&mut self, lane: &Lane) -> Option<Span> {
        loop {
            let tail = lane.word(Word::Tail).load(SeqCst);
            if let Some(run) = &mut self.run {
                let length = lane.ring_word(run.at).load(Acquire) as u32;
                let end = if length == OPEN { tail } else { run.at + 16 + u64::from(length) };
                let here = (end.saturating_sub(self.head)).min(LONGEST_RUN) / run.stride * run.stride;
                if here > 0 {
                    let task = run.next;
                    run.next += (here / run.stride) as u32;
                    let (stride, codec) = (run.stride as u32, run.codec);
                    let bytes = self.copy(lane, self.head, here);
                    self.head += here;
                    return Some(Span::Run { task, stride, codec, bytes });
                }
                if length == OPEN {
                    return None;
                }
                self.head = (run.at + 16 + u64::from(length)).next_multiple_of(8);
                self.run = None;
            }
            if self.head >= tail {
                return None;
            }
            let word = lane.ring_word(self.head).load(Acquire);
            let (length, task, kind) = (word as u32, (word >> 32) as u32 & 0xFFFF, (word >> 48) as u8);
            let codec = Codec::try_from((word >> 56) as u8).unwrap_or(Codec::Plain);
            if kind == RUN {
                let stride = lane.ring_word(self.head + 8).load(Relaxed).clamp(1, WIDEST as u64);
                self.run = Some(OpenRun { at: self.head, next: task, stride, codec });
                self.head += 16;
                continue;
            }
            let at = self.head + 8;
            self.head = at + u64::from(length).next_multiple_of(8);
            match kind {
                SKIP => {}
                VALUE => {
                    return Some(Span::Value { task, codec, bytes: self.copy(lane, at, length.into()) });
                }
                LARGE_VALUE => {
                    let message = lane.take_result(self.large);
                    self.large += 1;
                    return Some(Span::Large { task, message });
                }
                _ => return Some(Span::Outcome { task, bytes: self.copy(lane, at, length.into()) }),
            }
        }
    }

    fn copy(&self, lane: &Lane, at: u64, length: u64) -> Vec<u8> {
        let offset = at % RING;
        let length = length.min(RING - offset) as usize;
        let mut bytes = Vec::with_capacity(length);
        // SAFETY: within the ring; written before `tail` moved past it, and not again before `head` does.
        unsafe {
            std::ptr::copy_nonoverlapping(lane.at(RING_AT + offset).cast_const(), bytes.as_mut_ptr(), length);
            bytes.set_len(length);
        }
        bytes
    }

    /// Says how far it has read, and wakes a worker that waits for room.
    pub(crate) fn tell(&mut self, lane: &Lane) {
        // An open run's head is needed to the end.
        let read = self.run.as_ref().map_or(self.head, |run| run.at);
        if read != self.told {
            self.told = read;
            lane.word(Word::Head).swap(read, SeqCst);
        }
        // A cell may be free though not a byte of the ring is.
        lane.session().wake_all(lane.room());
    }
}

#[cfg(test)]
mod tests;
