//! The gateway: a session's objects for other sessions, other machines and CPython.
//!
//! Whoever is a member of the session works on its objects without anybody's help. Everybody else comes to a gateway, a thread of some member that
//! listens at an address, and asks it to do what a member would do. It speaks two languages: CPython's manager protocol, so that a stock
//! `SyncManager(address, authkey=...)` connects to it as to a manager of its own; and the protocol of [`RemoteManager`](crate::RemoteManager), for programs of ours.
//!
//! ```
//! use mp_manager::{Any, Gateway, RemoteManager};
//!
//! let gateway = Gateway::builder().bind("127.0.0.1:0".parse::<mp_manager::gateway::Address>()?, "open sesame")?;
//! let manager = RemoteManager::connect(gateway.address().clone(), "open sesame")?;
//! let stock = manager.dict::<String, u32>()?;
//! stock.insert("apples".to_owned(), 3)?;
//! assert_eq!(stock.get("apples".to_owned())?, Some(3));
//! # Ok::<(), mp_manager::Error>(())
//! ```
//!
//! # It holds no data
//!
//! The objects are the session's, and so is what the gateway knows of its clients (`store`). A gateway that is killed takes nothing with it: the next
//! one that is made with the same name, by any process of the session, goes on where it was, and clients of ours come back to it by themselves.
//!
//! # Deaths
//!
//! | dies | when | then |
//! |---|---|---|
//! | a gateway | between two calls | nothing happened; clients of ours come back |
//! | | at a call | `journal.rs`: it was done once, or not, or the client is told that nobody knows ([`Error::InDoubt`]) |
//! | | about to take a lock for a client | the lock's word says who took it, and the next gateway gives it to the client or back |
//! | | about to take a permit for a client | the permit may be lost: a semaphore does not say who has its permits |
//! | | while clients hold a `Lock` | they hold it still; those that do not come back (CPython's cannot) lose it when the next gateway starts |
//! | | while clients hold an `RLock`, or that of a `Condition` | it is free: it belonged to a thread of the gateway; whoever releases it is told |
//! | | while clients wait | they wait again, at the next gateway |
//! | a client | any time | its calls that wait are cancelled; what it held is given back; its references end (over TCP CPython's stay, see `python`) |
//! | a client's connection | any time | a client of ours comes back within 0.7 s, or is gone as above; one of CPython's is gone |
//! | a member of the session | any time | as without a gateway: operations of its own have happened or not |
//!
//! # Strangers
//!
//! Everything that comes over a connection is hostile until the key is proved, and no better than a program with bugs afterwards. What it may cost
//! is told in `server.rs`; frames are limited before anything is allocated, pickles are read without being acted upon (`python/pickle.rs`), and a
//! peer that is silent, slow or greedy has nobody waiting for it. A wrong key learns nothing: it gets a random challenge and a refusal.
//!
//! The key authenticates and does not encrypt. Between machines that do not trust their network, put the connection into a tunnel.
//!
//! | file | idea |
//! |---|---|
//! | `server`, `peer`, `link`, `frame` | the loop, a connection, its sending side, frames |
//! | `handshake`, `auth` | who knows the key |
//! | `core`, `store`, `id`, `make` | objects that were given out; what stays when a gateway dies |
//! | `methods`, `job`, `agent`, `fault` | what objects can be asked for; doing it, now or by a thread that waits; exceptions |
//! | `client`, `rust`, `journal` | clients; our own protocol; calls that happen once |
//! | `remote` | the client's side of our own protocol |
//! | `python` | CPython's protocol, and its pickles |

pub(crate) mod agent;
pub(crate) mod auth;
pub(crate) mod client;
pub(crate) mod core;
pub(crate) mod fault;
pub(crate) mod frame;
mod handshake;
pub(crate) mod id;
pub(crate) mod job;
mod journal;
pub(crate) mod link;
mod make;
pub(crate) mod methods;
mod peer;
pub mod remote;
pub(crate) mod rust;
mod server;
pub(crate) mod store;

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;

pub use mp_pipe::{Address, AuthKey};
use mp_session::Session;
use mp_sys::Poller;
use mp_sys::socket::{Endpoint, SocketListener};
use mp_wire::{Error, Result};
use parking_lot::Mutex;

use self::core::{Core, Limits, Plan};
use self::server::Server;
use crate::handle::Handle;

/// The longest frame unless it is said otherwise.
const FRAME: usize = 64 << 20;
/// How many may wait to be let in.
const BACKLOG: u32 = 1024;

/// Serves the session's objects to strangers, to other machines and to CPython (Python's `BaseManager.get_server()`).
///
/// It serves from a thread of this process for as long as this value lives. To have it in a process of its own, make it there; if that process
/// dies, make it again at the same address, in any process of the session. See [the module](self).
///
/// # If a process dies
/// See the table in [the module](self).
///
/// # Examples
/// ```
/// use mp_manager::{Any, Dict, Gateway, Handle};
///
/// let shared = Dict::<Any, Any>::new()?;
/// let gateway = Gateway::builder().bind("127.0.0.1:0".parse::<mp_manager::gateway::Address>()?, "open sesame")?;
/// gateway.offer("get_shared", &Handle::Dict(shared))?; // Python: `register("get_shared", proxytype=DictProxy)`
/// println!("serving at {}", gateway.address());
/// # Ok::<(), mp_manager::Error>(())
/// ```
pub struct Gateway {
    core: Arc<Core>,
    address: Address,
    thread: Mutex<Option<JoinHandle<Result<()>>>>,
}

/// How a [`Gateway`] is to be.
#[derive(Clone, Debug)]
pub struct GatewayBuilder {
    name: Option<String>,
    frame: usize,
    obeys: bool,
    note: fn(fmt::Arguments<'_>),
}

impl Default for GatewayBuilder {
    fn default() -> Self {
        GatewayBuilder { name: None, frame: FRAME, obeys: false, note: |_| () }
    }
}

impl GatewayBuilder {
    /// The name by which the next one finds what this one leaves when it dies; otherwise that is its address. Only one gateway of a name may
    /// serve at a time.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// The longest message that is taken from anybody: 64 MiB unless this is called.
    #[must_use]
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.frame = bytes;
        self
    }

    /// Whether a client may stop the gateway, as Python's `shutdown()` stops a manager. The objects stay.
    #[must_use]
    pub fn obeys_shutdown(mut self, obeys: bool) -> Self {
        self.obeys = obeys;
        self
    }

    /// Is told what peers do wrong, and what does not work. It is called in the gateway's threads and must not wait.
    #[must_use]
    pub fn on_note(mut self, note: fn(fmt::Arguments<'_>)) -> Self {
        self.note = note;
        self
    }

    /// Listens there and serves, with this process's session.
    ///
    /// # Errors
    /// [`Error::Os`] when it cannot listen there; [`Error::LimitReached`] when the session has no room; what [`Session::current`] returns.
    ///
    /// # Platform
    /// Named pipes are not served.
    pub fn bind(self, address: impl Into<Address>, key: impl Into<AuthKey>) -> Result<Gateway> {
        self.bind_in(&Session::current()?, address, key)
    }

    /// The same, with that session.
    ///
    /// # Errors
    /// As [`bind`](GatewayBuilder::bind).
    pub fn bind_in(
        self,
        session: &Session,
        address: impl Into<Address>,
        key: impl Into<AuthKey>,
    ) -> Result<Gateway> {
        let os = |error| Error::os("listen for a gateway's clients", error);
        let listener = SocketListener::bind(&endpoint(&address.into())?, BACKLOG).map_err(os)?;
        let address = address_of(listener.endpoint());
        let name = self.name.unwrap_or_else(|| address.to_string());
        let poller = Arc::new(Poller::new().map_err(os)?);
        let key: AuthKey = key.into();
        let plan = Plan {
            session: session.clone(),
            key: key.as_bytes().to_vec(),
            limits: Limits { frame: self.frame },
            name: &name,
            address: crate::python::address(&address),
            is_local: !matches!(address, Address::Tcp(_)),
            obeys: self.obeys,
            note: self.note,
        };
        let core = Arc::new(Core::new(plan, poller.clone())?);
        let mut server = Server::new(core.clone(), poller, listener)?;
        let thread = std::thread::Builder::new()
            .name("mp-gateway".into())
            .spawn(move || server.run())
            .map_err(|error| Error::os("start a gateway's thread", error))?;
        Ok(Gateway { core, address, thread: Mutex::new(Some(thread)) })
    }
}

impl Gateway {
    /// To say how it is to be.
    pub fn builder() -> GatewayBuilder {
        GatewayBuilder::default()
    }

    /// Listens there and serves.
    ///
    /// # Errors
    /// As [`GatewayBuilder::bind`].
    pub fn bind(address: impl Into<Address>, key: impl Into<AuthKey>) -> Result<Gateway> {
        Gateway::builder().bind(address, key)
    }

    /// Where it listens: a port of 0 has become one.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Lets clients have an object by name: `RemoteManager::open(name)`, and in Python what `register(name)` adds to a manager. It stays when
    /// this gateway ends, for the next one.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a name that is a type's; [`Error::LimitReached`] when the session has no room.
    pub fn offer(&self, name: &str, object: &Handle) -> Result<()> {
        if make::is_type(name) {
            return Err(Error::InvalidArgument { detail: format!("{name:?} is a type's name") });
        }
        self.core.store.names.insert(name, object.clone())
    }

    /// Offers it no more. `false`: nothing was offered by that name. Who has it keeps it.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when the session has no room.
    pub fn withdraw(&self, name: &str) -> Result<bool> {
        self.core.store.names.remove(name)
    }

    /// How many objects clients refer to (Python's `_number_of_objects`).
    pub fn number_of_objects(&self) -> usize {
        self.core.in_use().len()
    }

    /// Serves until it is told to stop, by [`stop`](Gateway::stop) in another thread or by a client that may.
    ///
    /// # Errors
    /// Why it could not go on.
    ///
    /// # Blocking
    /// Until then.
    pub fn serve(&self) -> Result<()> {
        let Some(thread) = self.thread.lock().take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(Error::msg("the gateway's thread panicked")))
    }

    /// Ends it: connections are closed. The objects stay, and what it knew of its clients stays for the next one.
    pub fn stop(&self) {
        self.core.stop();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.core.stop();
        if let Err(error) = self.serve() {
            self.core.note(format_args!("the gateway had ended before: {error}"));
        }
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("address", &self.address).finish_non_exhaustive()
    }
}

pub(crate) fn endpoint(address: &Address) -> Result<Endpoint> {
    Ok(match address.clone() {
        Address::Tcp(address) => Endpoint::Tcp(address),
        Address::Path(path) => Endpoint::Path(path),
        Address::Abstract(name) => Endpoint::Abstract(name),
        Address::Pipe(name) => Endpoint::Pipe(name),
        other => return Err(Error::Unsupported { what: format!("a gateway at {other}") }),
    })
}

fn address_of(endpoint: &Endpoint) -> Address {
    match endpoint.clone() {
        Endpoint::Tcp(address) => Address::Tcp(address),
        Endpoint::Path(path) => Address::Path(path),
        Endpoint::Abstract(name) => Address::Abstract(name),
        Endpoint::Pipe(name) => Address::Pipe(name),
    }
}
