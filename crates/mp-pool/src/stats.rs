//! Numbers about a pool.

use std::time::Duration;

use mp_process::Ident;

use crate::core::{Core, Phase};

/// What happened since the pool was made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) retried: u64,
    pub(crate) started: u64,
    pub(crate) restarts: u64,
}

/// A task that a worker is at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Running {
    /// Which call of the pool it belongs to: 0 for the first.
    pub call: u64,
    /// Which of its tasks: 0 for the first.
    pub task: u64,
    /// The worker.
    pub who: Ident,
    /// For how long the worker has been at it. Of tasks of a few microseconds without a timeout it is the time since the first of a row of
    /// them.
    pub running_for: Duration,
    /// How often it was begun before, by workers that died.
    pub attempt: u32,
}

/// A pool at one moment: what [`Pool::stats`](crate::Pool::stats) returns. Each submitted task is counted in exactly one of `queued`, `running`,
/// `done` and `failed`, save those of calls that nobody waits for any more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Tasks that nobody has begun.
    pub queued: u64,
    /// Tasks at work.
    pub running: Vec<Running>,
    /// Tasks that returned a value.
    pub done: u64,
    /// Tasks with an error in place of a value: theirs, or that of their worker's death, a timeout, a cancellation.
    pub failed: u64,
    /// Times that a task was sent again because its worker died.
    pub retried: u64,
    /// Workers that there are.
    pub workers: usize,
    /// Workers that were started in the place of others that ended.
    pub restarts: u64,
    /// Whether the pool takes tasks.
    pub is_open: bool,
}

impl Core {
    pub(crate) fn stats(&self) -> Stats {
        let mut state = self.state.lock();
        self.collect(&mut state);
        let mut queued: u64 = state.queue.iter().map(|batch| u64::from(batch.len())).sum();
        let now = mp_sys::shared_nanos();
        let mut running = Vec::new();
        for worker in &state.workers {
            let mut since = worker.station.since() & !0xFF;
            for sent in &worker.sent {
                let begun = worker.station.begun(sent.number).min(sent.batch.len());
                queued += u64::from(sent.batch.len() - begun);
                for task in 0..begun {
                    let done = if sent.have.is_empty() { task < sent.got } else { sent.have[task as usize] };
                    if done || sent.forgiven.contains(&(sent.batch.tasks.start + task)) {
                        continue;
                    }
                    running.push(Running {
                        call: sent.batch.bundle.job,
                        task: sent.batch.number(task),
                        who: worker.station.ident().clone(),
                        running_for: Duration::from_nanos(now.saturating_sub(since)),
                        attempt: sent.batch.attempt,
                    });
                }
                since = now;
            }
        }
        Stats {
            queued,
            running,
            done: state.counters.done,
            failed: state.counters.failed,
            retried: state.counters.retried,
            workers: state.workers.len(),
            restarts: state.counters.restarts,
            is_open: state.phase == Phase::Running && state.broken.is_none(),
        }
    }
}
