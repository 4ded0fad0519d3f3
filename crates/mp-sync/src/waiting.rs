//! Waiting for locks together with other things ([`mp_session::wait()`], [`WaitSet`](mp_session::WaitSet)), and in async tasks.

use mp_session::{Sources, Waitable, ready_in};
use mp_wire::Result;

use crate::raw::RawLock;
use crate::{Lock, LockError, LockGuard, Mutex, MutexGuard, Plain};

impl Waitable for RawLock {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        to.word(self.waiters());
    }

    fn is_ready(&self) -> bool {
        let seen = self.look();
        seen.is_free() || seen.owner().is_some_and(|owner| self.session().is_gone(owner))
    }
}

/// Ready when nobody holds it, or who held it is dead. That is no promise: who is told tries, and somebody else may have been faster.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mp_session::wait;
/// use mp_sync::Lock;
///
/// let (busy, free) = (Lock::new()?, Lock::new()?);
/// let _held = busy.lock()?;
/// assert_eq!(wait(&[&busy, &free], Duration::from_secs(1))?, [1]);
/// # Ok::<(), mp_sync::Error>(())
/// ```
impl Waitable for Lock {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        self.raw.sources(to);
    }

    fn is_ready(&self) -> bool {
        self.raw.is_ready()
    }
}

/// As a [`Lock`].
impl<T: Plain> Waitable for Mutex<T> {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        self.raw.sources(to);
    }

    fn is_ready(&self) -> bool {
        self.raw.is_ready()
    }
}

impl Lock {
    /// [`Lock::lock`] for async tasks, on any runtime.
    ///
    /// The guard belongs to the *thread* that polled the future to its end, as every guard does, and so is not `Send`: a task that a runtime
    /// moves between threads cannot hold it across an `await` (it does not compile), one that stays on its thread can. Another task of the same
    /// thread waits as if it were another thread.
    ///
    /// # Errors
    /// As [`Lock::try_lock`], and those of [`mp_session::ready`].
    ///
    /// # If a process dies
    /// As [`Lock::lock`].
    ///
    /// # Examples
    /// ```
    /// let lock = mp_sync::Lock::new()?;
    /// pollster::block_on(async {
    ///     let _guard = lock.lock_async().await?;
    ///     assert!(lock.locked());
    ///     Ok::<(), mp_sync::Error>(())
    /// })?;
    /// assert!(!lock.locked());
    /// # Ok::<(), mp_sync::Error>(())
    /// ```
    pub async fn lock_async(&self) -> Result<LockGuard<'_>> {
        loop {
            if let Some(guard) = self.try_lock()? {
                return Ok(guard);
            }
            ready_in(self.raw.session(), self).await?;
        }
    }
}

impl<T: Plain> Mutex<T> {
    /// [`Mutex::lock`] for async tasks, on any runtime: see [`Lock::lock_async`] for whose the guard is.
    ///
    /// # Errors
    /// As [`Mutex::try_lock`], and those of [`mp_session::ready`].
    pub async fn lock_async(&self) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        loop {
            if let Some(guard) = self.try_lock()? {
                return Ok(guard);
            }
            ready_in(self.raw.session(), self).await.map_err(LockError::Failed)?;
        }
    }
}
