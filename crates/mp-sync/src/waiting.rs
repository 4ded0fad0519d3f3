//! Waiting for locks together with other things ([`mp_session::wait()`], [`WaitSet`](mp_session::WaitSet)), and in async tasks.

use mp_session::{Role, Sources, Waitable, ready_in};
use mp_wire::Result;

use crate::raw::RawLock;
use crate::{
    BoundedSemaphore, Event, Lock, LockError, LockGuard, Mutex, MutexGuard, Plain, RLock, RLockGuard,
    Semaphore, SemaphoreGuard,
};

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

/// As a [`Lock`]; for its owner, who need not wait for it, it is not ready either.
impl Waitable for RLock {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        self.raw.sources(to);
    }

    fn is_ready(&self) -> bool {
        self.raw.is_ready()
    }
}

impl Lock {
    /// [`Lock::acquire`] for async tasks, on any runtime. Nobody owns what was acquired, so the task may go from thread to thread.
    ///
    /// # Errors
    /// As [`Lock::try_acquire`], and those of [`mp_session::ready`].
    ///
    /// # If a process dies
    /// As [`Lock::acquire`].
    pub async fn acquire_async(&self) -> Result<()> {
        while !self.try_acquire()? {
            ready_in(self.raw.session(), self).await?;
        }
        Ok(())
    }
}

impl RLock {
    /// [`RLock::lock`] for async tasks: see [`Lock::lock_async`] for whose the guard is. Another task of the same thread is the
    /// same owner, and is let in.
    ///
    /// # Errors
    /// As [`RLock::try_lock`], and those of [`mp_session::ready`].
    pub async fn lock_async(&self) -> Result<RLockGuard<'_>> {
        loop {
            if let Some(guard) = self.try_lock()? {
                return Ok(guard);
            }
            ready_in(self.raw.session(), self).await?;
        }
    }
}

/// Ready while it is set. A `set` that is followed by a `clear` at once may be missed.
impl Waitable for Event {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        to.word(self.anchor.waiters(Role::First));
    }

    fn is_ready(&self) -> bool {
        self.is_set()
    }
}

impl Event {
    /// [`Event::wait`] for async tasks, on any runtime. A `set` that is followed by a `clear` at once may be missed.
    ///
    /// # Errors
    /// Those of [`mp_session::ready`].
    ///
    /// # Examples
    /// ```
    /// let event = mp_sync::Event::new()?;
    /// let theirs = event.clone();
    /// std::thread::spawn(move || theirs.set());
    /// pollster::block_on(event.wait_async())?;
    /// # Ok::<(), mp_sync::Error>(())
    /// ```
    pub async fn wait_async(&self) -> Result<()> {
        while !self.is_set() {
            ready_in(self.anchor.session(), self).await?;
        }
        Ok(())
    }
}

macro_rules! semaphore {
    ($type:ident, $name:literal) => {
        /// Ready when there is a permit to have. That is no promise.
        impl Waitable for $type {
            fn sources<'a>(&'a self, to: &mut Sources<'a>) {
                to.word(self.anchor.waiters(Role::First));
            }

            fn is_ready(&self) -> bool {
                !self.locked()
            }
        }

        impl $type {
            #[doc = concat!("[`", $name, "::acquire`] for async tasks, on any runtime.")]
            ///
            /// # Errors
            #[doc = concat!("As [`", $name, "::acquire`], and those of [`mp_session::ready`].")]
            pub async fn acquire_async(&self) -> Result<()> {
                while !self.try_acquire()? {
                    ready_in(self.anchor.session(), self).await?;
                }
                Ok(())
            }

            #[doc = concat!("[`", $name, "::acquire_guard`] for async tasks, on any runtime. The guard may go with its task from")]
            /// thread to thread.
            ///
            /// # Errors
            #[doc = concat!("As [`", $name, "::acquire_guard`], and those of [`mp_session::ready`].")]
            pub async fn acquire_guard_async(&self) -> Result<SemaphoreGuard> {
                loop {
                    if let Some(guard) = self.try_acquire_guard()? {
                        return Ok(guard);
                    }
                    ready_in(self.anchor.session(), self).await?;
                }
            }
        }
    };
}

semaphore!(Semaphore, "Semaphore");
semaphore!(BoundedSemaphore, "BoundedSemaphore");
