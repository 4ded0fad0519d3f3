//! Linux, x86-64 and arm64. Written for glibc; what other C libraries lack is probed for.

mod advice;
pub(crate) mod beacon;
mod cgroup;
pub(crate) mod channel;
pub(crate) use super::unix::{clock, command, handles, signals, streams};
pub(crate) mod fork_guard;
pub(crate) mod forking;
mod futex;
pub(crate) mod image;
mod locked;
pub(crate) mod memory;
pub(crate) mod named_memory;
pub(crate) mod park;
pub(crate) mod process;
mod robust_list;
pub(crate) mod setup;
pub(crate) mod spawn;
pub(crate) mod standing;
pub(crate) mod tree;

pub(crate) use super::unix::{child, liveness, local, poll, socket};
