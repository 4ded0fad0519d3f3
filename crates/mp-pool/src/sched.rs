//! Who does which task: taking results in, sending tasks out, and evening out what the workers have.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use mp_session::Error;

use crate::core::{Core, Phase, Sent, State, Worker};
use crate::job::{Arrival, Job};
use crate::lane::SLOTS;
use crate::record::Span;
use crate::stats::Counters;
use crate::task::{Batch, OnError};

/// Batches on one lane at most: enough to hide the way there and back.
const DEPTH: usize = 4;
/// More than a lane's depth, for what is sent again.
const _: () = assert!((DEPTH as u64) < SLOTS);

/// What would take a worker less than this is not worth taking from it, in nanoseconds.
const WORTH: u64 = 30_000;
/// When an idle worker looks again for something to take over.
const LOOK_AGAIN: Duration = Duration::from_micros(200);

impl Core {
    /// Takes results in.
    pub(crate) fn collect(&self, state: &mut State) {
        let State { workers, jobs, counters, arrivals, stillborn, .. } = state;
        let mut complete = Vec::new();
        let mut failed = Vec::new();
        for worker in workers {
            let mut any = false;
            while let Some(span) = worker.station.next() {
                any = true;
                take_in(worker, span, jobs, counters, &mut complete, &mut failed);
            }
            if any {
                *arrivals += 1;
                *stillborn = 0;
                worker.station.taken();
            }
            worker.drop_answered();
        }
        complete.into_iter().for_each(|job| state.settle(job));
        failed.into_iter().for_each(|job| self.cancel_rest(state, job));
    }

    /// Sends tasks to those who have the fewest.
    pub(crate) fn send_out(&self, state: &mut State) {
        if self.plan.prestart && state.phase == Phase::Running {
            while state.workers.len() < state.target && self.may_start(state) {}
        }
        while !state.queue.is_empty() {
            let idle = state.workers.iter().position(|w| w.takes_tasks() && w.sent.is_empty());
            if idle.is_none() && self.may_start(state) {
                continue;
            }
            let free = |w: &&mut Worker| w.takes_tasks() && w.sent.len() < DEPTH;
            let Some(worker) = state.workers.iter_mut().filter(free).min_by_key(|w| w.load()) else { return };
            let Some(batch) = state.queue.pop_front() else { return };
            if !state.jobs.contains_key(&batch.bundle.job) {
                continue;
            }
            match worker.station.send(&batch) {
                Ok(number) => {
                    let have = if batch.bundle.order.width > 1 {
                        vec![false; batch.len() as usize]
                    } else {
                        Vec::new()
                    };
                    worker.sent.push_back(Sent { number, batch, got: 0, have, forgiven: Vec::new() });
                }
                Err(error) => state.never(&batch, 0..batch.len(), &error),
            }
        }
    }

    /// Starts a worker if there may be one more. `true`: it was started.
    fn may_start(&self, state: &mut State) -> bool {
        let serving = state.workers.iter().filter(|w| w.takes_tasks()).count();
        if serving >= state.target
            || state.phase == Phase::Terminated
            || state.broken.is_some()
            || state.no_start_before.is_some_and(|at| Instant::now() < at)
        {
            return false;
        }
        match self.start_worker(state) {
            Ok(()) => true,
            Err(error) => {
                if serving == 0 {
                    self.break_down(state, format!("no worker is left and none can be started: {error}"));
                }
                let at = Instant::now() + Duration::from_secs(1);
                state.no_start_before = Some(at);
                false
            }
        }
    }

    /// When a worker has nothing and none is waiting to be sent, takes half of what the busiest has not begun.
    pub(crate) fn balance(&self, state: &mut State) {
        if !state.queue.is_empty() || state.workers.iter().all(|w| w.sent.is_empty()) {
            return;
        }
        let idle = state.workers.iter().any(|w| w.takes_tasks() && w.sent.is_empty());
        let room = idle || state.workers.iter().filter(|w| w.takes_tasks()).count() < state.target;
        if !room {
            return;
        }
        let busiest = (0..state.workers.len()).map(|i| (state.workers[i].not_begun(), i)).max();
        let Some((spare, at)) = busiest.filter(|(spare, _)| *spare > 0) else { return };
        let worker = &mut state.workers[at];
        // One that has not got anything to do besides: it will begin with this in a moment.
        let at_work = worker.sent.front().is_some_and(|s| worker.station.begun(s.number) > s.got);
        if !at_work && spare < 2 {
            state.alarm_at(Instant::now() + LOOK_AGAIN);
            return;
        }
        let pace = worker.station.pace();
        let would_take = if pace == 0 { WORTH } else { spare.saturating_mul(pace) };
        let busy_for = mp_sys::shared_nanos().saturating_sub(worker.station.since() | 0xFF);
        if would_take < WORTH && busy_for < WORTH {
            state.alarm_at(Instant::now() + LOOK_AGAIN);
            return;
        }
        let take = if at_work { spare.div_ceil(2) } else { spare / 2 };
        let taken = worker.take_back(take);
        taken.into_iter().rev().for_each(|batch| state.queue.push_front(batch));
        self.send_out(state);
    }

    /// One of the job's tasks has failed: what the call wants to become of the rest.
    fn cancel_rest(&self, state: &mut State, job: u64) {
        let policy = state.jobs.get(&job).map(|job| job.order.settings.on_error);
        if policy == Some(OnError::CancelRest) {
            self.cancel_job(state, job, &Error::Cancelled);
        }
    }
}

/// Gives results to whom they belong.
fn take_in(
    worker: &mut Worker,
    span: Span,
    jobs: &mut HashMap<u64, Job>,
    counters: &mut Counters,
    complete: &mut Vec<u64>,
    failed: &mut Vec<u64>,
) {
    let Some(sent) = worker.sent.iter_mut().find(|sent| sent.got < sent.batch.len()) else { return };
    let count = span.count();
    sent.got += count;
    for i in 0..count {
        let at = (span.task() + i).wrapping_sub(sent.batch.tasks.start) as usize;
        if let Some(have) = sent.have.get_mut(at) {
            *have = true;
        }
    }
    if sent.forgiven.contains(&span.task()) {
        return;
    }
    let bundle = &sent.batch.bundle;
    match &span {
        Span::Outcome { .. } | Span::Large { message: Err(_), .. } => counters.failed += 1,
        _ => counters.done += u64::from(count),
    }
    let Some(job) = jobs.get_mut(&bundle.job) else { return };
    let had_failed = job.failed;
    job.arrive(Arrival::Results { first: bundle.first, span });
    if job.failed && !had_failed {
        failed.push(bundle.job);
    }
    if job.open == 0 {
        complete.push(bundle.job);
    }
}

impl Worker {
    /// Forgets the batches that are done.
    pub(crate) fn drop_answered(&mut self) {
        while self.sent.front().is_some_and(|sent| sent.got >= sent.batch.len()) {
            self.sent.pop_front();
        }
    }

    /// How many of its tasks it has not begun.
    fn not_begun(&self) -> u64 {
        if self.doom.is_some() {
            return 0;
        }
        self.sent
            .iter()
            .map(|s| u64::from(s.batch.len() - self.station.begun(s.number).min(s.batch.len())))
            .sum()
    }

    /// Takes back up to so many tasks that were not begun, the last ones first; in order.
    pub(crate) fn take_back(&mut self, mut count: u64) -> VecDeque<Batch> {
        let mut taken = VecDeque::new();
        for sent in self.sent.iter_mut().rev() {
            if count == 0 {
                break;
            }
            let have = sent.batch.len();
            let begun = self.station.begun(sent.number);
            let keep = u64::from(have).saturating_sub(count).max(begun.into()) as u32;
            // What is to stay together stays here.
            let chunk = sent.batch.bundle.order.chunk.max(1);
            let keep = (sent.batch.tasks.start + keep).next_multiple_of(chunk) - sent.batch.tasks.start;
            if keep >= have {
                continue;
            }
            let stay = self.station.cut(sent.number, keep);
            let rest = sent.batch.split_off(stay);
            sent.have.truncate(stay as usize);
            if rest.len() > 0 {
                count = count.saturating_sub(rest.len().into());
                taken.push_front(rest);
            }
        }
        self.drop_answered();
        taken
    }
}

impl State {
    /// These tasks of the batch have no results, and why.
    pub(crate) fn never(&mut self, batch: &Batch, tasks: std::ops::Range<u32>, error: &Error) {
        if tasks.is_empty() {
            return;
        }
        self.arrivals += 1;
        self.counters.failed += u64::from(tasks.end - tasks.start);
        let id = batch.bundle.job;
        if let Some(job) = self.jobs.get_mut(&id) {
            let numbers = batch.number(tasks.start)..batch.number(tasks.end);
            job.arrive(Arrival::Never { tasks: numbers, error: error.clone() });
        }
        self.settle(id);
    }
}
