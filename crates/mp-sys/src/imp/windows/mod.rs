//! Windows 10 and later; runs under wine 8.

pub(crate) mod beacon;
pub(crate) mod child;
pub(crate) mod clock;
pub(crate) mod command;
pub(crate) mod command_line;
pub(crate) mod fork_guard;
pub(crate) mod forking;
pub(crate) mod handle;
pub(crate) mod handles;
pub(crate) mod image;
pub(crate) mod liveness;
pub(crate) mod memory;
pub(crate) mod named_memory;
mod named_pipe;
pub(crate) mod park;
pub(crate) mod poll;
pub(crate) mod process;
pub(crate) mod setup;
pub(crate) mod signals;
pub(crate) mod socket;
pub(crate) mod spawn;
pub(crate) mod streams;
pub(crate) mod tree;

pub(crate) mod channel {
    //! There is none.
    pub(crate) use crate::imp::absent::Channel;
}

pub(crate) mod local {
    //! None yet: a named pipe could carry handles that the listener duplicates into the other process.
    pub(crate) use crate::imp::absent::{Listener, Stream, current_user, private_directory, ready};
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
