//! The crew: starting workers, noticing that they ended, deadlines, and what follows from it.

use std::time::{Duration, Instant};

use mp_process::Departure;
use mp_session::{Error, Result};

use crate::core::{Core, Phase, State, Worker};
use crate::task::Batch;

/// Workers that die one after the other before they were ready for a task: then starting more is no use.
const STILLBORN_LIMIT: u32 = 5;

impl Core {
    pub(crate) fn start_worker(&self, state: &mut State) -> Result<()> {
        let name = format!("{}-{}", self.plan.name, state.next_name);
        state.next_name += 1;
        let station = self.transport.start(name)?;
        if state.vacancies > 0 {
            state.vacancies -= 1;
            state.counters.restarts += 1;
        }
        state.counters.started += 1;
        let worker = Worker { station, sent: Default::default(), doom: None, leaving: false };
        state.workers.push(worker);
        Ok(())
    }

    pub(crate) fn look_after_starting(&self) {
        let mut state = self.state.lock();
        if state.workers.iter_mut().any(|w| !w.station.is_ready() && w.station.ended().is_some()) {
            self.bury(&mut state);
            self.send_out(&mut state);
        }
    }

    /// Clears up after workers that ended: their results are taken, what they were at is lost or tried again, the rest is sent
    /// again, and others take their places.
    pub(crate) fn bury(&self, state: &mut State) {
        let mut at = 0;
        while at < state.workers.len() {
            let Some(how) = state.workers[at].station.ended() else {
                at += 1;
                continue;
            };
            self.collect(state);
            let worker = state.workers.swap_remove(at);
            let who = worker.station.ident().clone();
            let retired = matches!(how, Departure::Exited(0) | Departure::Returned);
            if !retired {
                state.deaths.push((who.clone(), how));
            }
            if !worker.leaving {
                state.vacancies += 1;
            }
            let mut again = Vec::new();
            for sent in &worker.sent {
                let begun = worker.station.begun(sent.number).min(sent.batch.len());
                for task in 0..begun {
                    let done = if sent.have.is_empty() { task < sent.got } else { sent.have[task as usize] };
                    if done || sent.forgiven.contains(&(sent.batch.tasks.start + task)) {
                        continue;
                    }
                    let mut one = sent.batch.clone();
                    one.tasks = sent.batch.tasks.start + task..sent.batch.tasks.start + task + 1;
                    if one.attempt < one.bundle.order.settings.retries && state.phase != Phase::Terminated {
                        one.attempt += 1;
                        state.counters.retried += 1;
                        again.push(one);
                    } else {
                        state.never(&one, 0..1, &Error::Died { who: who.clone(), how });
                    }
                }
                let mut rest = sent.batch.clone();
                rest.tasks.start += begun;
                if rest.len() > 0 {
                    again.push(rest);
                }
            }
            again.into_iter().rev().for_each(|batch| state.queue.push_front(batch));
            if worker.station.is_ready() {
                // It could start, so others can.
                state.stillborn = 0;
            } else if !retired && !worker.leaving {
                self.stillborn(state, &worker);
            }
        }
        state.arrivals += 1;
    }

    fn stillborn(&self, state: &mut State, worker: &Worker) {
        state.stillborn += 1;
        if state.stillborn >= STILLBORN_LIMIT {
            let last = worker.station.last_words().map_or_else(String::new, |words| format!(": {words}"));
            let detail = format!("{} workers in a row died before they were ready{last}", state.stillborn);
            self.break_down(state, detail);
        }
    }

    pub(crate) fn break_down(&self, state: &mut State, detail: String) {
        let error = Error::PoolBroken { detail };
        state.broken = Some(error.clone());
        refuse_all(state, &error);
    }

    /// Tasks whose time is up, and cancelled ones that do not end.
    pub(crate) fn heed_deadlines(&self, state: &mut State) {
        let timed = |w: &Worker| w.sent.iter().any(|s| s.batch.bundle.order.settings.timeout.is_some());
        if !state.workers.iter().any(|w| w.doom.is_some() || timed(w)) {
            return;
        }
        let now = Instant::now();
        let mut given_up = Vec::new();
        for at in 0..state.workers.len() {
            match state.workers[at].doom {
                Some(Some(kill_at)) if now >= kill_at => {
                    state.workers[at].doom = Some(None);
                    if !state.workers[at].station.kill() {
                        given_up.push(at);
                    }
                }
                Some(Some(kill_at)) => state.alarm_at(kill_at),
                Some(None) => {}
                None => self.heed_timeout(state, at, now),
            }
        }
        for at in given_up.into_iter().rev() {
            // It goes on somewhere, and nobody listens any more.
            let worker = state.workers.swap_remove(at);
            state.deaths.push((worker.station.ident().clone(), Departure::Lost));
            state.vacancies += 1;
        }
    }

    fn heed_timeout(&self, state: &mut State, at: usize, now: Instant) {
        let worker = &mut state.workers[at];
        let Some(sent) = worker.sent.iter().find(|s| s.got < s.batch.len()) else { return };
        let timeouts = worker.sent.iter().filter_map(|s| s.batch.bundle.order.settings.timeout);
        let Some(shortest) = timeouts.min() else { return };
        let begun = worker.station.begun(sent.number);
        let (Some(timeout), true) = (sent.batch.bundle.order.settings.timeout, begun > sent.got) else {
            // Nothing is at work that could run out of time before then.
            state.alarm_at(now + shortest);
            return;
        };
        let since = worker.station.since();
        let task = begun - 1;
        if since & 0xFF != u64::from(task) & 0xFF {
            // It has begun this very moment, and not said so yet.
            state.alarm_at(now + Duration::from_millis(1).min(shortest));
            return;
        }
        let elapsed = Duration::from_nanos(mp_sys::shared_nanos().saturating_sub(since & !0xFF));
        if elapsed < timeout {
            let left = timeout.saturating_sub(elapsed) + Duration::from_micros(1);
            state.alarm_at(now + left.min(shortest));
            return;
        }
        let what = format!(
            "task {} of a call, on {}, had {timeout:?} and",
            sent.batch.number(task),
            worker.station.ident()
        );
        let mut tasks: Vec<u32> = (0..begun).filter(|t| *t >= sent.got).collect();
        if !sent.have.is_empty() {
            tasks = (0..begun).filter(|t| !sent.have[*t as usize]).collect();
        }
        self.doom(state, at, &tasks, &Error::TimedOut { what });
    }

    /// Gives the tasks at work in the first batch of a worker that error, takes everything else back from it, and tells it to
    /// go.
    pub(crate) fn doom(&self, state: &mut State, at: usize, tasks: &[u32], error: &Error) {
        let worker = &mut state.workers[at];
        let again = worker.take_back(u64::MAX);
        let Some(sent) = worker.sent.iter_mut().find(|s| s.got < s.batch.len()) else { return };
        let batch = sent.batch.clone();
        sent.forgiven.extend(tasks.iter().map(|task| batch.tasks.start + task));
        worker.doom = Some(Some(Instant::now() + self.plan.grace));
        worker.station.cancel();
        again.into_iter().rev().for_each(|batch| state.queue.push_front(batch));
        for task in tasks {
            state.never(&batch, *task..*task + 1, error);
        }
        state.alarm_at(Instant::now() + self.plan.grace);
    }

    /// Gives all tasks of the job that have no result this one, and ends those at work. `false`: there were none.
    pub(crate) fn cancel_job(&self, state: &mut State, job: u64, error: &Error) -> bool {
        self.collect(state);
        let mut any = self.drop_queued(state, job, error);
        for at in 0..state.workers.len() {
            let worker = &state.workers[at];
            let Some(sent) = worker.sent.iter().find(|s| s.got < s.batch.len()) else { continue };
            if sent.batch.bundle.job != job || worker.doom.is_some() {
                continue;
            }
            let begun = worker.station.begun(sent.number).min(sent.batch.len());
            let open = |t: &u32| if sent.have.is_empty() { *t >= sent.got } else { !sent.have[*t as usize] };
            let tasks: Vec<u32> = (0..begun).filter(open).collect();
            if !tasks.is_empty() {
                any = true;
                self.doom(state, at, &tasks, error);
            }
        }
        self.drop_queued(state, job, error) || any
    }

    /// Gives all tasks of the job that nobody has begun this result. `false`: there were none.
    pub(crate) fn drop_queued(&self, state: &mut State, job: u64, error: &Error) -> bool {
        let mut dropped: Vec<Batch> = Vec::new();
        state.queue.retain(|batch| {
            let ours = batch.bundle.job == job;
            if ours {
                dropped.push(batch.clone());
            }
            !ours
        });
        for worker in &mut state.workers {
            for at in (0..worker.sent.len()).rev() {
                if worker.sent[at].batch.bundle.job != job {
                    continue;
                }
                let number = worker.sent[at].number;
                let stay = worker.station.cut(number, 0);
                let rest = worker.sent[at].batch.split_off(stay);
                worker.sent[at].have.truncate(stay as usize);
                if rest.len() > 0 {
                    dropped.push(rest);
                }
            }
            worker.drop_answered();
        }
        for batch in &dropped {
            state.never(batch, 0..batch.len(), error);
        }
        !dropped.is_empty()
    }

    /// Nobody will ask for the results of that job any more: what was not begun is dropped.
    pub(crate) fn abandon(&self, job: u64) {
        let mut state = self.state.lock();
        if let Some(gone) = state.jobs.remove(&job)
            && gone.open > 0
        {
            if !gone.hooks.is_empty() {
                state.hooked -= 1;
            }
            self.drop_queued(&mut state, job, &Error::Cancelled);
            self.send_out(&mut state);
        }
    }

    /// Drops what nobody has begun, of all jobs.
    pub(crate) fn cancel_queued(&self) {
        let mut state = self.state.lock();
        let jobs: Vec<u64> = state.jobs.keys().copied().collect();
        for job in jobs {
            self.drop_queued(&mut state, job, &Error::Cancelled);
        }
        drop(state);
        self.nudge_all();
    }

    /// As [`Core::abandon`], for a job whose hooks are to be heeded still.
    pub(crate) fn let_go(&self, job: u64) {
        let hooked = {
            let state = self.state.lock();
            state.jobs.get(&job).is_some_and(|job| !job.hooks.is_empty())
        };
        if hooked {
            let mut state = self.state.lock();
            if let Some(job) = state.jobs.get_mut(&job) {
                job.is_let_go = true;
                return;
            }
        }
        self.abandon(job);
    }

    /// Changes how many workers there may be.
    pub(crate) fn resize(&self, processes: usize) {
        let mut state = self.state.lock();
        state.target = processes;
        let mut serving = state.workers.iter().filter(|w| w.takes_tasks()).count();
        let mut again = Vec::new();
        while serving > processes {
            // Who has the least to do goes first.
            let leaver = state.workers.iter_mut().filter(|w| w.takes_tasks()).min_by_key(|w| w.load());
            let Some(worker) = leaver else { break };
            again.extend(worker.take_back(u64::MAX));
            worker.leaving = true;
            worker.station.close();
            serving -= 1;
        }
        again.into_iter().rev().for_each(|batch| state.queue.push_front(batch));
        self.send_out(&mut state);
        drop(state);
        self.nudge_all();
    }

    /// No more tasks; workers leave once they have done theirs.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Running {
            state.phase = Phase::Closing;
        }
        drop(state);
        self.nudge_all();
    }

    /// Ends every worker now. Tasks that were not done get [`Error::Cancelled`].
    pub(crate) fn terminate(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Terminated;
        self.collect(&mut state);
        let mut workers = std::mem::take(&mut state.workers);
        // Who is a thread cannot be ended, and is not waited for.
        let killed: Vec<bool> = workers.iter().map(|worker| worker.station.kill()).collect();
        state.workers = workers;
        refuse_all(&mut state, &Error::Cancelled);
        workers = std::mem::take(&mut state.workers);
        drop(state);
        self.nudge_all();
        for (mut worker, killed) in workers.into_iter().zip(killed) {
            worker.station.cancel();
            if killed {
                // Killed above; what remains is to collect it.
                let _ = worker.station.wait();
            }
        }
    }

    /// After [`Core::close`]: waits until everything is done and every worker has left.
    pub(crate) fn join(&self) -> Result<()> {
        self.wait_until(None, 0, |state| {
            let over = !state.is_busy() || state.phase == Phase::Terminated || state.broken.is_some();
            over.then_some(())
        })?;
        let workers = std::mem::take(&mut self.state.lock().workers);
        workers.iter().for_each(|worker| worker.station.close());
        for mut worker in workers {
            worker.station.wait()?;
        }
        self.nudge_all();
        Ok(())
    }
}

/// Gives everything that has no result this one.
fn refuse_all(state: &mut State, error: &Error) {
    let queued: Vec<Batch> = state.queue.drain(..).collect();
    for batch in queued {
        state.never(&batch, 0..batch.len(), error);
    }
    for at in 0..state.workers.len() {
        for sent in std::mem::take(&mut state.workers[at].sent) {
            for task in 0..sent.batch.len() {
                let done = if sent.have.is_empty() { task < sent.got } else { sent.have[task as usize] };
                if !done && !sent.forgiven.contains(&(sent.batch.tasks.start + task)) {
                    state.never(&sent.batch, task..task + 1, error);
                }
            }
        }
    }
    let jobs: Vec<u64> = state.jobs.keys().copied().collect();
    for job in jobs {
        state.settle(job);
    }
}
