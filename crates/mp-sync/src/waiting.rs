//! Waiting for locks together with other things ([`mp_session::wait()`], [`WaitSet`](mp_session::WaitSet)).

use mp_session::{Sources, Waitable};

use crate::raw::RawLock;
use crate::{Lock, Mutex, Plain};

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
