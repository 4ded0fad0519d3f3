//! The session under mp: memory that processes share, and that survives the death of any of them at any instruction.
//!
//! A session is one large, sparse, anonymous memory object that a tree of processes maps. In it live a table of
//! objects, a heap, a slot for each process and thread, and the words by which threads wait for each other. The kernel
//! frees it when the last process is gone, however it went: there is no name to leak and no tracker process.
//!
//! The crates above build their primitives from four things:
//!
//! - [`Object`]: a counted reference to something in the session, which may be sent to other processes;
//! - [`Message`]: a value as bytes, with the references that it carries;
//! - [`Session::wait`] and its wake-ups: sleeping until somebody says so, or somebody dies;
//! - [`Cell`]: a place that a process may die in the middle of filling or emptying.
//!
//! # What holds it together
//!
//! No step of any operation leaves the session in a state that the survivors cannot read. Claims name their owner in the
//! compare-and-swap that makes them; what takes several steps is announced first (an intent) and settled by
//! whoever sweeps after a death; counts are detectable. Nothing is locked against other processes: a stopped process stops
//! nobody but those who wait for it. The modules' essays tell each protocol and its table of deaths.
//!
//! | file | idea |
//! |---|---|
//! | `layout`, `region`, `header`, `ground`, `slots` | where everything is |
//! | `heap`, `runs` | blocks with one owner or none |
//! | `table`, `entries`, `refs`, `owned`, `ledger` | objects and who holds them |
//! | `intent`, `settle`, `cell` | operations that a death may cut in two |
//! | `thread`, `member`, `sweep`, `children`, `tree` | who takes part, who died, clearing up |
//! | `wait`, `in_line`, `sleep`, `spin` | sleeping and waking |
//! | `posts` | who watches whom, where there are many processes |
//! | `verify` | whether all of this is so |
//! | `deadlock`, `label`, `report` | who waits for whom, and how people are told |
//! | `waitable`, `waitset`, `subscriptions`, `observers`, `descriptors` | waiting for many things at once |
//! | `readiness`, `reactor`, `signal` | waiting in async tasks, and in the event loops of others |
//! | `primitive` | the atomics, which model checks replace |
//! | `permit` | counts, and who holds how much of them |
//! | `directory` | objects found by name |
//! | `door`, `reception`, `handshake`, `stranger` | programs that are no relatives come in |
//! | `cancel` | ending the waits of a thread from elsewhere |
//! | `shared` | what may lie in shared memory and be looked at through a reference |
//! | `os_handle` | handles of the operating system as values |
//! | `object`, `owner`, `message`, `place`, `session`, `founding`, `stats`, `probe` | what the crates above use |
//!
//! # Examples
//!
//! ```
//! use mp_session::{Message, Session};
//!
//! let session = Session::current()?;
//! let message = Message::encode(&session, &vec![1.5, 2.5])?;
//! assert_eq!(message.decode::<Vec<f64>>()?, [1.5, 2.5]);
//! # Ok::<(), mp_session::Error>(())
//! ```

mod cancel;
mod cell;
mod children;
mod current;
mod deadlock;
mod descriptors;
mod directory;
mod door;
mod entries;
mod founding;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod ground;
mod handshake;
mod header;
mod heap;
mod ids;
mod in_line;
mod intent;
mod label;
mod layout;
mod ledger;
mod member;
mod message;
mod object;
mod observers;
mod os_handle;
mod owned;
mod owner;
mod permit;
mod place;
mod posts;
/// For the crates above, which keep words of their own in the session.
#[doc(hidden)]
pub mod primitive;
mod probe;
mod reactor;
mod readiness;
mod reception;
mod refs;
mod region;
mod report;
mod runs;
mod session;
mod settle;
mod shared;
mod signal;
mod sleep;
mod slots;
mod spin;
mod stats;
mod stranger;
mod subscriptions;
mod sweep;
mod table;
mod thread;
mod tree;
mod verify;
mod wait;
mod waitable;
mod waitset;
mod waking;

pub use cancel::{CancelToken, is_cancellable};
pub use cell::{Cell, CellState, Status};
pub use children::StartedProcess;
pub use descriptors::Io;
pub use door::{DOOR_DIR_VAR, Door, RefusedPeer};
pub use founding::{HeapSession, Prepared, inherit};
pub use ids::{Kind, MemberId, Role, ThreadId};
pub use in_line::{Carried, InLine};
pub use message::{MAX_PAYLOAD, Message};
pub use mp_sys::{AsSource, BorrowedSource, Interest};
pub use mp_wire::{Error, Result};
pub use object::{Blueprint, Emptying, Filling, Object, Taking, Words, fingerprint};
pub use os_handle::OsHandle;
pub use permit::{Permit, PermitWord, permit_words};
pub use place::Place;
pub use readiness::{Readiness, ready, ready_in};
pub use report::{Holding, ProcessReport, Report, ThreadReport};
pub use session::{BUDGET_VAR, DEADLOCK_VAR, SESSION_VAR, SIZE_VAR, Session, Ticket};
pub use shared::{Shared, layout_fingerprint};
pub use signal::ReadinessSignal;
pub use stats::Stats;
pub use stranger::Joining;
pub use table::Shape;
pub use waitable::{Sources, Waitable};
pub use waitset::{WaitSet, wait, wait_in};

/// For the macros and the benchmarks.
#[doc(hidden)]
pub mod __private {
    pub use crate::probe::HeapProbe;
    pub use crate::shared::layout;
}
