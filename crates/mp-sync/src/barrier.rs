//! `Barrier`: nobody goes on until all have come.
//!
//! # Protocol
//!
//! | where | holds |
//! |---|---|
//! | word 0 | the state: phase, how the last phases ended, status (`barrier/word.rs`) |
//! | word 1 | pid of who broke it last; for errors |
//! | bytes, first half | a place for each arrival of a phase: who, and in which phase |
//! | bytes, second half | a place for each registered party: who |
//!
//! | state | to | by |
//! |---|---|---|
//! | (p, filling) | (p, acting) | who took the last place of phase p |
//! | (p, acting) | (p + 1, filling) | the same thread, after the action; then it wakes all |
//! | (p, filling or acting) | (p, broken) | whoever gives up, aborts, panics, or sees that one who had arrived, or a registered party, is dead |
//! | (p, any) | (p + 1, filling), noted as a reset | `reset` |
//!
//! To arrive is one compare-and-swap that writes phase and name into the first free place, which is also the thread's index. Places are
//! taken in order, so who takes the last one knows that all have come. A place of an earlier phase is free; one of a later phase says
//! that this one is over (*late-arrival*): the thread looks at the state again. Whoever waits sees from the state word alone how its phase
//! ended.
//!
//! | who dies | when | what the others see |
//! |---|---|---|
//! | one that arrives | before its swap | nothing, unless it is a registered party |
//! | | after it, in `filling` or `acting` | its name among the arrivals: whoever looks breaks the barrier |
//! | who completes a phase | after the swap to p + 1, before it woke anybody | the next phase; sleepers are made to look |
//! | a registered party | anywhere | its name among the parties: whoever looks breaks the barrier |
//! | who breaks or resets it | after the swap | the state; sleepers are made to look |

use std::fmt;
use std::time::{Duration, Instant};

use mp_session::primitive::{AtomicU64, Ordering::*};
use mp_session::{Blueprint, Kind, Role, Session, Shape, ThreadId};
use mp_wire::{Error, Ident, Result};

use crate::anchor::{Anchor, handle};
use crate::raw::Patience;

mod party;
mod word;

pub use party::Party;
use word::{Arrival, State, Status, Verdict};

const PLAN: Blueprint = Blueprint { kind: Kind::BARRIER, fingerprint: 0, shape: Shape::Plain, size: 0 };
/// As many as there can be threads in a session.
const MOST: usize = 16_383;
const PLACE: usize = size_of::<AtomicU64>();

/// A point that a number of threads, of any processes, pass together: Python's `multiprocessing.Barrier`.
///
/// Each that [waits](Barrier::wait) is held until as many have come as there are parties, then all go on; and so again, phase by phase. When
/// that can no longer happen the barrier is *broken*: everybody who waits, and whoever comes, gets [`Error::Broken`], until somebody
/// calls [`reset`](Barrier::reset). A `Barrier` is a handle: clones, and copies that were sent to other processes, are the same.
///
/// # If a process dies
/// One that had arrived: the barrier is broken. One that had not is missed only if it had registered ([`Barrier::party`]): then the barrier
/// is broken at once, otherwise the others wait for as long as they have patience.
///
/// # Examples
///
/// ```
/// let barrier = mp_sync::Barrier::new(3)?;
/// let waits = || barrier.wait_with(|| println!("all here"));
/// let mut places = std::thread::scope(|s| {
///     [s.spawn(waits), s.spawn(waits), s.spawn(waits)].map(|t| t.join().unwrap())
/// })
/// .into_iter()
/// .collect::<mp_sync::Result<Vec<_>>>()?;
/// places.sort();
/// assert_eq!(places, [0, 1, 2]);
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[derive(Clone)]
pub struct Barrier {
    anchor: Anchor,
}

handle!(Barrier, PLAN);

impl Barrier {
    /// A barrier for so many, in this process's session.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for none, or for more than 16,383; [`Error::LimitReached`] when the session has no room, and what
    /// [`Session::current`] returns.
    pub fn new(parties: usize) -> Result<Barrier> {
        Barrier::new_in(&Session::current()?, parties)
    }

    /// A barrier for so many, in that session.
    ///
    /// # Errors
    /// As [`Barrier::new`].
    pub fn new_in(session: &Session, parties: usize) -> Result<Barrier> {
        if !(1..=MOST).contains(&parties) {
            let detail = format!("a barrier for {parties}: there must be 1 to {MOST}");
            return Err(Error::InvalidArgument { detail });
        }
        let plan = Blueprint { size: (2 * parties * PLACE) as u64, ..PLAN };
        let anchor = Anchor::create(session, plan, |_, bytes| {
            if let Some(bytes) = bytes {
                // SAFETY: the block has that many bytes, and is ours alone until `create` returns.
                unsafe { bytes.write_bytes(0, 2 * parties * PLACE) };
            }
        })?;
        Ok(Barrier { anchor })
    }

    /// Waits until all have come: Python's `wait()`. Returns which place of the phase was this thread's, from 0 to `parties() - 1`,
    /// each once.
    ///
    /// # Errors
    /// [`Error::Broken`] when the barrier is broken, or gets broken or reset meanwhile; [`Error::LimitReached`],
    /// [`Error::ForeignFork`] and [`Error::Cancelled`] as [`Session::wait`]. An error after this thread had come breaks the barrier.
    ///
    /// # Blocking
    /// Until all have come.
    pub fn wait(&self) -> Result<usize> {
        self.wait_until(None, || ())
    }

    /// The same, and one of those that have come runs `action` before they go on: Python's `Barrier(action=...)`. All may bring one; that
    /// of the last to come is run.
    ///
    /// # Errors
    /// As [`Barrier::wait`].
    ///
    /// # Panics
    /// When the action does. The barrier is broken then.
    pub fn wait_with(&self, action: impl FnOnce()) -> Result<usize> {
        self.wait_until(None, action)
    }

    /// [`Barrier::wait`], no longer than this: Python's `wait(timeout)`. When the time is up, the barrier is broken, for all.
    ///
    /// # Errors
    /// As [`Barrier::wait`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<usize> {
        self.wait_with_timeout(timeout, || ())
    }

    /// [`Barrier::wait_with`], no longer than this.
    ///
    /// # Errors
    /// As [`Barrier::wait`].
    ///
    /// # Panics
    /// As [`Barrier::wait_with`].
    pub fn wait_with_timeout(&self, timeout: Duration, action: impl FnOnce()) -> Result<usize> {
        match Patience::lasting(timeout) {
            Patience::None => self.wait_until(Some(Instant::now()), action),
            Patience::Until(deadline) => self.wait_until(Some(deadline), action),
            Patience::Endless => self.wait_until(None, action),
        }
    }

    /// Registers the calling thread as one of the parties, until the returned value is dropped: if it dies meanwhile, wherever
    /// it is, the barrier is broken.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when as many have registered as there are parties, and as [`Session::thread_id`].
    pub fn party(&self) -> Result<Party> {
        let me = self.anchor.session().thread_id()?;
        self.look_for_the_dead();
        for (at, place) in self.registered().iter().enumerate() {
            if place.compare_exchange(0, me.to_bits(), SeqCst, Relaxed).is_ok() {
                return Ok(Party::new(self.clone(), me, at));
            }
        }
        let detail = format!("all {} are registered", self.parties());
        Err(Error::LimitReached { limit: "parties of the Barrier".into(), detail })
    }

    /// Breaks the barrier: Python's `abort()`. Never blocks.
    ///
    /// # Errors
    /// [`Error::ForeignFork`] in a child made by somebody else's `fork`.
    pub fn abort(&self) -> Result<()> {
        let me = self.anchor.session().thread_id()?;
        self.break_now(Status::Aborted, me, || true);
        Ok(())
    }

    /// Makes it as new: Python's `reset()`. Those who wait get [`Error::Broken`]. Never blocks.
    ///
    /// # Errors
    /// As [`Barrier::abort`].
    pub fn reset(&self) -> Result<()> {
        let session = self.anchor.session();
        session.thread_id()?;
        for place in self.registered() {
            forget_if_gone(session, place);
        }
        loop {
            let seen = self.state();
            if seen.status == Status::Filling && self.arrived(seen.phase) == 0 {
                return Ok(());
            }
            let next = seen.next(true);
            // Phases that end by resets may leave places untouched for so long that their stamps come round again.
            for place in self.arrivals() {
                let old = Arrival(place.load(SeqCst));
                if old.is_old_in(next.phase) {
                    let _ = place.compare_exchange(old.0, 0, SeqCst, Relaxed);
                }
            }
            if self.swap(seen, next) {
                self.wake();
                return Ok(());
            }
        }
    }

    /// How many have to come: Python's `parties`.
    pub fn parties(&self) -> usize {
        self.arrivals().len()
    }

    /// How many have come and wait: Python's `n_waiting`.
    pub fn n_waiting(&self) -> usize {
        let state = self.state();
        if state.is_broken() { 0 } else { self.arrived(state.phase) }
    }

    /// Whether it is broken: Python's `broken`.
    pub fn broken(&self) -> bool {
        self.look_for_the_dead();
        self.state().is_broken()
    }

    fn wait_until(&self, deadline: Option<Instant>, action: impl FnOnce()) -> Result<usize> {
        let session = self.anchor.session();
        let me = session.thread_id()?;
        let Some((phase, at)) = self.arrive(me, deadline)? else {
            return Err(Error::TimedOut { what: "Barrier".into() });
        };
        if at + 1 == self.parties() {
            return self.complete(phase, at, me, action);
        }
        let waited = session.wait(self.anchor.waiters(Role::First), deadline, &|| ThreadId::NONE, || {
            let (state, verdict) = self.verdict(phase);
            match verdict {
                Verdict::Complete => Ok(Some(at)),
                Verdict::Reset => Err(self.error("it was reset", None)),
                Verdict::StillOn if state.is_broken() => Err(self.broken_error(state)),
                // It may have been complete before it was broken.
                Verdict::StillOn if self.look_for_the_dead() => self.outcome(phase, at).map(Some),
                Verdict::StillOn => Ok(None),
            }
        });
        let how = match waited {
            Ok(Some(at)) => return Ok(at),
            Ok(None) => Status::TimedOut,
            Err(error @ Error::Broken { .. }) => return Err(error),
            Err(error) => {
                // We had come, and go without the others.
                self.break_it(phase, Status::Aborted, me);
                return Err(error);
            }
        };
        self.break_it(phase, how, me);
        self.outcome(phase, at)
    }

    /// Takes a place. `None`: the deadline came before there was one.
    fn arrive(&self, me: ThreadId, deadline: Option<Instant>) -> Result<Option<(u32, usize)>> {
        let session = self.anchor.session();
        loop {
            self.look_for_the_dead();
            let state = self.state();
            if state.is_broken() {
                return Err(self.broken_error(state));
            }
            if let Some(at) = self.take_place(state.phase, me) {
                return Ok(Some((state.phase, at)));
            }
            // This phase is full, or over: there are more threads than parties. We belong to the next.
            let over =
                session.wait(self.anchor.waiters(Role::First), deadline, &|| ThreadId::NONE, || {
                    self.look_for_the_dead();
                    let now = self.state();
                    Ok((now.phase != state.phase || now.is_broken()).then_some(()))
                })?;
            if over.is_none() {
                return Ok(None);
            }
        }
    }

    /// The first free place of the phase.
    fn take_place(&self, phase: u32, me: ThreadId) -> Option<usize> {
        let mine = Arrival::new(phase, me);
        for (at, place) in self.arrivals().iter().enumerate() {
            let mut seen = Arrival(place.load(SeqCst));
            while seen.is_free_in(phase) {
                match place.compare_exchange(seen.0, mine.0, SeqCst, SeqCst) {
                    Ok(_) => return Some(at),
                    Err(now) => seen = Arrival(now),
                }
            }
            if !seen.is_in(phase) {
                return None; // *late-arrival*
            }
        }
        None
    }

    /// All have come, and we are the last.
    fn complete(&self, phase: u32, at: usize, me: ThreadId, action: impl FnOnce()) -> Result<usize> {
        self.look_for_the_dead();
        let filling = self.state();
        let acting = filling.with(Status::Acting);
        if filling.phase == phase && filling.status == Status::Filling && self.swap(filling, acting) {
            let panicked = BreakOnPanic { barrier: self, phase, me };
            action();
            std::mem::forget(panicked);
            if self.swap(acting, acting.next(false)) {
                self.wake();
            }
        }
        self.outcome(phase, at)
    }

    /// How the phase ended for who had come at that place. Not while it is still on.
    fn outcome(&self, phase: u32, at: usize) -> Result<usize> {
        match self.verdict(phase) {
            (_, Verdict::Complete) => Ok(at),
            (_, Verdict::Reset) => Err(self.error("it was reset", None)),
            (state, Verdict::StillOn) => Err(self.broken_error(state)),
        }
    }

    fn verdict(&self, phase: u32) -> (State, Verdict) {
        let state = self.state();
        (state, state.verdict(phase))
    }

    /// Breaks the barrier if that phase is still on.
    fn break_it(&self, phase: u32, how: Status, who: ThreadId) {
        loop {
            let seen = self.state();
            if seen.phase != phase || seen.is_broken() || self.break_from(seen, how, who) {
                return;
            }
        }
    }

    /// Breaks the barrier, whatever phase is on, as long as there is `reason` to.
    ///
    /// *phase-moves-on*: while one looks for the dead, the last of a phase completes it, though the dead one was among those that had come.
    /// It will not come again, so the next phase is to be broken, and not the one that was seen.
    fn break_now(&self, how: Status, who: ThreadId, reason: impl Fn() -> bool) {
        loop {
            let seen = self.state();
            if seen.is_broken() || !reason() || self.break_from(seen, how, who) {
                return;
            }
        }
    }

    fn break_from(&self, seen: State, how: Status, who: ThreadId) -> bool {
        let pid = self.anchor.session().ident_of(who).map_or(0, |who| u64::from(who.pid));
        self.anchor.word(1).store(pid, Relaxed);
        let broken = self.swap(seen, seen.with(how));
        if broken {
            self.wake();
        }
        broken
    }

    /// Breaks the barrier if one who had come, or had registered, is dead. `true` if it is broken for that.
    fn look_for_the_dead(&self) -> bool {
        let (session, state) = (self.anchor.session(), self.state());
        if let Some(place) = self.registered().iter().find(|place| is_gone(session, place)) {
            let victim = place.load(SeqCst);
            // Whoever breaks it for the same death, and forgets the victim, has given its reason away.
            let reason = || place.load(SeqCst) == victim;
            self.break_now(Status::Died, ThreadId::from_bits(victim), reason);
            // Broken is broken; it is not to break the barrier again after a reset.
            forget_if_gone(session, place);
            return self.state().is_broken();
        }
        let arrived = self.arrivals().iter().map(|place| Arrival(place.load(Acquire)));
        let mut victims = arrived.filter(|a| a.is_in(state.phase)).map(Arrival::thread);
        if let Some(victim) = victims.find(|thread| session.is_gone(*thread)).filter(|_| !state.is_broken()) {
            // If its phase was completed meanwhile, nothing is wanting.
            self.break_it(state.phase, Status::Died, victim);
            return self.state().is_broken();
        }
        false
    }

    fn broken_error(&self, state: State) -> Error {
        let pid = u32::try_from(self.anchor.word(1).load(Relaxed)).unwrap_or(0);
        let known = self.anchor.object().departed(Role::First).map(|(who, _)| who).filter(|w| w.pid == pid);
        let who = (pid != 0).then(|| known.unwrap_or_else(|| Ident::new(pid, "")));
        let why = match state.status {
            Status::Aborted => "it was aborted",
            Status::TimedOut => "a wait timed out",
            Status::Died => "a party died",
            Status::Panicked => "its action panicked",
            Status::Filling | Status::Acting => "it was reset",
        };
        self.error(why, who)
    }

    fn error(&self, why: &str, who: Option<Ident>) -> Error {
        Error::Broken { what: "Barrier".into(), why: why.into(), who }
    }

    fn state(&self) -> State {
        State::unpack(self.anchor.word(0).load(SeqCst))
    }

    fn swap(&self, from: State, to: State) -> bool {
        self.anchor.word(0).compare_exchange(from.pack(), to.pack(), SeqCst, SeqCst).is_ok()
    }

    fn wake(&self) {
        self.anchor.session().wake_all(self.anchor.waiters(Role::First));
    }

    fn arrived(&self, phase: u32) -> usize {
        self.arrivals().iter().filter(|place| Arrival(place.load(Acquire)).is_in(phase)).count()
    }

    fn places(&self) -> &[AtomicU64] {
        match self.anchor.object().bytes() {
            // SAFETY: the block is that large, aligned to 64 bytes, was zeroed when it was made, holds nothing but these words, and
            // stays as long as the handle.
            Some((bytes, size)) => unsafe {
                std::slice::from_raw_parts(bytes.cast::<AtomicU64>().as_ptr(), size as usize / PLACE)
            },
            None => &[],
        }
    }

    fn arrivals(&self) -> &[AtomicU64] {
        let places = self.places();
        &places[..places.len() / 2]
    }

    fn registered(&self) -> &[AtomicU64] {
        let places = self.places();
        &places[places.len() / 2..]
    }
}

fn is_gone(session: &Session, place: &AtomicU64) -> bool {
    let thread = ThreadId::from_bits(place.load(Acquire));
    !thread.is_none() && session.is_gone(thread)
}

fn forget_if_gone(session: &Session, place: &AtomicU64) {
    let seen = place.load(Acquire);
    if seen != 0 && session.is_gone(ThreadId::from_bits(seen)) {
        let _ = place.compare_exchange(seen, 0, SeqCst, Relaxed);
    }
}

/// Breaks the barrier when the action panics.
struct BreakOnPanic<'a> {
    barrier: &'a Barrier,
    phase: u32,
    me: ThreadId,
}

impl Drop for BreakOnPanic<'_> {
    fn drop(&mut self) {
        self.barrier.break_it(self.phase, Status::Panicked, self.me);
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let broken = if self.state().is_broken() { ", broken" } else { "" };
        write!(f, "Barrier({} of {} waiting{broken})", self.n_waiting(), self.parties())
    }
}
