//! The page by which a process that is cut off and the one that watches it take turns, and by which it can be told what went wrong.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::*};
use std::time::Duration;

use crate::system::{shared_page, sleep_on, tell};

const SAID: usize = 24 << 10;

/// Whose turn it is.
const RUNS: u32 = 0;
const SHOWS: u32 = 1;
const DONE: u32 = 2;

/// Shared with copies of the process that made it.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Control {
    turn: AtomicU32,
    /// The watcher wants to know where the other one is.
    asked: AtomicU32,
    /// What is done now is not the operation's.
    pub(crate) aside: AtomicU32,
    /// The instruction that changed something.
    pub(crate) at: AtomicU64,
    length: AtomicU32,
    said: [AtomicU8; SAID],
}

impl Control {
    pub(crate) fn new() -> &'static Control {
        shared_page()
    }

    /// One for all copies of this process that say one thing and die.
    pub(crate) fn new_once() -> &'static Control {
        static ONE: OnceLock<&Control> = OnceLock::new();
        ONE.get_or_init(Control::new)
    }

    /// Called by who runs: shows what there is now, until the watcher has seen enough.
    pub(crate) fn show(&self, whereabouts: impl Fn() -> String) {
        tell(&self.turn, SHOWS);
        while self.turn.load(SeqCst) == SHOWS {
            sleep_on(&self.turn, SHOWS, Duration::from_secs(1));
            if self.asked.swap(0, SeqCst) != 0 {
                self.say(&whereabouts());
                tell(&self.asked, 2);
            }
        }
    }

    /// Called by who runs: it is over.
    pub(crate) fn finish(&self) {
        tell(&self.turn, DONE);
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.turn.load(SeqCst) == DONE
    }

    /// Called by the watcher: whether something is shown now.
    pub(crate) fn is_shown(&self) -> bool {
        sleep_on(&self.turn, RUNS, Duration::from_millis(100));
        self.turn.load(SeqCst) == SHOWS
    }

    /// Called by the watcher: go on.
    pub(crate) fn go_on(&self) {
        tell(&self.turn, RUNS);
    }

    /// Called by the watcher while something is shown: where the other one is.
    pub(crate) fn ask(&self) -> String {
        self.asked.store(1, SeqCst);
        // Both sleeps are on the same word; a wake-up without a change makes it look.
        tell(&self.turn, SHOWS);
        for _ in 0..50 {
            if self.asked.load(SeqCst) == 2 {
                self.asked.store(0, SeqCst);
                return self.heard();
            }
            sleep_on(&self.asked, self.asked.load(SeqCst).min(1), Duration::from_millis(100));
        }
        format!("at {:#x}, and it does not answer", self.at.load(SeqCst))
    }

    /// Leaves a text for the other side.
    pub(crate) fn say(&self, text: &str) {
        let bytes = &text.as_bytes()[..text.len().min(SAID)];
        for (to, byte) in self.said.iter().zip(bytes) {
            to.store(*byte, Relaxed);
        }
        self.length.store(bytes.len() as u32, SeqCst);
    }

    /// The text that the other side has left.
    pub(crate) fn heard(&self) -> String {
        let length = self.length.swap(0, SeqCst) as usize;
        let bytes: Vec<u8> = self.said.iter().take(length).map(|byte| byte.load(Relaxed)).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
