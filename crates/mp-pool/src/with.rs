//! Settings for some calls of a pool.

use std::marker::PhantomData;
use std::ops::Deref;
use std::time::Duration;

use crate::pool::Pool;
use crate::task::OnError;

/// A pool with other settings, for some of its calls: what [`Pool::with_timeout`] and its kind return. It has all methods of the pool.
///
/// # Examples
///
/// ```no_run
/// use mp_pool::{OnError, Pool};
/// use std::time::Duration;
///
/// mp_pool::init();
/// let pool = Pool::new(4)?;
/// let careful = pool.with_timeout(Duration::from_secs(2)).with_retries(3).on_error(OnError::CancelRest);
/// let halves = careful.map_all(|x: u64| if x % 2 == 0 { Ok(x / 2) } else { Err("odd") }, 0..10)?;
/// # Ok::<(), mp_pool::Error>(())
/// ```
#[derive(Debug)]
pub struct With<'p> {
    pool: Pool,
    of: PhantomData<&'p Pool>,
}

impl Pool {
    fn with(&self) -> With<'_> {
        let pool = Pool { shared: self.shared.clone(), settings: self.settings.clone(), is_owner: false };
        With { pool, of: PhantomData }
    }

    /// The pool, for calls whose tasks may take no longer than that, each from when it is begun. One that does is told so by its
    /// [token](crate::task_token), and loses its process a little later; its result is [`Error::TimedOut`](crate::Error::TimedOut) at once.
    pub fn with_timeout(&self, timeout: Duration) -> With<'_> {
        self.with().with_timeout(timeout)
    }

    /// The pool, for calls whose tasks may be done more than once: one whose worker died over it is tried again up to so many times.
    /// Without this none is ever begun twice.
    pub fn with_retries(&self, retries: u32) -> With<'_> {
        self.with().with_retries(retries)
    }

    /// The pool, for calls that do this about the rest when one of their tasks has failed.
    pub fn on_error(&self, policy: OnError) -> With<'_> {
        self.with().on_error(policy)
    }

    /// The pool, for lazy maps that have at most so many items under way or waiting to be handed out (Python's `buffersize`).
    pub fn with_read_ahead(&self, items: usize) -> With<'_> {
        self.with().with_read_ahead(items)
    }

    /// The pool, for maps that have at most about so many bytes of items under way, and always one item.
    pub fn with_read_ahead_bytes(&self, bytes: usize) -> With<'_> {
        self.with().with_read_ahead_bytes(bytes)
    }
}

impl<'p> With<'p> {
    /// As [`Pool::with_timeout`].
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> With<'p> {
        self.pool.settings.timeout = Some(timeout);
        self
    }

    /// As [`Pool::with_retries`].
    #[must_use]
    pub fn with_retries(mut self, retries: u32) -> With<'p> {
        self.pool.settings.retries = retries;
        self
    }

    /// As [`Pool::on_error`].
    #[must_use]
    pub fn on_error(mut self, policy: OnError) -> With<'p> {
        self.pool.settings.on_error = policy;
        self
    }

    /// As [`Pool::with_read_ahead`].
    #[must_use]
    pub fn with_read_ahead(mut self, items: usize) -> With<'p> {
        self.pool.settings.read_ahead = Some(items);
        self
    }

    /// As [`Pool::with_read_ahead_bytes`].
    #[must_use]
    pub fn with_read_ahead_bytes(mut self, bytes: usize) -> With<'p> {
        self.pool.settings.read_ahead_bytes = Some(bytes);
        self
    }
}

impl Deref for With<'_> {
    type Target = Pool;

    fn deref(&self) -> &Pool {
        &self.pool
    }
}
