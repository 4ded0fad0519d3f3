//! The session of a process: its region, its place in it, and what it keeps for itself.

use crate::primitive::{AtomicU64, Ordering::*};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use mp_sys::{ForkGuard, LivenessFile, MemoryObject, ProcessWatch};
use mp_wire::{Error, Result};
use parking_lot::Mutex;

use crate::children::Children;
use crate::current;
use crate::entries::EntryMagazine;
use crate::founding::{HeapSession, Prepared, from_env, make_region};
use crate::ground::Ground;
use crate::heap::Magazines;
use crate::ids::{MemberId, ThreadId};
use crate::layout::Layout;
use crate::ledger::Book;
use crate::member;
use crate::reactor::Reactor;
use crate::region::Region;
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
    /// Observers of this process that nobody uses at the moment.
    pub(crate) observers: Mutex<Vec<u32>>,
    pub(crate) reactor: Reactor,
    pub(crate) sweeping: Mutex<()>,
    pub(crate) liveness: Option<LivenessFile>,
    memory: Option<MemoryObject>,
    fork_guard: Option<ForkGuard>,
    /// By place. (No hash map: its keys would be drawn in each child anew.)
    watches: Mutex<BTreeMap<u32, KnownProcess>>,
}

/// Pid and start time of a process, and the watch on it.
type KnownProcess = ((u32, u64), Arc<ProcessWatch>);

static INSTANCES: AtomicU64 = AtomicU64::new(1);
/// Held by whoever is about to give this process its session.
pub(crate) static FOUNDING: Mutex<()> = Mutex::new(());

/// The environment variable that carries a child's way into the session.
pub const SESSION_VAR: &str = "MP_SESSION";
/// Overrides the size of a new session's memory, in MiB.
pub const SIZE_VAR: &str = "MP_SESSION_MIB";
/// Overrides how much memory the session may come to occupy, in MiB.
pub const BUDGET_VAR: &str = "MP_SESSION_BUDGET_MIB";
/// Turns the deadlock finder on when it is 1 ([`Session::find_deadlocks`]).
pub const DEADLOCK_VAR: &str = "MP_DEADLOCK";

/// What a child needs to enter: descriptors and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub(crate) memory: u64,
    pub(crate) liveness: u64,
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
    ///
    /// # Platform
    /// Windows has no liveness file, and so there is one handle only.
    pub fn descriptors(self) -> Vec<u64> {
        // 0 stands for one that the platform has no use for.
        [self.memory, self.liveness].into_iter().filter(|number| *number != 0).collect()
    }
}

impl Session {
    /// The session of this process, founded now if there is none.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when there is no room even for the smallest session, [`Error::Os`] otherwise.
    pub fn current() -> Result<Session> {
        if let Some(session) = current::get() {
            return Ok(session.clone());
        }
        let _one = FOUNDING.lock();
        if let Some(session) = current::get() {
            return Ok(session.clone());
        }
        current::set(Session::found()?)
    }

    /// The session of this process, if it has one already.
    pub fn existing() -> Option<Session> {
        current::get().cloned()
    }

    /// Makes a session of its own, with this process as its first member.
    fn found() -> Result<Session> {
        let id = mp_sys::random_u128().map_err(|e| Error::os("random session id", e))?;
        let (memory, region) = make_region()?;
        let budget =
            from_env(BUDGET_VAR).map_or_else(|| mp_sys::memory_available().unwrap_or(u64::MAX), |m| m << 20);
        let ground = Ground::found(region, id, mp_sys::image_id(), budget)?;
        let place = member::claim(&ground, member::RESERVED, None, "MainProcess", |_| true)?;
        Inner::take_place(&ground, place, None)?;
        if std::env::var_os(DEADLOCK_VAR).is_some_and(|on| on == "1") {
            ground.header().find_deadlocks.store(1, Relaxed);
        }
        let liveness = LivenessFile::create().map_err(|e| Error::os("create the liveness file", e))?;
        Session::assemble(ground, place, id, Some(memory), Some(liveness), Some(fork_guard()?))
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
        Prepared::open(ticket)?.enter(ticket.member, None)
    }

    pub(crate) fn assemble(
        ground: Ground,
        member: MemberId,
        id: u128,
        memory: Option<MemoryObject>,
        liveness: Option<LivenessFile>,
        fork_guard: Option<ForkGuard>,
    ) -> Result<Session> {
        if let Some(liveness) = &liveness {
            liveness.hold(member.index).map_err(|e| Error::os("lock the liveness file", e))?;
        }
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
            observers: Mutex::new(Vec::new()),
            reactor: Reactor::default(),
            sweeping: Mutex::new(()),
            liveness,
            memory,
            fork_guard,
            watches: Mutex::new(BTreeMap::new()),
        }));
        // The first thread gives the process its beacon: do it before anybody can wait for us.
        session.me()?;
        // Who has started us may not know our pid yet, or not be one of mp's.
        if session.0.ground.member(member.index).end.load(SeqCst) & member::end::STARTED == 0 {
            session.0.announce(member.index);
        }
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

    /// Whether the process is gone and cleared up after.
    pub fn is_swept(&self, member: MemberId) -> bool {
        use crate::slots::SlotState;
        self.0.slot_of(member).is_none_or(|slot| {
            let state = SlotState::load(&slot.state);
            state.generation != member.generation || !matches!(state.status, member::LIVE | member::SWEEPING)
        })
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

    /// How many places for threads were ever in use: every [`ThreadId`] has a number below that.
    pub fn threads_used(&self) -> u32 {
        self.0.ground.threads_used()
    }

    /// A number that changes with each death that somebody cleared up after.
    pub fn news(&self) -> u64 {
        self.0.ground.header().news.load(SeqCst)
    }

    /// How many places for processes there are.
    pub fn member_limit(&self) -> u32 {
        self.0.ground.layout.member_count
    }

    /// How many places for processes were ever in use: every [`MemberId`] has an index below that.
    pub fn members_used(&self) -> u32 {
        self.0.ground.members_used()
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

    /// What a door passes to a stranger.
    pub(crate) fn passed(&self) -> Vec<mp_sys::BorrowedOsHandle<'_>> {
        let memory = self.0.memory.iter().map(MemoryObject::as_handle);
        memory.chain(self.0.liveness.iter().filter_map(LivenessFile::as_handle)).collect()
    }

    pub(crate) fn size(&self) -> u64 {
        self.0.ground.layout.size
    }

    pub(crate) fn ticket(&self, member: MemberId) -> Result<Ticket> {
        match (&self.0.memory, &self.0.liveness) {
            (Some(memory), Some(liveness)) => {
                Ok(Ticket { memory: memory.as_inherited(), liveness: liveness.as_inherited(), member })
            }
            _ => Err(Error::Unsupported { what: "children of a session on the heap".into() }),
        }
    }

    /// Enters the wait word as a sleeper does, and does not sleep: for members that are played one after the other by one thread.
    #[doc(hidden)]
    pub fn start_waiting(&self, word: &AtomicU64) -> Result<()> {
        self.me()?.enter(word);
        Ok(())
    }

    /// The rest of [`Session::wait`], after [`Session::start_waiting`].
    #[doc(hidden)]
    pub fn go_on_waiting<R>(
        &self,
        word: &AtomicU64,
        deadline: Option<Instant>,
        ready: impl FnMut() -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        self.me()?.go_on_waiting(word, deadline, &|| ThreadId::NONE, ready)
    }

    /// Leaves the kind of trace that a killed process leaves: for tests on the heap.
    #[doc(hidden)]
    pub fn abandon(self) {
        // Nothing if it was abandoned and swept before: the place is another one's.
        if let Some(slot) = self.0.slot_of(self.0.member) {
            slot.end.fetch_or(member::end::ABANDONED, AcqRel);
            for t in 0..self.0.ground.threads_used() {
                if thread::member_of(&self.0.ground, t) == Some(self.0.member.index) {
                    self.0.ground.thread(t).beacon.word.store(mp_sys::Beacon::DEAD, Release);
                }
            }
        }
        thread::abandon(&self.0);
    }
}

pub(crate) fn fork_guard() -> Result<ForkGuard> {
    mp_sys::on_fork_wipe_page().map_err(|e| Error::os("page that a fork wipes", e))
}

impl Inner {
    /// False in a child that somebody else's `fork` made.
    #[inline]
    pub(crate) fn is_ours(&self) -> bool {
        !crate::primitive::is_dead() && self.fork_guard.as_ref().is_none_or(ForkGuard::is_original)
    }

    /// A watch on the process in that place. `NotFound`: there is none yet, or none any more.
    pub(crate) fn process_watch(&self, member: u32) -> std::io::Result<Arc<ProcessWatch>> {
        let slot = self.ground.member(member);
        let who = (slot.pid.load(Acquire), slot.start_time.load(Relaxed));
        let mut watches = self.watches.lock();
        if let Some((known, watch)) = watches.get(&member)
            && *known == who
        {
            return Ok(watch.clone());
        }
        let watch = Arc::new(ProcessWatch::open(who.0, who.1)?);
        watches.insert(member, (who, watch.clone()));
        Ok(watch)
    }
}
