//! `Lock`: exclusion without a value.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use mp_session::{Blueprint, Kind, Object, Session, Shape, ThreadId};
use mp_wire::{Ident, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::raw::{Patience, RawLock, Taken};
use crate::word::Word;

/// Mutual exclusion between threads of any process of the session: Python's `multiprocessing.Lock`.
///
/// It can be taken in two ways, and both exclude each other:
///
/// - **by a guard** ([`lock`](Lock::lock)): it belongs to a thread, is given back when the guard is dropped, and passes to the
///   next in line when its owner dies;
/// - **anonymously** ([`acquire`](Lock::acquire), [`release`](Lock::release)): anybody may release it, as Python's. Nobody
///   owns it, so nobody's death releases it.
///
/// Prefer guards, and [`Mutex`](crate::Mutex) for values. A `Lock` is a handle: clones, and copies that were sent to other
/// processes, are the same lock.
///
/// # Fairness
///
/// Whoever comes first takes a free lock. A waiter that was overtaken several times goes first then, so none starves.
///
/// # Examples
///
/// ```
/// use mp_sync::Lock;
///
/// let lock = Lock::new()?;
/// {
///     let _guard = lock.lock()?;
///     assert!(!lock.try_acquire()?);
/// }
/// lock.acquire()?;
/// let elsewhere = lock.clone();
/// std::thread::spawn(move || elsewhere.release()).join().unwrap()?;
/// assert!(!lock.locked());
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[derive(Clone)]
pub struct Lock {
    pub(crate) raw: RawLock,
}

const PLAN: Blueprint = Blueprint { kind: Kind::LOCK, fingerprint: 0, shape: Shape::Plain, size: 0 };

impl Lock {
    /// A free lock in this process's session.
    ///
    /// # Errors
    /// [`Error::LimitReached`](crate::Error::LimitReached) when the session has no room, and what
    /// [`Session::current`] returns.
    pub fn new() -> Result<Lock> {
        Lock::new_in(&Session::current()?)
    }

    /// A free lock with a name (31 bytes of it are kept) that appears in [`Error::Deadlock`](crate::Error::Deadlock), in
    /// [`Session::report`] and in `Debug`.
    ///
    /// # Errors
    /// As [`Lock::new`].
    pub fn named(name: &str) -> Result<Lock> {
        Ok(Lock { raw: RawLock::create_named(&Session::current()?, PLAN, name, false, |_| {})? })
    }

    /// The name that it was made with.
    pub fn name(&self) -> Option<String> {
        self.raw.object().label()
    }

    /// A free lock in that session.
    ///
    /// # Errors
    /// As [`Lock::new`].
    pub fn new_in(session: &Session) -> Result<Lock> {
        Ok(Lock { raw: RawLock::create(session, PLAN, false, |_| {})? })
    }

    /// Takes the lock for nobody in particular: Python's `acquire()`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) when this thread holds it by a guard, and so would wait for
    /// ever; [`Error::LimitReached`](crate::Error::LimitReached) and [`Error::ForeignFork`](crate::Error::ForeignFork) as
    /// [`Session::thread_id`].
    ///
    /// # Blocking
    /// Until it is released.
    ///
    /// # If a process dies
    /// If it held the lock by a guard, the lock is taken over from it. If it had acquired it anonymously, nothing happens:
    /// it stays taken until somebody releases it.
    #[inline]
    pub fn acquire(&self) -> Result<()> {
        let holder = Word::anonymous(self.raw.me()?);
        if !self.raw.take_if_free(holder) {
            self.raw.take(holder, Patience::Endless)?;
        }
        Ok(())
    }

    /// Takes the lock anonymously if that needs no waiting: Python's `acquire(block=False)`.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    #[inline]
    pub fn try_acquire(&self) -> Result<bool> {
        let holder = Word::anonymous(self.raw.me()?);
        Ok(self.raw.take_if_free(holder) || self.raw.take(holder, Patience::None)?.is_some())
    }

    /// Takes the lock anonymously, waiting no longer than this: Python's `acquire(timeout=...)`.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<bool> {
        let holder = Word::anonymous(self.raw.me()?);
        Ok(self.raw.take_if_free(holder) || self.raw.take(holder, Patience::lasting(timeout))?.is_some())
    }

    /// Releases what somebody, this thread or another, acquired anonymously: Python's `release()`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) when nobody holds the lock, or a guard does.
    pub fn release(&self) -> Result<()> {
        self.raw.release()
    }

    /// Whether somebody holds it at this moment: Python's `locked()`.
    pub fn locked(&self) -> bool {
        !self.raw.look().is_free()
    }

    /// Whether it was acquired by a thread that is gone, and nobody has released it since. For those who keep records of who acquired what.
    #[doc(hidden)]
    pub fn taken_by_the_dead(&self) -> bool {
        let seen = self.raw.look();
        seen.is_anonymous() && !seen.is_free() && self.raw.object().session().is_gone(seen.thread())
    }

    /// Takes the lock until the guard is dropped.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    ///
    /// # Blocking
    /// Until it is released.
    ///
    /// # If a process dies
    /// If it held the lock by a guard, the next one has it at once, and is told by [`LockGuard::owner_died`].
    #[inline]
    pub fn lock(&self) -> Result<LockGuard<'_>> {
        let me = self.raw.me()?;
        if self.raw.take_if_free(Word::owned_by(me)) {
            return Ok(self.guard(me, Taken::Clean));
        }
        // Endless patience always ends with the lock.
        loop {
            if let Some(guard) = self.lock_slow(me, Patience::Endless)? {
                return Ok(guard);
            }
        }
    }

    /// Takes the lock by a guard if that needs no waiting.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    #[inline]
    pub fn try_lock(&self) -> Result<Option<LockGuard<'_>>> {
        self.lock_within(Patience::None)
    }

    /// Takes the lock by a guard, waiting no longer than this.
    ///
    /// # Errors
    /// As [`Lock::acquire`].
    pub fn lock_timeout(&self, timeout: Duration) -> Result<Option<LockGuard<'_>>> {
        self.lock_within(Patience::lasting(timeout))
    }

    #[inline]
    fn lock_within(&self, patience: Patience) -> Result<Option<LockGuard<'_>>> {
        let me = self.raw.me()?;
        if self.raw.take_if_free(Word::owned_by(me)) {
            return Ok(Some(self.guard(me, Taken::Clean)));
        }
        self.lock_slow(me, patience)
    }

    #[cold]
    fn lock_slow(&self, me: ThreadId, patience: Patience) -> Result<Option<LockGuard<'_>>> {
        Ok(self.raw.take(Word::owned_by(me), patience)?.map(|taken| self.guard(me, taken)))
    }

    #[inline]
    pub(crate) fn guard(&self, me: ThreadId, taken: Taken) -> LockGuard<'_> {
        LockGuard { lock: self, me, died: taken.news(), stays_here: PhantomData }
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lock({})", self.raw)
    }
}

impl Serialize for Lock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.object().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Lock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Lock, D::Error> {
        let object = Object::deserialize(deserializer)?
            .expect(PLAN.kind, PLAN.fingerprint)
            .map_err(|e| de::Error::custom(carrier::refuse(e)))?;
        Ok(Lock { raw: RawLock::of(object, false) })
    }
}

/// Holds a [`Lock`] for the thread that made it, until it is dropped.
///
/// It cannot be sent to another thread, since the lock word names its owner:
///
/// ```compile_fail,E0277
/// let lock = mp_sync::Lock::new().unwrap();
/// let guard = lock.lock().unwrap();
/// std::thread::scope(|s| { s.spawn(move || drop(guard)); });
/// ```
///
/// A guard that is forgotten holds the lock until its thread ends, or its process if the thread leaked a
/// [`MutexGuard`](crate::MutexGuard), too.
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct LockGuard<'a> {
    lock: &'a Lock,
    me: ThreadId,
    died: Option<Box<Ident>>,
    /// Not `Send`.
    stays_here: PhantomData<*const ()>,
}

// SAFETY: a shared guard lets another thread see the name in it, and nothing else.
unsafe impl Sync for LockGuard<'_> {}

impl<'a> LockGuard<'a> {
    pub(crate) fn of(&self) -> &'a Lock {
        self.lock
    }

    pub(crate) fn owner(&self) -> ThreadId {
        self.me
    }

    /// The process that died holding the lock right before us, if one did: what it was working on may be half done. One whose
    /// name is not known any more has pid 0.
    pub fn owner_died(&self) -> Option<&Ident> {
        self.died.as_deref()
    }
}

impl Drop for LockGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.lock.raw.give_back(self.me);
    }
}

impl fmt::Debug for LockGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockGuard").field("lock", self.lock).field("owner_died", &self.died).finish()
    }
}
