//! `RLock`: a lock that its owner may take again.
//!
//! # Protocol
//!
//! The lock word of the crate's essay, always with an owner and never anonymous, and beside it (word 3) how often the owner has
//! taken it beyond the first time. Only the owner touches that count, and it is zero while the lock is free.
//!
//! | who dies | when | what the others see |
//! |---|---|---|
//! | the owner | at any depth | its name in the word; who takes over sets the count to zero |
//! | who took over | before it set the count to zero | its name in the word; the next one sets it |

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::time::Duration;

use mp_session::primitive::{AtomicU64, Ordering::*};
use mp_session::{Blueprint, Kind, Object, Session, Shape, ThreadId};
use mp_wire::{Ident, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::raw::{Patience, RawLock, Taken};
use crate::word::Word;

/// Mutual exclusion between threads of any process, for code that calls itself: Python's `multiprocessing.RLock`.
///
/// The thread that holds it may take it again, any number of times, and gives it back as often; the last time frees it.
/// It belongs to its thread however it was taken, by [`lock`](RLock::lock) or by [`acquire`](RLock::acquire), so nobody else can release
/// it, and it passes on when the owner dies. An `RLock` is a handle: clones, and copies that were sent to other
/// processes, are the same lock.
///
/// # If a process dies
/// If it held the lock, at whatever depth, the next one has it at once, and [`RLockGuard::owner_died`] tells. A thread
/// that ends holding it counts as dead.
///
/// # Fairness
/// As [`Lock`](crate::Lock).
///
/// # Examples
///
/// ```
/// use mp_sync::RLock;
///
/// fn total(lock: &RLock, numbers: &[u32]) -> mp_sync::Result<u32> {
///     let _guard = lock.lock()?; // also when the caller has it
///     Ok(match numbers {
///         [] => 0,
///         [first, rest @ ..] => first + total(lock, rest)?,
///     })
/// }
/// let lock = RLock::new()?;
/// assert_eq!(total(&lock, &[1, 2, 3])?, 6);
/// assert!(!lock.locked());
/// assert!(lock.release().is_err(), "who does not hold it cannot release it");
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[derive(Clone)]
pub struct RLock {
    pub(crate) raw: RawLock,
    /// How often the owner has taken it beyond the first time.
    again: NonNull<AtomicU64>,
}

// SAFETY: the pointer is to an atomic in session memory, which stays as long as the object in `raw`.
unsafe impl Send for RLock {}
// SAFETY: as above.
unsafe impl Sync for RLock {}

const PLAN: Blueprint = Blueprint { kind: Kind::RLOCK, fingerprint: 0, shape: Shape::Plain, size: 0 };

impl RLock {
    /// A free lock in this process's session.
    ///
    /// # Errors
    /// [`Error::LimitReached`](crate::Error::LimitReached) when the session has no room, and what [`Session::current`] returns.
    pub fn new() -> Result<RLock> {
        RLock::new_in(&Session::current()?)
    }

    /// A free lock in that session.
    ///
    /// # Errors
    /// As [`RLock::new`].
    pub fn new_in(session: &Session) -> Result<RLock> {
        Ok(RLock::of(RawLock::create(session, PLAN, false, |_| {})?))
    }

    /// A free lock with a name (31 bytes of it are kept) that appears in [`Error::Deadlock`](crate::Error::Deadlock), in
    /// [`Session::report`] and in `Debug`.
    ///
    /// # Errors
    /// As [`RLock::new`].
    pub fn named(name: &str) -> Result<RLock> {
        Ok(RLock::of(RawLock::create_named(&Session::current()?, PLAN, name, false, |_| {})?))
    }

    /// The name that it was made with.
    pub fn name(&self) -> Option<String> {
        self.raw.object().label()
    }

    fn of(raw: RawLock) -> RLock {
        let again = NonNull::from(raw.object().words().word(3));
        RLock { raw, again }
    }

    #[inline]
    fn again(&self) -> &AtomicU64 {
        // SAFETY: taken from a reference to this very word; the object keeps it where it is.
        unsafe { self.again.as_ref() }
    }

    /// Takes the lock until the guard is dropped; at once if this thread holds it already.
    ///
    /// # Errors
    /// [`Error::LimitReached`](crate::Error::LimitReached) and [`Error::ForeignFork`](crate::Error::ForeignFork) as [`Session::thread_id`].
    ///
    /// # Blocking
    /// Until its owner has given it back as often as it had taken it.
    ///
    /// # If a process dies
    /// If it held the lock, the next one has it at once, and is told by [`RLockGuard::owner_died`].
    // Not inlined, the guard comes back by way of memory: in two parts, read as one, for which the processor stalls longer than all the
    // rest takes.
    #[inline(always)]
    pub fn lock(&self) -> Result<RLockGuard<'_>> {
        let me = self.raw.me()?;
        if self.take_at_once(me) {
            return Ok(self.guard(me, Taken::Clean));
        }
        self.lock_slow(me)
    }

    /// Takes the lock by a guard if that needs no waiting.
    ///
    /// # Errors
    /// As [`RLock::lock`].
    #[inline]
    pub fn try_lock(&self) -> Result<Option<RLockGuard<'_>>> {
        let (me, taken) = self.take(Patience::None)?;
        Ok(taken.map(|taken| self.guard(me, taken)))
    }

    /// Takes the lock by a guard, waiting no longer than this.
    ///
    /// # Errors
    /// As [`RLock::lock`].
    pub fn lock_timeout(&self, timeout: Duration) -> Result<Option<RLockGuard<'_>>> {
        let (me, taken) = self.take(Patience::lasting(timeout))?;
        Ok(taken.map(|taken| self.guard(me, taken)))
    }

    /// Takes the lock for this thread, to be [released](RLock::release) by it: Python's `acquire()`.
    ///
    /// # Errors
    /// As [`RLock::lock`].
    ///
    /// # Blocking
    /// As [`RLock::lock`].
    ///
    /// # If a process dies
    /// As [`RLock::lock`], but the next one is not told: take the lock by a guard if what it protects may be left
    /// half changed.
    #[inline]
    pub fn acquire(&self) -> Result<()> {
        let me = self.raw.me()?;
        if self.take_at_once(me) {
            return Ok(());
        }
        self.take_slow(Word::owned_by(me), Patience::Endless).map(|_| ())
    }

    /// The same if that needs no waiting: Python's `acquire(block=False)`.
    ///
    /// # Errors
    /// As [`RLock::lock`].
    #[inline]
    pub fn try_acquire(&self) -> Result<bool> {
        Ok(self.take(Patience::None)?.1.is_some())
    }

    /// The same, waiting no longer than this: Python's `acquire(timeout=...)`.
    ///
    /// # Errors
    /// As [`RLock::lock`].
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<bool> {
        Ok(self.take(Patience::lasting(timeout))?.1.is_some())
    }

    /// Gives back what this thread has taken once: Python's `release()`.
    ///
    /// # Errors
    /// [`Error::NotOwner`](crate::Error::NotOwner) when this thread does not hold it.
    #[inline]
    pub fn release(&self) -> Result<()> {
        let me = self.raw.me()?;
        if !self.give_back(me) {
            return Err(self.raw.not_owner());
        }
        Ok(())
    }

    /// Whether somebody holds it at this moment: Python's `locked()`.
    pub fn locked(&self) -> bool {
        !self.raw.look().is_free()
    }

    /// How often the calling thread has taken it and not given it back.
    ///
    /// # Errors
    /// As [`RLock::lock`].
    pub fn depth(&self) -> Result<u64> {
        let mine = self.raw.look().owner() == Some(self.raw.me()?);
        Ok(if mine { self.again().load(Relaxed) + 1 } else { 0 })
    }

    /// The thread that asks, and in what state it has the lock now.
    #[inline]
    fn take(&self, patience: Patience) -> Result<(ThreadId, Option<Taken>)> {
        let me = self.raw.me()?;
        if self.take_at_once(me) {
            return Ok((me, Some(Taken::Clean)));
        }
        Ok((me, self.take_slow(Word::owned_by(me), patience)?))
    }

    /// Takes it if it is this thread's already, or free with nothing to say.
    #[inline]
    fn take_at_once(&self, me: ThreadId) -> bool {
        if self.raw.look().owner() == Some(me) {
            // Nobody else touches it.
            self.again().store(self.again().load(Relaxed) + 1, Relaxed);
            return true;
        }
        self.raw.take_if_free(Word::owned_by(me))
    }

    #[cold]
    fn lock_slow(&self, me: ThreadId) -> Result<RLockGuard<'_>> {
        let taken = self.take_slow(Word::owned_by(me), Patience::Endless)?;
        // Endless patience ends with the lock or an error.
        Ok(self.guard(me, taken.unwrap_or(Taken::Clean)))
    }

    #[cold]
    fn take_slow(&self, holder: Word, patience: Patience) -> Result<Option<Taken>> {
        let taken = self.raw.take(holder, patience)?;
        if let Some(Taken::Left(_)) = taken {
            self.again().store(0, Relaxed);
        }
        Ok(taken)
    }

    /// Once, by a process that is no copy. `false`: it is not the thread's.
    #[inline(always)] // as `RLock::lock`
    fn give_back(&self, me: ThreadId) -> bool {
        if self.raw.look().owner() != Some(me) {
            return false;
        }
        let again = self.again().load(Relaxed);
        if again > 0 {
            self.again().store(again - 1, Relaxed);
        } else {
            self.raw.give_back_as_member(me);
        }
        true
    }

    /// How often beyond the first time, from now on. Only the owner may. What it was.
    pub(crate) fn set_again(&self, again: u64) -> u64 {
        let before = self.again().load(Relaxed);
        self.again().store(again, Relaxed);
        before
    }

    #[inline]
    pub(crate) fn guard(&self, me: ThreadId, taken: Taken) -> RLockGuard<'_> {
        RLockGuard { lock: self, me, died: ManuallyDrop::new(taken.news()), stays_here: PhantomData }
    }
}

impl fmt::Debug for RLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RLock({}", self.raw)?;
        match self.again().load(Relaxed) {
            0 => f.write_str(")"),
            again => write!(f, ", {} deep)", again + 1),
        }
    }
}

impl Serialize for RLock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.object().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RLock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RLock, D::Error> {
        let object = Object::deserialize(deserializer)?
            .expect(PLAN.kind, PLAN.fingerprint)
            .map_err(|e| de::Error::custom(carrier::refuse(e)))?;
        Ok(RLock::of(RawLock::of(object, false)))
    }
}

/// Holds an [`RLock`] once for the thread that made it, until it is dropped.
///
/// It cannot be sent to another thread, since the lock word names its owner:
///
/// ```compile_fail,E0277
/// let lock = mp_sync::RLock::new().unwrap();
/// let guard = lock.lock().unwrap();
/// std::thread::scope(|s| { s.spawn(move || drop(guard)); });
/// ```
#[must_use = "the lock is given back as soon as the guard is dropped"]
pub struct RLockGuard<'a> {
    lock: &'a RLock,
    me: ThreadId,
    /// Dropped by hand: a guard of which nothing is left to drop is one that the compiler keeps in registers.
    died: ManuallyDrop<Option<Box<Ident>>>,
    /// Not `Send`.
    stays_here: PhantomData<*const ()>,
}

// SAFETY: a shared guard lets another thread see the name in it, and nothing else.
unsafe impl Sync for RLockGuard<'_> {}

impl<'a> RLockGuard<'a> {
    pub(crate) fn of(&self) -> &'a RLock {
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

impl Drop for RLockGuard<'_> {
    #[inline(always)] // as `RLock::lock`
    fn drop(&mut self) {
        // Taken out, so that what is dropped on the way that matters is nothing.
        if let Some(died) = self.died.take() {
            forget_news(died);
        }
        let raw = &self.lock.raw;
        let again = self.lock.again();
        if raw.session().is_member() && raw.look().owner() == Some(self.me) {
            match again.load(Relaxed) {
                0 => raw.give_back_as_member(self.me),
                count => again.store(count - 1, Relaxed),
            }
        }
    }
}

#[cold]
fn forget_news(died: Box<Ident>) {
    drop(died);
}

impl fmt::Debug for RLockGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RLockGuard").field("lock", self.lock).field("owner_died", &self.died).finish()
    }
}
