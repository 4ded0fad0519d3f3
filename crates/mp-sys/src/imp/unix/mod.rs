//! What Linux and macOS spell the same way.

pub(crate) mod call;
pub(crate) mod child;
pub(crate) mod clock;
pub(crate) mod command;
pub(crate) mod descriptor;
pub(crate) mod forking;
pub(crate) mod handles;
pub(crate) mod liveness;
pub(crate) mod local;
pub(crate) mod mapping;
pub(crate) mod named_memory;
pub(crate) mod poll;
pub(crate) mod rights;
pub(crate) mod setup;
pub(crate) mod signals;
pub(crate) mod socket;
mod socket_listener;
pub(crate) mod spawn;
pub(crate) mod stdio;
pub(crate) mod streams;
