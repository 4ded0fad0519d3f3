//! What access to shared data gives when a death is in the way: the access together with the news.

use std::fmt;

use mp_wire::{Error, Ident, Result};

/// Exclusive access that a death may have spoiled: the guards and leases of this crate.
pub trait Access: sealed::Sealed {
    /// What it gives access to.
    type Data: ?Sized;

    /// The data.
    fn data(&mut self) -> &mut Self::Data;

    /// Says that the data is whole again.
    fn mark_consistent(&mut self);

    /// What the data belongs to, for messages.
    #[doc(hidden)]
    fn what(&self) -> String;
}

pub(crate) mod sealed {
    /// Only this crate has such access to give.
    pub trait Sealed {}
}

/// The access is there, and whoever had it before died over the data, which may be half changed.
///
/// Dropping it gives the access back and leaves the data inconsistent, for the next one to be told.
#[must_use = "the access is given back as soon as this is dropped"]
pub struct OwnerDied<A: Access> {
    access: A,
    who: Option<Ident>,
}

impl<A: Access> OwnerDied<A> {
    pub(crate) fn new(access: A, who: Option<Ident>) -> OwnerDied<A> {
        OwnerDied { access, who }
    }

    /// The process that died, if it is still known.
    pub fn who(&self) -> Option<&Ident> {
        self.who.as_ref()
    }

    /// The access, to data that stays inconsistent unless [marked](Access::mark_consistent).
    pub fn into_inner(self) -> A {
        self.access
    }

    /// The access, to data that is good as it is.
    pub fn mark_consistent(mut self) -> A {
        self.access.mark_consistent();
        self.access
    }
}

impl<A: Access> fmt::Debug for OwnerDied<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnerDied").field("what", &self.access.what()).field("who", &self.who).finish()
    }
}

/// Why there is no clean access.
///
/// `?` turns it into an [`Error`] in functions that return one, and gives the access back if it was there.
pub enum LockError<A: Access> {
    /// The access is there, and the data may be half changed.
    OwnerDied(OwnerDied<A>),
    /// There is none.
    Failed(Error),
}

/// Access, or why not.
pub type LockResult<A> = std::result::Result<A, LockError<A>>;

/// Access, or none in time, or why not.
pub type TryLockResult<A> = std::result::Result<Option<A>, LockError<A>>;

impl<A: Access> LockError<A> {
    /// Repairs the data if an owner died over it, marks it consistent, and goes on with the access.
    ///
    /// # Errors
    /// The error, if it was another one.
    ///
    /// # Examples
    ///
    /// ```
    /// let sums = mp_shared::Array::<u64>::new(4)?;
    /// let guard = sums.lock().or_else(|e| e.repair(|sums| sums.fill(0)))?;
    /// # drop(guard);
    /// # Ok::<(), mp_shared::Error>(())
    /// ```
    pub fn repair(self, repair: impl FnOnce(&mut A::Data)) -> Result<A> {
        match self {
            LockError::OwnerDied(OwnerDied { mut access, .. }) => {
                repair(access.data());
                access.mark_consistent();
                Ok(access)
            }
            LockError::Failed(error) => Err(error),
        }
    }
}

impl<A: Access> From<Error> for LockError<A> {
    fn from(error: Error) -> Self {
        LockError::Failed(error)
    }
}

/// Gives the access back, if it was there.
impl<A: Access> From<LockError<A>> for Error {
    fn from(error: LockError<A>) -> Error {
        match error {
            LockError::OwnerDied(OwnerDied { access, who }) => Error::OwnerDied { what: access.what(), who },
            LockError::Failed(error) => error,
        }
    }
}

impl<A: Access> fmt::Display for LockError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::OwnerDied(OwnerDied { access, who: Some(who) }) => {
                write!(f, "{}: its owner {who} died over it", access.what())
            }
            LockError::OwnerDied(OwnerDied { access, who: None }) => {
                write!(f, "{}: its owner died over it", access.what())
            }
            LockError::Failed(error) => error.fmt(f),
        }
    }
}

impl<A: Access> fmt::Debug for LockError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::OwnerDied(died) => died.fmt(f),
            LockError::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

impl<A: Access> std::error::Error for LockError<A> {}
