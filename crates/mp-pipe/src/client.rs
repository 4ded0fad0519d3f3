//! `Client`: connecting to a listener.

use std::time::{Duration, Instant};

use mp_sys::Socket;
use mp_wire::{Error, Result};

use crate::address::Address;
use crate::authkey::AuthKey;
use crate::link::{Link, Tls};

/// Connects to a [`Listener`](crate::Listener), ours or CPython's (Python's `multiprocessing.connection.Client`).
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use mp_pipe::{Address, Client, Listener};
///
/// let listener = Listener::bind(Address::tcp(("127.0.0.1", 0))?, "open sesame")?;
/// let address = listener.address().clone();
/// let client = std::thread::spawn(move || {
///     let link = Client::new().authkey("open sesame").timeout(Duration::from_secs(20)).connect(address)?;
///     link.send_bytes(b"hello")
/// });
/// assert_eq!(listener.accept()?.recv_bytes()?, b"hello");
/// client.join().unwrap()?;
/// # Ok::<(), mp_pipe::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Client {
    key: Option<AuthKey>,
    timeout: Option<Duration>,
    #[cfg(feature = "tls")]
    tls: Option<(std::sync::Arc<rustls::ClientConfig>, String)>,
}

impl Client {
    /// A client without a key, that waits for ever.
    pub fn new() -> Client {
        Client::default()
    }

    /// The key that both sides prove to have.
    pub fn authkey(mut self, key: impl Into<AuthKey>) -> Client {
        self.key = Some(key.into());
        self
    }

    /// How long connecting may take in all, the proof included.
    pub fn timeout(mut self, time: Duration) -> Client {
        self.timeout = Some(time);
        self
    }

    /// Connects under TLS, to a listener whose certificate is for that name.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: std::sync::Arc<rustls::ClientConfig>, name: impl Into<String>) -> Client {
        self.tls = Some((config, name.into()));
        self
    }

    #[cfg(feature = "tls")]
    fn tls_for_one(&self) -> Result<Option<Tls>> {
        let Some((config, name)) = &self.tls else { return Ok(None) };
        let wrong =
            |e: &dyn std::fmt::Display| Error::InvalidArgument { detail: format!("TLS to {name:?}: {e}") };
        let server = rustls::pki_types::ServerName::try_from(name.clone()).map_err(|e| wrong(&e))?;
        let tls = rustls::ClientConnection::new(config.clone(), server).map_err(|e| wrong(&e))?;
        Ok(Some(Tls::new(tls)))
    }

    #[cfg(not(feature = "tls"))]
    fn tls_for_one(&self) -> Result<Option<Tls>> {
        Ok(None)
    }

    /// Connects.
    ///
    /// # Errors
    /// [`Error::Authentication`] when one side does not have the other's key, or the other one is no listener of this kind; [`Error::TimedOut`];
    /// [`Error::Unsupported`] for an address that this system does not have; [`Error::Os`] when nobody listens there.
    ///
    /// # Blocking
    /// Until the listener's side has answered; without a [`timeout`](Client::timeout) for ever if it never does.
    pub fn connect(&self, address: impl Into<Address>) -> Result<Link> {
        let address = address.into();
        let deadline = self.timeout.and_then(|time| Instant::now().checked_add(time));
        let what = format!("connection to {address}");
        let socket = Socket::connect(&address.to_endpoint(), deadline).map_err(|e| match e.kind() {
            std::io::ErrorKind::TimedOut => Error::TimedOut { what: format!("connect to {address}") },
            std::io::ErrorKind::Unsupported => Error::Unsupported { what: format!("{address} ({e})") },
            std::io::ErrorKind::InvalidInput => Error::InvalidArgument { detail: format!("{address}: {e}") },
            _ => Error::os(format!("connect to {address}"), e),
        })?;
        let link = Link::over(socket, what, self.tls_for_one()?);
        link.secure(deadline)?;
        if let Some(key) = &self.key {
            link.authenticate(key, false, deadline)?;
        }
        Ok(link)
    }
}
