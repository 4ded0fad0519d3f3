//! The pool's side: which task is where, what came back, who died.
//!
//! All of it is one state under one process-local lock, and one function, [`State::step`], that does whatever can be
//! done now: collect results, notice deaths, send tasks out, take them back from a worker that has too many. Whoever
//! waits for the pool calls it, so a caller that waits for a result collects it itself, with no thread in between. A
//! thread of the pool's own minds it only for work that nobody waits for ([`crate::minder`]).
//!
//! No user code runs under the lock.

use mp_session::primitive::{AtomicU64, Ordering::*};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mp_process::{Builder, Departure, Ident, Process};
use mp_session::{Error, Message, Object, Result, Role, Session, ThreadId};
use mp_wire::Codec;
use parking_lot::Mutex;

use crate::lane::{Delivery, Found, Parcel, Ring, SLOTS};
use crate::worker::{CLOSING, READY};

/// Tasks on one lane at most: enough to hide the way there and back, well below what a ring holds.
const DEPTH: u64 = 32;
/// How often starting workers is looked at: they have no beacon yet.
const STARTING: Duration = Duration::from_millis(20);

/// What a task is while nobody works on it: everything that is needed to send it (again).
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) ticket: u64,
    pub(crate) shim: i64,
    pub(crate) codec: Codec,
    pub(crate) bytes: Vec<u8>,
    pub(crate) exports: Vec<Object>,
}

/// What became of a task.
#[derive(Debug)]
pub(crate) enum Reply {
    Delivered(Delivery),
    /// The worker died over it; for a chunk, at this element.
    Lost {
        error: Error,
        element: u64,
    },
    /// It was never done: the pool was terminated, or broke.
    Refused(Error),
}

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) process: Process<()>,
    pub(crate) tasks: Ring,
    pub(crate) results: Ring,
    /// Next sequence to send, and next to be answered.
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    /// What was sent and not answered, by sequence. `None`: revoked.
    pub(crate) out: VecDeque<Option<Task>>,
    pub(crate) done: u64,
}

impl Worker {
    pub(crate) fn load(&self) -> u64 {
        self.sent - self.answered
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Running,
    /// No more tasks; workers leave when they have none.
    Closing,
    Terminated,
}

/// How workers are made.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) processes: usize,
    pub(crate) builder: Builder,
    pub(crate) initializer: Option<(i64, Message)>,
    pub(crate) max_tasks: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) workers: Vec<Worker>,
    pub(crate) queue: VecDeque<Task>,
    pub(crate) replies: HashMap<u64, Reply>,
    pub(crate) phase: Phase,
    pub(crate) broken: Option<Error>,
    pub(crate) stillborn: u32,
    pub(crate) deaths: Vec<(Ident, Departure)>,
    pub(crate) seen_deaths: u64,
    pub(crate) next_name: u32,
    pub(crate) next_ticket: u64,
    /// Tickets whose replies nobody wants.
    pub(crate) abandoned: std::collections::HashSet<u64>,
}

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) session: Session,
    pub(crate) control: Object,
    pub(crate) plan: Plan,
    pub(crate) state: Mutex<State>,
    /// Callers asleep, who are to be woken when somebody else has collected their reply.
    waiting: AtomicU64,
}

fn nobody() -> ThreadId {
    ThreadId::NONE
}

impl Core {
    pub(crate) fn new(plan: Plan) -> Result<Arc<Core>> {
        let session = Session::current()?;
        let blueprint = mp_session::Blueprint {
            kind: mp_session::Kind::POOL,
            fingerprint: 0,
            shape: mp_session::Shape::Plain,
            size: 0,
        };
        let control = Object::create(&session, blueprint, |_, _| {})?;
        let state = State {
            workers: Vec::new(),
            queue: VecDeque::new(),
            replies: HashMap::new(),
            phase: Phase::Running,
            broken: None,
            stillborn: 0,
            deaths: Vec::new(),
            seen_deaths: session.deaths(),
            next_name: 1,
            next_ticket: 0,
            abandoned: std::collections::HashSet::new(),
        };
        let core = Core { session, control, plan, state: Mutex::new(state), waiting: AtomicU64::new(0) };
        let mut state = core.state.lock();
        for _ in 0..core.plan.processes {
            if let Err(error) = core.start_worker(&mut state) {
                drop(state);
                core.terminate();
                return Err(error);
            }
        }
        drop(state);
        Ok(Arc::new(core))
    }

    /// Takes a task in. Its ticket names its reply.
    pub(crate) fn submit(
        &self,
        shim: i64,
        codec: Codec,
        bytes: Vec<u8>,
        exports: Vec<Object>,
    ) -> Result<u64> {
        let mut state = self.state.lock();
        match state.phase {
            Phase::Running => {}
            _ => return Err(Error::Closed { what: "pool".into() }),
        }
        if let Some(error) = &state.broken {
            return Err(error.clone());
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.queue.push_back(Task { ticket, shim, codec, bytes, exports });
        self.send_out(&mut state);
        Ok(ticket)
    }

    /// The reply to a task, waiting for it until the deadline.
    pub(crate) fn wait(&self, ticket: u64, deadline: Option<Instant>) -> Result<Option<Reply>> {
        self.wait_until(deadline, |state| state.replies.remove(&ticket))
    }

    /// The reply to the first of these tasks that has one.
    pub(crate) fn wait_any(
        &self,
        tickets: &VecDeque<Result<u64>>,
        deadline: Option<Instant>,
    ) -> Result<Option<(usize, Reply)>> {
        self.wait_until(deadline, |state| {
            let ready = |t: &Result<u64>| t.as_ref().is_ok_and(|t| state.replies.contains_key(t));
            let at = if state.replies.is_empty() { None } else { tickets.iter().position(ready) }?;
            let ticket = tickets[at].as_ref().ok()?;
            Some((at, state.replies.remove(ticket)?))
        })
    }

    /// Minds the pool until `found` finds what it wants.
    pub(crate) fn wait_until<R>(
        &self,
        deadline: Option<Instant>,
        mut found: impl FnMut(&mut State) -> Option<R>,
    ) -> Result<Option<R>> {
        self.waiting.fetch_add(1, SeqCst);
        let word = self.control.words().waiters(Role::First);
        let outcome = self.mind(word, deadline, &mut found);
        self.waiting.fetch_sub(1, SeqCst);
        outcome
    }

    fn mind<R>(
        &self,
        word: &AtomicU64,
        deadline: Option<Instant>,
        found: &mut impl FnMut(&mut State) -> Option<R>,
    ) -> Result<Option<R>> {
        loop {
            let mut starting = false;
            let look = || {
                let mut state = self.state.lock();
                let replies = state.replies.len();
                self.step(&mut state);
                starting = state.workers.iter().any(|w| w.tasks.word(READY).load(Relaxed) == 0);
                let got = found(&mut state);
                let others = state.replies.len() > replies.saturating_sub(usize::from(got.is_some()));
                drop(state);
                if others && self.waiting.load(SeqCst) > 1 {
                    // We collected what somebody else sleeps for.
                    self.session.wake_all(self.control.words().waiters(Role::First));
                }
                Ok(got)
            };
            // A worker that is being started is not watched yet: look at it now and then.
            let slice = Instant::now() + STARTING;
            let first = self.state.lock().workers.iter().any(|w| w.tasks.word(READY).load(Relaxed) == 0);
            let until = if first { Some(deadline.map_or(slice, |d| d.min(slice))) } else { deadline };
            if let Some(got) = self.session.wait(word, until, &nobody, look)? {
                return Ok(Some(got));
            }
            if first {
                self.look_after_starting();
            } else if starting {
                continue;
            }
            if deadline.is_some_and(|d| Instant::now() >= d) {
                return Ok(None);
            }
        }
    }

    /// Does what can be done now.
    pub(crate) fn step(&self, state: &mut State) {
        self.collect(state);
        let deaths = self.session.deaths();
        if deaths != state.seen_deaths {
            state.seen_deaths = deaths;
            self.bury(state);
        }
        self.send_out(state);
        self.balance(state);
    }

    pub(crate) fn collect(&self, state: &mut State) {
        for worker in &mut state.workers {
            while worker.answered < worker.sent {
                let sequence = worker.answered;
                match worker.out.front() {
                    Some(None) => {}
                    Some(Some(_)) if worker.results.look(sequence) == Found::Ready => {
                        worker.done += 1;
                        state.stillborn = 0;
                    }
                    _ => break,
                }
                worker.answered += 1;
                let Some(Some(task)) = worker.out.pop_front() else { continue };
                let reply = match worker.results.read(sequence) {
                    Ok(delivery) => Reply::Delivered(delivery),
                    Err(error) => Reply::Refused(error),
                };
                if !state.abandoned.remove(&task.ticket) {
                    state.replies.insert(task.ticket, reply);
                }
            }
        }
    }

    /// Sends tasks to those who have the fewest.
    fn send_out(&self, state: &mut State) {
        while !state.queue.is_empty() {
            let Some(worker) = state.workers.iter_mut().min_by_key(|w| w.load()).filter(|w| w.load() < DEPTH)
            else {
                return;
            };
            let Some(task) = state.queue.pop_front() else { return };
            if state.abandoned.remove(&task.ticket) {
                continue;
            }
            let exports =
                task.exports.iter().map(|o| Box::new(o.clone()) as Box<dyn std::any::Any + Send>).collect();
            let parcel = Parcel { name: task.shim, codec: task.codec, bytes: &task.bytes, exports };
            match worker.tasks.write(worker.sent, parcel) {
                Ok(()) => {
                    worker.sent += 1;
                    worker.out.push_back(Some(task));
                    self.session.wake_one(worker.tasks.waiters());
                }
                Err(error) => {
                    state.replies.insert(task.ticket, Reply::Refused(error));
                }
            }
        }
    }

    /// When a worker has nothing and none is waiting to be sent, takes half of what the busiest has not begun.
    fn balance(&self, state: &mut State) {
        if !state.queue.is_empty() || state.workers.len() < 2 || !state.workers.iter().any(|w| w.load() == 0)
        {
            return;
        }
        let Some(busiest) = state.workers.iter_mut().max_by_key(|w| w.load()).filter(|w| w.load() >= 2)
        else {
            return;
        };
        let keep = busiest.load().div_ceil(2);
        let first = busiest.answered;
        let mut taken = VecDeque::new();
        for sequence in (first + keep..busiest.sent).rev() {
            let slot = &mut busiest.out[(sequence - first) as usize];
            if slot.is_some() && busiest.tasks.revoke(sequence) {
                taken.extend(slot.take());
            }
        }
        taken.into_iter().for_each(|task| state.queue.push_front(task));
        self.send_out(state);
    }

    /// No more tasks; workers leave once they have done theirs.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Running {
            state.phase = Phase::Closing;
        }
    }

    /// Ends every worker now. Tasks that were not done get [`Error::Cancelled`].
    pub(crate) fn terminate(&self) {
        let mut state = self.state.lock();
        state.phase = Phase::Terminated;
        self.collect(&mut state);
        for worker in &state.workers {
            // One that has ended needs no signal.
            let _ = worker.process.kill();
        }
        self.refuse_all(&mut state, &Error::Cancelled);
        let workers = std::mem::take(&mut state.workers);
        drop(state);
        self.session.wake_all(self.control.words().waiters(Role::First));
        self.session.wake_all(self.control.words().waiters(Role::Second));
        for worker in workers {
            // Killed above; what remains is to collect it.
            let _ = worker.process.wait();
        }
    }

    /// After [`Core::close`]: waits until everything is done and every worker has left.
    pub(crate) fn join(&self) -> Result<()> {
        self.wait_until(None, |state| {
            let busy = !state.queue.is_empty() || state.workers.iter().any(|w| w.load() > 0);
            (!busy || state.phase == Phase::Terminated || state.broken.is_some()).then_some(())
        })?;
        let workers = {
            let mut state = self.state.lock();
            std::mem::take(&mut state.workers)
        };
        for worker in &workers {
            worker.tasks.word(CLOSING).store(1, SeqCst);
            self.session.wake_all(worker.tasks.waiters());
        }
        for worker in workers {
            worker.process.wait()?;
        }
        Ok(())
    }

    pub(crate) fn phase(&self) -> Phase {
        self.state.lock().phase
    }

    /// Nobody will ask for the reply of that task.
    pub(crate) fn abandon(&self, ticket: u64) {
        let mut state = self.state.lock();
        if state.replies.remove(&ticket).is_some() {
            return;
        }
        let in_queue = state.queue.iter().position(|t| t.ticket == ticket);
        if let Some(at) = in_queue {
            state.queue.remove(at);
        } else if state.workers.iter().any(|w| w.out.iter().flatten().any(|t| t.ticket == ticket)) {
            state.abandoned.insert(ticket);
        }
    }

    /// Whether anything is under way.
    pub(crate) fn is_busy(state: &State) -> bool {
        !state.queue.is_empty() || state.workers.iter().any(|w| w.load() > 0)
    }

    pub(crate) fn has_reply(state: &State, ticket: u64) -> bool {
        state.replies.contains_key(&ticket)
    }

    pub(crate) fn take_reply(state: &mut State, ticket: u64) -> Option<Reply> {
        state.replies.remove(&ticket)
    }

    /// How many tasks it is worth having under way at once.
    pub(crate) fn window(&self) -> usize {
        (self.plan.processes * DEPTH as usize).max(2)
    }

    pub(crate) fn processes(&self) -> usize {
        self.plan.processes
    }

    /// Pids and names of the workers.
    pub(crate) fn workers(&self) -> Vec<Ident> {
        self.state.lock().workers.iter().map(|w| w.process.ident().clone()).collect()
    }

    /// Workers that died instead of leaving, in order.
    pub(crate) fn deaths(&self) -> Vec<(Ident, Departure)> {
        self.state.lock().deaths.clone()
    }

    /// Minds the pool for those who do not wait, until `done`.
    pub(crate) fn mind_second(&self, mut done: impl FnMut(&mut State) -> bool) -> Result<()> {
        let word = self.control.words().waiters(Role::Second);
        self.mind(word, None, &mut |state: &mut State| done(state).then_some(())).map(|_| ())
    }

    /// Wakes the minder.
    pub(crate) fn nudge(&self) {
        self.session.wake_all(self.control.words().waiters(Role::Second));
    }
}

const _: () = assert!(DEPTH < SLOTS);
