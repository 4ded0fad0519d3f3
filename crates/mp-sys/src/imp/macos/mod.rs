//! macOS 12 and later. Type-checked from elsewhere, not run.

pub(crate) mod beacon;
pub(crate) mod fork_guard;
pub(crate) mod forking;
pub(crate) mod image;
pub(crate) mod memory;
pub(crate) mod named_memory;
pub(crate) mod park;
pub(crate) mod process;
pub(crate) mod setup;
pub(crate) mod spawn;
pub(crate) mod tree;
mod wait_on_address;

pub(crate) use super::unix::{
    child, clock, command, handles, liveness, local, poll, signals, socket, streams,
};

pub(crate) mod channel {
    //! There is none: local sockets keep no message boundaries here.
    pub(crate) use crate::imp::absent::Channel;
}

pub(crate) mod standing {
    //! Nobody starts processes for another here.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct Standing;

    impl Standing {
        pub(crate) fn now() -> Self {
            Self
        }
    }
}
