//! A structure of shared things, and a lock around its methods.

use std::fmt;
use std::ops::Deref;

use mp_session::Session;
use mp_sync::{RLock, RLockGuard};
use mp_wire::{Ident, Message, Result};
use serde::{Deserialize, Serialize};

/// A type of your own whose fields are shared things (containers, values, queues, locks), with a lock: its methods run in the process that
/// calls them, one at a time.
///
/// The type derives serde's traits, and so it is a handle itself: a copy that arrives elsewhere has the same things in it. What one
/// operation on a field does happens or does not, as always; what a *method* does in several steps may be cut off by a death between
/// them, and then the next one to lock is told by [`owner_died`](GuardedRef::owner_died).
///
/// # Examples
///
/// ```
/// use mp_manager::{Dict, Guarded, List, Result};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Bank { accounts: Dict<String, i64>, log: List<String> }
///
/// impl Bank {
///     fn transfer(&self, from: &str, to: &str, amount: i64) -> Result<()> {
///         self.accounts.alter(from, |n| Some(n.unwrap_or(0) - amount))?;
///         self.accounts.alter(to, |n| Some(n.unwrap_or(0) + amount))?;
///         self.log.append(format!("{from} to {to}: {amount}"))
///     }
/// }
///
/// let bank = Guarded::new(Bank { accounts: Dict::new()?, log: List::new()? })?;
/// let also = bank.clone(); // or sent to a process
/// also.lock()?.transfer("ann", "bob", 5)?;
/// assert_eq!(bank.lock()?.accounts.get("bob")?, Some(5));
/// # Ok::<(), mp_manager::Error>(())
/// ```
#[derive(Serialize, Deserialize)]
#[serde(bound = "T: Message")]
pub struct Guarded<T> {
    #[serde(with = "shared")]
    things: std::sync::Arc<T>,
    lock: RLock,
}

impl<T: Message> Guarded<T> {
    /// Puts a lock around it.
    ///
    /// # Errors
    /// As [`RLock::new`].
    pub fn new(things: T) -> Result<Guarded<T>> {
        Guarded::new_in(&Session::current()?, things)
    }

    /// The same in that session.
    ///
    /// # Errors
    /// As [`Guarded::new`].
    pub fn new_in(session: &Session, things: T) -> Result<Guarded<T>> {
        Ok(Guarded { things: things.into(), lock: RLock::new_in(session)? })
    }

    /// Takes the lock, for a method or several. A thread that has it may take it again.
    ///
    /// # Errors
    /// As [`RLock::lock`].
    ///
    /// # Blocking
    /// Until nobody else has it.
    ///
    /// # If a process dies
    /// The next one has the lock, and is told by [`owner_died`](GuardedRef::owner_died).
    pub fn lock(&self) -> Result<GuardedRef<'_, T>> {
        Ok(GuardedRef { things: &self.things, guard: self.lock.lock()? })
    }
}

impl<T> Clone for Guarded<T> {
    fn clone(&self) -> Guarded<T> {
        Guarded { things: self.things.clone(), lock: self.lock.clone() }
    }
}

impl<T: fmt::Debug> fmt::Debug for Guarded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guarded").field(&self.things).finish()
    }
}

/// The lock of a [`Guarded`], until it is dropped.
#[must_use = "the lock is released as soon as this is dropped"]
pub struct GuardedRef<'a, T> {
    things: &'a T,
    guard: RLockGuard<'a>,
}

impl<T> GuardedRef<'_, T> {
    /// Who died with the lock, if the last one to have it did: it may have been between two steps.
    pub fn owner_died(&self) -> Option<&Ident> {
        self.guard.owner_died()
    }
}

impl<T> Deref for GuardedRef<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.things
    }
}

impl<T: fmt::Debug> fmt::Debug for GuardedRef<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.things.fmt(f)
    }
}

/// What is behind an `Arc`, as itself.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        it: &Arc<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        (**it).serialize(serializer)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(deserializer).map(Arc::new)
    }
}
