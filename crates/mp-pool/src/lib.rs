//! Many tasks over few processes.
//!
//! [`Pool`] is Python's `multiprocessing.Pool` with what its users miss: each task has its own error, a killed worker
//! costs the one task that it was at, nothing is read from an endless iterator before it is needed, and no lock is shared
//! with a worker, so none can be left locked.
//!
//! | file | idea |
//! |---|---|
//! | `pool`, `calls`, `with`, `builder`, `threads` | the pool as its users see it, how calls are sent, settings for some calls, for all; the pool on threads |
//! | `results`, `imap`, `map`, `flow`, `decode` | results that will come; lazy and eager maps, how they take their input, results decoded |
//! | `task`, `job` | tasks as plain values; what the pool knows of a call |
//! | `core`, `sched`, `crew`, `stats` | which task is where; who does which; starting, losing and ending workers; numbers |
//! | `transport`, `station` | what carries tasks and results, as the scheduler sees it; processes and threads behind it |
//! | `lane`, `parcel`, `record` | what lies between the pool and one worker: batches on their way there, results on their way back |
//! | `worker`, `shim`, `futures` | the worker's side; tasks that run many at a time |
//! | `minder` | work that nobody waits for, callbacks |

mod builder;
mod calls;
mod core;
mod crew;
mod decode;
mod flow;
mod futures;
mod imap;
mod job;
mod lane;
mod map;
mod minder;
mod parcel;
mod pool;
mod record;
mod results;
mod sched;
mod shim;
mod station;
mod stats;
mod task;
mod threads;
mod transport;
mod with;
mod worker;

pub use builder::Builder;
pub use imap::{Imap, ImapUnordered};
pub use mp_process::{enable_in_tests, init};
pub use mp_wire::{Error, Result};
pub use pool::Pool;
pub use results::{AsCompleted, AsyncResult, ResultFuture, as_completed};
pub use stats::{Running, Stats};
pub use task::OnError;
pub use threads::ThreadPool;
pub use with::With;
pub use worker::task_token;

#[doc(hidden)]
pub mod __private {
    pub use mp_process::__private::*;
}
