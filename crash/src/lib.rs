//! Crash images: an operation on a session is cut off after every instruction that changed the session's memory, and the
//! survivors recover from each.
//!
//! Tests that die at chosen points try what their author thought of. This names nothing, so it forgets nothing: whatever the compiler
//! made of the code is what is cut.
//!
//! # How
//!
//! ```text
//! program        one copy of itself for each scene, two at once or as many as there are processors
//!  scene         founds a session in a memory object of 8 MiB, plays all members, sets the stage; looks on
//!   victim       a copy of the scene, on the same memory: does the operation, stopped after each store (`watch`)
//!   judge        a copy of the scene for each stop, on a private view of the memory as it is then:
//!                  another member's operation, if the scene has one
//!                  the victim is declared dead, a survivor sweeps
//!                  the session is verified (`mp_session`'s `verify.rs`): counts against owners, tags against blocks, wait words
//!                    against records, nothing left of the dead
//!                  the scene's own check: the operation happened, or did not
//!                  the session is used for everything that it is good for, by a newcomer, too
//!                  all is given back: no object, no member, no thread is left
//!   sweeper      for a sample of the stops, or all: a copy that sweeps, on a second memory, and is stopped in turn; each of those
//!                  states is judged again, with two dead
//! ```
//!
//! A copy (`fork`) knows everything that the survivors knew before the operation, handles and magazines, and nothing of what the victim
//! found out in it: as it is between processes. So the recoverers are ordinary members, not readers of a dump.
//!
//! | file | idea |
//! |---|---|
//! | `scene`, `stage`, `scenes` | what is played: the table of operations |
//! | `memory` | a memory that two processes see, and what it held last |
//! | `watch`, `watch/faults`, `watch/steps` | stopping after each change |
//! | `control` | taking turns |
//! | `recover`, `judge` | what has to hold |
//! | `run`, `program` | one scene, all scenes |
//! | `system`, `trace` | system calls; where somebody was stopped |
//!
//! # A scene
//!
//! ```ignore
//! Scene { name: "session/table: retain", play: |stage| {
//!     let object = block(&stage.witness, 100);
//!     let theirs = give(&stage.witness, &stage.victim, &object);
//!     let other = object.try_clone_counted().unwrap();
//!     Act::new(move || {
//!         forget(theirs.try_clone_counted().unwrap());   // the operation
//!         forget(theirs);
//!     })
//!     .meanwhile("retains and releases", move || drop(other.try_clone_counted().unwrap()))
//!     .check(move |_| assert_eq!(object.holders(Role::First), 1))
//! } }
//! ```
//!
//! # What it does not see
//!
//! - The order in which stores become visible to other processors: a stopped process has no store under way. That is what the model
//!   checks (`models/`) are for.
//! - What the kernel does at a death: beacons, locks on the liveness file, wake-ups of sleepers. In a session on the heap a flag stands for
//!   them; the tests across processes and the torture have the real thing.
//! - What two operations do to each other step by step: here the victim is stopped, and the other's operation is done as a whole.
//!
//! # A failure
//!
//! is reported with the frames in which the victim (and the sweeper) was stopped, and with the variables that bring it back:
//!
//! ```text
//! MP_CRASH_SCENE='session/wait: wake one of three' MP_CRASH_IMAGE=2 MP_CRASH_OTHER=0 cargo xtask crash
//! ```
//!
//! Images are numbered by changes, so the numbers of a debug build, whose stores are others, need not be those of a release.
//!
//! # Platform
//!
//! Linux on x86-64 and arm64. Elsewhere the program says so, and this library is empty.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod control;
mod judge;
mod memory;
mod program;
mod recover;
mod run;
mod scene;
mod scenes;
mod stage;
mod system;
mod trace;
mod watch;

pub use program::main;
pub use scene::{Act, Scene};
pub use stage::{Stage, block, give, plan};
