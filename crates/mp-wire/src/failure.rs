//! An error value of any type, as far as it can be told to another process.

use std::any::{Any, type_name};
use std::error::Error as StdError;
use std::fmt::{self, Display};
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};

use crate::{Error, text};

/// The most links a chain of causes keeps.
pub(crate) const MAX_CHAIN: usize = 64;

/// The error that a function returned in another process.
///
/// Any type that implements `Display` can be captured; what arrives is its name, its text and the texts of
/// its causes. An mp [`Error`] arrives as itself, in [`source`](Failure::source). `{}` writes the message,
/// `{:#}` the causes too: `cannot read the config: file not found`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The Rust name of the error's type.
    pub type_name: String,
    /// What `{}` wrote.
    pub message: String,
    /// The causes, the nearest first, without the message itself.
    pub chain: Vec<String>,
    /// The error itself, if it was an mp error. At most [`MAX_DEPTH`](Failure::MAX_DEPTH) levels of such
    /// errors cross; below that it is `None`.
    #[serde(with = "nested")]
    pub source: Option<Box<Error>>,
}

impl Failure {
    /// How many failures inside failures cross from one process to another.
    pub const MAX_DEPTH: usize = 8;

    /// Everything that can be known about `error` without knowing its type.
    ///
    /// The causes come from [`std::error::Error::source`] for an [`std::io::Error`], a boxed error and mp's
    /// own; for other types from `{:#}`, where it writes `message: cause: cause` as `anyhow` and `eyre` do.
    /// Texts are cut at 64 KiB and chains at 64 links. A `Display` that fails or panics does no harm.
    pub fn capture<E: Display + 'static>(error: E) -> Failure {
        let type_name = type_name::<E>();
        // The closure only reads `error`, and nobody looks at it after a panic except to drop it.
        let captured = catch_unwind(AssertUnwindSafe(|| Self::look_at(&error, type_name)));
        captured.unwrap_or_else(|panic| Failure {
            type_name: type_name.to_owned(),
            message: format!(
                "an error whose `Display` panicked: {}",
                crate::PanicReport::from_payload(&*panic).message
            ),
            ..Failure::default()
        })
    }

    fn look_at<E: Display + 'static>(error: &E, type_name: &str) -> Failure {
        let any: &dyn Any = error;
        if let Some(failure) = any.downcast_ref::<Failure>() {
            return failure.clone();
        }
        let (chain, source) = if let Some(own) = any.downcast_ref::<Error>() {
            known(own)
        } else if let Some(own) = any.downcast_ref::<Box<Error>>() {
            known(&**own)
        } else if let Some(io) = any.downcast_ref::<std::io::Error>() {
            known(io)
        } else if let Some(boxed) = any.downcast_ref::<Box<dyn StdError + Send + Sync>>() {
            known(&**boxed)
        } else if let Some(boxed) = any.downcast_ref::<Box<dyn StdError + Send>>() {
            known(&**boxed)
        } else if let Some(boxed) = any.downcast_ref::<Box<dyn StdError>>() {
            known(&**boxed)
        } else {
            (told_by_alternate(error), None)
        };
        Failure {
            type_name: type_name.to_owned(),
            message: text::written(format_args!("{error}")),
            chain,
            source: source.map(Box::new),
        }
    }

    /// A copy whose texts are cut to `max` bytes each, all the way down.
    pub(crate) fn trimmed(&self, max: usize) -> Failure {
        Failure {
            type_name: text::cut(&self.type_name, max).to_owned(),
            message: text::cut(&self.message, max).to_owned(),
            chain: self.chain.iter().take(MAX_CHAIN).map(|link| text::cut(link, max).to_owned()).collect(),
            source: self.source.as_ref().map(|source| {
                Box::new(match &**source {
                    Error::Failed(inner) => Error::Failed(inner.trimmed(max)),
                    Error::Panicked(report) => Error::Panicked(report.trimmed(max)),
                    other => other.clone(),
                })
            }),
        }
    }
}

/// The causes of an error whose `source` can be asked, and the mp error among it and its causes.
fn known(error: &(dyn StdError + 'static)) -> (Vec<String>, Option<Error>) {
    let own = own_error(error);
    if let Some(Error::Failed(failure)) = error.downcast_ref::<Error>() {
        return (failure.chain.clone(), own);
    }
    let mut chain = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next
        && chain.len() < MAX_CHAIN
    {
        chain.push(text::written(format_args!("{cause}")));
        next = cause.source();
    }
    (chain, own)
}

/// The mp error that `error` is, or that an `io::Error` was made of. A cause further down does not count: the
/// error is then somebody else's, who only mentions ours.
fn own_error(error: &(dyn StdError + 'static)) -> Option<Error> {
    if let Some(own) = error.downcast_ref::<Error>() {
        return Some(own.clone());
    }
    let io = error.downcast_ref::<std::io::Error>()?;
    match io.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(own) => Some(own.clone()),
        None => Some(Error::Os {
            what: "input/output".to_owned(),
            code: io.raw_os_error(),
            kind: format!("{:?}", io.kind()),
            detail: text::written(format_args!("{io}")),
        }),
    }
}

/// The causes that `{:#}` writes behind what `{}` writes. A cause that contains `": "` itself becomes two
/// links; joined again they read the same.
fn told_by_alternate(error: &dyn Display) -> Vec<String> {
    let plain = text::written(format_args!("{error}"));
    let alternate = text::written(format_args!("{error:#}"));
    match alternate.strip_prefix(plain.as_str()).and_then(|rest| rest.strip_prefix(": ")) {
        Some(causes) => causes.splitn(MAX_CHAIN, ": ").map(str::to_owned).collect(),
        None => Vec::new(),
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if f.alternate() {
            for link in &self.chain {
                write!(f, ": {link}")?;
            }
        }
        Ok(())
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        // The source says the same as this failure; its own causes are what comes next.
        self.source.as_ref().and_then(|source| source.source())
    }
}

/// `Failure` and `Error` contain each other. How deep they may do so on the wire is bounded here, because a
/// decoder that recurses as deep as foreign bytes tell it overflows its stack.
mod nested {
    use std::cell::Cell;

    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Error, Failure};

    thread_local! {
        static DEPTH: Cell<usize> = const { Cell::new(0) };
    }

    /// One level deeper, until dropped.
    struct Level;

    impl Level {
        fn enter() -> Option<Level> {
            let depth = DEPTH.get();
            (depth < Failure::MAX_DEPTH).then(|| {
                DEPTH.set(depth + 1);
                Level
            })
        }
    }

    impl Drop for Level {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get() - 1);
        }
    }

    pub(super) fn serialize<S: Serializer>(source: &Option<Box<Error>>, to: S) -> Result<S::Ok, S::Error> {
        match Level::enter() {
            Some(_level) => source.serialize(to),
            None => None::<Box<Error>>.serialize(to),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<Error>>, D::Error> {
        match Level::enter() {
            Some(_level) => Option::deserialize(from),
            // What `serialize` wrote at this depth is `None`, which `Option<()>` reads in every format.
            None => match Option::<()>::deserialize(from)? {
                None => Ok(None),
                Some(()) => Err(D::Error::custom("failures are nested too deeply")),
            },
        }
    }
}
