//! A call, and how it is done: at once by the loop, or by an agent that waits until it can be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mp_session::{Waitable, wait_in};
use mp_wire::Error;

use crate::any::Any;
use crate::handle::Handle;

use super::agent::{Owned, Work};
use super::client::Client;
use super::core::{Core, Entry};
use super::fault::{Exception, Fault};
use super::journal::Begun;
use super::methods::{self, Args, Asking};

/// What a call comes to.
#[derive(Debug)]
pub(crate) enum Done {
    Value(Any),
    Iterator(Vec<Any>),
}

/// A call, with everything that doing it takes.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) core: Arc<Core>,
    pub(crate) client: Arc<Client>,
    pub(crate) entry: Arc<Entry>,
    pub(crate) method: String,
    pub(crate) args: Args,
    pub(crate) answer: Answer,
}

/// Where the answer goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// To a CPython client.
    Python,
    /// To one of ours, as the answer to this call.
    Ours(u64),
}

/// Whether a call of that object may have to wait, so that it may have to be tried more than once.
fn may_wait(handle: &Handle) -> bool {
    !matches!(
        handle,
        Handle::Dict(_)
            | Handle::List(_)
            | Handle::Set(_)
            | Handle::Namespace(_)
            | Handle::Value(_)
            | Handle::Array(_)
    )
}

/// How many elements are too many for the loop to go through, with everybody waiting.
const MANY: usize = 4096;

/// Whether a call goes through everything that there is, and that is much.
fn is_long(handle: &Handle, method: &str) -> bool {
    if matches!(
        method,
        "__getitem__"
            | "__setitem__"
            | "get"
            | "append"
            | "__len__"
            | "__contains__"
            | "__delitem__"
            | "pop"
            | "add"
            | "set"
            | "setdefault"
            | "#EXCHANGE"
    ) && !matches!((handle, method), (Handle::List(_), "__contains__"))
    {
        return false;
    }
    let len = match handle {
        Handle::Dict(dict) => dict.len(),
        Handle::Set(set) => set.len(),
        Handle::List(list) => list.len(),
        Handle::Array(array) => array.len(),
        _ => return false,
    };
    len.is_ok_and(|len| len > MANY)
}

/// A call that was done, or has failed.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) result: Result<Done, Fault>,
    /// It stands in the client's journal as begun, until its result does.
    pub(crate) begun: Option<Begun>,
}

impl Job {
    /// Tries to do it here, in the loop. It comes back if an agent has to.
    pub(crate) fn try_now(mut self) -> Result<Outcome, Job> {
        if is_long(&self.entry.handle, &self.method) {
            return Err(self);
        }
        // What cannot wait is tried once, and needs no copy of what it is asked with.
        let mut args =
            if may_wait(&self.entry.handle) { self.args.clone() } else { std::mem::take(&mut self.args) };
        match self.once(&mut args, None, false) {
            Tried::Done(outcome) => Ok(outcome),
            Tried::Wait(_) | Tried::Agent => Err(self),
        }
    }

    fn wait(&self, owned: &mut Owned) -> Outcome {
        let began = Instant::now();
        let mut late = false;
        loop {
            let mut args = self.args.clone();
            let limit = match self.once(&mut args, Some(owned), late) {
                Tried::Done(outcome) => return outcome,
                Tried::Wait(limit) => limit,
                Tried::Agent => {
                    return Outcome {
                        result: Err(Error::Unsupported { what: self.method.clone() }.into()),
                        begun: None,
                    };
                }
            };
            let left = limit.map(|limit| limit.saturating_sub(began.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                late = true;
                continue;
            }
            let thing = waitable(&self.entry.handle, &self.method);
            match wait_in(&self.core.session, &[&*thing], left) {
                Ok(ready) => late = ready.is_empty(),
                Err(error) => return Outcome { result: Err(error.into()), begun: None },
            }
        }
    }

    /// Tries it once; for a client that comes back, by way of its journal.
    fn once(&self, args: &mut Args, agent: Option<&mut Owned>, late: bool) -> Tried {
        let begun = match (self.answer, &self.client.journal) {
            (Answer::Ours(call), Some(journal))
                if !methods::only_reads(&self.method) && !is_owned(&self.entry.handle) =>
            {
                match journal.lock().begin(call) {
                    Some(begun) => Some(begun),
                    None => {
                        let limit = "calls of one client that are done at the same instant".into();
                        let error = Error::LimitReached { limit, detail: self.method.clone() };
                        return Tried::Done(Outcome { result: Err(error.into()), begun: None });
                    }
                }
            }
            _ => None,
        };
        let mut asking = Asking { client: &self.client, id: self.entry.id, agent, late };
        let result = match attempt(&self.core, &self.entry, &self.method, args, &mut asking) {
            Ok(methods::Tried::Value(value)) => Ok(Done::Value(value)),
            Ok(methods::Tried::Iterator(values)) => Ok(Done::Iterator(values)),
            Err(fault) => Err(fault),
            // Nothing was done.
            Ok(waits) => {
                if let (Some(begun), Some(journal)) = (begun, &self.client.journal) {
                    journal.lock().end(begun);
                }
                return match waits {
                    methods::Tried::Wait(limit) => Tried::Wait(limit),
                    _ => Tried::Agent,
                };
            }
        };
        Tried::Done(Outcome { result, begun })
    }
}

/// What an attempt comes to.
enum Tried {
    Done(Outcome),
    Wait(Option<Duration>),
    Agent,
}

/// What belongs to a gateway's thread, and is gone with it: asked again it is a new call.
fn is_owned(handle: &Handle) -> bool {
    matches!(handle, Handle::RLock(_) | Handle::Condition(_) | Handle::Barrier(_))
}

fn attempt(
    core: &Core,
    entry: &Entry,
    method: &str,
    args: &mut Args,
    asking: &mut Asking<'_>,
) -> Result<methods::Tried, Fault> {
    match method {
        "#GETVALUE" => methods::whole(&entry.handle).map(methods::Tried::Value),
        "__str__" | "__repr__" => Ok(methods::Tried::Value(Any::Str(core.shown(entry)))),
        "__getattribute__" if !matches!(entry.handle, Handle::Namespace(_) | Handle::Barrier(_)) => {
            Err(Exception::Attribute.says("attributes of this object are not shared"))
        }
        _ => methods::attempt(&entry.handle, method, args, asking),
    }
}

/// What a call waits for.
fn waitable<'a>(handle: &'a Handle, method: &str) -> Box<dyn Waitable + 'a> {
    match handle {
        Handle::Queue(queue) if method.starts_with("put") => Box::new(queue.sender()),
        Handle::Queue(queue) => Box::new(queue.receiver()),
        Handle::JoinableQueue(queue) if method.starts_with("put") => Box::new(queue.sender()),
        Handle::JoinableQueue(queue) => Box::new(queue),
        Handle::Lock(lock) => Box::new(lock),
        Handle::RLock(lock) => Box::new(lock),
        Handle::Semaphore(semaphore) => Box::new(semaphore),
        Handle::BoundedSemaphore(semaphore) => Box::new(semaphore),
        Handle::Event(event) => Box::new(event),
        Handle::Condition(condition) => Box::new(condition.get_lock()),
        // These wait by themselves, or never.
        _ => Box::new(Always),
    }
}

/// What is ready.
struct Always;

impl Waitable for Always {
    fn sources<'a>(&'a self, _: &mut mp_session::Sources<'a>) {}

    fn is_ready(&self) -> bool {
        true
    }
}

impl Work for Job {
    fn run(self, owned: &mut Owned) {
        let outcome = self.wait(owned);
        // Who is gone is told nothing.
        if let Err(Fault { exception: Exception::Ours(Error::Cancelled), .. }) = outcome.result {
            return;
        }
        let mut out = Vec::new();
        match self.answer {
            Answer::Python => crate::python::answer(&self.core, &self.client, outcome.result, &mut out),
            Answer::Ours(call) => super::rust::answer(&self.core, &self.client, call, outcome, &mut out),
        }
        self.client.link().send(&out);
        if let Answer::Ours(call) = self.answer {
            self.core.remotes.ran(self.client.number, call);
        }
    }
}
