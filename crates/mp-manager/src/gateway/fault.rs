//! How a call fails: as an exception of Python's, whoever asked.

use mp_wire::Error;
use serde::{Deserialize, Serialize};

use crate::any::Any;

/// What a call raises.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fault {
    pub(crate) exception: Exception,
    pub(crate) args: Vec<Any>,
}

/// The exceptions that Python's own objects raise, and everything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Exception {
    Key,
    Index,
    Value,
    Type,
    Attribute,
    Runtime,
    /// `queue.Empty`
    Empty,
    /// `queue.Full`
    Full,
    /// `threading.BrokenBarrierError`
    BrokenBarrier,
    /// An error of ours, which Python sees as a `RemoteError`.
    Ours(Error),
}

impl Exception {
    /// The module and name that Python knows it by.
    pub(crate) fn name(&self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Exception::Key => ("builtins", "KeyError"),
            Exception::Index => ("builtins", "IndexError"),
            Exception::Value => ("builtins", "ValueError"),
            Exception::Type => ("builtins", "TypeError"),
            Exception::Attribute => ("builtins", "AttributeError"),
            Exception::Runtime => ("builtins", "RuntimeError"),
            Exception::Empty => ("queue", "Empty"),
            Exception::Full => ("queue", "Full"),
            Exception::BrokenBarrier => ("threading", "BrokenBarrierError"),
            Exception::Ours(_) => return None,
        })
    }

    pub(crate) fn says(self, text: impl Into<String>) -> Fault {
        Fault { exception: self, args: vec![Any::Str(text.into())] }
    }

    pub(crate) fn of(self, value: Any) -> Fault {
        Fault { exception: self, args: vec![value] }
    }

    pub(crate) fn bare(self) -> Fault {
        Fault { exception: self, args: Vec::new() }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        match error {
            Error::InvalidArgument { detail } if detail.starts_with("unhashable") => {
                Exception::Type.says(detail)
            }
            Error::InvalidArgument { detail } => Exception::Value.says(detail),
            Error::Empty => Exception::Empty.bare(),
            Error::Full => Exception::Full.bare(),
            Error::Broken { .. } => Exception::BrokenBarrier.bare(),
            other => Fault { exception: Exception::Ours(other), args: Vec::new() },
        }
    }
}

impl From<Fault> for Error {
    /// For those who asked from Rust.
    fn from(fault: Fault) -> Error {
        let said = || fault.args.first().map_or_else(String::new, Any::to_string);
        match fault.exception {
            Exception::Ours(error) => error,
            Exception::Empty => Error::Empty,
            Exception::Full => Error::Full,
            Exception::BrokenBarrier => Error::Broken {
                what: "the Barrier".into(),
                why: "it was aborted, or somebody came too late".into(),
                who: None,
            },
            Exception::Type
            | Exception::Value
            | Exception::Index
            | Exception::Key
            | Exception::Attribute
            | Exception::Runtime => Error::InvalidArgument { detail: said() },
        }
    }
}
