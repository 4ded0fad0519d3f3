//! `Listener`: letting other programs connect.

use std::fmt;
use std::time::Duration;

use mp_session::{Interest, Sources, Waitable};
use mp_sys::{BorrowedSource, SocketListener};
use mp_wire::{Error, Result};

use crate::address::Address;
use crate::authkey::AuthKey;
use crate::deadline::Deadline;
use crate::link::Link;
use crate::reception::{Reception, Rules};

/// Lets other programs connect, those of mp and CPython's (Python's `multiprocessing.connection.Listener`).
///
/// Whoever connects has to prove that it has the key, and is shown that we have it. That happens beside [`accept`](Listener::accept), each one by itself: a
/// stranger that connects and says nothing delays nobody else. (In Python it blocks everybody.) Who does not prove it in time, or has the wrong key, is
/// never seen by `accept`; [`take_refused`](Listener::take_refused) tells.
///
/// A listener under a file's name is for processes of the same user (mode 0600). Where a dead listener left its file behind, the next one replaces it.
///
/// All methods take `&self`, and several threads may accept. Dropping the listener closes it.
///
/// # Examples
/// See [`Client`](crate::Client).
pub struct Listener {
    address: Address,
    way: Way,
}

enum Way {
    /// Nothing is to be proven: straight from the kernel.
    Open(SocketListener),
    Guarded(Reception),
}

/// Somebody who was not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The address that it came from, over TCP.
    pub from: Option<std::net::SocketAddr>,
    /// Why.
    pub error: Error,
}

/// How a listener is to be: see [`Listener::builder`].
#[derive(Clone, Debug)]
pub struct ListenerBuilder {
    key: Option<AuthKey>,
    backlog: u32,
    rules: Rules,
}

impl ListenerBuilder {
    /// The key that both sides prove to have. Without one, everybody is let in who can connect.
    pub fn authkey(mut self, key: impl Into<AuthKey>) -> ListenerBuilder {
        self.key = Some(key.into());
        self
    }

    /// How many connections the kernel keeps for us that have not been looked at yet (128).
    pub fn backlog(mut self, count: u32) -> ListenerBuilder {
        self.backlog = count;
        self
    }

    /// How long one that connects may take to prove that it has the key (10 s).
    pub fn handshake_timeout(mut self, time: Duration) -> ListenerBuilder {
        self.rules.time = time;
        self
    }

    /// How many may be at their proof, or wait for [`accept`](Listener::accept) after it, at a time (256); each has a thread while it proves. When that
    /// many are there, others wait in the kernel, and who has been silent for a second makes room.
    pub fn max_pending(mut self, count: usize) -> ListenerBuilder {
        self.rules.pending = count.max(1);
        self
    }

    /// The longest message that the connections receive: see [`Link::set_max_message`].
    pub fn max_message(mut self, bytes: u64) -> ListenerBuilder {
        self.rules.max_message = bytes;
        self
    }

    /// The connections are under TLS, and this is our certificate and what we ask of theirs.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: std::sync::Arc<rustls::ServerConfig>) -> ListenerBuilder {
        self.rules.tls = Some(config);
        self
    }

    /// Listens there.
    ///
    /// # Errors
    /// [`Error::Os`] with the kind `AddrInUse` when somebody does already; [`Error::Unsupported`] for an address that this system does not have;
    /// [`Error::InvalidArgument`] for a name that is too long.
    pub fn bind(self, address: impl Into<Address>) -> Result<Listener> {
        let address = address.into();
        let listener =
            SocketListener::bind(&address.to_endpoint(), self.backlog).map_err(|e| match e.kind() {
                std::io::ErrorKind::Unsupported => Error::Unsupported { what: format!("{address} ({e})") },
                std::io::ErrorKind::InvalidInput => {
                    Error::InvalidArgument { detail: format!("{address}: {e}") }
                }
                _ => Error::os(format!("listen at {address}"), e),
            })?;
        let address = Address::from_endpoint(listener.endpoint());
        let way = match self.key {
            None if listener.source().is_some() && !self.rules.has_tls() => Way::Open(listener),
            key => Way::Guarded(Reception::new(listener, &address, key, self.rules)?),
        };
        Ok(Listener { address, way })
    }
}

impl Listener {
    /// Listens there, for those who have the key. [`Address::unused`] is a name that nobody has.
    ///
    /// # Errors
    /// As [`ListenerBuilder::bind`].
    pub fn bind(address: impl Into<Address>, key: impl Into<AuthKey>) -> Result<Listener> {
        Listener::builder().authkey(key).bind(address)
    }

    /// A listener that is not there yet, for everybody as long as it has no key.
    pub fn builder() -> ListenerBuilder {
        ListenerBuilder { key: None, backlog: 128, rules: Rules::default() }
    }

    /// Where it listens; a port of 0 has become one that was free.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The next one who has connected and proven that it has the key.
    ///
    /// # Errors
    /// [`Error::Closed`] after [`close`](Listener::close); [`Error::LimitReached`] or [`Error::Os`] when the system has no descriptor or no thread for another
    /// connection, which may pass.
    ///
    /// # Blocking
    /// Until somebody comes.
    pub fn accept(&self) -> Result<Link> {
        self.accept_until(Deadline::Never)?.ok_or(Error::Empty)
    }

    /// As [`Listener::accept`], and waits at most that long.
    ///
    /// # Errors
    /// [`Error::TimedOut`], and as there.
    ///
    /// # Blocking
    /// Until somebody comes, or the time is up.
    pub fn accept_timeout(&self, timeout: Duration) -> Result<Link> {
        let late = || Error::TimedOut { what: format!("accept at {}", self.address) };
        self.accept_until(Deadline::after(timeout))?.ok_or_else(late)
    }

    fn accept_until(&self, deadline: Deadline) -> Result<Option<Link>> {
        match &self.way {
            Way::Guarded(reception) => reception.next(deadline.instant()),
            Way::Open(listener) => match listener.accept(deadline.instant()) {
                Ok(socket) => Ok(Some(Link::new(socket, format!("connection at {}", self.address)))),
                Err(e) if e.kind() == std::io::ErrorKind::TimedOut => Ok(None),
                Err(e) => Err(accept_error(&self.address, e)),
            },
        }
    }

    /// Listens no longer: whoever waits in [`accept`](Listener::accept), in any thread, gets [`Error::Closed`]. Connections that were accepted go on. The name
    /// is free when the listener is dropped.
    pub fn close(&self) {
        match &self.way {
            Way::Open(listener) => listener.close(),
            Way::Guarded(reception) => reception.close(),
        }
    }

    /// The last ones that were not let in (at most 64), and why; the oldest first. Each is told once.
    pub fn take_refused(&self) -> Vec<Refused> {
        match &self.way {
            Way::Open(_) => Vec::new(),
            Way::Guarded(reception) => reception.take_refused(),
        }
    }

    /// The descriptor, for event loops that take descriptors: readable when [`accept`](Listener::accept) has somebody.
    pub fn source(&self) -> Option<BorrowedSource<'_>> {
        match &self.way {
            Way::Open(listener) => listener.source(),
            Way::Guarded(reception) => Some(reception.signal().source()),
        }
    }
}

mp_sys::impl_as_fd!(
    /// As [`Listener::source`].
    Listener,
    listener => match &listener.way {
        Way::Open(listener) => listener as &dyn mp_sys::AsSource,
        Way::Guarded(reception) => reception.signal(),
    }
);

/// Ready when [`accept`](Listener::accept) would not block.
impl Waitable for Listener {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        if let Some(source) = self.source() {
            to.descriptor(source, Interest::Readable);
        }
    }

    fn is_ready(&self) -> bool {
        let now = Some(std::time::Instant::now());
        // Whatever is wrong with it `accept` will say.
        self.source().is_some_and(|source| {
            mp_sys::poll(&[(source, Interest::Readable)], now).map_or(true, |ready| ready[0])
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if matches!(self.way, Way::Open(_)) { ", open to everybody" } else { "" };
        write!(f, "Listener({}{key})", self.address)
    }
}

/// Why nobody could be accepted.
pub(crate) fn accept_error(address: &Address, e: std::io::Error) -> Error {
    match e.kind() {
        std::io::ErrorKind::BrokenPipe => Error::Closed { what: format!("listener at {address}") },
        _ if mp_sys::is_out_of_descriptors(&e) => Error::LimitReached {
            limit: "open descriptors".into(),
            detail: format!("accept at {address}: {e}"),
        },
        _ => Error::os(format!("accept at {address}"), e),
    }
}
