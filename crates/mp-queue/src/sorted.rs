//! Queues whose messages come in another order than they were put: [`PriorityQueue`](crate::PriorityQueue) and
//! [`LifoQueue`](crate::LifoQueue).
//!
//! # The truth is in the places
//!
//! Each message is in a *place* ([`crate::segment`]): a cell of the session, with the message's key (rank and number) behind it. The cell says
//! whether there is a message, and changes by one operation, with the session's own care for deaths ([`mp_session::Cell`]).
//! Everything else (which message is first, which places are free, how many there are) follows from the places, and is changed by
//! the holder of a lock only. The lock is [`mp_sync::Mutex`], which names its owner and tells when that died. Whoever is
//! told makes all of it anew from the places.
//!
//! | put | get |
//! |---|---|
//! | takes a free place off the stack | looks at the first entry of the heap |
//! | writes key and bytes | copies the bytes |
//! | *fills the cell: the message is there* | *frees the cell: the message is taken* |
//! | adds an entry to the heap | takes the entry out, puts the place on the stack |
//!
//! # Deaths
//!
//! | who dies | what is left | what the next one does |
//! |---|---|---|
//! | a producer before the message is there | a place that is free, or `DEAD`, and on no stack | makes the order anew |
//! | after that | a message that is in no heap | the same: the message counts |
//! | a consumer before the message is taken | the message (the sweep puts a `TAKEN` cell back) | the same |
//! | after that | an entry of an empty place; the message is lost with its consumer | the same |
//! | anybody while the queue grows or shrinks | the first so many segments | counts them |
//! | who is making it anew | as before | begins again |
//!
//! # Waiting
//!
//! As in `channel`: who waits looks at words that are written under the lock and read without, and a message that was put and not
//! counted because its producer died is found because *the word of who is at it* names somebody who is gone (*put-and-gone*).
//!
//! A thread that is *stopped* while it holds the lock (for some hundred instructions) holds up the others until it goes on or is killed;
//! who waits with a deadline is told in time.

use mp_session::primitive::{Ordering::*, fence};
use std::sync::Arc;
use std::time::Instant;

use mp_session::{Blueprint, Kind, Object, Role, Session, Shape, Status, Taking, ThreadId};
use mp_sync::{LockError, Mutex, MutexGuard};
use mp_wire::{Error, Result, carrier};
use parking_lot::Mutex as LocalMutex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::channel::Deadline;
use crate::heap::Segments;
use crate::parcel::{Parcel, SHORT};
use crate::segment::{Entry, FIRST, Key, MOST, PAYLOAD_WORDS, places_in};

const KIND: Kind = Kind(35);
// The words of the queue's object.
const CAPACITY: usize = 0;
const LEN: usize = 1;
const CLOSED: usize = 2;
/// Who is changing the queue, under the lock.
const AT_WORK: usize = 3;
// What the lock guards.
const COUNT: usize = 0;
const NUMBER: usize = 1;
/// Places that were ever used; those after it are free and not on the stack.
const USED: usize = 2;
const FREE: usize = 3;
const SEGMENTS: usize = 4;
const EPOCH: usize = 5;
type State = [u64; 6];
/// Segments that a queue keeps when it drains: with their 112 places they take 19 KiB.
const KEEP: u64 = 3;

/// A handle, with both roles.
#[derive(Clone)]
pub(crate) struct Sorted {
    object: Object,
    lock: Mutex<State>,
    segments: Arc<LocalMutex<Segments>>,
}

/// How an attempt went.
enum Tried<T> {
    Done(T),
    NotNow,
    /// The deadline came while somebody else had the lock.
    Late,
}

impl Sorted {
    pub(crate) fn make(session: &Session, fingerprint: u64, capacity: Option<usize>) -> Result<Sorted> {
        if capacity == Some(0) {
            return Err(Error::InvalidArgument {
                detail: "a bounded queue needs room for one message at least (new() makes an unbounded one)"
                    .into(),
            });
        }
        if capacity.is_some_and(|n| n as u64 > places_in(MOST)) {
            return Err(Error::LimitReached {
                limit: "messages in a queue".into(),
                detail: format!(
                    "{} were asked for, a queue holds {}",
                    capacity.unwrap_or(0),
                    places_in(MOST)
                ),
            });
        }
        let plan =
            Blueprint { kind: KIND, fingerprint, shape: Shape::Owner, size: Object::owner_header(MOST) };
        let object = Object::create(session, plan, |words, bytes| {
            words.word(CAPACITY).store(capacity.map_or(0, |n| n as u64), Relaxed);
            if let Some(bytes) = bytes {
                // SAFETY: the block has the header's size by the plan and is ours alone until `create` returns.
                unsafe { Object::write_owner_header(bytes, MOST as u32) };
            }
        })?;
        let mut segments = Segments::default();
        segments.grow(session, &object, 0)?;
        let mut state = [0; 6];
        state[SEGMENTS] = 1;
        let lock = Mutex::new_in(session, state)?;
        Ok(Sorted { object, lock, segments: Arc::new(LocalMutex::new(segments)) })
    }

    #[inline]
    pub(crate) fn session(&self) -> &Session {
        self.object.session()
    }

    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        match self.object.words().word(CAPACITY).load(Relaxed) {
            0 => None,
            n => Some(n as usize),
        }
    }

    /// Takes the lock, and puts the queue in order if somebody died over it. `None`: the deadline came first.
    fn lock(&self, until: Option<Instant>) -> Result<Option<MutexGuard<'_, State>>> {
        let taken = match until {
            None => self.lock.lock().map(Some),
            Some(until) => self.lock.lock_timeout(until.saturating_duration_since(Instant::now())),
        };
        match taken {
            Ok(guard) => Ok(guard),
            Err(LockError::Failed(error)) => Err(error),
            Err(LockError::OwnerDied(died)) => {
                let mut guard = died.into_guard();
                self.make_anew(&mut guard)?;
                guard.mark_consistent();
                Ok(Some(guard))
            }
        }
    }

    /// Finds out from the places what there is.
    #[cold]
    fn make_anew(&self, state: &mut State) -> Result<()> {
        let mut segments = self.segments.lock();
        *segments = Segments::default();
        state[EPOCH] += 1;
        segments.refresh(state[EPOCH]);
        let count = (0..MOST).take_while(|k| self.object.owned(*k).is_ok()).count() as u64;
        state[SEGMENTS] = count;
        segments.open(&self.object, count)?;
        (state[COUNT], state[FREE], state[USED]) = (0, 0, places_in(count));
        for place in 0..state[USED] {
            let (segment, index) = segments.find(place)?;
            let cell = segment.cell(index);
            let seen = cell.state();
            if matches!(seen.status, Status::Full | Status::Bytes) {
                // SAFETY: inside of the segment; any bytes are a key; we hold the lock.
                let key = unsafe { segment.key(index).read() };
                segments.place_entry(state[COUNT], key, place)?;
                state[COUNT] += 1;
                state[NUMBER] = state[NUMBER].max(key.number.min(!key.number) + 1);
            } else {
                cell.bury(seen);
                segments.set_free_place(state[FREE], place)?;
                state[FREE] += 1;
            }
        }
        segments.heapify(state[COUNT])?;
        self.publish(state);
        // It may be that a message was put, or taken, and nobody told.
        let words = self.object.words();
        self.session().wake_all(words.waiters(Role::First));
        self.session().wake_all(words.waiters(Role::Second));
        Ok(())
    }

    /// Tells those who look without the lock, and that nobody is at work any more.
    #[inline]
    fn publish(&self, state: &State) {
        let words = self.object.words();
        words.word(LEN).store(state[COUNT], Relaxed);
        words.word(AT_WORK).store(0, Release);
    }

    #[inline]
    fn begin(&self) -> Result<()> {
        self.object.words().word(AT_WORK).store(self.session().thread_id()?.to_bits(), Release);
        Ok(())
    }

    /// *put-and-gone*: somebody died at work, so what the words say may not be true.
    fn is_left_behind(&self) -> bool {
        let at_work = ThreadId::from_bits(self.object.words().word(AT_WORK).load(Acquire));
        !at_work.is_none() && self.session().is_gone(at_work)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.object.words().word(CLOSED).load(SeqCst) != 0
    }

    /// Whether a get would not wait.
    pub(crate) fn would_get(&self) -> bool {
        let words = self.object.words();
        words.word(LEN).load(SeqCst) > 0 || self.is_closed() || self.is_left_behind()
    }

    /// Whether a put would not wait.
    pub(crate) fn would_put(&self) -> bool {
        let len = self.object.words().word(LEN).load(SeqCst) as usize;
        self.capacity().is_none_or(|n| len < n) || self.is_closed() || self.is_left_behind()
    }

    fn try_put_until(
        &self,
        parcel: &Parcel,
        rank: u128,
        lifo: bool,
        until: Option<Instant>,
    ) -> Result<Tried<()>> {
        if self.is_closed() {
            return Err(closed());
        }
        let Some(mut guard) = self.lock(until)? else { return Ok(Tried::Late) };
        let state = &mut *guard;
        if self.is_closed() {
            return Err(closed());
        }
        if self.capacity().is_some_and(|n| state[COUNT] >= n as u64) {
            return Ok(Tried::NotNow);
        }
        let mut segments = self.segments.lock();
        segments.refresh(state[EPOCH]);
        segments.open(&self.object, state[SEGMENTS])?;
        if state[FREE] == 0 && state[USED] == places_in(state[SEGMENTS]) {
            segments.grow(self.session(), &self.object, state[SEGMENTS])?;
            state[SEGMENTS] += 1;
        }
        let place = if state[FREE] > 0 { segments.free_place(state[FREE] - 1)? } else { state[USED] };
        let number = if lifo { !state[NUMBER] } else { state[NUMBER] };
        let key = Key { rank: [(rank >> 64) as u64, rank as u64], number };
        self.begin()?;
        let (segment, index) = segments.find(place)?;
        // SAFETY: inside of the segment, in a place that nobody reads as long as its cell is free; we hold the lock.
        unsafe { segment.key(index).write(key) };
        let cell = segment.cell(index);
        let filled = match parcel.message() {
            Some(message) => Object::put_into(self.session(), cell, cell.state(), message.as_object()),
            None => segment.object().claim_for_put(cell, cell.state()).map(|claim| {
                claim.is_some_and(|filling| {
                    // SAFETY: inside of the segment; a parcel that was packed for us has no more words than a place.
                    unsafe { parcel.copy_to(segment.payload(index)) };
                    filling.finish_bytes(parcel.note(), true);
                    true
                })
            }),
        };
        match filled {
            Ok(true) => {}
            // Under the lock nobody else is at the cell, unless it is damaged.
            Ok(false) => {
                self.publish(state);
                return Err(Error::Layout { detail: "a free place of a queue that is not free".into() });
            }
            Err(error) => {
                self.publish(state);
                return Err(error);
            }
        }
        if state[FREE] > 0 {
            state[FREE] -= 1
        } else {
            state[USED] += 1
        }
        segments.push(state[COUNT], Entry { key, place })?;
        state[COUNT] += 1;
        state[NUMBER] += 1;
        self.publish(state);
        drop(segments);
        drop(guard);
        self.announce();
        Ok(Tried::Done(()))
    }

    fn try_get_until(&self, parcel: &mut Parcel, until: Option<Instant>) -> Result<Tried<()>> {
        let Some(mut guard) = self.lock(until)? else { return Ok(Tried::Late) };
        let state = &mut *guard;
        if state[COUNT] == 0 {
            return if self.is_closed() { Err(closed()) } else { Ok(Tried::NotNow) };
        }
        let mut segments = self.segments.lock();
        segments.refresh(state[EPOCH]);
        segments.open(&self.object, state[SEGMENTS])?;
        let first = segments.entry(0)?;
        self.begin()?;
        let (segment, index) = segments.find(first.place)?;
        let cell = segment.cell(index);
        let seen = cell.state();
        let got = if seen.status == Status::Bytes {
            let note = (seen.thread as u16).min((SHORT as u16) << 2 | 3);
            // SAFETY: inside of the segment; no more words than a place has, by the bound.
            unsafe { parcel.copy_from(segment.payload(index), note) };
            Ok(cell.take_bytes(seen))
        } else {
            match Object::claim_for_take(self.session(), cell, seen) {
                Ok(Some(Taking::Message(object))) => mp_session::Message::from_object(object)
                    .map(|message| parcel.set_message(message))
                    .map(|()| true),
                // Nothing in it that could be got: it goes.
                Ok(_) => Ok(false),
                Err(error) => {
                    self.publish(state);
                    return Err(error);
                }
            }
        };
        segments.pop(state[COUNT])?;
        state[COUNT] -= 1;
        segments.set_free_place(state[FREE], first.place)?;
        state[FREE] += 1;
        if state[COUNT] == 0 && state[SEGMENTS] > KEEP {
            // Drained: what it has grown by is given back.
            segments.shrink(&self.object, KEEP, state[SEGMENTS])?;
            (state[SEGMENTS], state[USED], state[FREE]) = (KEEP, 0, 0);
            state[EPOCH] += 1;
            segments.refresh(state[EPOCH]);
        }
        self.publish(state);
        drop(segments);
        drop(guard);
        self.make_known_taken();
        match got? {
            true => Ok(Tried::Done(())),
            false => self.try_get_until(parcel, until),
        }
    }

    /// After a message was put.
    fn announce(&self) {
        fence(SeqCst);
        let words = self.object.words();
        self.session().wake_one(words.waiters(Role::Second));
        let senders = words.waiters(Role::First);
        if self.session().has_sleepers(senders) && self.would_put() {
            self.session().pass_on(senders);
        }
    }

    /// After a message was taken.
    fn make_known_taken(&self) {
        fence(SeqCst);
        let words = self.object.words();
        if self.capacity().is_some() {
            self.session().wake_one(words.waiters(Role::First));
        }
        let receivers = words.waiters(Role::Second);
        if self.session().has_sleepers(receivers) && self.would_get() {
            self.session().pass_on(receivers);
        }
    }

    /// Puts at once or waits for room. `false`: the deadline came first.
    pub(crate) fn put(&self, parcel: &Parcel, rank: u128, lifo: bool, deadline: Deadline) -> Result<bool> {
        let mut until = None;
        loop {
            match self.try_put_until(parcel, rank, lifo, until)? {
                Tried::Done(()) => return Ok(true),
                Tried::Late => return Ok(false),
                Tried::NotNow => {}
            }
            until = until.or_else(|| deadline.instant());
            if !self.wait(Role::First, until, || self.would_put())? {
                return Ok(false);
            }
        }
    }

    /// Puts if there is room now.
    pub(crate) fn try_put(&self, parcel: &Parcel, rank: u128, lifo: bool) -> Result<bool> {
        loop {
            if let Tried::Done(()) = self.try_put_until(parcel, rank, lifo, None)? {
                return Ok(true);
            }
            if !self.session().notice_deaths()? {
                return Ok(false);
            }
        }
    }

    /// Gets at once or waits. `false`: the deadline came first.
    pub(crate) fn get(&self, parcel: &mut Parcel, deadline: Deadline) -> Result<bool> {
        let mut until = None;
        loop {
            match self.try_get_until(parcel, until)? {
                Tried::Done(()) => return Ok(true),
                Tried::Late => return Ok(false),
                Tried::NotNow => {}
            }
            until = until.or_else(|| deadline.instant());
            if !self.wait(Role::Second, until, || self.would_get())? {
                return Ok(false);
            }
        }
    }

    /// Gets if there is something now.
    pub(crate) fn try_get(&self, parcel: &mut Parcel) -> Result<bool> {
        loop {
            if let Tried::Done(()) = self.try_get_until(parcel, None)? {
                return Ok(true);
            }
            if !self.session().notice_deaths()? {
                return Ok(false);
            }
        }
    }

    fn wait(&self, role: Role, until: Option<Instant>, ready: impl Fn() -> bool) -> Result<bool> {
        let word = self.object.words().waiters(role);
        let done = self.session().wait(word, until, &|| ThreadId::NONE, || {
            fence(SeqCst);
            Ok(ready().then_some(()))
        })?;
        Ok(done.is_some())
    }

    /// How many messages there are.
    pub(crate) fn len(&self) -> usize {
        if self.is_left_behind() {
            // Whoever gets the lock counts anew. An error here comes again to who puts or gets.
            if let Ok(Some(guard)) = self.lock(None) {
                return guard[COUNT] as usize;
            }
        }
        self.object.words().word(LEN).load(SeqCst) as usize
    }

    pub(crate) fn close(&self) -> Result<()> {
        // With the lock, so that every put is before this or after it.
        let guard = self.lock(None)?;
        let words = self.object.words();
        words.word(CLOSED).store(1, SeqCst);
        drop(guard);
        self.session().wake_all(words.waiters(Role::First));
        self.session().wake_all(words.waiters(Role::Second));
        Ok(())
    }

    pub(crate) fn open(object: Object, lock: Mutex<State>, fingerprint: u64) -> Result<Sorted> {
        let object = object.expect(KIND, fingerprint)?;
        Ok(Sorted { object, lock, segments: Arc::default() })
    }

    pub(crate) fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (&self.object, &self.lock).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
        fingerprint: u64,
    ) -> Result<Sorted, D::Error> {
        let (object, lock) = <(Object, Mutex<State>)>::deserialize(from)?;
        Sorted::open(object, lock, fingerprint).map_err(|e| de::Error::custom(carrier::refuse(e)))
    }
}

const _: () = assert!(PAYLOAD_WORDS >= crate::parcel::WORDS && FIRST >= 2);

fn closed() -> Error {
    Error::Closed { what: "queue".into() }
}
