//! Parking is sleeping on the bell's word, in slices where other words are watched: the system waits on one at a time.

use super::wait_on_address;
use crate::park::{Bell, Watch, Woken};
use std::{
    io,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// How long a sleeper goes without a look at the words it watches.
const SLICE: Duration = Duration::from_millis(20);

pub(crate) fn park(bell: Bell<'_>, expected: u32, watches: &[Watch<'_>], deadline: Option<Instant>) -> Woken {
    loop {
        if bell.word.load(Ordering::Acquire) != expected {
            return Woken::Rung;
        }
        if let Some(index) = watches.iter().position(|w| w.word.load(Ordering::Acquire) != w.value) {
            return Woken::Watched(index);
        }
        let now = Instant::now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Woken::TimedOut;
        }
        let until = if watches.is_empty() {
            deadline
        } else {
            Some(deadline.map_or(now + SLICE, |deadline| deadline.min(now + SLICE)))
        };
        wait_on_address::wait(bell.word, expected, until);
    }
}

pub(crate) fn ring(bell: Bell<'_>) {
    wait_on_address::wake_one(bell.word);
}

/// Words are watched here, so this is a name and nothing else.
#[derive(Debug)]
pub(crate) struct ProcessWatch {
    _pid: u32,
    _start_time: u64,
}

impl ProcessWatch {
    pub(crate) fn open(pid: u32, start_time: u64) -> io::Result<Self> {
        Ok(Self { _pid: pid, _start_time: start_time })
    }
}
