//! The session of a process: its region, its place in it, and what it keeps for itself.

use std::collections::HashMap;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use mp_sys::{ForkGuard, LivenessFile, MemoryObject, ProcessWatch};
use mp_wire::{Error, Result};
use parking_lot::Mutex;

use crate::children::Children;
use crate::ground::Ground;
use crate::heap::Magazines;
use crate::ids::{MemberId, ThreadId};
use crate::layout::Layout;
use crate::ledger::Book;
use crate::member::{self, LIVE};
use crate::region::Region;
use crate::table::EntryMagazine;
use crate::thread::{self, Me};

/// A process's part in a session. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Session(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) ground: Ground,
    pub(crate) member: MemberId,
    /// Tells sessions of one process apart (tests have several).
    pub(crate) instance: u64,
    pub(crate) id: u128,
    pub(crate) magazines: Magazines,
    pub(crate) entries: EntryMagazine,
    pub(crate) book: Book,
    pub(crate) children: Children,
    pub(crate) sweeping: Mutex<()>,
    pub(crate) liveness: Option<LivenessFile>,
    memory: Option<MemoryObject>,
    fork_guard: Option<ForkGuard>,
    watches: Mutex<HashMap<u32, (u32, Arc<ProcessWatch>)>>,
}

static INSTANCES: AtomicU64 = AtomicU64::new(1);
static CURRENT: OnceLock<Session> = OnceLock::new();

/// The environment variable that carries a child's way into the session.
pub const SESSION_VAR: &str = "MP_SESSION";
/// Overrides the size of a new session's memory, in MiB.
pub const SIZE_VAR: &str = "MP_SESSION_MIB";
/// Overrides how much memory the session may come to occupy, in MiB.
pub const BUDGET_VAR: &str = "MP_SESSION_BUDGET_MIB";

/// What a child needs to enter: descriptors and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    memory: u64,
    liveness: u64,
    /// The place that was reserved for it.
    pub member: MemberId,
}

impl Ticket {
    /// The text for [`SESSION_VAR`].
    pub fn to_text(self) -> String {
        format!("{:x},{:x},{:x}", self.memory, self.liveness, self.member.to_bits())
    }

    /// Reads what [`Ticket::to_text`] wrote.
    ///
    /// # Errors
    /// [`Error::Forged`] for anything else.
    pub fn parse(text: &str) -> Result<Ticket> {
        let mut parts = text.split(',').map(|p| u64::from_str_radix(p, 16));
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Ok(memory)), Some(Ok(liveness)), Some(Ok(member)), None) => {
                Ok(Ticket { memory, liveness, member: MemberId::from_bits(member) })
            }
            _ => Err(Error::Forged { what: format!("the environment variable {SESSION_VAR} ({text:?})") }),
        }
    }

    /// The descriptors that the child must inherit under the same numbers.
    pub fn descriptors(self) -> [u64; 2] {
        [self.memory, self.liveness]
    }
}

impl Session {
    /// The session of this process, founded now if there is none.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when there is no room even for the smallest session, [`Error::Os`] otherwise.
    pub fn current() -> Result<Session> {
        if let Some(session) = CURRENT.get() {
            return Ok(session.clone());
        }
        static FOUNDING: Mutex<()> = Mutex::new(());
        let _one = FOUNDING.lock();
        if let Some(session) = CURRENT.get() {
            return Ok(session.clone());
        }
        let session = Session::found()?;
        Ok(CURRENT.get_or_init(|| session).clone())
    }

    /// The session of this process, if it has one already.
    pub fn existing() -> Option<Session> {
        CURRENT.get().cloned()
    }

    /// Makes a session of its own, with this process as its first member.
    fn found() -> Result<Session> {
        let id = mp_sys::random_u128().map_err(|e| Error::os("random session id", e))?;
        let (memory, region) = make_region()?;
        let budget = from_env(BUDGET_VAR).map_or_else(|| mp_sys::memory_available().unwrap_or(u64::MAX), |m| m << 20);
        let ground = Ground::found(region, id, mp_sys::image_id(), budget)?;
        let place = member::claim(&ground, member::RESERVED, None, "MainProcess")?;
        Inner::take_place(&ground, place)?;
        let liveness = LivenessFile::create().map_err(|e| Error::os("create the liveness file", e))?;
        Session::assemble(ground, place, id, Some(memory), Some(liveness))
    }

    /// Enters the session that [`SESSION_VAR`] names, if it is set, and makes it this process's session. The variable is
    /// this process's business alone: it is not meant for children that are started by other means.
    ///
    /// # Errors
    /// [`Error::Forged`] or [`Error::Layout`] when what was handed over is no session, [`Error::Stale`] when the parent
    /// is gone.
    pub fn attach() -> Result<Option<Session>> {
        match std::env::var(SESSION_VAR) {
            Ok(text) => Session::enter(Ticket::parse(&text)?).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// Enters the session that the ticket names.
    ///
    /// # Errors
    /// As [`Session::attach`].
    pub fn enter(ticket: Ticket) -> Result<Session> {
        Prepared::open(ticket)?.enter(ticket.member)
    }

    fn assemble(
        ground: Ground,
        member: MemberId,
        id: u128,
        memory: Option<MemoryObject>,
        liveness: Option<LivenessFile>,
    ) -> Result<Session> {
        if let Some(liveness) = &liveness {
            liveness.hold(member.index).map_err(|e| Error::os("lock the liveness file", e))?;
        }
        let fork_guard = match &memory {
            Some(_) => Some(mp_sys::on_fork_wipe_page().map_err(|e| Error::os("page that a fork wipes", e))?),
            None => None,
        };
        let book = Book::new(&ground, member.index);
        let session = Session(Arc::new(Inner {
            ground,
            member,
            instance: INSTANCES.fetch_add(1, Relaxed),
            id,
            magazines: Magazines::new(member.index),
            entries: EntryMagazine::default(),
            book,
            children: Children::default(),
            sweeping: Mutex::new(()),
            liveness,
            memory,
            fork_guard,
            watches: Mutex::new(HashMap::new()),
        }));
        // The first thread gives the process its beacon: do it before anybody can wait for us.
        session.me()?;
        Ok(session)
    }

    /// A session in this process's own memory, for tests: no other process can enter it, but this one can play several
    /// members ([`Session::play_another`]) and let them die ([`Session::abandon`]).
    ///
    /// # Errors
    /// [`Error::LimitReached`] when there is no memory.
    #[doc(hidden)]
    pub fn on_heap(bytes: u64) -> Result<HeapSession> {
        let ground = Ground::found(Region::heap(bytes.max(Layout::MIN_SIZE))?, 1, [0; 16], u64::MAX)?;
        Ok(HeapSession { region: Arc::new(ground) })
    }

    /// The calling thread's place.
    #[inline]
    pub(crate) fn me(&self) -> Result<Me<'_>> {
        thread::me(&self.0)
    }

    /// The calling thread, for use as an owner in a lock word.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when more threads than the session can hold take part; [`Error::ForeignFork`] in a child
    /// made by somebody else's `fork`.
    #[inline]
    pub fn thread_id(&self) -> Result<ThreadId> {
        Ok(self.me()?.id())
    }

    /// The calling thread, which is going to own something (a lock with data) that must not count as left behind when
    /// the thread alone ends: references to the data may live on in other threads of the process. Each call is to be
    /// matched by [`Session::end_owning`] on the same thread; a thread that ends owning something keeps its name until
    /// its process ends.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    #[inline]
    pub fn begin_owning(&self) -> Result<ThreadId> {
        let id = self.me()?.id();
        thread::own(1);
        Ok(id)
    }

    /// The end of what [`Session::begin_owning`] began.
    #[inline]
    pub fn end_owning(&self) {
        thread::own(-1);
    }

    /// Whether this process is the member that it was; false in a child made by somebody else's `fork`, whose drops
    /// must not touch what is its parent's.
    #[inline]
    pub fn is_member(&self) -> bool {
        self.0.is_ours()
    }

    /// Whether the thread is gone for good (its process died, or it ended).
    pub fn is_gone(&self, thread: ThreadId) -> bool {
        thread::is_gone(&self.0.ground, thread)
    }

    /// Makes sure that what a thread left behind is cleared up, if its process is certainly dead. `false` means that it
    /// is not certain yet, or that another process is at it.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    pub fn clear_up_after(&self, thread: ThreadId) -> Result<bool> {
        let me = self.me()?;
        let Some(index) = thread.index().filter(|i| *i < self.0.ground.layout.thread_count) else {
            return Ok(true);
        };
        let state = crate::slots::SlotState::load(&self.0.ground.thread(index).state);
        match thread::member_of(&self.0.ground, index) {
            // Still the same occupant, and gone: its process is to be swept.
            Some(m) if state.generation == thread.generation() && thread::is_gone(&self.0.ground, thread) => {
                Ok(self.0.sweep_if_dead(&me, m))
            }
            // It left its slot in order, or was swept.
            _ => Ok(true),
        }
    }

    /// The thread at work on a cell that is claimed or taken, to be named as the owner in [`Session::wait`].
    pub fn claimer(&self, state: crate::cell::CellState) -> ThreadId {
        crate::cell::claimer(&self.0.ground, state).unwrap_or(ThreadId::NONE)
    }

    /// Looks for processes that died unnoticed and clears up after them.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    pub fn notice_deaths(&self) -> Result<bool> {
        let me = self.me()?;
        Ok(self.0.notice_deaths(&me))
    }

    /// The process that a thread belongs to, for messages: `None` when its place has been given to somebody else.
    pub fn ident_of(&self, thread: ThreadId) -> Option<mp_wire::Ident> {
        let index = thread.index().filter(|i| *i < self.0.ground.layout.thread_count)?;
        let slot = self.0.ground.thread(index);
        let state = crate::slots::SlotState::load(&slot.state);
        if state.generation != thread.generation() {
            return None;
        }
        Some(self.0.ground.member(thread::member_of(&self.0.ground, index)?).ident())
    }

    /// Waits at a wait word until `ready` returns something. `None`: the deadline came first.
    ///
    /// `ready` is called first, after each wake-up and after each death in the session; `owner` names whom it waits for
    /// in particular, if anybody.
    ///
    /// # Errors
    /// What `ready` returns, and as [`Session::thread_id`].
    pub fn wait<R>(
        &self,
        word: &AtomicU64,
        deadline: Option<Instant>,
        owner: &dyn Fn() -> ThreadId,
        ready: impl FnMut() -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        self.me()?.wait(word, deadline, owner, ready)
    }

    /// Wakes who waits longest at the word; costs one load when nobody does.
    ///
    /// What the waiter waits for must have been done by a sequentially consistent read-modify-write, or be followed by
    /// `fence(SeqCst)`: a plain store could become visible after the look at the word, and a waiter that comes in
    /// between would sleep on.
    #[inline]
    pub fn wake_one(&self, word: &AtomicU64) -> bool {
        crate::wait::has_waiters(word) && self.0.wake_one(word)
    }

    /// Wakes all who wait at the word; the same holds as for [`Session::wake_one`].
    #[inline]
    pub fn wake_all(&self, word: &AtomicU64) {
        if crate::wait::has_waiters(word) {
            self.0.wake_all(word);
        }
    }

    /// This process's place in the session.
    pub fn member(&self) -> MemberId {
        self.0.member
    }

    /// The random name of the session.
    pub fn id(&self) -> u128 {
        self.0.id
    }

    /// The identity of the program that founded it.
    pub fn image_id(&self) -> [u8; 16] {
        self.0.ground.header().image_id()
    }

    /// The way to the session's memory, for a process that maps it and does not enter ([`Prepared`]): a fork server.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a session on the heap.
    pub fn descriptors(&self) -> Result<Ticket> {
        self.ticket(self.0.member)
    }

    pub(crate) fn ticket(&self, member: MemberId) -> Result<Ticket> {
        match (&self.0.memory, &self.0.liveness) {
            (Some(memory), Some(liveness)) => {
                Ok(Ticket { memory: memory.as_inherited(), liveness: liveness.as_inherited(), member })
            }
            _ => Err(Error::Unsupported { what: "children of a session on the heap".into() }),
        }
    }

    /// Leaves the kind of trace that a killed process leaves: for tests on the heap.
    #[doc(hidden)]
    pub fn abandon(self) {
        self.0.ground.member(self.0.member.index).end.fetch_or(member::end::ABANDONED, AcqRel);
        for t in 0..self.0.ground.threads_used() {
            if thread::member_of(&self.0.ground, t) == Some(self.0.member.index) {
                self.0.ground.thread(t).beacon.word.store(mp_sys::Beacon::DEAD, Release);
            }
        }
        thread::abandon(&self.0);
    }
}

/// A session's memory, mapped but not yet entered: what a fork server holds, so that its children need not map it.
#[derive(Debug)]
pub struct Prepared {
    ground: Ground,
    memory: MemoryObject,
    liveness: LivenessFile,
}

impl Prepared {
    /// Maps the session whose descriptors the ticket names.
    ///
    /// # Errors
    /// As [`Session::attach`].
    pub fn open(ticket: Ticket) -> Result<Prepared> {
        // SAFETY: the ticket came from our parent, which arranged for these descriptors to be inherited for us alone;
        // they are checked before use: a wrong number fails to map, or is not a session.
        let memory = unsafe { MemoryObject::from_inherited(ticket.memory) }
            .map_err(|e| Error::os("take over the session's memory", e))?;
        let size = memory.size().map_err(|e| Error::os("size of the session's memory", e))?;
        let mapping = memory.map(size as usize).map_err(|e| Error::os("map the session", e))?;
        let ground = Ground::enter(Region::mapped(mapping)?)?;
        // SAFETY: as above.
        let liveness = unsafe { LivenessFile::from_inherited(ticket.liveness) }
            .map_err(|e| Error::os("take over the liveness file", e))?;
        Ok(Prepared { ground, memory, liveness })
    }

    /// Takes the reserved place and makes this the process's session.
    ///
    /// # Errors
    /// As [`Session::attach`].
    pub fn enter(self, member: MemberId) -> Result<Session> {
        Inner::take_place(&self.ground, member)?;
        let id = self.ground.header().session_id();
        let session = Session::assemble(self.ground, member, id, Some(self.memory), Some(self.liveness))?;
        CURRENT.set(session.clone()).map_err(|_| Error::Other("this process has a session already".into()))?;
        Ok(session)
    }

    /// The descriptors, to be kept open.
    pub fn descriptors(&self) -> [u64; 2] {
        [self.memory.as_inherited(), self.liveness.as_inherited()]
    }
}

impl Inner {
    /// False in a child that somebody else's `fork` made.
    #[inline]
    pub(crate) fn is_ours(&self) -> bool {
        self.fork_guard.as_ref().is_none_or(ForkGuard::is_original)
    }

    pub(crate) fn process_watch(&self, member: u32) -> Option<Arc<ProcessWatch>> {
        let slot = self.ground.member(member);
        let generation = crate::slots::SlotState::load(&slot.state).generation;
        let mut watches = self.watches.lock();
        if let Some((g, watch)) = watches.get(&member)
            && *g == generation
        {
            return Some(watch.clone());
        }
        let watch = Arc::new(ProcessWatch::open(slot.pid.load(Acquire), slot.start_time.load(Relaxed)).ok()?);
        watches.insert(member, (generation, watch.clone()));
        Some(watch)
    }
}

/// Founder of members that live in one process: see [`Session::on_heap`].
#[doc(hidden)]
#[derive(Debug)]
pub struct HeapSession {
    region: Arc<Ground>,
}

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The largest region that the limits allow: 64 GiB of addresses, of which nothing is touched yet, down to 1 GiB.
fn make_region() -> Result<(MemoryObject, Region)> {
    let wanted = from_env(SIZE_VAR).map(|mib| (mib << 20).max(Layout::MIN_SIZE));
    let largest = if mp_sys::SPARSE_IS_FREE { 64 } else { 4 };
    let ladder = (0..7).map(|step| (largest << 30) >> step).filter(|size| *size >= 1 << 30);
    let mut last = None;
    for size in wanted.into_iter().chain(ladder.filter(|_| wanted.is_none())) {
        let room = mp_sys::address_space_limit().is_none_or(|l| size < l) && mp_sys::file_size_limit().is_none_or(|l| size <= l);
        if !room {
            last = Some(Error::LimitReached {
                limit: "address space or file size of this process (RLIMIT_AS, RLIMIT_FSIZE)".into(),
                detail: format!("a session of {} MiB does not fit; {SIZE_VAR} asks for a smaller one", size >> 20),
            });
            continue;
        }
        let made = MemoryObject::create(size).and_then(|m| Ok((m.map(size as usize)?, m)));
        match made {
            Ok((mapping, memory)) => return Ok((memory, Region::mapped(mapping)?)),
            Err(e) if e.kind() == std::io::ErrorKind::OutOfMemory => {
                last = Some(Error::LimitReached {
                    limit: "address space of this process (RLIMIT_AS), or memory".into(),
                    detail: format!("a session of {} MiB does not fit; {SIZE_VAR} asks for a smaller one: {e}", size >> 20),
                });
            }
            Err(e) => last = Some(Error::os(format!("session memory of {} MiB", size >> 20), e)),
        }
    }
    Err(last.unwrap_or_else(|| Error::Other("no size for the session".into())))
}

/// Prepares a command so that the process it starts can [`Session::attach`]. Keep the returned place until the process
/// runs, then hand it the process with [`Place::started`](crate::Place::started).
///
/// # Errors
/// [`Error::LimitReached`] when the session has no place left.
pub fn inherit(command: &mut Command, name: &str) -> Result<crate::Place> {
    let session = Session::current()?;
    let place = session.reserve(name)?;
    let ticket = place.ticket()?;
    command.env(SESSION_VAR, ticket.to_text());
    mp_sys::inherit_descriptors(command, &ticket.descriptors());
    Ok(place)
}

impl HeapSession {
    /// Another member of the same session, played by this process.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when it has no place left.
    pub fn member(&self, name: &str) -> Result<Session> {
        let layout = self.region.layout;
        let ground = Ground { region: self.region.region.alias(), layout };
        let place = member::claim(&ground, LIVE, None, name)?;
        Session::assemble(ground, place, 1, None, None)
    }
}
