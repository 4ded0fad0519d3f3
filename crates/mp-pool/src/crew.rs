//! The crew: starting workers, noticing that they ended, and what follows from it.

use mp_session::primitive::Ordering::*;

use mp_process::Departure;
use mp_session::{Error, Result};

use crate::core::{Core, Phase, Reply, State, Task, Worker};
use crate::lane::{Fate, Ring};
use crate::worker::{self, Contract, ELEMENT, READY};

/// Workers that die one after the other before they were ready for a task: then starting more is no use.
const STILLBORN_LIMIT: u32 = 8;

impl Core {
    pub(crate) fn start_worker(&self, state: &mut State) -> Result<()> {
        let (tasks, results) = (Ring::create(&self.session)?, Ring::create(&self.session)?);
        let name = format!("PoolWorker-{}", state.next_name);
        state.next_name += 1;
        let contract = Contract {
            tasks: tasks.clone(),
            results: results.clone(),
            control: self.control.clone(),
            initializer: self.plan.initializer.as_ref().map(|(name, m)| (*name, m.as_object().clone())),
            max_tasks: self.plan.max_tasks,
        };
        let builder = self
            .plan
            .builder
            .clone()
            .name(name)
            .daemon(true)
            .may_have_children(true)
            .on_interrupt(mp_process::OnInterrupt::Ignore);
        let process = builder.spawn(worker::work, (contract,))?;
        state.workers.push(Worker {
            process,
            tasks,
            results,
            sent: 0,
            answered: 0,
            out: std::collections::VecDeque::new(),
            done: 0,
        });
        Ok(())
    }

    pub(crate) fn look_after_starting(&self) {
        let mut state = self.state.lock();
        let stillborn =
            state.workers.iter().any(|w| w.tasks.word(READY).load(Relaxed) == 0 && !w.process.is_alive());
        if stillborn {
            self.bury(&mut state);
        }
    }

    /// Clears up after workers that ended: their results are taken, what they were at is lost, the rest is sent again, and
    /// others take their places.
    pub(crate) fn bury(&self, state: &mut State) {
        let mut at = 0;
        while at < state.workers.len() {
            let process = &state.workers[at].process;
            if process.is_certainly_dead() {
                // Swept before the system has finished with it: no second news will come, so wait for the last of it
                // now. What is wrong with waiting, if anything, shows in how it ended.
                let _ = process.wait();
            }
            if process.is_alive() {
                at += 1;
                continue;
            }
            self.collect(state);
            let mut worker = state.workers.swap_remove(at);
            let how = worker.process.departure().unwrap_or(Departure::Unknown);
            let who = worker.process.ident().clone();
            let retired = matches!(how, Departure::Exited(0));
            if !retired {
                state.deaths.push((who.clone(), how));
            }
            let mut again = Vec::new();
            for sequence in worker.answered..worker.sent {
                let Some(Some(task)) = worker.out.pop_front() else { continue };
                if worker.tasks.fate(sequence) == Fate::Untouched {
                    again.push(task);
                    continue;
                }
                let error = Error::Died { who: who.clone(), how };
                let element = worker.tasks.word(ELEMENT).load(Relaxed);
                state.replies.insert(task.ticket, Reply::Lost { error, element });
                worker.done += 1;
            }
            again.into_iter().rev().for_each(|task| state.queue.push_front(task));
            if worker.tasks.word(READY).load(Acquire) != 0 {
                // It could start, so others can.
                state.stillborn = 0;
            } else if !retired {
                state.stillborn += 1;
                if state.stillborn >= STILLBORN_LIMIT.max(3 * self.plan.processes as u32) {
                    let last = worker.process.join().err().map_or_else(String::new, |e| format!(": {e}"));
                    self.break_down(
                        state,
                        format!("{} workers in a row died before they were ready{last}", state.stillborn),
                    );
                }
            }
            let wanted = state.broken.is_none()
                && (state.phase == Phase::Running
                    || (state.phase == Phase::Closing && !state.queue.is_empty()));
            if wanted
                && let Err(error) = self.start_worker(state)
                && state.workers.is_empty()
            {
                self.break_down(state, format!("no worker is left and none can be started: {error}"));
            }
        }
    }

    fn break_down(&self, state: &mut State, detail: String) {
        let error = Error::PoolBroken { detail };
        state.broken = Some(error.clone());
        self.refuse_all(state, &error);
    }

    pub(crate) fn refuse_all(&self, state: &mut State, error: &Error) {
        let queued: Vec<Task> = state.queue.drain(..).collect();
        let out: Vec<Task> =
            state.workers.iter_mut().flat_map(|w| w.out.iter_mut().filter_map(Option::take)).collect();
        for task in queued.into_iter().chain(out) {
            state.replies.insert(task.ticket, Reply::Refused(error.clone()));
        }
    }
}
