//! Hosted objects: what cannot lie in shared memory (a pool, open files, a connection) lives in a process of its own, and is called.
//!
//! # The parts
//!
//! | part | is | held by |
//! |---|---|---|
//! | calls | a queue of requests; each carries the sender of its reply | callers send, the server and the host receive |
//! | reply | a queue for one message, made for the call | the caller receives; the one sender is in the request |
//! | life | a lock, which the host's thread has as long as the object is hosted | callers wait for it beside their reply |
//! | keeper | what the server saved last, how many calls it has answered, why it was given up | everybody |
//!
//! # Deaths
//!
//! | who dies | when | what callers see |
//! |---|---|---|
//! | the server | before it took the request | nothing: the next server takes it |
//! | | after it took it | the sender of the reply goes with it: [`Error::Died`], with who it was if it had begun to read it |
//! | | after it answered | the answer |
//! | the server, again and again, before it has answered anything | | [`Error::Broken`]: the host gives up |
//! | the host's process | any time | its server dies with it; the lock is to be had: [`Error::Disconnected`] |
//! | a caller | any time | nothing: the reply goes nowhere |
//!
//! A call that was taken is not repeated by itself, because nobody can know how far it came.

use std::fmt;
use std::marker::PhantomData;
use std::thread::JoinHandle;

use mp_process::Process;
use mp_queue::{Receiver, Sender};
use mp_sync::{Event, Lock};
use mp_wire::{Departure, Error, Ident, Message, Result};
use serde::{Deserialize, Serialize};

use crate::{Dict, Value};

/// After so many deaths without an answer in between, the host gives up.
const MOST_FAILURES: u32 = 5;

/// An object that is hosted: its server calls these.
pub trait Service: Sized + 'static {
    /// What it is made from, again after each death of its server.
    type Setup: Message + Clone + Send;
    /// What it can be asked.
    type Call: Message;
    /// What it answers.
    type Reply: Message;
    /// What it may save, to be restored from after a death. `()` for what has no state.
    type Snapshot: Message;

    /// Makes it, in the server. `keeper` has what was saved last.
    ///
    /// # Errors
    /// Its own; the server ends then, and the host tries again.
    fn start(setup: Self::Setup, keeper: &Keeper<Self::Snapshot>) -> Result<Self>;

    /// Answers a call, in the server, one at a time.
    ///
    /// # Errors
    /// Its own; the caller has it.
    fn call(&mut self, call: Self::Call, keeper: &Keeper<Self::Snapshot>) -> Result<Self::Reply>;
}

/// What outlives the server of a hosted object: it lies in the session.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Keeper<T: Message> {
    saved: Dict<u8, T>,
    answered: Value<u64>,
    given_up: Value<Option<String>>,
}

impl<T: Message> Clone for Keeper<T> {
    fn clone(&self) -> Keeper<T> {
        Keeper { saved: self.saved.clone(), answered: self.answered.clone(), given_up: self.given_up.clone() }
    }
}

impl<T: Message> Keeper<T> {
    fn new() -> Result<Keeper<T>> {
        Ok(Keeper { saved: Dict::new()?, answered: Value::new(0)?, given_up: Value::new(None)? })
    }

    /// Saves a snapshot in the place of the last one: whole, or not at all.
    ///
    /// # Errors
    /// As [`Dict::insert`].
    pub fn save(&self, snapshot: &T) -> Result<()> {
        self.saved.insert(&0, snapshot)
    }

    /// What was saved last.
    ///
    /// # Errors
    /// As [`Dict::get`].
    pub fn last(&self) -> Result<Option<T>> {
        self.saved.get(&0)
    }
}

type Reply<S> = Result<<S as Service>::Reply, Error>;
type Request<S> = (<S as Service>::Call, Sender<Reply<S>>);

/// A handle of a hosted object: calls it from any process. Made by [`Host::start`].
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Hosted<S: Service> {
    calls: Sender<Request<S>>,
    life: Lock,
    keeper: Keeper<S::Snapshot>,
}

impl<S: Service> Hosted<S> {
    /// Calls the object and waits for its answer.
    ///
    /// # Errors
    /// What [`Service::call`] gives; [`Error::Died`] when its server died over the call (the next one is started already);
    /// [`Error::Disconnected`] when its host is gone; [`Error::Broken`] when the host has given up.
    ///
    /// # Blocking
    /// Until the answer is there, or nobody is left who could give it.
    pub fn call(&self, call: S::Call) -> Result<S::Reply> {
        let (reply, answer) = mp_queue::bounded::<Reply<S>>(1)?;
        // The request has the one sender of the reply then.
        self.calls.put((call, reply)).map_err(|error| self.why(error))?;
        mp_session::wait(&[&answer, &self.life], None)?;
        match answer.try_get() {
            Ok(answered) => answered,
            Err(Error::Empty) => Err(self.why(self.gone())),
            Err(Error::Disconnected { who: Some(who), how, .. }) => {
                Err(self.why(Error::Died { who, how: how.unwrap_or(Departure::Unknown) }))
            }
            // *taken-unread*: it died with the request in its hands, before it had the sender in it: that went with a message, which has no
            // name. As long as the host lives there is nothing else that this can be.
            Err(Error::Disconnected { .. }) if self.life.locked() => {
                Err(self.why(Error::Died { who: Ident::new(0, name::<S>()), how: Departure::Unknown }))
            }
            Err(Error::Disconnected { .. }) => Err(self.why(self.gone())),
            Err(error) => Err(error),
        }
    }

    fn gone(&self) -> Error {
        Error::Disconnected { what: name::<S>(), who: None, how: None }
    }

    /// The reason why there is no server any more, if the host left one.
    fn why(&self, error: Error) -> Error {
        match self.keeper.given_up.get() {
            Ok(Some(why)) => Error::Broken { what: name::<S>(), why, who: None },
            _ => error,
        }
    }
}

fn name<S>() -> String {
    format!("hosted {}", std::any::type_name::<S>())
}

impl<S: Service> Clone for Hosted<S> {
    fn clone(&self) -> Hosted<S> {
        Hosted { calls: self.calls.clone(), life: self.life.clone(), keeper: self.keeper.clone() }
    }
}

impl<S: Service> fmt::Debug for Hosted<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", name::<S>())
    }
}

/// Hosts an object: keeps its server running, until it is dropped.
///
/// # If a process dies
/// As the table at the top of the module says: callers of a dead server are told, and the next one is started at once.
///
/// # Examples
///
/// ```no_run
/// use mp_manager::{Host, Keeper, Result, Service};
///
/// /// Counts what it is given; the count outlives its server.
/// struct Counter(u64);
///
/// impl Service for Counter {
///     type Setup = ();
///     type Call = u64;
///     type Reply = u64;
///     type Snapshot = u64;
///
///     fn start((): (), keeper: &Keeper<u64>) -> Result<Counter> {
///         Ok(Counter(keeper.last()?.unwrap_or(0)))
///     }
///
///     fn call(&mut self, more: u64, keeper: &Keeper<u64>) -> Result<u64> {
///         self.0 += more;
///         keeper.save(&self.0)?;
///         Ok(self.0)
///     }
/// }
///
/// fn main() -> Result<()> {
///     mp_process::init();
///     let host = Host::<Counter>::start(())?;
///     let counter = host.handle(); // to be sent to other processes
///     assert_eq!(counter.call(3)?, 3);
///     Ok(())
/// }
/// ```
pub struct Host<S: Service> {
    handle: Hosted<S>,
    stop: Event,
    supervisor: Option<JoinHandle<()>>,
    of: PhantomData<fn() -> S>,
}

impl<S: Service> Host<S> {
    /// Starts a server for the object, and a thread that watches over it.
    ///
    /// # Errors
    /// As [`Process::spawn`]. What `S::start` gives is told to callers.
    pub fn start(setup: S::Setup) -> Result<Host<S>> {
        let (calls, requests) = mp_queue::unbounded()?;
        let handle = Hosted { calls, life: Lock::new()?, keeper: Keeper::new()? };
        let stop = Event::new()?;
        let supervisor =
            Supervisor::<S> { setup, requests, handle: handle.clone(), stop: stop.clone(), failures: 0 };
        let first = supervisor.server()?;
        let (held, is_held) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("mp host".into())
            .spawn(move || {
                // From the first call on, callers know by this lock that somebody watches.
                let life = supervisor.handle.life.clone();
                let guard = life.lock();
                let said = held.send(guard.as_ref().map(|_| ()).map_err(Clone::clone));
                if guard.is_ok() && said.is_ok() {
                    supervisor.watch(first);
                }
            })
            .map_err(|e| Error::os("starting a thread", e))?;
        is_held.recv().map_err(|_| Error::msg("the thread of a host ended at once"))??;
        Ok(Host { handle, stop, supervisor: Some(thread), of: PhantomData })
    }

    /// A handle of the object, to be cloned and sent.
    pub fn handle(&self) -> Hosted<S> {
        self.handle.clone()
    }
}

impl<S: Service> Drop for Host<S> {
    fn drop(&mut self) {
        // In a process that is no member any more there is no server of ours either.
        if self.stop.set().is_ok()
            && let Some(thread) = self.supervisor.take()
        {
            // It does not panic; if it did, its message was printed.
            let _ = thread.join();
        }
    }
}

impl<S: Service> fmt::Debug for Host<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host of {:?}", self.handle)
    }
}

struct Supervisor<S: Service> {
    setup: S::Setup,
    requests: Receiver<Request<S>>,
    handle: Hosted<S>,
    stop: Event,
    failures: u32,
}

impl<S: Service> Supervisor<S> {
    fn server(&self) -> Result<Process<()>> {
        Process::builder()
            .name(name::<S>())
            .daemon(true)
            .may_have_children(true)
            .spawn(serve::<S>, (self.setup.clone(), self.requests.clone(), self.handle.keeper.clone()))
    }

    /// Starts the next server whenever one ends, until it is told to stop, or gives up.
    fn watch(mut self, first: Process<()>) {
        let mut server = first;
        let why = loop {
            match self.wait_for(&server) {
                Ok(None) => return,
                Ok(Some(ended)) if self.failures >= MOST_FAILURES => {
                    break format!("{MOST_FAILURES} servers ended without an answer; the last: {ended}");
                }
                Ok(Some(_)) => {}
                Err(error) => break error.to_string(),
            }
            server = match self.server() {
                Ok(next) => next,
                Err(error) => break format!("no new server can be started: {error}"),
            };
        };
        // Without memory for the reason, callers are told that nobody is there.
        let _ = self.handle.keeper.given_up.set(Some(why));
    }

    /// Waits until the server ends, and says how; `None`: it was ended because the host goes.
    fn wait_for(&mut self, server: &Process<()>) -> Result<Option<String>> {
        let before = self.handle.keeper.answered.get()?;
        mp_session::wait(&[server, &self.stop], None)?;
        if self.stop.is_set() {
            server.kill()?;
            server.wait()?;
            return Ok(None);
        }
        let ended = match server.join() {
            Ok(()) => "it returned".to_owned(),
            Err(error) => error.to_string(),
        };
        let answered = self.handle.keeper.answered.get()? != before;
        self.failures = if answered { 0 } else { self.failures + 1 };
        Ok(Some(ended))
    }
}

/// A server's life.
fn serve<S: Service>(
    setup: S::Setup,
    requests: Receiver<Request<S>>,
    keeper: Keeper<S::Snapshot>,
) -> Result<()> {
    let mut service = S::start(setup, &keeper)?;
    loop {
        let (call, reply) = requests.get()?;
        let answer = service.call(call, &keeper);
        keeper.answered.update(|n| *n += 1)?;
        match reply.put(answer) {
            // The caller is gone.
            Ok(()) | Err(Error::Disconnected { .. } | Error::Closed { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}
