//! What carries tasks to workers and results back, as the scheduler sees it.
//!
//! The scheduler ([`crate::core`]) decides who does which task, and what follows from a death, a timeout or a cancellation. How a batch gets
//! to a worker, and how far the worker is, it asks a [`Station`]. Stations over shared memory are in [`crate::station`], with a process or
//! a thread at the other end; tasks are plain values ([`crate::task`]), so a station on another host can be had by the same calls.

use std::fmt::Debug;

use mp_process::{Departure, Ident};
use mp_session::Result;

use crate::record::Span;
use crate::task::Batch;

/// Starts workers.
pub(crate) trait Transport: Debug + Send + Sync {
    /// Starts a worker of that name.
    fn start(&self, name: String) -> Result<Box<dyn Station>>;

    /// Changes when a worker may have ended. Whoever waits at the pool's control object is woken then.
    fn news(&self) -> u64;
}

/// A worker, as the scheduler sees it. Batches are numbered in the order in which they were sent, and are worked on in that order.
pub(crate) trait Station: Debug + Send {
    fn ident(&self) -> &Ident;

    /// Whether it has been ready for tasks at any time.
    fn is_ready(&self) -> bool;

    /// Sends a batch, and gives it its number. There must be room: less than [`crate::lane::SLOTS`] unanswered.
    fn send(&mut self, batch: &Batch) -> Result<u64>;

    /// How many tasks of the batch were begun.
    fn begun(&self, batch: u64) -> u32;

    /// Takes back what is behind the first `keep` tasks of the batch and was not begun; how many tasks stay.
    fn cut(&mut self, batch: u64, keep: u32) -> u32;

    /// The next results, if there are any.
    fn next(&mut self) -> Option<Span>;

    /// All there is was taken for now.
    fn taken(&mut self);

    /// Asks to be woken when it has `results` results more than were taken.
    fn wake_after(&self, results: u64);

    /// Since when it is at its task, in nanoseconds of [`mp_sys::shared_nanos`].
    fn since(&self) -> u64;

    /// Nanoseconds that a task takes it; 0 if that is not known yet.
    fn pace(&self) -> u64;

    /// How it ended; `None` while it has not. May wait for the last of a death that is certain.
    fn ended(&mut self) -> Option<Departure>;

    /// What it said when it ended.
    fn last_words(&self) -> Option<String>;

    /// It is to leave when it has nothing to do.
    fn close(&self);

    /// The task that it is at is not wanted any more; afterwards it is to leave.
    fn cancel(&self);

    /// Ends it now, with all that it has started. `false`: that cannot be done, and it is given up.
    fn kill(&self) -> bool;

    /// Waits until it has ended, after `close` or `kill`.
    fn wait(&mut self) -> Result<()>;
}
