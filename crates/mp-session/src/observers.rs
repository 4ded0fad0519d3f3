//! Observers: who waits for many things at once.
//!
//! A thread that waits for one thing is a *consumer* of wake-ups: it stands in the word's queue, and a wake-up goes to one.
//! Who waits for many cannot: a wake-up that went to him would be lost to the others whenever he has enough to do with another. So he is
//! an *observer*: whoever wakes at a word tells all its observers, and then wakes one ordinary waiter as if there were none.
//!
//! # Words
//!
//! An *observer* has a slot of three words: `state` (`generation(32) | member + 1 (16) | status(16)`), `sleeper` (thread slot + 1, 0: awake),
//! and `ready`, a bit for each of 64 groups of its subscriptions.
//!
//! A *subscription* is one word in a hash table over the observed wait words:
//!
//! ```text
//! wait word's offset / 8 (33) | generation(10) | observer(14) | group(6) | READY(1)        0: free
//! ```
//!
//! A bucket is a cache line: seven subscriptions and `spill`. A word's subscriptions are in its bucket or, as far as that one says that it
//! has spilled over, in those that follow. (`spill` is never taken back: it costs a look at one more line, for words that share the bucket.)
//!
//! | word | change | by |
//! |---|---|---|
//! | observer's `state` | `FREE(g)` to `USED(g, member)`; back to `FREE(g + 1)` | a member for itself; itself or its sweeper |
//! | `sleeper` | 0, thread | the observer's user alone (and who frees it) |
//! | `ready` | bits set; all taken | any waker; the user |
//! | subscription | 0 or a stale one, to ours | the user, one compare-and-swap |
//! | | `READY` set; cleared | any waker; the user |
//! | | ours or a stale one, to 0 | the user; any waker |
//! | `OBSERVED` in the wait word | set, with the version | the user, after the subscription |
//! | | cleared, if the version is still what it was | a waker that found no subscription |
//!
//! A subscription is *stale* when its observer is free or of another generation. (Ten bits of it: one that looks valid after 1024 lives of
//! the observer makes it look in vain, no more.)
//!
//! # Telling and being told
//!
//! ```text
//! user                                        waker
//! 1 subscription := ours                      a  makes it ready
//! 2 OBSERVED in the wait word, version + 1    b  looks at the wait word: OBSERVED?
//! 3 looks whether it is ready                 c  subscription |= READY     for each of the word's
//!   ...                                       d  observer's ready |= group (if it is not set)
//! 4 takes the groups: ready := 0              e  rings the sleeper, if there is one
//! 5 subscription &= !READY, for those in 4
//! 6 looks whether they are ready
//! 7 sleeper := me; ready still 0? sleeps
//! ```
//!
//! All of it is sequentially consistent. *seen-or-told*: either b sees 2, or 3 sees a. *again-from-anew*: if a waker finds `READY` set at c, the
//! user has still to come to 5, and 6 sees a. It goes on to d and e all the same, because who had set `READY` may have been stopped or killed
//! right there. *asleep-or-awake*: either e sees the sleeper of 7, or 7 sees d. *nobody-here*: b saw `OBSERVED`, c found nothing; the bit is
//! cleared by a compare-and-swap from exactly what b saw, so that a subscription that came too late for c has its bit by 2.
//!
//! # Deaths
//!
//! | who dies | where | what the others see |
//! |---|---|---|
//! | the user | anywhere | the sweeper frees its observers; its subscriptions are stale, and overwritten or cleared by whoever comes across them |
//! | | 1 to 2 | the same |
//! | a waker | a to b, c to d, d to e | everybody is rung by its sweeper, and then looks at everything ([`Inner::ring_everybody`] counts it as news) |
//! | a sweeper | between observers | the next sweeper goes on |
//!
//! A *stopped* observer costs the wakers a few loads, and holds up nobody. What a stopped *waker* has not told is noticed by a
//! wait set's look at everything, once a second.

use mp_wire::Result;

use crate::ground::Ground;
use crate::primitive::{AtomicU64, Ordering::*};
use crate::region::Shared;
use crate::session::Inner;
use crate::slots::SlotState;
use crate::wait::{OBSERVED, after_arrival};

pub(crate) const FREE: u16 = 0;
const USED: u16 = 1;

/// How many groups an observer's subscriptions are in.
pub(crate) const GROUPS: u32 = u64::BITS;
pub(crate) const IN_BUCKET: usize = 7;

const READY: u64 = 1;
const SPILLED: u64 = 1;

/// Somebody who waits for many things. See the [module](self).
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct ObserverSlot {
    pub(crate) state: AtomicU64,
    pub(crate) sleeper: AtomicU64,
    pub(crate) ready: AtomicU64,
    _reserved: [AtomicU64; 5],
}

// SAFETY: repr(C), atomics only.
unsafe impl Shared for ObserverSlot {}
const _: () = assert!(size_of::<ObserverSlot>() as u64 == crate::layout::OBSERVER_SIZE);

/// Subscriptions whose words have the same hash.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Bucket {
    spill: AtomicU64,
    pub(crate) subscriptions: [AtomicU64; IN_BUCKET],
}

// SAFETY: repr(C), atomics only.
unsafe impl Shared for Bucket {}
const _: () = assert!(size_of::<Bucket>() as u64 == crate::layout::BUCKET_SIZE);

/// What a subscription says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Subscription {
    /// The wait word's offset.
    pub(crate) word: u64,
    generation: u32,
    observer: u32,
    group: u32,
}

const GENERATION_BITS: u32 = 10;
const OBSERVER_BITS: u32 = 14;
const GROUP_BITS: u32 = 6;

impl Subscription {
    fn pack(self) -> u64 {
        let low = |value: u32, bits: u32| u64::from(value & ((1 << bits) - 1));
        let mut packed = self.word / 8;
        packed = packed << GENERATION_BITS | low(self.generation, GENERATION_BITS);
        packed = packed << OBSERVER_BITS | low(self.observer, OBSERVER_BITS);
        packed = packed << GROUP_BITS | low(self.group, GROUP_BITS);
        packed << 1
    }

    pub(crate) fn unpack(packed: u64) -> Subscription {
        let take = |shift: u32, bits: u32| (packed >> shift) as u32 & ((1 << bits) - 1);
        Subscription {
            word: packed >> (1 + GROUP_BITS + OBSERVER_BITS + GENERATION_BITS) << 3,
            generation: take(1 + GROUP_BITS + OBSERVER_BITS, GENERATION_BITS),
            observer: take(1 + GROUP_BITS, OBSERVER_BITS),
            group: take(1, GROUP_BITS),
        }
    }
}

/// Whether the observer of that subscription has moved on.
pub(crate) fn is_stale(ground: &Ground, packed: u64) -> bool {
    let subscription = Subscription::unpack(packed);
    if subscription.observer >= ground.layout.observer_count {
        return true;
    }
    let state = SlotState::load(&ground.observer(subscription.observer).state);
    state.status != USED || state.generation & ((1 << GENERATION_BITS) - 1) != subscription.generation
}

/// An observer of this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observer {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl Inner {
    /// An observer for the calling process: one that it has and does not use, or a free one.
    pub(crate) fn take_observer(&self) -> Result<Observer> {
        if let Some(index) = self.observers.lock().pop() {
            let slot = self.ground.observer(index);
            slot.ready.store(0, SeqCst);
            return Ok(Observer { index, generation: SlotState::load(&slot.state).generation });
        }
        let ground = &self.ground;
        let (used, count) = (ground.observers_used(), ground.layout.observer_count);
        for index in (0..used).chain(used..count) {
            let slot = ground.observer(index);
            let seen = SlotState::load(&slot.state);
            let taken = SlotState { partner: self.member.index as u16 + 1, status: USED, ..seen };
            if seen.status != FREE {
                continue;
            }
            // Before it is taken, so that no death leaves one that no sweep comes to.
            ground.header().observers_used.fetch_max(index + 1, AcqRel);
            if seen.swap(&slot.state, taken) {
                // A waker that took the last occupant for alive may still write here; that makes us look once in vain.
                slot.sleeper.store(0, SeqCst);
                slot.ready.store(0, SeqCst);
                return Ok(Observer { index, generation: seen.generation });
            }
        }
        Err(ground.full("waits for many things in the session", format!("{count} observers exist")))
    }

    /// Puts an observer aside that has no subscriptions left.
    pub(crate) fn give_observer(&self, observer: Observer) {
        self.ground.observer(observer.index).sleeper.store(0, SeqCst);
        self.observers.lock().push(observer.index);
    }

    /// Frees the observers of a dead member. Any number of times.
    pub(crate) fn free_observers_of(&self, member: u32) {
        for index in 0..self.ground.observers_used() {
            let slot = self.ground.observer(index);
            let seen = SlotState::load(&slot.state);
            if seen.status == USED && u32::from(seen.partner) == member + 1 {
                let free =
                    SlotState { generation: seen.generation.wrapping_add(1), partner: 0, status: FREE };
                seen.swap(&slot.state, free);
            }
        }
    }

    /// Subscribes the observer to the word, as one of that group: steps 1 and 2. Returns where the subscription is.
    pub(crate) fn subscribe(&self, observer: Observer, word: &AtomicU64, group: u32) -> Result<u64> {
        let ground = &self.ground;
        let offset = ground.offset_of(word);
        let ours =
            Subscription { word: offset, generation: observer.generation, observer: observer.index, group };
        let at = self.insert(ours)?;
        let mut seen = word.load(SeqCst);
        while let Err(now) = word.compare_exchange_weak(seen, after_arrival(seen) | OBSERVED, SeqCst, SeqCst)
        {
            seen = now;
        }
        Ok(at)
    }

    fn insert(&self, ours: Subscription) -> Result<u64> {
        let ground = &self.ground;
        for index in self.buckets_from(ours.word) {
            let bucket = ground.bucket(index);
            for place in &bucket.subscriptions {
                let seen = place.load(SeqCst);
                if (seen == 0 || is_stale(&self.ground, seen))
                    && place.compare_exchange(seen, ours.pack(), SeqCst, SeqCst).is_ok()
                {
                    return Ok(ground.offset_of(place));
                }
            }
            bucket.spill.fetch_or(SPILLED, SeqCst);
        }
        let all = ground.layout.bucket_count * IN_BUCKET as u64;
        Err(ground.full("things waited for in the session", format!("{all} are waited for")))
    }

    /// The buckets that may hold subscriptions to the word, were all of them spilled over.
    fn buckets_from(&self, word: u64) -> impl Iterator<Item = u64> + use<> {
        let count = self.ground.layout.bucket_count;
        let first = (word / 8).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - count.trailing_zeros());
        (0..count).map(move |step| (first + step) & (count - 1))
    }

    /// Ends the subscription at `at`, which is the observer's.
    pub(crate) fn unsubscribe(&self, at: u64) {
        self.ground.word(at).store(0, SeqCst);
    }

    /// Step 5: whether the subscription at `at` was told of, since the last time.
    #[inline]
    pub(crate) fn take_told(&self, at: u64) -> bool {
        let place = self.ground.word(at);
        place.load(SeqCst) & READY != 0 && place.fetch_and(!READY, SeqCst) & READY != 0
    }

    /// Tells the observers of a word: steps c to e. Clears its bit if there is none.
    #[cold]
    pub(crate) fn notify(&self, word: &AtomicU64) {
        let offset = self.ground.offset_of(word);
        let mut seen = word.load(SeqCst);
        while seen & OBSERVED != 0 && !self.tell(offset) {
            match word.compare_exchange(seen, seen & !OBSERVED, SeqCst, SeqCst) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// `false`: nobody observes the word.
    fn tell(&self, word: u64) -> bool {
        let ground = &self.ground;
        let mut anybody = false;
        for index in self.buckets_from(word) {
            let bucket = ground.bucket(index);
            for place in &bucket.subscriptions {
                let mut seen = place.load(SeqCst);
                while seen != 0 && Subscription::unpack(seen).word == word {
                    let stale = is_stale(&self.ground, seen);
                    let new = if stale { 0 } else { seen | READY };
                    // *again-from-anew*: a look is enough where `READY` is set.
                    if new != seen
                        && let Err(now) = place.compare_exchange(seen, new, SeqCst, SeqCst)
                    {
                        // The user has come to 5, or it is another one's by now.
                        seen = now;
                        continue;
                    }
                    if !stale {
                        anybody = true;
                        let told = Subscription::unpack(seen);
                        self.alert(ground.observer(told.observer), told.group);
                    }
                    break;
                }
            }
            if bucket.spill.load(SeqCst) & SPILLED == 0 {
                break;
            }
        }
        anybody
    }

    /// Tells an observer that there is news in one of its groups: steps d and e.
    pub(crate) fn alert(&self, slot: &ObserverSlot, group: u32) {
        if slot.ready.load(SeqCst) & 1 << group == 0 {
            slot.ready.fetch_or(1 << group, SeqCst);
        }
        if let Some(thread) = (slot.sleeper.load(SeqCst) as u32).checked_sub(1)
            && thread < self.ground.layout.thread_count
        {
            self.ring(thread);
        }
    }
}

#[cfg(test)]
#[expect(clippy::mem_forget, reason = "no destructor runs in a killed process")]
mod tests;
