//! The result of one task.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use mp_session::{Error, Result};
use parking_lot::Mutex;

use crate::core::{Core, Reply};
use crate::pool::after;

/// A result that will come (Python's `AsyncResult`). Dropping it takes the task back if nobody has begun it.
///
/// # If a process dies
///
/// If it was the worker at this task, [`AsyncResult::get`] returns [`Error::Died`].
pub struct AsyncResult<T> {
    core: Arc<Core>,
    ticket: u64,
    reply: Mutex<Option<Reply>>,
    value: PhantomData<fn() -> T>,
}

/// Makes the value of a reply to a single task.
pub(crate) fn read_single<T: mp_wire::Message>(reply: Option<Reply>) -> Result<T> {
    match reply {
        Some(reply) => value_of(&reply),
        None => Err(Error::TimedOut { what: "a task of the pool".into() }),
    }
}

fn value_of<T: mp_wire::Message>(reply: &Reply) -> Result<T> {
    match reply {
        Reply::Delivered(d) => mp_process::__private::read(d.codec, d.bytes()?, || d.imports()),
        Reply::Lost { error, .. } | Reply::Refused(error) => Err(error.clone()),
    }
}

impl<T: mp_wire::Message> AsyncResult<T> {
    pub(crate) fn new(core: Arc<Core>, ticket: u64) -> Self {
        AsyncResult { core, ticket, reply: Mutex::new(None), value: PhantomData }
    }

    /// Waits for the result. May be called again: the value is decoded afresh.
    ///
    /// # Errors
    /// The task's error.
    pub fn get(&self) -> Result<T> {
        self.fetch(None).and_then(|there| if there { self.read() } else { read_single(None) })
    }

    /// Waits for the result, but not longer than that.
    ///
    /// # Errors
    /// The task's error; [`Error::TimedOut`] if there is no result yet, in which case one may ask again.
    pub fn get_timeout(&self, timeout: Duration) -> Result<T> {
        self.fetch(Some(timeout)).and_then(|there| if there { self.read() } else { read_single(None) })
    }

    /// Waits until there is a result or an error; `false` if there is none in time.
    ///
    /// # Errors
    /// When waiting itself is impossible.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool> {
        self.fetch(Some(timeout))
    }

    /// Whether there is a result or an error.
    pub fn ready(&self) -> bool {
        self.fetch(Some(Duration::ZERO)).unwrap_or(true)
    }

    /// Whether there is a value; `None` if there is nothing yet.
    pub fn successful(&self) -> Option<bool> {
        self.ready().then(|| self.read().is_ok())
    }

    fn read(&self) -> Result<T> {
        match &*self.reply.lock() {
            Some(reply) => value_of(reply),
            None => read_single(None),
        }
    }

    fn fetch(&self, timeout: Option<Duration>) -> Result<bool> {
        let mut kept = self.reply.lock();
        if kept.is_none() {
            *kept = self.core.wait(self.ticket, timeout.and_then(after))?;
        }
        Ok(kept.is_some())
    }
}

impl<T> Drop for AsyncResult<T> {
    fn drop(&mut self) {
        if self.reply.get_mut().is_none() {
            self.core.abandon(self.ticket);
        }
    }
}

impl<T> fmt::Debug for AsyncResult<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncResult").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}
