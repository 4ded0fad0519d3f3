//! A function running in another process.
//!
//! Python's `multiprocessing.Process` in Rust's idiom: a function and its arguments go to a new process, what it returns
//! comes back from [`Process::join`] — a value, the function's error, a panic with its message and place, an exit code, or
//! the signal that killed it.
//!
//! ```no_run
//! use mp_process::Process;
//!
//! fn greet(name: String) -> String { format!("hello {name}") }
//!
//! fn main() -> mp_process::Result<()> {
//!     mp_process::init(); // in a child this does not return
//!     let child = Process::spawn(greet, ("bob".to_owned(),))?;
//!     println!("{}", child.join()?);
//!     Ok(())
//! }
//! ```
//!
//! # How a child comes to be
//!
//! The parent reserves a place in the session, puts the arguments there, and has a process started: by a fork server
//! (a small helper that forks; the default on Linux) or by running its own image again. [`init`], the first line of `main`, sees
//! that it is a child, enters the session, proves that it runs the same image, does what the builder asked for, and calls
//! the function. A program that never calls [`init`] gets [`Error::NotInitialised`] when it starts a process, not a fork bomb.
//!
//! # What a child has and has not
//!
//! - Statics begin anew: what the parent wrote into them is not there. Threads are not copied. So with both methods; what all
//!   children need can be made once in the fork server ([`preload`]).
//! - What the system hands down (limits, umask, ignored signals, user and groups, affinity, niceness, session of terminals) is
//!   the parent's at the moment of the start, by either method; so are environment and directory.
//! - Standard input is nothing, unless asked for; output and error are the parent's.
//! - `std::process::exit` ends it with that code, exit handlers included; values that are alive are not dropped.
//! - With `panic = "abort"` a panic is the signal SIGABRT: [`Error::Died`].
//! - Descriptors of the parent are not inherited.
//!
//! | file | idea |
//! |---|---|
//! | `target` | what can run elsewhere, and how it is named |
//! | `builder`, `spec` | what the child is to be |
//! | `streams`, `handles` | its standard streams, and OS handles in its arguments |
//! | `launch`, `fork_server`, `request`, `serve`, `preload`, `spare`, `start` | start methods |
//! | `child`, `returned`, `current` | the child's side |
//! | `process`, `registry` | the parent's side |
//! | `waiting` | waiting for ends together with other things |
//! | `panics`, `testing` | what a panic said; use under `cargo test` |

mod builder;
mod child;
mod current;
mod ending;
mod events;
mod fork_server;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod handles;
mod launch;
#[cfg(feature = "tracing")]
mod log;
mod panics;
mod preload;
mod process;
mod registry;
mod request;
mod returned;
mod serve;
mod signals;
mod spare;
mod spec;
mod start;
mod streams;
mod target;
mod testing;
mod tree;
mod waiting;

pub use builder::Builder;
pub use child::init;
pub use current::{CurrentProcess, ParentProcess, current_process, parent_process, set_current_name};
pub use handles::OsHandle;
#[cfg(feature = "tracing")]
pub use log::log_to_stderr;
pub use mp_macros::{Output, main};
pub use mp_session::CancelToken;
pub use mp_sys::cpu_count;
pub use mp_wire::{Departure, Error, Failure, Ident, Output, PanicReport, Result};
pub use preload::preload;
pub use process::{Process, active_children};
pub use signals::OnInterrupt;
pub use spec::Limit;
pub use start::{StartMethod, set_start_method, start_method};
pub use streams::{Captured, Stream};
pub use target::{Run, Target};

/// For mp's own crates and macros.
#[doc(hidden)]
pub mod __private {
    pub use crate::child::init;
    /// Ends the child that a fork server started ahead: for tests that count processes.
    pub fn dismiss_spare() -> crate::Result<()> {
        crate::fork_server::dismiss_spare()
    }
    pub use crate::panics::report as panic_report;
    pub use crate::target::{Produced, Shim, call, name_of, name_of_target, produce, read, shim_of};
    pub use mp_wire;
}
