//! The one error of all mp crates.

use std::fmt::{self, Display};
use std::io;

use serde::{Deserialize, Serialize};

use crate::{BlockedThread, Departure, Failure, Ident, PanicReport, text};

/// `std::result::Result` with mp's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong, in any mp crate.
///
/// An error is plain data: it can be cloned, compared, and sent to another process, where it is the same
/// error. An error of the operating system is therefore kept as its name, number and text, and becomes an
/// [`io::Error`] again on request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Error {
    /// The time was up before it happened.
    #[error("{what}: timed out")]
    TimedOut {
        /// What was waited for.
        what: String,
    },
    /// There is no room now.
    #[error("full")]
    Full,
    /// There is nothing there now.
    #[error("empty")]
    Empty,
    /// Somebody closed the object.
    #[error("{what} is closed")]
    Closed {
        /// The object.
        what: String,
    },
    /// Nobody is left at the other end, so this can never succeed.
    #[error("{what} is disconnected{}", last_seen(.who, .how))]
    Disconnected {
        /// The object.
        what: String,
        /// Who was the last at the other end, if that is known.
        who: Option<Ident>,
        /// How the last one left.
        how: Option<Departure>,
    },
    /// Whoever sent a message ended, or gave up, in the middle of it. What came before it was whole.
    #[error("{what}: a message was cut off in the middle{}", sent_by(.who))]
    Torn {
        /// The object.
        what: String,
        /// Who sent it, if that is known.
        who: Option<Ident>,
    },
    /// The owner of a lock died while it held it. What the lock guards may be half changed.
    #[error("{what}: its owner{} died holding it", in_front(.who))]
    OwnerDied {
        /// The lock.
        what: String,
        /// The owner.
        who: Option<Ident>,
    },
    /// Threads wait for each other in a ring, and nothing but their deaths would ever end it. The one that closed the ring is
    /// told, and has given up waiting; each holds what the one before it waits for.
    #[error("deadlock: {}", ring(.cycle))]
    Deadlock {
        /// The ring, beginning with who is told.
        cycle: Vec<BlockedThread>,
    },
    /// The object was broken and can no longer be used as it is: a barrier whose parties cannot all come, an initialisation
    /// that panicked.
    #[error("{what} is broken: {why}{}", by(.who))]
    Broken {
        /// The object.
        what: String,
        /// What happened to it.
        why: String,
        /// Who did, or whose death did, if that is known.
        who: Option<Ident>,
    },
    /// Only its owner may do this, and the calling thread is not the owner.
    #[error("{what} is not held by this thread{}", by(.holder))]
    NotOwner {
        /// The lock.
        what: String,
        /// The process of the owner, if there is one.
        holder: Option<Ident>,
    },
    /// A process ended without giving a result.
    #[error("{who} {} before it gave a result", .how.sentence())]
    Died {
        /// The process.
        who: Ident,
        /// How it ended.
        how: Departure,
    },
    /// The function returned an error.
    #[error(transparent)]
    Failed(Failure),
    /// The function panicked.
    #[error(transparent)]
    Panicked(PanicReport),
    /// Whoever was to do it died at the very moment, and nobody can tell whether it was done. Doing it again might do it twice.
    #[error("{what}: nobody can tell whether it was done")]
    InDoubt {
        /// What was to be done.
        what: String,
    },
    /// A process called `exit` in place of returning.
    #[error("{who} exited with code {code}")]
    Exited {
        /// The process.
        who: Ident,
        /// Its exit code.
        code: i32,
    },
    /// The object that the handle means is gone.
    #[error("{what}: the handle is stale, its object is gone")]
    Stale {
        /// The object.
        what: String,
    },
    /// A handle that nobody gave out.
    #[error("{what}: no such handle was given out")]
    Forged {
        /// What was presented.
        what: String,
    },
    /// The handle means an object of another kind.
    #[error("expected {expected}, found {found}")]
    WrongKind {
        /// The kind that was asked for.
        expected: String,
        /// The kind of the object.
        found: String,
    },
    /// The object holds values of another type.
    #[error("{what} holds values of another type")]
    WrongType {
        /// The object.
        what: String,
    },
    /// A handle was serialised or deserialised where nothing can carry it.
    #[error("{what} can travel only inside a message, the arguments of a process or a shared container")]
    NotInCarrier {
        /// The handle.
        what: String,
    },
    /// A budget is used up.
    #[error("limit reached: {limit}: {detail}")]
    LimitReached {
        /// Which limit.
        limit: String,
        /// How much was asked for, and how much there is.
        detail: String,
    },
    /// The shared memory was laid out by an incompatible version, or is damaged.
    #[error("the layout of the shared memory does not fit: {detail}")]
    Layout {
        /// What differs.
        detail: String,
    },
    /// The other process does not run the same program.
    #[error("the other process runs another program: {detail}")]
    ImageMismatch {
        /// What differs.
        detail: String,
    },
    /// Somebody does not let us in, or take part.
    #[error("{what} refused: {why}")]
    Refused {
        /// Who refused, or who was refused.
        what: String,
        /// Why.
        why: String,
    },
    /// Somebody could not prove that it knows the key, or does not believe that we do (Python's `AuthenticationError`).
    #[error("{what} is not authenticated: {why}")]
    Authentication {
        /// Who, as far as that can be told.
        what: String,
        /// Why not.
        why: String,
    },
    /// The program never said that it wants to have children.
    #[error("mp is not initialised in this program: {hint}")]
    NotInitialised {
        /// What to write where.
        hint: String,
    },
    /// This process was forked behind mp's back and is no member of the session.
    #[error("this process was forked without mp and is no member of its session")]
    ForeignFork,
    /// A value did not become bytes.
    #[error("cannot encode a {type_name}: {detail}")]
    Encode {
        /// The type of the value.
        type_name: String,
        /// Why not.
        detail: String,
    },
    /// Bytes did not become a value.
    #[error("cannot decode a {type_name}: {detail}")]
    Decode {
        /// The type of the value.
        type_name: String,
        /// Why not.
        detail: String,
    },
    /// An argument makes no sense.
    #[error("invalid argument: {detail}")]
    InvalidArgument {
        /// Which and why.
        detail: String,
    },
    /// The work was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The pool gave up.
    #[error("the pool is broken: {detail}")]
    PoolBroken {
        /// Why.
        detail: String,
    },
    /// A daemon tried what daemons may not.
    #[error("not for daemons: {detail}")]
    Daemon {
        /// What it tried.
        detail: String,
    },
    /// Somebody froze it, so it can be read and never be changed again.
    #[error("{what} is frozen")]
    Frozen {
        /// The object.
        what: String,
    },
    /// Somebody else is using it, and the call does not wait.
    #[error("{what} is in use: {detail}")]
    InUse {
        /// The object.
        what: String,
        /// How.
        detail: String,
    },
    /// This system, or this kind of object, does not have it.
    #[error("{what} is not supported here")]
    Unsupported {
        /// What was asked for.
        what: String,
    },
    /// The operating system refused.
    #[error("{what}: {detail}")]
    Os {
        /// What was tried.
        what: String,
        /// The number of the system's error.
        code: Option<i32>,
        /// The name of its [`io::ErrorKind`], such as `NotFound`.
        kind: String,
        /// The system's text.
        detail: String,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// The tail of [`Error::Disconnected`].
fn last_seen(who: &Option<Ident>, how: &Option<Departure>) -> impl Display {
    fmt::from_fn(move |f| match (who, how) {
        (Some(who), Some(how)) => write!(f, ": {who} {}", how.sentence()),
        (Some(who), None) => write!(f, ": {who} left"),
        (None, Some(how)) => write!(f, ": the other end {}", how.sentence()),
        (None, None) => Ok(()),
    })
}

/// A name with a space in front, if there is one.
fn in_front(who: &Option<Ident>) -> impl Display {
    fmt::from_fn(move |f| match who {
        Some(who) => write!(f, " {who}"),
        None => Ok(()),
    })
}

/// The tail of [`Error::Torn`].
fn sent_by(who: &Option<Ident>) -> impl Display {
    fmt::from_fn(move |f| match who {
        Some(who) => write!(f, ", sent by {who}"),
        None => Ok(()),
    })
}

/// "a waits for X, held by b, who waits for Y, held by a".
fn ring(cycle: &[BlockedThread]) -> impl Display {
    fmt::from_fn(move |f| {
        for (i, blocked) in cycle.iter().enumerate() {
            let holder = &cycle[(i + 1) % cycle.len()];
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{blocked}, held by {}", holder.name())?;
        }
        Ok(())
    })
}

/// The same in brackets.
fn by(who: &Option<Ident>) -> impl Display {
    fmt::from_fn(move |f| match who {
        Some(who) => write!(f, " ({who})"),
        None => Ok(()),
    })
}

impl Error {
    /// An error of the operating system: `what` says what was tried.
    ///
    /// An mp error that had been wrapped into an [`io::Error`] comes out as itself.
    pub fn os(what: impl Into<String>, error: io::Error) -> Self {
        match error.downcast::<Error>() {
            Ok(own) => own,
            Err(error) => Self::Os {
                what: what.into(),
                code: error.raw_os_error(),
                kind: format!("{:?}", error.kind()),
                detail: text::written(format_args!("{error}")),
            },
        }
    }

    /// An error that is only a message.
    pub fn msg(message: impl Display) -> Self {
        Self::Other(text::written(format_args!("{message}")))
    }

    /// Whether a deadline passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }

    /// Whether the same call may succeed a little later: [`Full`](Self::Full), [`Empty`](Self::Empty) or
    /// timed out.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Full | Self::Empty | Self::TimedOut { .. })
    }

    /// Whether the object is at its end: closed, or nobody is left at the other end.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. } | Self::Disconnected { .. })
    }

    /// Whether a process ended that should not have: its owner, its peer or the one that worked on the task.
    pub fn is_death(&self) -> bool {
        match self {
            Self::Died { .. } | Self::OwnerDied { .. } | Self::Exited { .. } => true,
            Self::Disconnected { how, .. } => {
                matches!(how, Some(Departure::Signalled(_) | Departure::Lost))
            }
            _ => false,
        }
    }

    /// The process that the error is about, if it names one.
    pub fn who(&self) -> Option<&Ident> {
        match self {
            Self::Disconnected { who, .. }
            | Self::OwnerDied { who, .. }
            | Self::Broken { who, .. }
            | Self::Torn { who, .. } => who.as_ref(),
            Self::Died { who, .. } | Self::Exited { who, .. } => Some(who),
            _ => None,
        }
    }

    /// The nearest [`io::ErrorKind`].
    pub fn io_kind(&self) -> io::ErrorKind {
        use io::ErrorKind;
        match self {
            Self::TimedOut { .. } => ErrorKind::TimedOut,
            Self::Full | Self::Empty => ErrorKind::WouldBlock,
            Self::Frozen { .. } => ErrorKind::PermissionDenied,
            Self::InUse { .. } => ErrorKind::ResourceBusy,
            Self::Closed { .. } | Self::Disconnected { .. } | Self::Broken { .. } => ErrorKind::BrokenPipe,
            Self::LimitReached { .. } => ErrorKind::OutOfMemory,
            Self::InvalidArgument { .. } => ErrorKind::InvalidInput,
            Self::NotOwner { .. } => ErrorKind::PermissionDenied,
            Self::Decode { .. } | Self::Encode { .. } => ErrorKind::InvalidData,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Torn { .. } => ErrorKind::UnexpectedEof,
            Self::Refused { .. } | Self::Authentication { .. } => ErrorKind::PermissionDenied,
            Self::Cancelled => ErrorKind::Interrupted,
            Self::Deadlock { .. } => ErrorKind::Deadlock,
            Self::Failed(Failure { source: Some(source), .. }) => source.io_kind(),
            Self::Os { kind, .. } => kind_by_name(kind),
            _ => ErrorKind::Other,
        }
    }
}

/// The kind whose `Debug` name is `name`. The name is what travels, because the numbers differ between
/// systems.
fn kind_by_name(name: &str) -> io::ErrorKind {
    use io::ErrorKind::*;
    const KINDS: [io::ErrorKind; 38] = [
        AddrInUse,
        AddrNotAvailable,
        AlreadyExists,
        ArgumentListTooLong,
        BrokenPipe,
        ConnectionAborted,
        ConnectionRefused,
        ConnectionReset,
        CrossesDevices,
        Deadlock,
        DirectoryNotEmpty,
        ExecutableFileBusy,
        FileTooLarge,
        HostUnreachable,
        Interrupted,
        InvalidData,
        InvalidFilename,
        InvalidInput,
        IsADirectory,
        NetworkDown,
        NetworkUnreachable,
        NotADirectory,
        NotConnected,
        NotFound,
        NotSeekable,
        OutOfMemory,
        PermissionDenied,
        QuotaExceeded,
        ReadOnlyFilesystem,
        ResourceBusy,
        StaleNetworkFileHandle,
        StorageFull,
        TimedOut,
        TooManyLinks,
        UnexpectedEof,
        Unsupported,
        WouldBlock,
        WriteZero,
    ];
    KINDS.into_iter().find(|kind| format!("{kind:?}") == name).unwrap_or(Other)
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::os("input/output", error)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::new(error.io_kind(), error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<PanicReport> for Error {
    fn from(report: PanicReport) -> Self {
        Self::Panicked(report)
    }
}
