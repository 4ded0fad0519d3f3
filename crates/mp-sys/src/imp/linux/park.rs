//! Parking is waiting on futexes: the bell's word, and beside it the watched ones.

use super::futex::{self, Waited};
use crate::park::{Bell, Watch, Woken};
use std::{
    io,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// How long a system without `futex_waitv` sleeps on the bell alone before it looks at the watched words.
const SLICE: Duration = Duration::from_millis(20);

pub(crate) fn park(bell: Bell<'_>, expected: u32, watches: &[Watch<'_>], deadline: Option<Instant>) -> Woken {
    let watches = &watches[..watches.len().min(futex::WAIT_MAX - 1)];
    loop {
        if bell.word.load(Ordering::Acquire) != expected {
            return Woken::Rung;
        }
        if let Some(index) = watches.iter().position(fired) {
            return Woken::Watched(index);
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Woken::TimedOut;
        }
        let waited = if watches.is_empty() {
            futex::wait(bell.word, expected, deadline)
        } else {
            let watched = watches.iter().map(|watch| (watch.word, watch.value));
            match futex::wait_many([(bell.word, expected)].into_iter().chain(watched), deadline) {
                Waited::Unavailable => {
                    let slice = Instant::now() + SLICE;
                    futex::wait(bell.word, expected, Some(deadline.map_or(slice, |d| d.min(slice))))
                }
                waited => waited,
            }
        };
        if let Waited::Woken(index) = waited {
            // The kernel woke us for one word, but we may have been taken off the queues of several: each wake is
            // passed on to those who watch the same death.
            watches.iter().filter(|watch| fired(watch)).for_each(|watch| futex::wake_all(watch.word));
            return match index.checked_sub(1) {
                Some(watch) if bell.word.load(Ordering::Acquire) == expected => Woken::Watched(watch),
                _ => Woken::Rung,
            };
        }
    }
}

fn fired(watch: &Watch<'_>) -> bool {
    watch.word.load(Ordering::Acquire) != watch.value
}

pub(crate) fn ring(bell: Bell<'_>) {
    futex::wake_one(bell.word);
}

/// Linux watches words, so this is a name and nothing else.
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
