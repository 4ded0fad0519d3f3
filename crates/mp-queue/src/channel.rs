//! Putting, taking and waiting, for parcels of any type.
//!
//! # Sleeping and waking
//!
//! Receivers sleep at the wait word of their role, senders at that of theirs. A put that published a message must see
//! the receiver that went to sleep just now, or be seen by it: each side does its own (publishes a cell; enters the wait
//! word), then a *sequentially consistent fence*, then looks at the other's. So of two such fences the later one sees
//! what was done before the earlier one. The receiver's is in its `ready` closure, which runs again after it
//! has entered. The same holds for takes and senders of a bounded queue. If nobody sleeps, that is a load and no more.
//!
//! A wake-up is for one sleeper, and may reach one who cannot use it: its message is still being written, while a
//! later one is there. So *who has been served looks behind it*: is there more, and does another of its kind sleep, it
//! passes a wake-up on. (Who waits for many things at once was told of each, and not told again.) Deaths and vanished roles wake everybody, which the session sees to.
//!
//! # Who is left
//!
//! The count of the other role is read before the cells are looked at: if nobody was there to put and then nothing is there to
//! take, nothing can come. A sender cannot vanish with a put half done, for it is counted until the sweep has settled its cells.

use mp_session::primitive::{Bug, Ordering::*, bug, fence};
use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mp_session::{Blueprint, Kind, Object, Role, Session, Shape, ThreadId};
use mp_wire::{Error, Result};

use crate::parcel::Parcel;
use crate::ring::{Found, Ring, Spot};
use crate::rings::{Decision, FIRST_ROOM, Rings};
use crate::tasks::Tasks;

/// Which word of the queue's object holds its capacity; 0: unbounded.
const CAPACITY: usize = 0;

/// One role of a queue in this process.
#[derive(Clone)]
pub(crate) struct Channel {
    object: Object,
    rings: Arc<Rings>,
    capacity: Option<usize>,
    /// The books of who owes what, if this is the receiving role of a [`JoinableQueue`](crate::JoinableQueue).
    tasks: Option<Tasks>,
}

/// How long to wait. The clock is read only by who has to.
#[derive(Clone, Copy)]
pub(crate) enum Deadline {
    Never,
    In(Duration),
}

impl Deadline {
    pub(crate) fn instant(self) -> Option<Instant> {
        match self {
            Deadline::Never => None,
            // A time beyond what the clock can tell is for ever.
            Deadline::In(time) => Instant::now().checked_add(time),
        }
    }
}

/// How an attempt to put went.
enum Placed {
    Yes,
    Full,
    /// The queue is about to grow; this thread does it.
    Growing(ThreadId),
}

impl Channel {
    /// Makes a queue: the senders' and the receivers' role.
    pub(crate) fn make(
        session: &Session,
        fingerprint: u64,
        capacity: Option<usize>,
    ) -> Result<(Channel, Channel)> {
        if capacity == Some(0) {
            return Err(Error::InvalidArgument {
                detail: "a bounded queue needs room for one message at least (Queue::new() makes an unbounded one)"
                    .into(),
            });
        }
        let ring = Ring::make(session, capacity.map_or(FIRST_ROOM, |n| n as u64))?;
        let plan = Blueprint { kind: Kind::QUEUE, fingerprint, shape: Shape::Plain, size: 0 };
        let (senders, receivers) = Object::create_pair(session, plan, |words, _| {
            words.word(CAPACITY).store(capacity.map_or(0, |n| n as u64), Relaxed);
        })?;
        senders.adopt(ring.object())?;
        let rings = Arc::new(Rings::starting_with(ring));
        let half = |object| Channel { object, rings: rings.clone(), capacity, tasks: None };
        Ok((half(senders), half(receivers)))
    }

    /// The view of a handle that has just arrived here.
    pub(crate) fn open(object: Object, fingerprint: u64, role: Role) -> Result<Channel> {
        let object = object.expect(Kind::QUEUE, fingerprint)?;
        if object.role() != role {
            let name = |role| if role == Role::First { "Sender" } else { "Receiver" }.to_owned();
            return Err(Error::WrongKind { expected: name(role), found: name(object.role()) });
        }
        let rings = Arc::new(Rings::starting_with(Ring::open(object.child()?)?));
        let capacity = match object.words().word(CAPACITY).load(Relaxed) {
            0 => None,
            n => Some(n as usize),
        };
        Ok(Channel { object, rings, capacity, tasks: None })
    }

    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    /// The same rings seen from the other role.
    pub(crate) fn with_rings_of(mut self, other: &Channel) -> Channel {
        if self.object == other.object {
            self.rings = other.rings.clone();
        }
        self
    }

    #[inline]
    pub(crate) fn session(&self) -> &Session {
        self.object.session()
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    /// The role that nobody holds any more, and who died last of those who held it.
    #[cold]
    fn disconnected(&self, gone: Role) -> Error {
        let (who, how) = self.object.departed(gone).unzip();
        Error::Disconnected { what: "queue".into(), who, how }
    }

    #[inline]
    fn place(&self, parcel: &Parcel) -> Result<Placed> {
        if self.object.holders(Role::Second) == 0 {
            return Err(self.disconnected(Role::Second));
        }
        loop {
            let (at, ring) = self.rings.tail()?;
            match ring.spot() {
                Spot::Free(position, seen) => {
                    if ring.fill(position, seen, parcel)? {
                        return Ok(Placed::Yes);
                    }
                }
                Spot::Full if self.capacity.is_some() => return Ok(Placed::Full),
                Spot::Full => match self.rings.grow(self.session(), at) {
                    Ok(Decision::Waits(thread)) => return Ok(Placed::Growing(thread)),
                    // Others may wait for this to be over, whichever way.
                    over => {
                        self.wake_senders();
                        over?;
                    }
                },
                Spot::Moved => match self.rings.after(at)? {
                    Some((next, _)) => self.rings.tail_is_at(next),
                    None => return Err(closed()),
                },
            }
        }
    }

    /// After `count` messages were put.
    #[inline]
    pub(crate) fn announce(&self, count: usize) {
        fence(SeqCst);
        let words = self.object.words();
        let receivers = words.waiters(Role::Second);
        for _ in 0..count {
            if !self.session().wake_one(receivers) {
                break;
            }
        }
        let senders = words.waiters(Role::First);
        if self.session().has_sleepers(senders) && self.has_room() && !bug(Bug::NobodyLooksBehind) {
            self.session().pass_on(senders);
        }
    }

    /// After `count` messages were taken.
    #[inline]
    pub(crate) fn make_known_taken(&self, count: usize) {
        let words = self.object.words();
        if self.capacity.is_some() {
            fence(SeqCst);
            let senders = words.waiters(Role::First);
            for _ in 0..count {
                if !self.session().wake_one(senders) {
                    break;
                }
            }
        }
        let receivers = words.waiters(Role::Second);
        if self.session().has_sleepers(receivers) && self.has_any() && !bug(Bug::NobodyLooksBehind) {
            self.session().pass_on(receivers);
        }
    }

    #[cold]
    fn wake_senders(&self) {
        fence(SeqCst);
        self.session().wake_all(self.object.words().waiters(Role::First));
    }

    /// Puts if nothing is in the way, without telling anybody.
    #[inline]
    pub(crate) fn put_now(&self, parcel: &Parcel) -> Result<bool> {
        Ok(matches!(self.place(parcel)?, Placed::Yes))
    }

    /// Puts without waiting for room, nor telling anybody. `false`: no room.
    #[inline]
    pub(crate) fn try_put(&self, parcel: &Parcel) -> Result<bool> {
        match self.place(parcel)? {
            Placed::Yes => Ok(true),
            Placed::Full | Placed::Growing(_) => self.try_put_again(parcel),
        }
    }

    /// Whoever is in the way may have died.
    #[cold]
    fn try_put_again(&self, parcel: &Parcel) -> Result<bool> {
        loop {
            let swept = self.session().notice_deaths()?;
            match self.place(parcel)? {
                Placed::Yes => return Ok(true),
                Placed::Full if !swept => return Ok(false),
                // Few steps, and not ours to report as full; if that thread was stopped just there it is.
                Placed::Growing(_) if !swept => return self.wait_put(parcel, Deadline::In(GROWING)),
                Placed::Full | Placed::Growing(_) => {}
            }
        }
    }

    /// Waits for room. `false`: the deadline came first.
    #[cold]
    pub(crate) fn wait_put(&self, parcel: &Parcel, deadline: Deadline) -> Result<bool> {
        let deadline = deadline.instant();
        let word = self.object.words().waiters(Role::First);
        let grower = Cell::new(ThreadId::NONE);
        let done = self.session().wait(word, deadline, &|| grower.get(), || {
            fence(SeqCst);
            Ok(match self.place(parcel)? {
                Placed::Yes => Some(()),
                Placed::Full => None,
                Placed::Growing(thread) => {
                    grower.set(thread);
                    None
                }
            })
        })?;
        Ok(done.is_some())
    }

    /// The queue is closed, and empty. *closed-behind-a-claim*: a receiver that looked while the last message was still being written
    /// sleeps, and closing is over; the message woke one of us, who passes on what it found.
    #[cold]
    fn ended(&self) -> Error {
        fence(SeqCst);
        if !bug(Bug::NobodyLooksBehind) {
            self.session().pass_on(self.object.words().waiters(Role::Second));
        }
        closed()
    }

    /// From now on this process owes what it takes through this handle.
    pub(crate) fn count_tasks(&mut self, tasks: &Tasks) {
        self.tasks = Some(tasks.clone());
    }

    /// Takes into `parcel`. `false`: nothing is there to be taken now.
    #[inline]
    pub(crate) fn take(&self, parcel: &mut Parcel) -> Result<bool> {
        match &self.tasks {
            None => self.take_first(parcel),
            Some(tasks) => self.take_owing(tasks, parcel),
        }
    }

    /// The debt comes before the message is gone from the queue; but who only waits owes nothing.
    fn take_owing(&self, tasks: &Tasks, parcel: &mut Parcel) -> Result<bool> {
        if !self.would_take() {
            return Ok(false);
        }
        tasks.owe();
        let taken = self.take_first(parcel);
        if !matches!(taken, Ok(true)) {
            tasks.owe_no_more();
        }
        taken
    }

    /// Reads what was taken. What cannot be read is no task.
    #[inline]
    pub(crate) fn unpack<T: mp_wire::Message>(&self, parcel: &Parcel) -> Result<T> {
        let value = parcel.unpack();
        if let (Err(_), Some(tasks)) = (&value, &self.tasks) {
            tasks.owe_no_more();
        }
        value
    }

    /// Where the queue ends, if nothing is in it nor on its way into it.
    pub(crate) fn end_if_drained(&self) -> Option<(usize, u64)> {
        let (mut at, mut ring) = self.rings.head().ok()?;
        loop {
            match ring.first() {
                Found::Parcel | Found::Busy => return None,
                Found::Empty => return Some((at, ring.end())),
                Found::Moved { .. } => match self.rings.after(at).ok()? {
                    Some(next) => (at, ring) = next,
                    None => return Some((at, ring.end())),
                },
            }
        }
    }

    #[inline]
    fn take_first(&self, parcel: &mut Parcel) -> Result<bool> {
        let senders = self.object.holders(Role::First);
        let (mut at, mut ring) = self.rings.head()?;
        let mut all_done = true;
        loop {
            match ring.take(parcel)? {
                Found::Parcel => return Ok(true),
                Found::Empty if senders == 0 => return Err(self.disconnected(Role::First)),
                Found::Empty | Found::Busy => return Ok(false),
                Found::Moved { done } => {
                    all_done &= done;
                    (at, ring) = self.rings.after(at)?.ok_or_else(|| self.ended())?;
                    if all_done {
                        self.rings.head_is_at(at);
                    }
                }
            }
        }
    }

    /// Whether a take would not wait, now: what it would do, without doing it.
    pub(crate) fn would_take(&self) -> bool {
        let senders = self.object.holders(Role::First);
        let Ok((mut at, mut ring)) = self.rings.head() else { return true };
        loop {
            match ring.first() {
                Found::Parcel => return true,
                Found::Empty => return senders == 0,
                Found::Busy => return false,
                Found::Moved { .. } => match self.rings.after(at) {
                    Ok(Some(next)) => (at, ring) = next,
                    Ok(None) | Err(_) => return true,
                },
            }
        }
    }

    /// Takes without waiting, nor telling anybody.
    #[inline]
    pub(crate) fn try_take(&self, parcel: &mut Parcel) -> Result<bool> {
        Ok(self.take(parcel)? || self.try_take_again(parcel)?)
    }

    /// Somebody may have died, in the middle of a put, or as the last sender.
    #[cold]
    fn try_take_again(&self, parcel: &mut Parcel) -> Result<bool> {
        while self.session().notice_deaths()? {
            if self.take(parcel)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes at once or waits. `false`: the deadline came first.
    #[inline]
    pub(crate) fn wait_take(&self, parcel: &mut Parcel, deadline: Deadline) -> Result<bool> {
        Ok(self.take(parcel)? || self.sleep_take(parcel, deadline)?)
    }

    #[cold]
    fn sleep_take(&self, parcel: &mut Parcel, deadline: Deadline) -> Result<bool> {
        let word = self.object.words().waiters(Role::Second);
        let until = deadline.instant();
        let took = self.session().wait(word, until, &|| ThreadId::NONE, || {
            fence(SeqCst);
            Ok(self.take(parcel)?.then_some(()))
        })?;
        Ok(took.is_some())
    }

    /// Calls `f` for each ring that may hold messages, until it says stop.
    fn each_ring(&self, mut f: impl FnMut(&Ring) -> bool) -> Result<()> {
        let (mut at, mut ring) = self.rings.head()?;
        while f(ring) && matches!(ring.spot(), Spot::Moved) {
            match self.rings.after(at)? {
                Some(next) => (at, ring) = next,
                None => break,
            }
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        let mut len = 0;
        // A broken chain has no more messages; who puts or gets is told so.
        let _ = self.each_ring(|ring| {
            len += ring.len();
            true
        });
        len
    }

    pub(crate) fn has_any(&self) -> bool {
        let mut any = false;
        let _ = self.each_ring(|ring| {
            any = ring.has_any();
            !any
        });
        any
    }

    fn has_room(&self) -> bool {
        !self.is_full()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.capacity.is_some() && self.rings.tail().is_ok_and(|(_, ring)| matches!(ring.spot(), Spot::Full))
    }

    pub(crate) fn is_closed(&self) -> bool {
        loop {
            let Ok((at, ring)) = self.rings.tail() else { return false };
            if !matches!(ring.spot(), Spot::Moved) {
                return false;
            }
            match self.rings.after(at) {
                Ok(Some((next, _))) => self.rings.tail_is_at(next),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    pub(crate) fn close(&self) -> Result<()> {
        let words = self.object.words();
        let grower = Cell::new(ThreadId::NONE);
        let done = self.session().wait(words.waiters(Role::First), None, &|| grower.get(), || {
            fence(SeqCst);
            Ok(match self.rings.close(self.session())? {
                Decision::Made => Some(()),
                Decision::Waits(thread) => {
                    grower.set(thread);
                    None
                }
            })
        });
        self.wake_senders();
        self.session().wake_all(words.waiters(Role::Second));
        done.map(|_| ())
    }
}

/// How long a put that is not to wait lets another thread finish growing the queue.
const GROWING: Duration = Duration::from_millis(1);

fn closed() -> Error {
    Error::Closed { what: "queue".into() }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slot, generation) = self.object.id();
        write!(f, "queue {slot}.{generation}, {} messages", self.len())?;
        match self.capacity {
            Some(n) => write!(f, " of {n}"),
            None => Ok(()),
        }
    }
}
