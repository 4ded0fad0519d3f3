//! The news that an owner died, together with the lock.

use std::fmt;
use std::ops::DerefMut;

use mp_wire::{Error, Ident, Result};

/// A guard over a value that a death may leave half changed.
pub trait ValueGuard: sealed::Sealed {
    /// What the lock is called in errors.
    #[doc(hidden)]
    const LOCK: &'static str;
}

/// A [`ValueGuard`] whose holder may change the value, and so repair it.
pub trait ValueGuardMut: ValueGuard + DerefMut {
    /// Says that the value is whole again after an owner died over it.
    fn mark_consistent(&mut self);
}

pub(crate) mod sealed {
    /// Only this crate's guards.
    pub trait Sealed {}
}

/// The lock is held, and its last owner died over the value.
///
/// Dropping it releases the lock and leaves the value inconsistent, for the next one to be told.
#[must_use = "the lock is held until this is dropped"]
pub struct OwnerDied<G: ValueGuard> {
    guard: G,
    who: Option<Ident>,
}

impl<G: ValueGuard> OwnerDied<G> {
    pub(crate) fn new(guard: G, who: Option<Ident>) -> OwnerDied<G> {
        OwnerDied { guard, who }
    }

    /// The process that died, if it is still known.
    pub fn who(&self) -> Option<&Ident> {
        self.who.as_ref()
    }

    /// The guard, over a value that stays inconsistent unless [marked](ValueGuardMut::mark_consistent).
    pub fn into_guard(self) -> G {
        self.guard
    }
}

impl<G: ValueGuardMut> OwnerDied<G> {
    /// The guard, over a value that is good as it is.
    pub fn mark_consistent(mut self) -> G {
        self.guard.mark_consistent();
        self.guard
    }
}

impl<G: ValueGuard> fmt::Debug for OwnerDied<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnerDied").field("lock", &G::LOCK).field("who", &self.who).finish()
    }
}

/// Why [`Mutex::lock`](crate::Mutex::lock), [`RwLock::read`](crate::RwLock::read) or [`RwLock::write`](crate::RwLock::write) gave no
/// clean guard `G`.
///
/// `?` turns it into an [`Error`] in functions that return one. As it may hold the lock it cannot leave the thread; for
/// other error types, go through `.map_err(Error::from)`.
pub enum LockError<G: ValueGuard> {
    /// The lock is held, and the value may be half changed.
    OwnerDied(OwnerDied<G>),
    /// The lock is not held.
    Failed(Error),
}

impl<G: ValueGuardMut> LockError<G> {
    /// Repairs the value if an owner died over it, marks it consistent, and goes on with the guard.
    ///
    /// # Errors
    /// The error, if it was another one.
    ///
    /// # Examples
    ///
    /// ```
    /// let total = mp_sync::Mutex::new(0_u64)?;
    /// let guard = total.lock().or_else(|e| e.repair(|value| *value = 0))?;
    /// # drop(guard);
    /// # Ok::<(), mp_sync::Error>(())
    /// ```
    pub fn repair(self, repair: impl FnOnce(&mut G::Target)) -> Result<G> {
        match self {
            LockError::OwnerDied(OwnerDied { mut guard, .. }) => {
                repair(&mut guard);
                guard.mark_consistent();
                Ok(guard)
            }
            LockError::Failed(error) => Err(error),
        }
    }
}

impl<G: ValueGuard> From<Error> for LockError<G> {
    fn from(error: Error) -> Self {
        LockError::Failed(error)
    }
}

/// Releases the lock, if it was held.
impl<G: ValueGuard> From<LockError<G>> for Error {
    fn from(error: LockError<G>) -> Error {
        match error {
            LockError::OwnerDied(OwnerDied { who, .. }) => Error::OwnerDied { what: G::LOCK.into(), who },
            LockError::Failed(error) => error,
        }
    }
}

impl<G: ValueGuard> fmt::Display for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::OwnerDied(died) => match died.who() {
                Some(who) => write!(f, "{}: its owner {who} died holding it", G::LOCK),
                None => write!(f, "{}: its owner died holding it", G::LOCK),
            },
            LockError::Failed(error) => error.fmt(f),
        }
    }
}

impl<G: ValueGuard> fmt::Debug for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::OwnerDied(died) => died.fmt(f),
            LockError::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

impl<G: ValueGuard> std::error::Error for LockError<G> {}
