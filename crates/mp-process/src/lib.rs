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
//! (a small helper that forks; the default on Linux) or by running its own image again; or it copies itself, which is `unsafe`
//! ([`Process::fork`]). [`init`], the first line of `main`, sees
//! that it is a child, enters the session, proves that it runs the same image, does what the builder asked for, and calls
//! the function. A program that never calls [`init`] gets [`Error::NotInitialised`] when it starts a process, not a fork bomb.
//!
//! # What a child has and has not
//!
//! - Statics and thread-locals begin anew: what the parent wrote into them is not there. Threads are not copied, and so no lock is copied
//!   locked. So with every start method but [`Process::fork`], which is for parents with one thread.
//!   What all children need can be made once in the fork server ([`preload`]).
//! - What the system hands down (limits, umask, ignored signals, user and groups, affinity, niceness, session of terminals) is
//!   the parent's at the moment of the start, by either method; so are environment and directory.
//! - Standard input is nothing, unless asked for; output and error are the parent's.
//! - Descriptors of the parent are not inherited, save those among its arguments ([`OsHandle`]).
//! - Signals are unblocked; what Ctrl-C does is told at [`OnInterrupt`].
//!
//! # How a child ends
//!
//! | in the child | [`join`](Process::join) returns | [`exitcode`](Process::exitcode) | values dropped | exit handlers, flush of stdout |
//! |---|---|---|---|---|
//! | the function returns a value | `Ok(value)`, at each call | 0 | yes | yes |
//! | it returns an error (anything with `Display`) | [`Error::Failed`]: text, chain of causes | 1 | yes | yes |
//! | it panics | [`Error::Panicked`]: message, place, thread, backtrace if asked for | 101 | yes | yes |
//! | it panics with `panic = "abort"`, or while it panics | [`Error::Died`] by SIGABRT | -6 | no | no |
//! | `std::process::exit(n)`, on any thread | [`Error::Exited`]; `Ok(())` for 0 and a function that returns nothing | n | no | yes |
//! | `std::process::abort()`, a signal | [`Error::Died`] | minus the signal | no | no |
//! | a stack overflow | [`Error::Died`] by SIGABRT or SIGSEGV | -6 or -11 | no | no |
//! | arguments do not decode, the builder asks for what cannot be | [`Error::Failed`], with the [`Error`] as its source | 1 | | yes |
//! | `waitpid(-1)` of a foreign library takes the status away | the value all the same; else [`Error::Died`], [`Departure::Lost`] | as above; else 255 | | |
//!
//! Threads that still run when the function returns end with the process; Python would wait for them. While it runs `exitcode` is `None`.
//!
//! # How parents end, and Ctrl-C
//!
//! A parent that ends in order tells its daemons to end (SIGTERM, and after half a second SIGKILL) and waits for its other children. A parent
//! that is killed leaves those others alone; daemons see it gone and end, with what is below them, whichever thread started them. With
//! Ctrl-C, and SIGTERM to the parent, the parent decides: one without a handler passes the signal on and dies, and all are gone at once; one with a
//! handler goes on with its children, or ends and takes them along. See [`OnInterrupt`]. [`Process::kill_tree`] and
//! [`Process::kill_group`] end a child with all that is below it.
//!
//! # Python's names
//!
//! | Python | here | difference |
//! |---|---|---|
//! | `Process(target, args)` and `start()` | [`Process::spawn`], [`Process::builder`] | a `Process` is one that was started; the arguments are given away; no `group`, no `kwargs` |
//! | `run()` overridden | [`Run`], [`Process::run`] | |
//! | `join(timeout)` | [`Process::join`], [`join_timeout`](Process::join_timeout), [`wait`](Process::wait) | returns the value or the error, in any thread, as often as one likes |
//! | `is_alive()`, `pid`, `exitcode` | the same | `True` never after the death, also while another thread joins; 255 only for lost news |
//! | `name` | [`Builder::name`], [`set_current_name`] | a handle keeps the name of the start |
//! | `daemon` | [`Builder::daemon`] | inherited alike; also with a parent that is killed; may have children if [allowed](Builder::may_have_children) |
//! | `sentinel`, `connection.wait` | [`Process::sentinel`], [`mp_session::wait()`] | made on demand: no descriptor for each child |
//! | `terminate()`, `kill()`, `interrupt()` | the same | never to a pid that is another's by now; `kill_tree`, `kill_group` besides |
//! | `close()` | dropping the handle | a running child runs on; nothing can be called afterwards |
//! | `repr` | `Debug` | |
//! | `authkey` | | of listeners and managers, not of processes |
//! | `active_children()`, `current_process()`, `parent_process()` | [`active_children`], [`current_process`], [`parent_process`] | |
//! | `cpu_count()` | [`cpu_count`] | respects affinity and control groups; never unknown |
//! | `get_context(method)` | [`Builder::start_method`] | all methods mix in one program |
//! | the start method `fork` | [`Process::fork`] | `unsafe`, and refused to a process with threads |
//! | `set_start_method`, `get_start_method`, `get_all_start_methods` | [`set_start_method`], [`start_method`], [`StartMethod::available`] | may be set again at any time; inherited |
//! | `freeze_support()` | [`init`] | needed always, and missed with an error |
//! | `set_forkserver_preload` | [`preload`] | functions in place of modules |
//! | `set_executable` | | a child runs the image of its parent: that is what makes functions nameable |
//! | `log_to_stderr(level)`, `get_logger()` | `log_to_stderr`, with the feature `tracing` | events for any subscriber |
//! | sockets and connections in arguments | [`OsHandle`] | in arguments only |
//! | `util.Finalize`, `register_after_fork` | `Drop`, nothing | no state is copied behind a program's back |
//! | `allow_connection_pickling`, `reducer` | | nothing to allow; `serde` |
//! | | [`CancelToken`], [`Builder`]'s settings, [`Process::join_captured`] | Python has none |
//!
//! # Files
//!
//! | file | idea |
//! |---|---|
//! | `target` | what can run elsewhere, and how it is named |
//! | `builder`, `spec` | what the child is to be |
//! | `streams`, `handles` | its standard streams, and OS handles in its arguments |
//! | `launch`, `fork_server`, `request`, `serve`, `preload`, `spare`, `fork`, `start` | start methods |
//! | `child`, `returned`, `current` | the child's side |
//! | `process`, `registry`, `ending`, `tree` | the parent's side |
//! | `signals` | Ctrl-C and SIGTERM |
//! | `waiting` | waiting for ends together with other things |
//! | `events`, `log` | what is told to `tracing` |
//! | `panics`, `testing` | what a panic said; use under `cargo test` |

mod builder;
mod child;
mod current;
mod ending;
mod events;
mod fork;
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
#[cfg(feature = "tracing")]
pub use log::log_to_stderr;
pub use mp_macros::{Output, main};
pub use mp_session::CancelToken;
pub use mp_session::OsHandle;
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
