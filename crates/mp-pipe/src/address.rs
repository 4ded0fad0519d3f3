//! Where a listener is.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use mp_sys::Endpoint;
use mp_wire::{Error, Result};
use serde::{Deserialize, Serialize};

/// The beginning of the names of pipes.
const PIPE: &str = r"\\.\pipe\";

/// Where a [`Listener`](crate::Listener) is to be found (the `address` of Python's `multiprocessing.connection`).
///
/// As text: `127.0.0.1:5000`, `[::1]:5000`, `/run/me/door` (whatever has a slash), `@name` (abstract), `\\.\pipe\name`; anything else with a colon is
/// the name of a host and a port, which is looked up.
///
/// # Platform
/// TCP everywhere; [`Path`](Address::Path) on Linux and macOS; [`Abstract`](Address::Abstract) on Linux; [`Pipe`](Address::Pipe) on Windows.
///
/// # Examples
/// ```
/// use mp_pipe::Address;
///
/// assert!(matches!("127.0.0.1:5000".parse()?, Address::Tcp(_)));
/// assert_eq!("@door".parse::<Address>()?, Address::Abstract(b"door".to_vec()));
/// assert_eq!("/tmp/door".parse::<Address>()?.to_string(), "/tmp/door");
/// # Ok::<(), mp_pipe::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Address {
    /// TCP, version 4 or 6 (Python's `AF_INET`; for version 6 it has no name). A listener at port 0 takes one that is free.
    Tcp(SocketAddr),
    /// A local socket with a file's name (Python's `AF_UNIX`).
    Path(PathBuf),
    /// A local socket with a name that is no file's (Python's `"\0name"`).
    Abstract(Vec<u8>),
    /// A named pipe (Python's `AF_PIPE`), with its `\\.\pipe\`.
    Pipe(String),
}

impl Address {
    /// The first address of a host and a port, as in `("localhost", 5000)`.
    ///
    /// # Errors
    /// [`Error::Os`] when there is no such host.
    ///
    /// # Blocking
    /// While the name is looked up.
    pub fn tcp(host: impl ToSocketAddrs) -> Result<Address> {
        let mut found = host.to_socket_addrs().map_err(|e| Error::os("look up the name of a host", e))?;
        found
            .next()
            .map(Address::Tcp)
            .ok_or_else(|| Error::InvalidArgument { detail: "the host has no address".into() })
    }

    /// A name that nobody else has, of the kind that suits this system: a file in a directory that is the user's own, or a named pipe.
    ///
    /// # Errors
    /// [`Error::Os`] when that directory cannot be made, or is not closed to others.
    pub fn unused() -> Result<Address> {
        let number = mp_sys::random_u128().map_err(|e| Error::os("a random name", e))?;
        let name = format!("listener-{:x}-{number:032x}", mp_sys::current_pid());
        match mp_sys::private_directory(None) {
            Ok(directory) => Ok(Address::Path(directory.join(name))),
            Err(e) if e.kind() == std::io::ErrorKind::Unsupported => {
                Ok(Address::Pipe(format!("{PIPE}{name}")))
            }
            Err(e) => Err(Error::os("the user's directory for sockets", e)),
        }
    }

    pub(crate) fn to_endpoint(&self) -> Endpoint {
        match self.clone() {
            Address::Tcp(address) => Endpoint::Tcp(address),
            Address::Path(path) => Endpoint::Path(path),
            Address::Abstract(name) => Endpoint::Abstract(name),
            Address::Pipe(name) => Endpoint::Pipe(name),
        }
    }

    pub(crate) fn from_endpoint(endpoint: &Endpoint) -> Address {
        match endpoint.clone() {
            Endpoint::Tcp(address) => Address::Tcp(address),
            Endpoint::Path(path) => Address::Path(path),
            Endpoint::Abstract(name) => Address::Abstract(name),
            Endpoint::Pipe(name) => Address::Pipe(name),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Path(path) => path.display().fmt(f),
            Address::Abstract(name) => write!(f, "@{}", String::from_utf8_lossy(name)),
            Address::Pipe(name) => f.write_str(name),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Address> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Address::Tcp(address));
        }
        if let Some(name) = text.strip_prefix('@') {
            return Ok(Address::Abstract(name.as_bytes().to_vec()));
        }
        if text.starts_with(PIPE) {
            return Ok(Address::Pipe(text.to_owned()));
        }
        if text.contains('/') {
            return Ok(Address::Path(text.into()));
        }
        if text.contains(':') {
            return Address::tcp(text);
        }
        Err(Error::InvalidArgument {
            detail: format!("{text:?} is no address: 127.0.0.1:5000, /a/path, @name or {PIPE}name"),
        })
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Tcp(address)
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Address {
        Address::Path(path)
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Address {
        Address::Path(path.to_owned())
    }
}

impl From<&Address> for Address {
    fn from(address: &Address) -> Address {
        address.clone()
    }
}
