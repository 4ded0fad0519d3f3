//! Threads for what may have to wait: one for each lane that waits or owns, none for one that does not.
//!
//! A *lane* is a thread of a client: what it asks for is done in its order, and what it owns (the levels of an `RLock`) belongs to it. Most calls
//! need no waiting, and the loop does them itself. The first that would have to wait is given to an *agent*, a thread that belongs to the lane
//! until nothing is left to do and nothing is owned. Meanwhile everything else that the lane asks for goes to the agent as well.
//!
//! | lane | call | what happens |
//! |---|---|---|
//! | free | needs no waiting | the loop does it |
//! | free | would wait, or owns | the lane is busy; an idle agent takes it, or a new one |
//! | busy | any | it is queued |
//! | busy, nothing queued, nothing owned | | the lane is free, the agent idle |
//! | busy | the client is gone | its token is cancelled: the wait ends with `Cancelled`, what is queued is dropped, what is owned given back |
//!
//! Agents that are idle for some seconds end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use mp_session::CancelToken;
use mp_wire::{Error, Result};
use parking_lot::{Condvar, Mutex};

use super::id::ObjectId;

/// How long an agent waits for something to do.
const IDLE: Duration = Duration::from_secs(5);
/// How much a lane may have waiting behind a call that waits.
const QUEUED: usize = 4096;

/// What an agent does for a lane.
pub(crate) trait Work: Send + 'static {
    /// Does it, waiting if need be, under the client's token.
    fn run(self, owned: &mut Owned);
}

/// What an agent's thread holds for its lane: locks that know their owner, and how often.
#[derive(Debug, Default)]
pub(crate) struct Owned(Vec<(ObjectId, mp_sync::RLock, u64)>);

impl Owned {
    /// One level more.
    pub(crate) fn took(&mut self, id: ObjectId, lock: &mp_sync::RLock) {
        match self.0.iter_mut().find(|(owned, ..)| *owned == id) {
            Some((_, _, levels)) => *levels += 1,
            None => self.0.push((id, lock.clone(), 1)),
        }
    }

    /// One level less.
    pub(crate) fn gave(&mut self, id: ObjectId) {
        if let Some(at) = self.0.iter().position(|(owned, ..)| *owned == id) {
            self.0[at].2 -= 1;
            if self.0[at].2 == 0 {
                self.0.swap_remove(at);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn give_all_back(&mut self) {
        for (_, lock, levels) in self.0.drain(..) {
            for _ in 0..levels {
                // Not held any more: a wait that was cancelled had put it down.
                if lock.release().is_err() {
                    break;
                }
            }
        }
    }
}

/// A thread of a client.
#[derive(Debug)]
pub(crate) struct Lane<W> {
    state: Mutex<State<W>>,
    more: Condvar,
    token: CancelToken,
}

#[derive(Debug)]
struct State<W> {
    queued: VecDeque<W>,
    busy: bool,
    ended: bool,
}

impl<W: Work> Lane<W> {
    pub(crate) fn new(token: CancelToken) -> Lane<W> {
        let state = State { queued: VecDeque::new(), busy: false, ended: false };
        Lane { state: Mutex::new(state), more: Condvar::new(), token }
    }

    /// Whether calls have to queue.
    pub(crate) fn is_busy(&self) -> bool {
        self.state.lock().busy
    }

    /// The client is gone.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        state.queued.clear();
        if state.busy {
            self.token.cancel();
            self.more.notify_one();
        }
    }

    /// Works until nothing is left to do and nothing is owned.
    fn serve(&self) {
        let mut owned = Owned::default();
        let mut state = self.state.lock();
        loop {
            if state.ended {
                drop(state);
                owned.give_all_back();
                return;
            }
            if let Some(work) = state.queued.pop_front() {
                drop(state);
                self.token.scope(|| work.run(&mut owned));
                state = self.state.lock();
            } else if owned.is_empty() {
                state.busy = false;
                return;
            } else {
                self.more.wait(&mut state);
            }
        }
    }
}

/// An agent without a lane: its number, and where to send it one.
type Idle<W> = (u64, mpsc::Sender<Arc<Lane<W>>>);

/// The agents of a gateway.
#[derive(Debug)]
pub(crate) struct Agents<W> {
    idle: Mutex<Vec<Idle<W>>>,
    next: mp_session::primitive::AtomicU64,
}

impl<W: Work> Agents<W> {
    pub(crate) fn new() -> Arc<Agents<W>> {
        Arc::new(Agents { idle: Mutex::default(), next: mp_session::primitive::AtomicU64::new(0) })
    }

    /// Has that done by the lane's agent.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when too much waits already; [`Error::Os`] when no thread can be started.
    pub(crate) fn give(self: &Arc<Self>, lane: &Arc<Lane<W>>, work: W) -> Result<()> {
        {
            let mut state = lane.state.lock();
            if state.queued.len() >= QUEUED {
                let detail = format!("{QUEUED} are there");
                return Err(Error::LimitReached { limit: "calls behind one that waits".into(), detail });
            }
            state.queued.push_back(work);
            lane.more.notify_one();
            if state.busy {
                return Ok(());
            }
            state.busy = true;
        }
        let mut lane = lane.clone();
        loop {
            let Some((_, agent)) = self.idle.lock().pop() else { break };
            match agent.send(lane) {
                Ok(()) => return Ok(()),
                Err(mpsc::SendError(back)) => lane = back,
            }
        }
        let agents = self.clone();
        let first = lane.clone();
        let started = std::thread::Builder::new()
            .name("mp-gateway-agent".into())
            .stack_size(1 << 20)
            .spawn(move || agents.run(first));
        if let Err(error) = started {
            let mut state = lane.state.lock();
            state.busy = false;
            state.queued.clear();
            return Err(Error::os("start a thread for a call that waits", error));
        }
        Ok(())
    }

    fn run(self: Arc<Self>, mut lane: Arc<Lane<W>>) {
        let number = self.next.fetch_add(1, mp_session::primitive::Ordering::Relaxed);
        loop {
            lane.serve();
            drop(lane);
            let (to, from) = mpsc::channel();
            self.idle.lock().push((number, to));
            lane = match from.recv_timeout(IDLE) {
                Ok(lane) => lane,
                Err(_) => {
                    let mut idle = self.idle.lock();
                    match idle.iter().position(|(other, _)| *other == number) {
                        Some(at) => {
                            idle.swap_remove(at);
                            return;
                        }
                        // Somebody has just taken it from the list, and will send.
                        None => {
                            drop(idle);
                            match from.recv() {
                                Ok(lane) => lane,
                                Err(_) => return,
                            }
                        }
                    }
                }
            };
        }
    }
}
