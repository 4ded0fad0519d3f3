//! Processes that run your functions, and what they need to work together: Python's `multiprocessing` for Rust.
//!
//! ```no_run
//! use mp::prelude::*;
//!
//! fn greet(out: Sender<String>, name: String) -> mp::Result<()> {
//!     out.put(format!("hello {name}"))
//! }
//!
//! #[mp::main]
//! fn main() -> mp::Result<()> {
//!     let (tx, rx) = queue::unbounded()?;
//!     let child = Process::spawn(greet, (tx, "bob".to_owned()))?;
//!     println!("{}", rx.get()?);                        // the child dies first? an error that says so, no hang
//!     child.join()?;
//!
//!     let pool = Pool::new(4)?;
//!     let squares: Vec<u64> = pool.map(|x: u64| x * x, 0..1000)?;
//!     println!("{}", squares.iter().sum::<u64>());
//!
//!     let stock = Mutex::new(10_u32)?;                  // lives in memory that the processes share
//!     *stock.lock()? -= 1;
//!     Ok(())
//! }
//! ```
//!
//! # Five promises
//!
//! 1. **Any process may die at any instruction.** It never hangs, corrupts or leaks anything for the others; who waits for it
//!    gets an error that says who died.
//! 2. **The kernel cleans up.** What the processes share is anonymous: it is gone when the last of them is.
//! 3. **Handles are values.** A lock or a queue is `Clone + Send + Sync` and travels inside any message.
//! 4. **No system call without contention.**
//! 5. **Safe Rust.** What the outside world can cause is a typed error, never a panic.
//!
//! # Contents
//!
//! This crate re-exports and has nothing of its own. Each of the crates behind it is useful alone.
//!
//! | here | crate | what |
//! |---|---|---|
//! | [`process`]: [`Process`], [`init`], [`enable_in_tests!`] | `mp-process` | a function running in another process |
//! | [`pool`]: [`Pool`] | `mp-pool` | many tasks over few processes |
//! | [`mod@queue`]: [`Queue`], [`Sender`], [`Receiver`], [`JoinableQueue`], [`PriorityQueue`], [`LifoQueue`], [`SimpleQueue`] | `mp-queue` | messages, many to many |
//! | [`mod@pipe`]: [`Connection`] | `mp-pipe` | messages, between two ends |
//! | [`sync`]: [`Lock`], [`RLock`], [`Mutex`], [`RwLock`], [`Semaphore`], [`Condition`], [`Event`], [`Barrier`], [`Once`] | `mp-sync` | exclusion, and waiting for each other |
//! | [`wait()`], [`WaitSet`], [`Waitable`], [`ready`] | `mp-session` | waiting for many of these at once, and in async tasks |
//! | [`shared`]: [`Value`], [`Array`], [`SharedMemory`], [`SharedVec`], [`ShareableList`] | `mp-shared` | data in shared memory |
//! | [`manager`]: [`Manager`], [`Dict`], [`List`], [`Set`], [`Namespace`], [`Any`] | `mp-manager` | containers in shared memory |
//! | [`session`] | `mp-session` | the memory under all of them |
//! | [`Error`], [`Result`], [`Output`] | `mp-wire` | how things end |
//! | [`macro@main`], [`derive(Output)`](derive@Output), [`derive(Shared)`](derive@Shared) | `mp-macros` | |
//!
//! # Features
//!
//! `ndarray`: views of shared data as `ndarray` arrays. `json` and `cbor`: [`wire::Json`](mp_wire) and [`wire::Cbor`](mp_wire), for types that the default encoding cannot read back.
//! `tls` (`tls-ring`, with that provider): links under TLS ([`pipe`]). `tracing`: what processes do as events, and [`process::log_to_stderr`](mp_process).

#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

// The guide's programs are compiled. It lies outside of the package, which doctests are not run from.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/from-python.md")]
struct FromPython;

pub use mp_macros::{Output, Shared, main};
pub use mp_manager::{Any, Dict, List, Manager, Namespace, Set};
pub use mp_pipe::Connection;
pub use mp_pool::Pool;
pub use mp_process::{
    CancelToken, Process, Run, StartMethod, active_children, cpu_count, current_process, enable_in_tests,
    init, parent_process,
};
pub use mp_queue::{JoinableQueue, LifoQueue, PriorityQueue, Queue, Receiver, Sender, SimpleQueue};
pub use mp_session::{Io, WaitSet, Waitable, ready, wait};
pub use mp_shared::{Array, ShareableList, SharedMemory, SharedVec, Value};
pub use mp_sync::{
    Barrier, BoundedSemaphore, Condition, Event, Lock, Mutex, Once, OnceLock, RLock, RwLock, Semaphore,
};
pub use mp_wire::{Departure, Error, Failure, Ident, Message, Output, PanicReport, Result};

pub use mp_manager as manager;
pub use mp_pipe as pipe;
pub use mp_pool as pool;
pub use mp_process as process;
pub use mp_queue as queue;
pub use mp_session as session;
pub use mp_shared as shared;
pub use mp_sync as sync;
pub use mp_wire as wire;

/// What most programs use: `use mp::prelude::*;`.
///
/// The error types are not in it: write `mp::Result` and `mp::Error`.
pub mod prelude {
    pub use crate::{
        Any, Array, Barrier, BoundedSemaphore, Condition, Connection, Dict, Event, JoinableQueue, LifoQueue,
        List, Lock, Manager, Mutex, Namespace, Pool, PriorityQueue, Process, Queue, RLock, Receiver, RwLock,
        Semaphore, Sender, Set, ShareableList, SharedMemory, SharedVec, SimpleQueue, Value, pipe, queue,
    };
}

/// For the macros.
#[doc(hidden)]
pub mod __private {
    pub use mp_process::__private::init;
    pub use mp_session;
    pub use mp_wire;
}
