//! Benchmarks: `mp` beside its peers and beside the bare operating system, in one run.
//!
//! Absolute times drift from machine to machine and from minute to minute, so a benchmark here prints ratios: each row runs
//! the same work on `mp` and on what it is compared with, all rows in turn, round after round, and what counts is the
//! ratio of the medians. `cargo xtask bench` runs them all and ends with one table of what was to be reached; `cargo xtask bench NAME` runs
//! one. `--rounds 21` runs longer, `--quick` shorter, `--rows TEXT` only the rows (and those that they are compared with) whose name
//! contains the text.
//!
//! | benchmark | question |
//! |---|---|
//! | `start` | what does it cost to start a process that does nothing, and to join it? |
//! | `flat` | does that depend on the parent's memory, or on how many there are? |
//! | `pipe` | what does a message through a pipe cost, small and large, awake and asleep? |
//! | `locks` | what do locks cost, alone, between two processes, asleep? |
//! | `manager` | what do operations on shared containers cost, from one process and from several? |
//! | `pool` | what does a task cost, on its own, in a map, and the pool itself? |
//! | `curves` | how do these grow? Drawn into `docs/figures` |
//! | `wait` | what does it cost to wait for many things at once? |
//! | `queue` | what does a message through a queue cost, small and large, one to one and many to many? |
//! | `shared` | what do access to shared data, blocks of memory and their handles cost? |
//!
//! | file | idea |
//! |---|---|
//! | `table`, `options`, `record` | rows, rounds, medians, ratios, goals; what to run; figures for other programs |
//! | `curve` | figures as pictures |
//! | `machine` | placement on cores, CPU time |
//! | `floors`, `mapped`, `ring` | the bare system: what no library can beat |
//! | `events` | eventfds, waited for by `poll` and `epoll` |
//! | `sockets` | a process at the other end of a socket pair |
//! | `locks` | bare locks: a futex, and the C library's |
//! | `python` | CPython's multiprocessing, asked over a pipe |
//!
//! They run on Linux.

#![cfg(target_os = "linux")]

pub mod curve;
pub mod events;
pub mod floors;
pub mod locks;
pub mod machine;
pub mod mapped;
mod options;
pub mod python;
mod record;
pub mod ring;
pub mod sockets;
pub mod table;

pub use machine::{Placement, cpu_of, placed};
pub use python::Python;
pub use table::{Failure, Goal, Spent, Table};
