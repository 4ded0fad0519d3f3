//! Parking: sleeping until somebody says so, or somebody dies.
//!
//! # Words
//!
//! An object that can be waited for has a *wait word*, a little queue of thread slots:
//!
//! ```text
//! more(1) | observed(1) | version(14) | third(16) | second(16) | first(16)      slot + 1 each, 0 = empty
//! ```
//!
//! Every change is one compare-and-swap, so a death leaves it whole. When all three places are taken, `more` says that
//! further waiters are found by their wait records alone; `observed` says that somebody who waits for many things is to be told
//! of each wake-up ([`crate::observers`]). The version counts arrivals of both kinds, so that nobody clears `more` or `observed` past
//! an arrival.
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
//! How a sleeper learns of deaths is told in [`crate::sleep`]. A thread that was `WOKEN` and died before it could act had taken a
//! wake-up with it: its sweeper hands it on. One that was `WOKEN` and is *stopped* (SIGSTOP) keeps its wake-up until it goes on: to the
//! others it looks like one that is about to act.
//!
//! # Interleavings with names
//!
//! *wake-before-sleep*: the waker comes after the waiter entered the word and before it slept: the bell is 1, the waiter
//! does not sleep. *ready-after-enter*: what the waiter waits for happens before it entered: it looks again after
//! entering, and both sides use sequentially consistent operations, so one of the two sees the other.
//! *woken-but-served*: the waiter found what it wanted after a waker had already chosen it: it passes the wake-up on.
//! *chosen-not-woken*: a waker took the waiter off the word and died, or was stopped, before `WOKEN`. No wake-up would find the waiter any
//! more; so whenever it was roused without being woken, by a sweep say, it looks whether the word still knows it, and enters again if not.
//! *lane-of-the-dead*: a thread that died in the word would be found by wakers, in vain, until they have all passed it over: its sweeper
//! takes it off, as long as its record says `WAITING`; that is why who leaves takes itself off first, and is `IDLE` then.

use crate::primitive::{self, AtomicU64, Bug, Ordering::*, bug, fence, raw};
use std::time::Instant;

use mp_wire::Result;

use crate::cancel;
use crate::deadlock::Blocked;
use crate::ids::ThreadId;
use crate::session::Inner;
use crate::spin::Spin;
use crate::thread::Me;

pub(crate) const IDLE: u64 = 0;
pub(crate) const WAITING: u64 = 1;
pub(crate) const WOKEN: u64 = 2;

pub(crate) const QUIET: u32 = 0;
pub(crate) const RUNG: u32 = 1;
pub(crate) const ASLEEP: u32 = 2;

const LANE: u64 = 0xFFFF;
const LANES: u64 = (1 << 48) - 1;
const VERSION: u64 = 1 << 48;
const VERSIONS: u64 = ((1 << 14) - 1) << 48;
/// Somebody who waits for many things observes the word.
pub(crate) const OBSERVED: u64 = 1 << 62;
pub(crate) const MORE: u64 = 1 << 63;

/// The word with one arrival more.
#[inline]
pub(crate) fn after_arrival(word: u64) -> u64 {
    if bug(Bug::ArrivalsUncounted) {
        return word;
    }
    word & !VERSIONS | word.wrapping_add(VERSION) & VERSIONS
}

/// Whether anybody may wait at the word: the version does not count.
#[inline]
pub(crate) fn has_waiters(word: &AtomicU64) -> bool {
    word.load(SeqCst) & (LANES | MORE | OBSERVED) != 0
}

/// The same without those who only observe.
#[inline]
pub(crate) fn has_sleepers(word: &AtomicU64) -> bool {
    word.load(SeqCst) & (LANES | MORE) != 0
}

impl Inner {
    /// Tells the observers, and wakes the waiter that waits longest. `false` if nobody but observers waits.
    pub(crate) fn wake_one(&self, word: &AtomicU64) -> bool {
        if word.load(SeqCst) & OBSERVED != 0 {
            self.notify(word);
        }
        self.pass_on(word)
    }

    /// Wakes the waiter that waits longest, with a wake-up that observers were told of already.
    pub(crate) fn pass_on(&self, word: &AtomicU64) -> bool {
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
        if word.load(SeqCst) & OBSERVED != 0 {
            self.notify(word);
        }
        // Each round takes one waiter off; those who come back meanwhile must not keep us here for ever.
        let mut bound = self.ground.layout.thread_count;
        while bound > 0 && self.pass_on(word) {
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

    pub(crate) fn bell(&self, t: u32) -> mp_sys::Bell<'_> {
        mp_sys::Bell { word: raw(&self.ground.thread(t).bell), session: self.id, thread: t }
    }

    pub(crate) fn ring(&self, t: u32) {
        if self.ground.thread(t).bell.swap(RUNG, AcqRel) == ASLEEP {
            primitive::ring(self.bell(t));
        }
    }

    /// Makes every sleeper look around: after a death.
    pub(crate) fn ring_everybody(&self) {
        // What there is to see was written before; who begins to wait now sees it, or is seen here.
        fence(SeqCst);
        self.ground.header().news.fetch_add(1, SeqCst);
        self.ring_sleepers();
    }

    /// Makes every sleeper look whom it watches: nothing has happened that anybody waits for.
    pub(crate) fn ring_sleepers(&self) {
        for t in 0..self.ground.threads_used() {
            let slot = self.ground.thread(t);
            // *rung-not-woken*: a ringer may have died between the bell's word and the wake-up, and left one that sleeps with a bell that
            // looks rung.
            if slot.wait.load(SeqCst) & 0xFF != IDLE && slot.bell.swap(RUNG, AcqRel) != QUIET {
                primitive::ring(self.bell(t));
            }
        }
    }
}

impl Inner {
    /// Makes those look around who wait under a token, which was cancelled by a sequentially consistent operation.
    pub(crate) fn ring_cancellable(&self) {
        for t in 0..self.ground.threads_used() {
            let slot = self.ground.thread(t);
            if slot.wait.load(SeqCst) & 0xFF != IDLE && slot.cancellable.load(SeqCst) != 0 {
                self.ring(t);
            }
        }
    }
}

/// Hands on the wake-up that a dead thread took with it.
pub(crate) fn settle(inner: &Inner, t: u32) {
    let slot = inner.ground.thread(t);
    let seen = slot.wait.load(SeqCst);
    let key = slot.wait_key.load(Acquire);
    // Its object is still there: what it held is released after this.
    if seen & 0xFF != IDLE && inner.ground.is_wait_word(key) {
        remove_lane(inner.ground.word(key), t);
    }
    let wake = |key: u64| {
        if key != 0 && key < inner.ground.layout.size {
            inner.wake_one(inner.ground.word(key));
        }
    };
    let woken_at = if seen & 0xFF == WOKEN { key } else { 0 };
    wake(woken_at);
    // Between the two it says both of the same wake-up.
    let carries = slot.carries.load(Acquire);
    if carries != woken_at {
        wake(carries);
    }
    slot.carries.store(0, SeqCst);
    slot.wait.store(seen & !0xFF, SeqCst);
}

/// Takes a thread slot off the word.
pub(crate) fn remove_lane(word: &AtomicU64, t: u32) {
    let lane = u64::from(t + 1);
    let mut seen = word.load(SeqCst);
    while let Some(at) = (0..3).find(|i| seen >> (16 * i) & LANE == lane) {
        let below = seen & ((1 << (16 * at)) - 1);
        let above = (seen & LANES) >> (16 * (at + 1)) << (16 * at);
        match word.compare_exchange_weak(seen, below | above | seen & !LANES, SeqCst, SeqCst) {
            Ok(_) => return,
            Err(now) => seen = now,
        }
    }
}

/// The word with thread slot `t` in it, or with `MORE`.
fn with_lane(word: u64, t: u32) -> u64 {
    let used = (0..3).take_while(|i| word >> (16 * i) & LANE != 0).count();
    if word & MORE == 0 && used < 3 {
        word | u64::from(t + 1) << (16 * used)
    } else {
        after_arrival(word) | MORE
    }
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
        holder: Option<&AtomicU64>,
        mut ready: impl FnMut() -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        if let Some(r) = ready()? {
            return Ok(Some(r));
        }
        cancel::check()?;
        let mut spin = Spin::begin();
        while spin.again() {
            if let Some(r) = ready()? {
                spin.succeeded();
                return Ok(Some(r));
            }
        }
        spin.failed();
        let _blocked = holder.map(|holder| Blocked::on(self, holder));
        self.enter(word);
        self.go_on_waiting(word, deadline, owner, ready)
    }

    /// The same, having entered.
    pub(crate) fn go_on_waiting<R>(
        &self,
        word: &AtomicU64,
        deadline: Option<Instant>,
        owner: &Owner<'_>,
        mut ready: impl FnMut() -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        loop {
            match self.sleep_until_woken(word, deadline, owner, &mut ready) {
                Ok(Sleep::Woken) => {
                    if let Some(r) = ready().inspect_err(|_| {
                        self.inner.pass_on(word);
                    })? {
                        return Ok(Some(r));
                    }
                    self.enter(word);
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

    pub(crate) fn enter(&self, word: &AtomicU64) {
        let ground = &self.inner.ground;
        let slot = self.slot();
        slot.wait_key.store(ground.offset_of(word), Relaxed);
        slot.wait_ticket.store(ground.header().ticket.fetch_add(1, Relaxed), Relaxed);
        let sequence = (slot.wait.load(Relaxed) >> 8).wrapping_add(1);
        slot.wait.store(sequence << 8 | WAITING, SeqCst);
        let mut seen = word.load(SeqCst);
        while let Err(now) = word.compare_exchange_weak(seen, with_lane(seen, self.index), SeqCst, SeqCst) {
            seen = now;
        }
    }

    /// *chosen-not-woken*: makes sure that the word knows us. Whether we had to enter again.
    pub(crate) fn enter_again(&self, word: &AtomicU64) -> bool {
        let me = u64::from(self.index + 1);
        let mut seen = word.load(SeqCst);
        while seen & MORE == 0 && (0..3).all(|i| seen >> (16 * i) & LANE != me) && !bug(Bug::StaysOffTheWord)
        {
            match word.compare_exchange_weak(seen, with_lane(seen, self.index), SeqCst, SeqCst) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Stops waiting, and passes on a wake-up that came too late to be needed.
    pub(crate) fn leave(&self, word: &AtomicU64) {
        let slot = self.slot();
        if !self.withdraw(word) {
            slot.wait.store(slot.wait.load(SeqCst) & !0xFF | IDLE, SeqCst);
            if bug(Bug::LeaverKeepsWakeUp) {
                return;
            }
            self.inner.pass_on(word);
        }
    }

    /// Stops waiting. `false`: somebody has woken us, and we have the wake-up still.
    pub(crate) fn withdraw(&self, word: &AtomicU64) -> bool {
        let slot = self.slot();
        remove_lane(word, self.index);
        let seen = slot.wait.load(SeqCst);
        if seen & 0xFF == WAITING
            && slot.wait.compare_exchange(seen, seen & !0xFF | IDLE, SeqCst, SeqCst).is_ok()
        {
            return true;
        }
        slot.wait.load(SeqCst) & 0xFF != WOKEN
    }

    /// Sleeps until the bell rings, the deadline comes, or there is another reason to look around. Afterwards the bell is quiet.
    pub(crate) fn doze(&self, deadline: Option<Instant>, owner: &Owner<'_>) {
        let bell = &self.slot().bell;
        if bell.compare_exchange(QUIET, ASLEEP, AcqRel, Acquire).is_ok() {
            self.park(deadline, owner());
        }
        // The bell is quiet before the caller looks: a waker that comes now finds us awake and rings for the next time. By a
        // swap: a plain store could take effect after the look, and wipe out the ring of a waker in between.
        bell.swap(QUIET, SeqCst);
    }

    /// Waits for many things at once: as long as `idle` says so, nobody rings everybody, and the deadline has not come. `key` says
    /// what for, to those who look at the slot. A ring finds us as soon as `idle` was called.
    pub(crate) fn wait_as_observer(&self, key: u64, deadline: Option<Instant>, idle: impl Fn() -> bool) {
        let slot = self.slot();
        slot.wait_key.store(key, Relaxed);
        let sequence = (slot.wait.load(Relaxed) >> 8).wrapping_add(1) << 8;
        slot.wait.store(sequence | WAITING, SeqCst);
        while idle() && deadline.is_none_or(|d| Instant::now() < d) {
            self.doze(deadline, &|| ThreadId::NONE);
        }
        slot.wait.store(sequence | IDLE, SeqCst);
    }

    fn sleep_until_woken<R>(
        &self,
        word: &AtomicU64,
        deadline: Option<Instant>,
        owner: &Owner<'_>,
        ready: &mut impl FnMut() -> Result<Option<R>>,
    ) -> Result<Sleep<R>> {
        let slot = self.slot();
        let mut entered_again = false;
        let mut looks = !bug(Bug::NoLookAfterEntering);
        loop {
            if let Some(r) = if looks { ready()? } else { None } {
                return Ok(Sleep::Ready(r));
            }
            looks = true;
            cancel::check()?; // *cancel-before-sleep*
            if deadline.is_some_and(primitive::has_passed) {
                return Ok(Sleep::TimedOut);
            }
            self.check_for_deadlock()?;
            self.doze(deadline, owner);
            let seen = slot.wait.load(SeqCst);
            if seen & 0xFF == WOKEN {
                if entered_again {
                    // The waker was only slow; we are in the word without waiting.
                    remove_lane(word, self.index);
                }
                slot.wait.store(seen & !0xFF | IDLE, SeqCst);
                return Ok(Sleep::Woken);
            }
            entered_again |= self.enter_again(word);
        }
    }
}

enum Sleep<R> {
    Ready(R),
    Woken,
    TimedOut,
}

#[cfg(test)]
mod tests;
