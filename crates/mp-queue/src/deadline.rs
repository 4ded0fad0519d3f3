//! How long to wait.

use std::time::{Duration, Instant};

/// How long to wait. The clock is read only by who has to.
#[derive(Clone, Copy)]
pub(crate) enum Deadline {
    Never,
    In(Duration),
}

impl Deadline {
    pub(crate) fn instant(self) -> Option<Instant> {
        match self {
            Deadline::Never => None,
            // A time beyond what the clock can tell is for ever.
            Deadline::In(time) => Instant::now().checked_add(time),
        }
    }
}
