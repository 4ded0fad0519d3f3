//! Many tasks over few processes.
//!
//! [`Pool`] is Python's `multiprocessing.Pool` with what its users miss: each task has its own error, a killed worker
//! costs the one task that it was at, nothing is read from an endless iterator before it is needed, and no lock is shared
//! with a worker, so none can be left locked.
//!
//! | file | idea |
//! |---|---|
//! | `pool` | the pool as its users see it |
//! | `results`, `imap`, `chunks` | single results, lazy maps, eager maps |
//! | `core`, `crew` | which task is where, what came back; starting and losing workers |
//! | `lane` | what lies between the pool and one worker |
//! | `worker`, `shim` | the worker's side |
//! | `minder` | work that nobody waits for, callbacks |

mod chunks;
mod core;
mod crew;
mod imap;
mod lane;
mod minder;
mod pool;
mod results;
mod shim;
mod worker;

pub use imap::{Imap, ImapUnordered};
pub use mp_process::{enable_in_tests, init};
pub use mp_wire::{Error, Result};
pub use pool::{Builder, Pool};
pub use results::AsyncResult;

#[doc(hidden)]
pub mod __private {
    pub use mp_process::__private::*;
}
