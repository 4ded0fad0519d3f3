//! Putting, taking and waiting, for parcels of any type.
//!
//! # Sleeping and waking
//!
//! Receivers sleep at the wait word of their role, senders at that of theirs. A put that published a message must see
//! the receiver that went to sleep just now, or be seen by it: each side does its own (publishes a cell; enters the wait
//! word), then looks at the other's, with a *sequentially consistent* operation or fence in between. So of two such
//! the later one sees what was done before the earlier one. (Publishing and taking are such operations themselves; only who puts
//! several messages has a fence behind the last one. A fence costs more than all the rest of a put.) The receiver's is in its `ready` closure, which runs again after it
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

use mp_session::primitive::{AtomicU64, Bug, Ordering::*, bug, fence};
use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mp_session::{Blueprint, Kind, Object, Role, Session, Shape, ThreadId};
use mp_wire::{Error, Result};

use crate::QueueOptions;
use crate::board::Board;
pub(crate) use crate::deadline::Deadline;
use crate::parcel::Parcel;
use crate::ring::{Found, Ring, Spot};
use crate::rings::{Decision, Rings, first_room};
use crate::tasks::Tasks;

/// Which word of the queue's object holds its capacity; 0: unbounded.
const CAPACITY: usize = 0;
/// How often somebody said that a lease came back since anybody looked; `HAS_BOARD` if there are leases at all.
const CALLS: usize = 1;
const HAS_BOARD: u64 = 1 << 63;
/// The thread that makes the board.
const BOARD_MAKER: usize = 2;
/// The most bytes; 0: no such bound.
const BYTES: usize = 3;

mod leasing;
mod looking;
mod words;

/// One role of a queue in this process.
#[derive(Clone)]
pub(crate) struct Channel {
    object: Object,
    rings: Arc<Rings>,
    capacity: Option<usize>,
    /// How many bytes a cell holds.
    inline: usize,
    /// The books of who owes what, if this is the receiving role of a [`JoinableQueue`](crate::JoinableQueue).
    tasks: Option<Tasks>,
    /// The most bytes that it may hold.
    bytes: Option<u64>,
    leases: Arc<Leases>,
}

/// This process's view of the leases.
#[derive(Default)]
struct Leases {
    board: OnceLock<Board>,
    /// The session's news when we last looked for what came back.
    news: AtomicU64,
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
        options: QueueOptions,
        stride: u64,
    ) -> Result<(Channel, Channel)> {
        let QueueOptions { capacity, bytes, .. } = options;
        let ring = Ring::make(session, capacity.map_or(first_room(stride), |n| n as u64), stride)?;
        let plan =
            Blueprint { kind: Kind::QUEUE, fingerprint, shape: Shape::Owner, size: Object::owner_header(1) };
        let (senders, receivers) = Object::create_pair(session, plan, |words, block| {
            words.word(CAPACITY).store(capacity.map_or(0, |n| n as u64), Relaxed);
            words.word(BYTES).store(bytes.unwrap_or(0), Relaxed);
            if let Some(block) = block {
                // SAFETY: the block has the header's size by the plan and is ours alone until `create` returns.
                unsafe { Object::write_owner_header(block, 1) };
            }
        })?;
        senders.adopt(ring.object())?;
        let inline = ring.inline();
        let rings = Arc::new(Rings::starting_with(ring));
        let leases = Arc::new(Leases::default());
        let half = |object| Channel {
            object,
            rings: rings.clone(),
            capacity,
            inline,
            tasks: None,
            bytes,
            leases: leases.clone(),
        };
        Ok((half(senders), half(receivers)))
    }

    /// The view of a handle that has just arrived here.
    pub(crate) fn open(object: Object, fingerprint: u64, role: Role) -> Result<Channel> {
        let object = object.expect(Kind::QUEUE, fingerprint)?;
        if object.role() != role {
            let name = |role| if role == Role::First { "Sender" } else { "Receiver" }.to_owned();
            return Err(Error::WrongKind { expected: name(role), found: name(object.role()) });
        }
        let first = Ring::open(object.child()?)?;
        let inline = first.inline();
        let rings = Arc::new(Rings::starting_with(first));
        let capacity = match object.words().word(CAPACITY).load(Relaxed) {
            0 => None,
            n => Some(n as usize),
        };
        let bytes = Some(object.words().word(BYTES).load(Relaxed)).filter(|bytes| *bytes != 0);
        Ok(Channel { object, rings, capacity, inline, tasks: None, bytes, leases: Arc::default() })
    }

    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    /// The same rings seen from the other role.
    pub(crate) fn with_rings_of(mut self, other: &Channel) -> Channel {
        if self.object == other.object {
            self.rings = other.rings.clone();
            self.leases = other.leases.clone();
        }
        self
    }

    #[inline]
    pub(crate) fn session(&self) -> &Session {
        self.object.session()
    }

    /// Turns a value into what can be put.
    #[inline]
    pub(crate) fn pack<T: mp_wire::Message>(&self, parcel: &mut Parcel, value: &T) -> Result<()> {
        parcel.pack(self.session(), self.inline, value)?;
        match self.bytes {
            Some(limit) if parcel.size() > limit => Err(Error::LimitReached {
                limit: "bytes in a queue".into(),
                detail: format!("the message has {}, the queue holds {limit}", parcel.size()),
            }),
            _ => Ok(()),
        }
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
    fn place(&self, parcel: &Parcel, told: bool) -> Result<Placed> {
        if self.object.holders(Role::Second) == 0 {
            return Err(self.disconnected(Role::Second));
        }
        loop {
            let (at, ring) = self.rings.tail()?;
            match ring.spot() {
                // Nobody has put anything since we found the end if the claim succeeds, so the bound is kept. What was taken
                // meanwhile makes it only safer.
                Spot::Free(position, _)
                    if let Some(limit) = self.bytes
                        && self.bytes_before(Some((at, position)))? + parcel.size() > limit =>
                {
                    return Ok(Placed::Full);
                }
                Spot::Free(position, seen) => {
                    if ring.fill(position, seen, parcel, told)? {
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

    /// After a message was put, and told.
    #[inline]
    pub(crate) fn announce(&self) {
        let words = self.object.words();
        if self.session().has_waiters(words.waiters(Role::Second))
            || self.session().has_sleepers(words.waiters(Role::First))
        {
            self.announce_many(1);
        }
    }

    /// After `count` messages were put.
    #[cold]
    pub(crate) fn announce_many(&self, count: usize) {
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
        if self.bytes.is_some() {
            // Who waits longest may need more room than there is, and another less.
            self.session().wake_all(words.waiters(Role::First));
        } else if self.capacity.is_some() {
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

    /// Puts if nothing is in the way, without waking anybody.
    #[inline]
    pub(crate) fn put_now(&self, parcel: &Parcel) -> Result<bool> {
        Ok(matches!(self.place(parcel, true)?, Placed::Yes))
    }

    /// The same as one of several, which [`Channel::announce_many`] tells of.
    #[inline]
    pub(crate) fn put_quietly(&self, parcel: &Parcel) -> Result<bool> {
        Ok(matches!(self.place(parcel, false)?, Placed::Yes))
    }

    /// Puts without waiting for room, nor telling anybody. `false`: no room.
    #[inline]
    pub(crate) fn try_put(&self, parcel: &Parcel) -> Result<bool> {
        match self.place(parcel, true)? {
            Placed::Yes => Ok(true),
            Placed::Full | Placed::Growing(_) => self.try_put_again(parcel),
        }
    }

    /// Whoever is in the way may have died.
    #[cold]
    fn try_put_again(&self, parcel: &Parcel) -> Result<bool> {
        loop {
            let swept = self.session().notice_deaths()?;
            match self.place(parcel, true)? {
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
            Ok(match self.place(parcel, true)? {
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

    #[inline]
    fn take_first(&self, parcel: &mut Parcel) -> Result<bool> {
        if self.object.words().word(CALLS).load(Acquire) != 0 && self.take_back(parcel)? {
            return Ok(true);
        }
        self.take_from_rings(|ring| ring.take(parcel))
    }

    #[inline]
    fn take_from_rings(&self, mut take: impl FnMut(&Ring) -> Result<Found>) -> Result<bool> {
        let senders = self.object.holders(Role::First);
        let (mut at, mut ring) = self.rings.head()?;
        let mut all_done = true;
        loop {
            match take(ring)? {
                Found::Parcel => return Ok(true),
                Found::Empty if senders == 0 && !self.is_lent() => {
                    return Err(self.disconnected(Role::First));
                }
                Found::Empty | Found::Busy => return Ok(false),
                Found::Moved { done } => {
                    all_done &= done;
                    match self.rings.after(at)? {
                        Some(next) => (at, ring) = next,
                        None if self.is_lent() => return Ok(false),
                        None => return Err(self.ended()),
                    }
                    if all_done {
                        self.rings.head_is_at(at);
                    }
                }
            }
        }
    }

    /// Takes a message that came back.
    #[cold]
    fn take_back(&self, parcel: &mut Parcel) -> Result<bool> {
        let Some(place) = self.claim_back() else { return Ok(false) };
        let board = self.made_board()?;
        let read = board.read(place, parcel);
        board.settle(place)?;
        read.map(|()| true)
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
