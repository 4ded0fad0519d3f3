//! The pool's side: which task is where, what came back, who died.
//!
//! All of it is one state under one process-local lock, and one function, [`Core::step`], that does whatever can be done now: take
//! results in, notice deaths and deadlines, send tasks out, take them back from a worker that has too many. Whoever waits for the pool
//! calls it, so a caller that waits for a result collects it itself, with no thread in between. A thread of the pool's own minds it
//! only for work that nobody waits for ([`crate::minder`]).
//!
//! No user code runs under the lock: arguments are encoded before, results decoded after, and callbacks have a thread to
//! themselves.
//!
//! # A task's ways
//!
//! | where it is | the pool knows by | moves on when |
//! |---|---|---|
//! | queued | `State::queue` | a worker has room for its batch |
//! | sent | `Worker::sent`, not begun by the lane's claim word | the worker begins it; or it is taken back for an idle one, or because of a death, a cancellation |
//! | running | begun, no result taken | the result comes; the worker dies: lost, or queued again if it may be retried; its time is up |
//! | done | `Job::arrived` | the caller takes it |
//!
//! From each of the first three it gets to the last exactly once: [`Job::arrive`] is called for it when it is moved out of
//! where it was, under the lock.

use mp_session::primitive::{AtomicU64, Ordering::*};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use mp_process::{Departure, Ident};
use mp_session::{Error, Object, Result, Role, Session, ThreadId};
use parking_lot::Mutex;

use crate::job::{Call, Finished, Hook, Job};
use crate::stats::Counters;
use crate::task::{Batch, Bundle, Order};
use crate::transport::{Station, Transport};

/// How often starting workers are looked at: they have no beacon yet.
const STARTING: Duration = Duration::from_millis(20);

/// A batch on its way through a worker.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) number: u64,
    pub(crate) batch: Batch,
    /// Results taken.
    pub(crate) got: u32,
    /// For tasks that run many at once: whose results were taken.
    pub(crate) have: Vec<bool>,
    /// Tasks, by their number in the bundle, that have been given another result already: theirs is dropped.
    pub(crate) forgiven: Vec<u32>,
}

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) station: Box<dyn Station>,
    pub(crate) sent: VecDeque<Sent>,
    /// Its task was cancelled: when it is to be killed, unless it has left by then. `None` in it: it was.
    pub(crate) doom: Option<Option<Instant>>,
    /// It is to leave.
    pub(crate) leaving: bool,
}

impl Worker {
    /// Tasks that it has, begun or not.
    pub(crate) fn load(&self) -> u64 {
        self.sent.iter().map(|sent| u64::from(sent.batch.len() - sent.got)).sum()
    }

    pub(crate) fn takes_tasks(&self) -> bool {
        self.doom.is_none() && !self.leaving
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    /// No more tasks; workers leave when they have none.
    Closing,
    Terminated,
}

/// How the pool is to be.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) prestart: bool,
    /// How long a cancelled task has before it loses its process.
    pub(crate) grace: Duration,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) workers: Vec<Worker>,
    /// How many workers there may be.
    pub(crate) target: usize,
    pub(crate) queue: VecDeque<Batch>,
    pub(crate) jobs: HashMap<u64, Job>,
    pub(crate) phase: Phase,
    pub(crate) broken: Option<Error>,
    pub(crate) stillborn: u32,
    pub(crate) deaths: Vec<(Ident, Departure)>,
    pub(crate) seen_news: u64,
    pub(crate) next_name: u32,
    next_job: u64,
    /// Workers that ended and were not replaced yet.
    pub(crate) vacancies: u64,
    /// Not before then is a start tried again that failed.
    pub(crate) no_start_before: Option<Instant>,
    /// When it is to be looked at again, whether anything happens or not.
    pub(crate) alarm: Option<Instant>,
    /// Counts results that were taken in.
    pub(crate) arrivals: u64,
    pub(crate) counters: Counters,
    /// Callbacks go there.
    pub(crate) calls: Option<mpsc::Sender<Call>>,
    /// Jobs with hooks: somebody has to mind them.
    pub(crate) hooked: usize,
}

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) session: Session,
    pub(crate) control: Object,
    pub(crate) plan: Plan,
    pub(crate) transport: Box<dyn Transport>,
    pub(crate) state: Mutex<State>,
    /// Callers asleep, who are to be woken when somebody else has taken in what they wait for.
    waiting: AtomicU64,
}

fn nobody() -> ThreadId {
    ThreadId::NONE
}

/// Why [`Core::mind`] looks up.
enum Look<R> {
    Found(R),
    /// The alarm was moved to before the deadline.
    Sooner,
}

impl Core {
    pub(crate) fn new(
        session: Session,
        control: Object,
        plan: Plan,
        transport: Box<dyn Transport>,
        processes: usize,
    ) -> Result<Arc<Core>> {
        let state = State {
            workers: Vec::new(),
            target: processes,
            queue: VecDeque::new(),
            jobs: HashMap::new(),
            phase: Phase::Running,
            broken: None,
            stillborn: 0,
            deaths: Vec::new(),
            seen_news: transport.news(),
            next_name: 1,
            next_job: 0,
            vacancies: 0,
            no_start_before: None,
            alarm: None,
            arrivals: 0,
            counters: Counters::default(),
            calls: None,
            hooked: 0,
        };
        let core =
            Core { session, control, plan, transport, state: Mutex::new(state), waiting: AtomicU64::new(0) };
        let mut state = core.state.lock();
        let first = if core.plan.prestart { processes } else { 1 };
        for _ in 0..first {
            if let Err(error) = core.start_worker(&mut state) {
                drop(state);
                core.terminate();
                return Err(error);
            }
        }
        drop(state);
        Ok(Arc::new(core))
    }

    /// Begins a call. `sealed`: all of its tasks are submitted with the first bundle.
    pub(crate) fn open_job(&self, order: Arc<Order>, sealed: bool) -> u64 {
        let mut state = self.state.lock();
        let job = state.next_job;
        state.next_job += 1;
        state.jobs.insert(job, Job::new(order, sealed));
        job
    }

    /// Takes tasks in.
    pub(crate) fn submit(&self, bundle: Bundle) -> Result<()> {
        let mut state = self.state.lock();
        if let Some(error) = &state.broken {
            return Err(error.clone());
        }
        if state.phase != Phase::Running {
            return Err(Error::Closed { what: "pool".into() });
        }
        if let Some(job) = state.jobs.get_mut(&bundle.job) {
            job.open += u64::from(bundle.count);
        }
        state.queue.push_back(Batch::whole(bundle));
        self.send_out(&mut state);
        Ok(())
    }

    /// Says that no more tasks will be submitted for the job.
    pub(crate) fn seal(&self, job: u64) {
        let mut state = self.state.lock();
        if let Some(it) = state.jobs.get_mut(&job) {
            it.sealed = true;
        }
        state.settle(job);
    }

    /// Minds the pool until `found` finds what it wants. `patience`: how many results of each worker may come before it need look.
    pub(crate) fn wait_until<R>(
        &self,
        deadline: Option<Instant>,
        patience: u64,
        mut found: impl FnMut(&mut State) -> Option<R>,
    ) -> Result<Option<R>> {
        self.waiting.fetch_add(1, SeqCst);
        let outcome = self.mind(Role::First, deadline, patience, &mut found);
        self.waiting.fetch_sub(1, SeqCst);
        outcome
    }

    /// Minds the pool for those who do not wait, until `done`.
    pub(crate) fn mind_second(&self, mut done: impl FnMut(&mut State) -> bool) -> Result<()> {
        self.mind(Role::Second, None, 0, &mut |state: &mut State| done(state).then_some(())).map(drop)
    }

    fn mind<R>(
        &self,
        role: Role,
        deadline: Option<Instant>,
        patience: u64,
        found: &mut impl FnMut(&mut State) -> Option<R>,
    ) -> Result<Option<R>> {
        let word = self.control.words().waiters(role);
        // Those of our kind who are asleep meanwhile.
        let others = u64::from(role == Role::First);
        loop {
            let (starting, alarm) = {
                let state = self.state.lock();
                (state.workers.iter().any(|w| !w.station.is_ready()), state.alarm)
            };
            let slice = starting.then(|| Instant::now() + STARTING);
            let until = [deadline, alarm, slice].into_iter().flatten().min();
            let look = || {
                let mut state = self.state.lock();
                let alone = self.waiting.load(SeqCst) <= others && state.hooked == 0;
                let results = if alone { patience } else { 0 };
                state.workers.iter().for_each(|w| w.station.wake_after(results));
                let before = state.arrivals;
                self.step(&mut state);
                let arrived = state.arrivals != before;
                let got = found(&mut state);
                let alarm = state.alarm;
                drop(state);
                if arrived && self.waiting.load(SeqCst) > others {
                    // We took in what somebody else sleeps for.
                    self.session.wake_all(self.control.words().waiters(Role::First));
                }
                let sooner = alarm.is_some_and(|alarm| until.is_none_or(|until| alarm < until));
                Ok(got.map(Look::Found).or_else(|| sooner.then_some(Look::Sooner)))
            };
            match self.session.wait(word, until, &nobody, look)? {
                Some(Look::Found(got)) => return Ok(Some(got)),
                Some(Look::Sooner) => continue,
                None => {}
            }
            if starting {
                self.look_after_starting();
            }
            let now = Instant::now();
            let mut state = self.state.lock();
            if state.alarm.is_some_and(|alarm| alarm <= now) {
                self.step(&mut state);
                if let Some(got) = found(&mut state) {
                    return Ok(Some(got));
                }
            }
            drop(state);
            if deadline.is_some_and(|d| now >= d) {
                return Ok(None);
            }
        }
    }

    /// Does what can be done now.
    pub(crate) fn step(&self, state: &mut State) {
        state.alarm = None;
        self.collect(state);
        let news = self.transport.news();
        if news != state.seen_news {
            state.seen_news = news;
            self.bury(state);
        }
        self.heed_deadlines(state);
        self.send_out(state);
        self.balance(state);
    }

    pub(crate) fn phase(&self) -> Phase {
        self.state.lock().phase
    }

    /// How many workers there may be.
    pub(crate) fn processes(&self) -> usize {
        self.state.lock().target
    }

    /// Pids and names of the workers.
    pub(crate) fn workers(&self) -> Vec<Ident> {
        self.state.lock().workers.iter().map(|w| w.station.ident().clone()).collect()
    }

    /// Workers that died instead of leaving, in order.
    pub(crate) fn deaths(&self) -> Vec<(Ident, Departure)> {
        self.state.lock().deaths.clone()
    }

    /// Wakes the minder.
    pub(crate) fn nudge(&self) {
        self.session.wake_all(self.control.words().waiters(Role::Second));
    }

    /// Wakes everybody: something has changed that no worker tells.
    pub(crate) fn nudge_all(&self) {
        self.session.wake_all(self.control.words().waiters(Role::First));
        self.nudge();
    }
}

impl State {
    /// Whether anything is under way.
    pub(crate) fn is_busy(&self) -> bool {
        !self.queue.is_empty() || self.workers.iter().any(|w| !w.sent.is_empty())
    }

    /// Looks whether the job is complete now, and does what is to be done then.
    pub(crate) fn settle(&mut self, job: u64) {
        let Some(it) = self.jobs.get_mut(&job) else { return };
        let Some(hooks) = it.complete() else { return };
        let Some(finished) = it.finished.clone() else { return };
        self.hooked -= usize::from(!hooks.is_empty());
        let is_let_go = it.is_let_go;
        for hook in hooks {
            self.fire(hook, &finished);
        }
        if is_let_go {
            self.jobs.remove(&job);
        }
    }

    pub(crate) fn fire(&mut self, hook: Hook, finished: &Finished) {
        match hook {
            Hook::Call(call) => {
                if let Some(calls) = &self.calls {
                    // The receiver lives as long as the pool.
                    let _ = calls.send((call, finished.clone()));
                }
            }
            Hook::Note(notes, number) => notes.lock().push_back(number),
        }
    }

    /// The alarm goes off at that time at the latest.
    pub(crate) fn alarm_at(&mut self, at: Instant) {
        self.alarm = Some(self.alarm.map_or(at, |alarm| alarm.min(at)));
    }
}
