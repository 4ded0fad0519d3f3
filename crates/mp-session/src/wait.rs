//! Parking: sleeping until somebody says so, or somebody dies.
//!
//! # Words
//!
//! An object that can be waited for has a *wait word*, a little queue of thread slots:
//!
//! ```text
//! more(1) | version(15) | third(16) | second(16) | first(16)      slot + 1 each, 0 = empty
//! ```
//!
//! Every change is one compare-and-swap, so a death leaves it whole. When all three places are taken, `more` says that
//! further waiters are found by their wait records alone; the version counts their arrivals, so that nobody clears
//! `more` past an arrival.
//!
//! A thread's *wait record*: what it waits for, since which ticket, and `sequence(56) | status(8)`:
//!
//! | status | moved by |
//! |---|---|
//! | `IDLE` | the thread, to `WAITING`, before it enters the word |
//! | `WAITING` | a waker that took it off the word, to `WOKEN`; the thread, back to `IDLE` (gives up, or needs it no more) |
//! | `WOKEN` | the thread, to `IDLE`: it has the wake-up |
//!
//! Its *bell*: 0 quiet, 1 rung, 2 asleep. A waker that finds 2 makes the system call, otherwise none is made.
//!
//! # Deaths
//!
//! A sleeper watches the beacons of other processes while it sleeps, the owner's first. The kernel marks a beacon and
//! wakes one of its watchers; that one looks who died, sweeps ([`crate::sweep`]), and rings everybody. A thread that
//! was `WOKEN` and died before it could act had taken a wake-up with it: its sweeper hands it on.
//!
//! *news-swallowed*: the kernel wakes one watcher, and that one is stopped (SIGSTOP) before it could pass the news on. (One that
//! was stopped before has left the kernel's queue; one that is killed wakes a watcher of its own, who looks at all.) For
//! this instant no sleep with watches lasts longer than `BACKSTOP` without a look at the beacons, which costs microseconds.
//!
//! # Interleavings with names
//!
//! *wake-before-sleep*: the waker comes after the waiter entered the word and before it slept: the bell is 1, the waiter
//! does not sleep. *ready-after-enter*: what the waiter waits for happens before it entered: it looks again after
//! entering, and both sides use sequentially consistent operations, so one of the two sees the other.
//! *ended-not-swept*: the end of a process wakes its watchers for as long as its place is not swept, say by somebody who is at it: they
//! nap instead of looking again and again.
//! *woken-but-served*: the waiter found what it wanted after a waker had already chosen it: it passes the wake-up on.

use crate::primitive::{AtomicU32, AtomicU64, Ordering::*, fence, raw};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use mp_wire::Result;

use crate::ground::Ground;
use crate::ids::ThreadId;
use crate::session::Inner;
use crate::spin::Spin;
use crate::thread::Me;

const IDLE: u64 = 0;
const WAITING: u64 = 1;
const WOKEN: u64 = 2;

const QUIET: u32 = 0;
const RUNG: u32 = 1;
const ASLEEP: u32 = 2;

const LANE: u64 = 0xFFFF;
const LANES: u64 = (1 << 48) - 1;
const VERSION: u64 = 1 << 48;
const MORE: u64 = 1 << 63;

/// Beacons that one sleep watches at most; with more processes a sleep is cut into slices.
const WATCHED: usize = 31;
/// How long a sleep goes on without looking around itself, where watching cannot be complete.
const SLICE: Duration = Duration::from_millis(50);
/// The same where it is complete: for *news-swallowed*.
const BACKSTOP: Duration = Duration::from_secs(1);
/// The same while somebody seems to be dying and the evidence is not complete.
const SUSPICION: Duration = Duration::from_millis(1);

/// Whether anybody may wait at the word: the version does not count.
#[inline]
pub(crate) fn has_waiters(word: &AtomicU64) -> bool {
    word.load(SeqCst) & (LANES | MORE) != 0
}

impl Inner {
    /// Wakes the waiter that waits longest. `false` if nobody waits.
    pub(crate) fn wake_one(&self, word: &AtomicU64) -> bool {
        let ground = &self.ground;
        let mut seen = word.load(SeqCst);
        if seen & (LANES | MORE) == 0 {
            return false;
        }
        let key = ground.offset_of(word);
        loop {
            if seen & (LANES | MORE) == 0 {
                return false;
            }
            let first = (seen & LANE) as u32;
            if first != 0 {
                let shifted = (seen & LANES) >> 16 | seen & !LANES;
                match word.compare_exchange_weak(seen, shifted, SeqCst, SeqCst) {
                    Ok(_) if self.rouse(first - 1, key) => return true,
                    Ok(_) => seen = word.load(SeqCst),
                    Err(now) => seen = now,
                }
            } else if let Some(t) = self.longest_waiting(key) {
                if self.rouse(t, key) {
                    return true;
                }
                seen = word.load(SeqCst);
            } else {
                match word.compare_exchange_weak(seen, seen & !MORE, SeqCst, SeqCst) {
                    Ok(_) => return false,
                    Err(now) => seen = now,
                }
            }
        }
    }

    /// Wakes everybody who waits now.
    pub(crate) fn wake_all(&self, word: &AtomicU64) {
        // Each round takes one waiter off; those who come back meanwhile must not keep us here for ever.
        let mut bound = self.ground.layout.thread_count;
        while bound > 0 && self.wake_one(word) {
            bound -= 1;
        }
    }

    fn longest_waiting(&self, key: u64) -> Option<u32> {
        let ground = &self.ground;
        (0..ground.threads_used())
            .filter(|t| {
                let slot = ground.thread(*t);
                // The dead are passed over here as in `rouse`, or the search would find the same one for ever.
                slot.wait.load(SeqCst) & 0xFF == WAITING
                    && slot.wait_key.load(Acquire) == key
                    && !mp_sys::Beacon::is_dead(slot.beacon.word.load(Acquire))
            })
            .min_by_key(|t| ground.thread(*t).wait_ticket.load(Relaxed))
    }

    /// Gives a wake-up to thread slot `t`, if it still waits for `key` and lives.
    fn rouse(&self, t: u32, key: u64) -> bool {
        let ground = &self.ground;
        if t >= ground.layout.thread_count {
            return false;
        }
        let slot = ground.thread(t);
        let seen = slot.wait.load(SeqCst);
        if seen & 0xFF != WAITING
            || slot.wait_key.load(Acquire) != key
            || mp_sys::Beacon::is_dead(slot.beacon.word.load(Acquire))
            || slot.wait.compare_exchange(seen, seen & !0xFF | WOKEN, SeqCst, Relaxed).is_err()
        {
            return false;
        }
        self.ring(t);
        true
    }

    fn bell(&self, t: u32) -> mp_sys::Bell<'_> {
        mp_sys::Bell { word: raw(&self.ground.thread(t).bell), session: self.id, thread: t }
    }

    fn ring(&self, t: u32) {
        if self.ground.thread(t).bell.swap(RUNG, AcqRel) == ASLEEP {
            mp_sys::ring(self.bell(t));
        }
    }

    /// Makes every sleeper look around: after a death.
    pub(crate) fn ring_everybody(&self) {
        // What there is to see was written before; who begins to wait now sees it, or is seen here.
        fence(SeqCst);
        for t in 0..self.ground.threads_used() {
            if self.ground.thread(t).wait.load(SeqCst) & 0xFF != IDLE {
                self.ring(t);
            }
        }
    }
}

/// Hands on the wake-up that a dead thread took with it.
pub(crate) fn settle(inner: &Inner, t: u32) {
    let slot = inner.ground.thread(t);
    let seen = slot.wait.load(SeqCst);
    if seen & 0xFF == WOKEN {
        let key = slot.wait_key.load(Acquire);
        if key != 0 && key < inner.ground.layout.size {
            inner.wake_one(inner.ground.word(key));
        }
    }
    slot.wait.store(seen & !0xFF, SeqCst);
}

/// Whom a waiter waits for in particular, to be watched first.
pub(crate) type Owner<'a> = dyn Fn() -> ThreadId + 'a;

impl Me<'_> {
    /// Waits at `word` until `ready` returns something, or the deadline (`None` back). `ready` is tried first, then after
    /// every wake-up and every death.
    pub(crate) fn wait<R>(
        &self,
        word: &AtomicU64,
        deadline: Option<Instant>,
        owner: &Owner<'_>,
        mut ready: impl FnMut() -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        if let Some(r) = ready()? {
            return Ok(Some(r));
        }
        let mut spin = Spin::begin();
        while spin.again() {
            if let Some(r) = ready()? {
                spin.succeeded();
                return Ok(Some(r));
            }
        }
        spin.failed();
        loop {
            self.enter(word);
            let outcome = self.sleep_until_woken(word, deadline, owner, &mut ready);
            match outcome {
                Ok(Sleep::Woken) => {
                    if let Some(r) = ready().inspect_err(|_| self.pass_on(word))? {
                        return Ok(Some(r));
                    }
                }
                Ok(Sleep::Ready(r)) => {
                    self.leave(word);
                    return Ok(Some(r));
                }
                Ok(Sleep::TimedOut) => {
                    self.leave(word);
                    return Ok(None);
                }
                Err(e) => {
                    self.leave(word);
                    return Err(e);
                }
            }
        }
    }

    fn pass_on(&self, word: &AtomicU64) {
        self.inner.wake_one(word);
    }

    fn enter(&self, word: &AtomicU64) {
        let ground = &self.inner.ground;
        let slot = self.slot();
        slot.wait_key.store(ground.offset_of(word), Relaxed);
        slot.wait_ticket.store(ground.header().ticket.fetch_add(1, Relaxed), Relaxed);
        let sequence = (slot.wait.load(Relaxed) >> 8).wrapping_add(1);
        slot.wait.store(sequence << 8 | WAITING, SeqCst);
        let me = u64::from(self.index + 1);
        let mut seen = word.load(SeqCst);
        loop {
            let used = (0..3).take_while(|i| seen >> (16 * i) & LANE != 0).count();
            let new = if seen & MORE == 0 && used < 3 {
                seen | me << (16 * used)
            } else {
                (seen & !MORE).wrapping_add(VERSION) & !MORE | MORE
            };
            match word.compare_exchange_weak(seen, new, SeqCst, SeqCst) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Stops waiting, and passes on a wake-up that came too late to be needed.
    fn leave(&self, word: &AtomicU64) {
        let slot = self.slot();
        let seen = slot.wait.load(SeqCst);
        let withdrawn = seen & 0xFF == WAITING
            && slot.wait.compare_exchange(seen, seen & !0xFF | IDLE, SeqCst, SeqCst).is_ok();
        if withdrawn {
            self.remove(word);
        } else if slot.wait.load(SeqCst) & 0xFF == WOKEN {
            slot.wait.store(seen & !0xFF | IDLE, SeqCst);
            self.pass_on(word);
        }
    }

    fn remove(&self, word: &AtomicU64) {
        let me = u64::from(self.index + 1);
        let mut seen = word.load(SeqCst);
        while let Some(at) = (0..3).find(|i| seen >> (16 * i) & LANE == me) {
            let below = seen & ((1 << (16 * at)) - 1);
            let above = (seen & LANES) >> (16 * (at + 1)) << (16 * at);
            match word.compare_exchange_weak(seen, below | above | seen & !LANES, SeqCst, SeqCst) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    fn sleep_until_woken<R>(
        &self,
        _word: &AtomicU64,
        deadline: Option<Instant>,
        owner: &Owner<'_>,
        ready: &mut impl FnMut() -> Result<Option<R>>,
    ) -> Result<Sleep<R>> {
        let slot = self.slot();
        loop {
            if let Some(r) = ready()? {
                return Ok(Sleep::Ready(r));
            }
            if deadline.is_some_and(|d| Instant::now() >= d) {
                return Ok(Sleep::TimedOut);
            }
            if slot.bell.compare_exchange(QUIET, ASLEEP, AcqRel, Acquire).is_ok() {
                self.park(deadline, owner());
            }
            // The bell is quiet before we look: a waker that comes now finds us awake and rings for the next time. By a
            // swap: a plain store could take effect after the look, and wipe out the ring of a waker in between.
            slot.bell.swap(QUIET, SeqCst);
            let seen = slot.wait.load(SeqCst);
            if seen & 0xFF == WOKEN {
                slot.wait.store(seen & !0xFF | IDLE, SeqCst);
                return Ok(Sleep::Woken);
            }
        }
    }

    /// Sleeps once, watching the others, and sweeps whom it finds dead.
    fn park(&self, deadline: Option<Instant>, owner: ThreadId) {
        let ground = &self.inner.ground;
        let mut watched = Watched::default();
        watched.collect(self, owner);
        if watched.someone_died {
            let slot = self.slot();
            if self.inner.notice_deaths(self) {
                return;
            }
            // Dying, or being swept by somebody else: do not believe it yet, do not sleep long either.
            watched.suspicion = true;
            if slot.bell.load(Acquire) != ASLEEP {
                return;
            }
        }
        let slice = match (watched.suspicion, watched.complete) {
            (true, _) => Some(SUSPICION),
            (false, false) => Some(SLICE),
            (false, true) if watched.threads.is_empty() && watched.processes.is_empty() => None,
            (false, true) => Some(BACKSTOP),
        };
        let until = slice.map(|s| Instant::now() + s).into_iter().chain(deadline).min();
        let watches: Vec<mp_sys::Watch<'_>> = watched
            .threads
            .iter()
            .map(|(t, value)| mp_sys::Watch {
                word: &ground.thread(*t).beacon.word,
                value: *value,
                process: None,
            })
            .chain(watched.processes.iter().map(|p| mp_sys::Watch {
                word: raw(&QUIET_WORD),
                value: 0,
                process: Some(p),
            }))
            .collect();
        match mp_sys::park(self.inner.bell(self.index), ASLEEP, &watches, until) {
            mp_sys::Woken::Rung => {}
            mp_sys::Woken::Watched(_) => {
                // *ended-not-swept*: a beacon is looked at before each sleep, but a process that has ended wakes every
                // sleep at once until whoever sweeps it is done.
                if !self.inner.notice_deaths(self) && mp_sys::ProcessWatch::WAKES {
                    let soon = Some(Instant::now() + SUSPICION).into_iter().chain(deadline).min();
                    mp_sys::park(self.inner.bell(self.index), ASLEEP, &[], soon);
                }
            }
            // A slice that ended, unless the caller's deadline did, in which case it costs one look.
            mp_sys::Woken::TimedOut => {
                if slice.is_some() {
                    self.inner.notice_deaths(self);
                }
            }
        }
    }
}

static QUIET_WORD: AtomicU32 = AtomicU32::new(0);

enum Sleep<R> {
    Ready(R),
    Woken,
    TimedOut,
}

/// The deaths that a sleep is going to be told of.
#[derive(Default)]
struct Watched {
    threads: Vec<(u32, u32)>,
    processes: Vec<std::sync::Arc<mp_sys::ProcessWatch>>,
    someone_died: bool,
    suspicion: bool,
    complete: bool,
}

impl Watched {
    fn collect(&mut self, me: &Me<'_>, owner: ThreadId) {
        let ground = &me.inner.ground;
        self.complete = true;
        if let Some(t) = owner.index().filter(|t| *t < ground.layout.thread_count) {
            // A thread of our own process may end as well; only our own beacon is of no use to us.
            if t != me.index {
                self.add(ground, t);
            }
        }
        let members = ground.members_used();
        // Round from our own place, so that with many processes each is watched by those before it.
        for step in 1..members.max(1) {
            let m = (me.inner.member.index + step) % members;
            if !me.inner.may_die(m) {
                continue;
            }
            let speaks = me.inner.speaker(m).is_some();
            let speaker = if speaks { ground.member(m).beacon.load(Acquire) } else { 0 };
            if self.threads.len() + self.processes.len() >= WATCHED {
                self.complete = false;
                // Not watched, but seen if it is dead already.
                self.someone_died |= speaker != 0
                    && mp_sys::Beacon::is_dead(ground.thread(speaker - 1).beacon.word.load(Acquire));
            } else if speaker != 0 {
                self.add(ground, speaker - 1);
            } else {
                match me.inner.process_watch(m) {
                    Ok(watch) if mp_sys::ProcessWatch::WAKES => self.processes.push(watch),
                    // Gone, and nobody has cleared up after it.
                    Err(e) if e.kind() == ErrorKind::NotFound && ground.member(m).pid.load(Acquire) != 0 => {
                        self.someone_died = true;
                    }
                    _ => self.complete = false,
                }
            }
            if me.inner.is_abandoned(m) {
                self.someone_died = true;
            }
        }
    }

    fn add(&mut self, ground: &Ground, t: u32) {
        let value = ground.thread(t).beacon.word.load(Acquire);
        if mp_sys::Beacon::is_dead(value) {
            self.someone_died = true;
        } else if value != 0 && !self.threads.iter().any(|(known, _)| *known == t) {
            self.threads.push((t, value));
        } else if value == 0 {
            self.complete = false;
        }
    }
}
