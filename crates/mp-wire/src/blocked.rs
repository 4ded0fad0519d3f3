//! Who waits for whom.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Ident, text};

/// A thread that waits for what another holds: one link of the ring in [`Error::Deadlock`](crate::Error::Deadlock).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockedThread {
    /// Its process.
    pub process: Ident,
    /// Its name, or its number where it has none.
    pub thread: String,
    /// The object that it waits for, by its label if it has one.
    pub waits_for: String,
}

impl BlockedThread {
    /// The thread and its process: "thread main of worker-1 (pid 123)".
    pub fn name(&self) -> String {
        text::written(format_args!("thread {} of {}", self.thread, self.process))
    }
}

impl fmt::Display for BlockedThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} waits for {}", self.name(), self.waits_for)
    }
}
