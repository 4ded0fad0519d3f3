//! Giving a lock back in the middle and taking it again as it was: what a [`Condition`](crate::Condition) does to its lock.

use mp_wire::{Error, Result};

use crate::raw::{Patience, RawLock, Taken};
use crate::word::Word;
use crate::{Lock, LockError, LockGuard, Mutex, MutexGuard, OwnerDied, Plain, RLock, RLockGuard};

/// A lock that a [`Condition`](crate::Condition) can go with: [`Lock`], [`RLock`] or [`Mutex`].
pub trait Lockable: Clone + Send + Sync + sealed::Sealed + 'static {
    /// What holds it.
    type Guard<'a>: sealed::Suspend<'a, Self>;
    /// How taking it fails.
    type Failure<'a>: From<Error>;
}

pub(crate) mod sealed {
    use super::{Held, Lockable, RawRef, Result};

    /// Only this crate's locks.
    pub trait Sealed {
        fn raw(&self) -> RawRef<'_>;
    }

    /// A guard that can be put down and taken up again.
    pub trait Suspend<'a, L: Lockable>: Sized {
        fn of(&self) -> &'a L;
        fn suspend(self) -> Held<'a>;
        fn resume(lock: &'a L, held: Held<'a>) -> Result<Self, L::Failure<'a>>;
    }
}

mod held {
    use super::{RawLock, Word};

    /// The lock in a lock.
    #[derive(Clone, Copy)]
    pub struct RawRef<'a>(pub(crate) &'a RawLock);

    /// What is left of a guard while its thread waits. With `owning`, the thread still counts as an owner for the session, until
    /// this is dropped.
    pub struct Held<'a> {
        pub(crate) raw: &'a RawLock,
        pub(crate) holder: Word,
        pub(crate) again: u64,
        pub(crate) owning: bool,
    }

    impl Drop for Held<'_> {
        fn drop(&mut self) {
            if self.owning {
                self.raw.session().end_owning();
            }
        }
    }

    impl std::fmt::Debug for RawRef<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{}", self.0)
        }
    }

    impl std::fmt::Debug for Held<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{:?}, {} more", self.holder, self.again)
        }
    }
}
use held::{Held, RawRef};

/// A lock without a value, which one may hold without a guard.
pub(crate) trait Bare: Lockable {
    /// How the calling thread holds it, if it does.
    fn holding(&self) -> Result<Holding>;
    fn put_down(&self, held: &Holding);
    fn take_up(&self, held: Holding) -> Result<Taken>;
    fn take(&self) -> Result<Self::Guard<'_>>;
}

/// How a lock was held: the word, and how often beyond the first time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding {
    holder: Word,
    again: u64,
}

fn holding(raw: &RawLock, again: u64) -> Result<Holding> {
    let (me, word) = (raw.me()?, raw.look());
    if word.thread() != me {
        return Err(raw.not_owner());
    }
    let holder = if word.is_anonymous() { Word::anonymous(me) } else { Word::owned_by(me) };
    Ok(Holding { holder, again })
}

fn take_up(raw: &RawLock, holder: Word) -> Result<Taken> {
    if raw.take_if_free(holder) {
        return Ok(Taken::Clean);
    }
    // Endless patience always ends with the lock.
    loop {
        if let Some(taken) = raw.take(holder, Patience::Endless)? {
            return Ok(taken);
        }
    }
}

impl sealed::Sealed for Lock {
    fn raw(&self) -> RawRef<'_> {
        RawRef(&self.raw)
    }
}

impl Lockable for Lock {
    type Guard<'a> = LockGuard<'a>;
    type Failure<'a> = Error;
}

impl<'a> sealed::Suspend<'a, Lock> for LockGuard<'a> {
    fn of(&self) -> &'a Lock {
        LockGuard::of(self)
    }

    fn suspend(self) -> Held<'a> {
        // The guard is dropped here, which gives the lock back.
        Held { raw: &LockGuard::of(&self).raw, holder: Word::owned_by(self.owner()), again: 0, owning: false }
    }

    fn resume(lock: &'a Lock, held: Held<'a>) -> Result<LockGuard<'a>> {
        Ok(lock.guard(held.holder.thread(), take_up(&lock.raw, held.holder)?))
    }
}

impl Bare for Lock {
    fn holding(&self) -> Result<Holding> {
        holding(&self.raw, 0)
    }

    fn put_down(&self, held: &Holding) {
        if held.holder.is_anonymous() {
            // Held a moment ago; somebody who releases it meanwhile has done the same.
            let _ = self.raw.release();
        } else {
            self.raw.give_back(held.holder.thread());
        }
    }

    fn take_up(&self, held: Holding) -> Result<Taken> {
        take_up(&self.raw, held.holder)
    }

    fn take(&self) -> Result<LockGuard<'_>> {
        self.lock()
    }
}

impl sealed::Sealed for RLock {
    fn raw(&self) -> RawRef<'_> {
        RawRef(&self.raw)
    }
}

impl Lockable for RLock {
    type Guard<'a> = RLockGuard<'a>;
    type Failure<'a> = Error;
}

impl<'a> sealed::Suspend<'a, RLock> for RLockGuard<'a> {
    fn of(&self) -> &'a RLock {
        RLockGuard::of(self)
    }

    fn suspend(self) -> Held<'a> {
        let (lock, me) = (RLockGuard::of(&self), self.owner());
        let again = lock.set_again(0);
        drop(self);
        Held { raw: &lock.raw, holder: Word::owned_by(me), again, owning: false }
    }

    fn resume(lock: &'a RLock, held: Held<'a>) -> Result<RLockGuard<'a>> {
        let taken = take_up(&lock.raw, held.holder)?;
        lock.set_again(held.again);
        Ok(lock.guard(held.holder.thread(), taken))
    }
}

impl Bare for RLock {
    fn holding(&self) -> Result<Holding> {
        let depth = self.depth()?;
        holding(&self.raw, depth.saturating_sub(1))
    }

    fn put_down(&self, held: &Holding) {
        self.set_again(0);
        self.raw.give_back(held.holder.thread());
    }

    fn take_up(&self, held: Holding) -> Result<Taken> {
        let taken = take_up(&self.raw, held.holder)?;
        self.set_again(held.again);
        Ok(taken)
    }

    fn take(&self) -> Result<RLockGuard<'_>> {
        self.lock()
    }
}

impl<T: Plain> sealed::Sealed for Mutex<T> {
    fn raw(&self) -> RawRef<'_> {
        RawRef(&self.raw)
    }
}

impl<T: Plain> Lockable for Mutex<T> {
    type Guard<'a> = MutexGuard<'a, T>;
    type Failure<'a> = LockError<MutexGuard<'a, T>>;
}

impl<'a, T: Plain> sealed::Suspend<'a, Mutex<T>> for MutexGuard<'a, T> {
    fn of(&self) -> &'a Mutex<T> {
        MutexGuard::of(self)
    }

    fn suspend(self) -> Held<'a> {
        let raw = &MutexGuard::of(&self).raw;
        let holder = Word::owned_by(raw.look().thread());
        self.give_back_owning();
        Held { raw, holder, again: 0, owning: true }
    }

    fn resume(lock: &'a Mutex<T>, held: Held<'a>) -> Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>>> {
        let taken = take_up(&lock.raw, held.holder)?;
        std::mem::forget(held); // the guard takes its part over
        match taken {
            Taken::Clean => Ok(MutexGuard::new(lock)),
            Taken::Left(who) => Err(LockError::OwnerDied(OwnerDied::new(MutexGuard::new(lock), who))),
        }
    }
}
