//! Start methods.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use mp_wire::{Error, Result};

use crate::current;

/// How a child comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StartMethod {
    /// A small helper that was started before forks for us. The default on Linux: the cheapest, and its cost does not
    /// grow with the parent's memory.
    ForkServer,
    /// A fresh run of this program's image. Available everywhere.
    Spawn,
    /// A copy of this process: by [`Process::fork`](crate::Process::fork) and [`Builder::fork`](crate::Builder::fork) only, for it is not safe in general.
    Fork,
}

impl StartMethod {
    /// The methods that work here for everybody, the default first: the system is asked, once. ([`Fork`](StartMethod::Fork) has a
    /// function of its own.)
    ///
    /// # Platform
    /// [`ForkServer`](StartMethod::ForkServer) is there on Linux with glibc. With musl and under qemu's user emulation the helper could
    /// not fork children that are ours, and [`Spawn`](StartMethod::Spawn) is the default by itself.
    pub fn available() -> &'static [StartMethod] {
        static CAN_FORK: OnceLock<bool> = OnceLock::new();
        if *CAN_FORK.get_or_init(mp_sys::can_fork_siblings) {
            &[StartMethod::ForkServer, StartMethod::Spawn]
        } else {
            &[StartMethod::Spawn]
        }
    }

    pub(crate) fn from_code(code: u8) -> StartMethod {
        match code {
            1 => StartMethod::ForkServer,
            2 => StartMethod::Spawn,
            // Nobody's default.
            _ => StartMethod::available()[0],
        }
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            StartMethod::ForkServer => 1,
            StartMethod::Spawn => 2,
            StartMethod::Fork => 3,
        }
    }

    pub(crate) fn require(self) -> Result<StartMethod> {
        if StartMethod::available().contains(&self) {
            return Ok(self);
        }
        if self == StartMethod::Fork {
            let detail = "a process is forked by the unsafe function `fork` only".into();
            return Err(Error::InvalidArgument { detail });
        }
        Err(Error::Unsupported { what: format!("the start method {self} on this platform") })
    }
}

impl fmt::Display for StartMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StartMethod::ForkServer => "forkserver",
            StartMethod::Spawn => "spawn",
            StartMethod::Fork => "fork",
        })
    }
}

impl FromStr for StartMethod {
    type Err = Error;

    fn from_str(text: &str) -> Result<StartMethod> {
        match text {
            "forkserver" => Ok(StartMethod::ForkServer),
            "spawn" => Ok(StartMethod::Spawn),
            "fork" => Ok(StartMethod::Fork),
            other => Err(Error::InvalidArgument { detail: format!("there is no start method {other:?}") }),
        }
    }
}

/// The method that this process's children are started by, unless their builder says otherwise.
pub fn start_method() -> StartMethod {
    current::method()
}

/// Chooses that method, for this process and those below it. May be changed at any time.
///
/// # Errors
/// [`Error::Unsupported`] when the platform has no such method; [`Error::InvalidArgument`] for [`StartMethod::Fork`].
pub fn set_start_method(method: StartMethod) -> Result<()> {
    current::set_method(method.require()?);
    Ok(())
}
