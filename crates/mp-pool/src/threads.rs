//! The pool on threads.

use std::fmt;
use std::ops::Deref;

use mp_session::Result;

use crate::builder::Builder;
use crate::pool::Pool;

/// A pool whose workers are threads of this process (Python's `ThreadPool`). It has all methods of a [`Pool`], and can be lent as
/// one, so that the same code runs on either.
///
/// Tasks travel as they do to processes, by value, so what works here works there. What only a process can give it does not: a task that
/// ends its process ends the program, and one that was cancelled and does not end keeps its thread, which is given up and replaced.
///
/// # Examples
///
/// ```
/// use mp_pool::{Pool, ThreadPool};
///
/// fn lengths(pool: &Pool) -> mp_pool::Result<Vec<usize>> {
///     pool.map(|s: String| s.len(), ["a", "bc"].map(String::from))
/// }
/// let threads = ThreadPool::new(2)?;
/// assert_eq!(lengths(&threads)?, [1, 2]);
/// # Ok::<(), mp_pool::Error>(())
/// ```
pub struct ThreadPool(Pool);

impl ThreadPool {
    /// A pool of up to so many threads.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new(threads: usize) -> Result<ThreadPool> {
        ThreadPool::builder().processes(threads).build_threads()
    }

    /// Settings of a pool: [`Builder::build_threads`] makes it.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn from_pool(pool: Pool) -> ThreadPool {
        ThreadPool(pool)
    }
}

impl Deref for ThreadPool {
    type Target = Pool;

    fn deref(&self) -> &Pool {
        &self.0
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ThreadPool").field(&self.0).finish()
    }
}
