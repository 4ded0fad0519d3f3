//! Spinning before sleeping: bounded, and learned.
//!
//! A hand-over to somebody who spins costs a tenth of a microsecond, to somebody asleep some forty: spinning for as long
//! as a sleep would cost loses little and often wins much. Where the other side needs the very core that we spin on it
//! loses a lot, so a thread that spun in vain spins less the next time, down to nothing with a probe now and then, and
//! a process with one core never spins.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The longest spin: about what going to sleep and being woken costs.
const LONGEST: Duration = Duration::from_micros(50);
/// One probe in so many waits, when spinning does not pay.
const PROBE: u32 = 16;
const FULL: u32 = 8;

thread_local! {
    /// How well spinning went lately: 0 (never helps) to `FULL`, and waits since the last probe.
    static TRUST: Cell<(u32, u32)> = const { Cell::new((FULL, 0)) };
}

fn alone() -> bool {
    static ALONE: OnceLock<bool> = OnceLock::new();
    *ALONE.get_or_init(|| mp_sys::cpu_count() < 2)
}

#[derive(Debug)]
pub(crate) struct Spin {
    until: Option<Instant>,
    rounds: u32,
}

impl Spin {
    pub(crate) fn begin() -> Spin {
        let (trust, waits) = TRUST.get();
        let spins = !alone() && !crate::primitive::is_modelled() && (trust > 0 || waits + 1 >= PROBE);
        TRUST.set((trust, if spins { 0 } else { waits + 1 }));
        let length = LONGEST * trust.max(2) / FULL;
        Spin { until: spins.then(|| Instant::now() + length), rounds: 0 }
    }

    /// Whether to look once more; pauses a little.
    #[inline]
    pub(crate) fn again(&mut self) -> bool {
        let Some(until) = self.until else { return false };
        self.rounds += 1;
        // Who looks seldom lets the other side get on: each look takes the line of the cache away from it. The first looks
        // are close together, for what comes at once.
        let pauses = 4 << (self.rounds / 8).min(4);
        for _ in 0..pauses {
            std::hint::spin_loop();
        }
        // Asking for the time costs as much as a few looks.
        !self.rounds.is_multiple_of(16) || Instant::now() < until
    }

    pub(crate) fn succeeded(&self) {
        let (trust, waits) = TRUST.get();
        TRUST.set(((trust + 2).min(FULL), waits));
    }

    pub(crate) fn failed(&self) {
        if self.until.is_some() {
            let (trust, waits) = TRUST.get();
            TRUST.set((trust.saturating_sub(1), waits));
        }
    }
}
