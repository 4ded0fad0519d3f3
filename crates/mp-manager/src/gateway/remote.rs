//! A client of a gateway: the same objects, from another session or another machine.

mod api;
mod containers;
mod locks;
mod make;
mod objects;
mod wire;

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mp_pipe::{Address, AuthKey};
use mp_session::primitive::{AtomicU32, Ordering::Relaxed};
use mp_wire::{Error, Result};

use self::wire::Wire;
use super::fault::{Exception, Fault};
use super::rust::{RAISED, VALUE};
use crate::any::Any;
use crate::handle::Handle;
use crate::python::{self, Proxies, Token, Writer};

pub use containers::{RemoteDict, RemoteList, RemoteNamespace, RemoteQueue, RemoteSet, RemoteValue};
pub use locks::{
    Release, RemoteBarrier, RemoteCondition, RemoteEvent, RemoteGuard, RemoteLock, RemoteRLock,
    RemoteSemaphore,
};
pub use objects::RemoteHandle;

/// How long a client tries to come back to its gateway.
const PATIENCE: Duration = Duration::from_secs(30);
/// Calls of a batch that are on their way at once, and their bytes: what any socket takes without somebody reading.
const BATCH: (usize, usize) = (512, 48 << 10);

/// The objects behind a gateway (Python's `BaseManager.connect()`). It is a handle: clones use the same connection, which any number of threads may do.
///
/// When the connection breaks it is made again; see [the module](super) for what becomes of calls.
///
/// # Errors
/// Calls of this and of its objects return, beside their own: [`Error::Os`] when the gateway cannot be reached for half a minute;
/// [`Error::InDoubt`] when a gateway died in the very moment of a call and nobody can tell whether it was done; [`Error::Stale`] for an object that
/// is gone.
///
/// # Blocking
/// Each call waits for its answer.
#[derive(Clone)]
pub struct RemoteManager(Arc<Wire>);

thread_local! {
    static LANE: Cell<u32> = const { Cell::new(0) };
}

static LANES: AtomicU32 = AtomicU32::new(1);

/// The lane of this thread: what it asks for is done in its order, and `RLock`s know it.
fn lane() -> u32 {
    LANE.with(|lane| {
        if lane.get() == 0 {
            lane.set(LANES.fetch_add(1, Relaxed));
        }
        lane.get()
    })
}

impl RemoteManager {
    /// Connects to a gateway.
    ///
    /// # Errors
    /// [`Error::Os`] when nobody answers there; [`Error::Refused`] when one of the two does not know the key.
    ///
    /// # Blocking
    /// Until it is connected, at most some seconds.
    pub fn connect(address: impl Into<Address>, key: impl Into<AuthKey>) -> Result<RemoteManager> {
        let key: AuthKey = key.into();
        let wire = Wire::connect(super::endpoint(&address.into())?, key.as_bytes().to_vec(), PATIENCE)?;
        Ok(RemoteManager(Arc::new(wire)))
    }

    /// Calls a method of an object, by Python's name: what the typed handles do.
    ///
    /// # Errors
    /// Those of the object.
    fn ask(&self, id: &str, method: &str, args: &[Any], named: &[(&str, Any)]) -> Result<Any, Fault> {
        let request = request(id, method, args, named);
        let tickets = self.0.send(lane(), vec![request], false);
        self.answer(&tickets[0])
    }

    fn answer(&self, ticket: &wire::Ticket) -> Result<Any, Fault> {
        let answer = self.0.wait(ticket)?;
        let nonsense = |detail: String| {
            Fault::from(Error::Decode { type_name: "an answer of a gateway".into(), detail })
        };
        let Some((status, value)) = answer.split_first() else { return Err(nonsense("it is empty".into())) };
        let value = python::read(value, &Nothing).map_err(|error| nonsense(error.to_string()))?;
        match (*status, value) {
            (VALUE, value) => Ok(value),
            (RAISED, Any::Tuple(told)) => match <[Any; 2]>::try_from(told) {
                Ok([Any::Bytes(exception), Any::Tuple(args)]) => {
                    let exception: Exception =
                        mp_wire::decode(mp_wire::Codec::Postcard, &exception, Vec::new())?;
                    Err(Fault { exception, args })
                }
                _ => Err(nonsense("an exception that is none".into())),
            },
            (status, _) => Err(nonsense(format!("status {status}"))),
        }
    }

    /// Many calls of one object: sent together, and done in their order.
    fn ask_many(
        &self,
        id: &str,
        method: &str,
        calls: impl IntoIterator<Item = Vec<Any>>,
    ) -> Vec<Result<Any, Fault>> {
        let mut calls = calls.into_iter().peekable();
        let mut results = Vec::new();
        while calls.peek().is_some() {
            let (mut requests, mut bytes) = (Vec::new(), 0);
            while requests.len() < BATCH.0 && bytes < BATCH.1 {
                let Some(args) = calls.next() else { break };
                let request = request(id, method, &args, &[]);
                bytes += request.len();
                requests.push(request);
            }
            let tickets = self.0.send(lane(), requests, false);
            results.extend(tickets.iter().map(|ticket| self.answer(ticket)));
        }
        results
    }

    /// Makes an object, or opens one that is offered by that name.
    fn create(&self, typeid: &str, args: &[Any], named: &[(&str, Any)]) -> Result<Reference> {
        let mut all = vec![Any::from(typeid)];
        all.extend_from_slice(args);
        match self.ask("", "create", &all, named)? {
            Any::Tuple(made) => match <[Any; 2]>::try_from(made) {
                Ok([Any::Str(id), Any::Str(kind)]) => {
                    Ok(Reference { manager: self.clone(), id: id.into(), kind: kind.into() })
                }
                _ => Err(Error::msg("a gateway made something that has no name")),
            },
            other => Err(Error::msg(format_args!("a gateway made a {:?}", other.type_name()))),
        }
    }

    /// The object that a value means which came out of another object.
    fn open_value(&self, value: &Any) -> Result<Reference> {
        let Some(id) = python::proxy_of(value) else {
            return Err(Error::WrongKind {
                expected: "a shared object".into(),
                found: value.type_name().into(),
            });
        };
        match self.ask("", "incref", &[Any::from(&*id)], &[])? {
            Any::Str(kind) => Ok(Reference { manager: self.clone(), id: id.into(), kind: kind.into() }),
            other => Err(Error::msg(format_args!("a gateway opened a {:?}", other.type_name()))),
        }
    }
}

impl crate::Manager {
    /// The objects behind a gateway: [`RemoteManager::connect`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Blocking
    /// As there.
    pub fn connect(address: impl Into<Address>, key: impl Into<AuthKey>) -> Result<RemoteManager> {
        RemoteManager::connect(address, key)
    }
}

impl fmt::Debug for RemoteManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteManager").finish_non_exhaustive()
    }
}

fn request(id: &str, method: &str, args: &[Any], named: &[(&str, Any)]) -> Vec<u8> {
    let mut to = Writer::after(Vec::with_capacity(64));
    to.begin_tuple();
    if id.is_empty() {
        to.none()
    } else {
        to.str(id)
    }
    to.str(method);
    to.begin_tuple();
    args.iter().for_each(|arg| python::write(arg, &Nothing, &mut to));
    to.end_tuple();
    to.dict(named, |to, (name, value)| {
        to.str(name);
        python::write(value, &Nothing, to);
    });
    to.end_tuple();
    to.finish()
}

/// Proxies mean nothing to a client: they are kept as what they are, and sent back.
struct Nothing;

impl Proxies for Nothing {
    fn find(&self, _: Token<'_>) -> Option<Handle> {
        None
    }

    /// A handle of our own session means nothing to the other side.
    fn write(&self, _: &Handle, to: &mut Writer) {
        to.none();
    }
}

/// A reference to an object behind a gateway, given back when it is dropped.
struct Reference {
    manager: RemoteManager,
    id: Arc<str>,
    kind: Arc<str>,
}

impl Reference {
    fn ask(&self, method: &str, args: &[Any]) -> Result<Any, Fault> {
        self.manager.ask(&self.id, method, args, &[])
    }

    /// It must be of one of these kinds.
    fn expect(self, kinds: &[&str]) -> Result<Arc<Reference>> {
        if kinds.contains(&&*self.kind) {
            return Ok(Arc::new(self));
        }
        Err(Error::WrongKind { expected: kinds.join(" or "), found: self.kind.to_string() })
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        self.manager.0.send(lane(), vec![request("", "decref", &[Any::from(&*self.id)], &[])], true);
    }
}
