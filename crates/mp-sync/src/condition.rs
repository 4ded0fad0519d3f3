//! `Condition`: waiting for news, without the lock that guards what the news is about.
//!
//! # Protocol
//!
//! A condition has no state of its own but its wait word: a line of threads (`in_line.rs` in mp-session). A waiter
//!
//! 1. gets in line, while it still holds the lock,
//! 2. gives the lock back, at all its levels,
//! 3. sleeps until somebody wakes it, or its time is up,
//! 4. takes the lock again, as often as it had it.
//!
//! `notify` wakes so many from the head of the line and is done; it never waits for anybody. Since getting in line comes
//! before giving the lock back, whoever changes something under the lock afterwards finds the waiter in line
//! (*in-line-before-unlock*). Who comes later takes no wake-up from those who were there (*no-stealing*).
//!
//! | who dies | when | what the others see |
//! |---|---|---|
//! | a waiter | in line | it is passed over |
//! | | woken, before it has the lock again | its wake-up goes to the next in line |
//! | | with the lock | as any owner of the lock |
//! | one that notifies | having woken some | the rest were not notified; the lock, if it held it, goes on with the news |

use std::fmt;
use std::time::{Duration, Instant};

use mp_session::primitive::{AtomicU64, Ordering::SeqCst, fence, has_passed};
use mp_session::{Blueprint, Carried, Kind, Role, Session, Shape};
use mp_wire::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::anchor::Anchor;
use crate::raw::Patience;
use crate::suspend::sealed::Suspend;
use crate::suspend::{Bare, Lockable};
use crate::{Mutex, Plain, RLock};

const PLAN: Blueprint = Blueprint { kind: Kind::CONDITION, fingerprint: 0, shape: Shape::Plain, size: 0 };

/// Waiting for news about what a lock guards: Python's `multiprocessing.Condition`.
///
/// It goes with a lock, which [`wait`](Condition::wait) gives back while it sleeps and has again when it returns: an [`RLock`] of its
/// own ([`Condition::new`], as Python's), or a [`Lock`](crate::Lock), an `RLock` or a [`Mutex`] that you have ([`Condition::on`]). A
/// `Condition` is a handle, and has its lock with it: clones, and copies that were sent to other processes, are the same.
///
/// Nobody is woken by [`notify`](Condition::notify) but those who were waiting when it was called, in the order in which they came. Notifying
/// without holding the lock is allowed (Python forbids it).
///
/// # If a process dies
/// A waiter's death costs nothing: a wake-up that it had got and not acted on goes to the next. Whoever waits for a news that nobody is
/// left to give waits on. If a process died holding the lock, the waiter that has it next is told, by its guard or by its error,
/// as ever.
///
/// # Examples
///
/// ```
/// use mp_sync::{Condition, Mutex};
///
/// let basket = Condition::on(Mutex::new(0_u32)?)?;
/// let theirs = basket.clone();
/// let baker = std::thread::spawn(move || -> mp_sync::Result<()> {
///     *theirs.lock()? += 3;
///     theirs.notify_all()
/// });
/// let mut loaves = basket.wait_for(basket.lock()?, |loaves| *loaves > 0)?;
/// *loaves -= 1;
/// assert_eq!(*loaves, 2);
/// drop(loaves);
/// baker.join().unwrap()?;
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[derive(Clone)]
pub struct Condition<L: Lockable = RLock> {
    anchor: Anchor,
    lock: L,
}

impl Condition<RLock> {
    /// A condition with an [`RLock`] of its own, in this process's session.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when the session has no room, and what [`Session::current`] returns.
    pub fn new() -> Result<Condition<RLock>> {
        Condition::on(RLock::new()?)
    }
}

impl<L: Lockable> Condition<L> {
    /// A condition that goes with this lock, in its session. Several may go with one.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when the session has no room.
    pub fn on(lock: L) -> Result<Condition<L>> {
        Ok(Condition { anchor: Anchor::create(lock.raw().0.session(), PLAN, |_, _| {})?, lock })
    }

    /// Its lock.
    pub fn get_lock(&self) -> &L {
        &self.lock
    }

    /// Wakes the first so many of those who wait: Python's `notify(n)`. Never waits.
    ///
    /// # Errors
    /// [`Error::ForeignFork`] in a child made by somebody else's `fork`.
    pub fn notify(&self, n: usize) -> Result<()> {
        let session = self.anchor.session();
        if !session.is_member() {
            return Err(Error::ForeignFork);
        }
        // What the news is about may have been written without a lock.
        fence(SeqCst);
        // Bounded by who can be there, or those who come back at once could keep us here.
        for _ in 0..n {
            if !session.wake_one(self.line()) {
                break;
            }
        }
        Ok(())
    }

    /// Wakes all who wait: Python's `notify_all()`. Never waits.
    ///
    /// # Errors
    /// As [`Condition::notify`].
    pub fn notify_all(&self) -> Result<()> {
        let session = self.anchor.session();
        if !session.is_member() {
            return Err(Error::ForeignFork);
        }
        fence(SeqCst);
        session.wake_all(self.line());
        Ok(())
    }

    /// Gives the lock back, waits until notified, and takes it again: Python's `wait()`. With an [`RLock`], all levels that this
    /// thread holds.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when the guard is of another lock. Otherwise as the lock's own; when it fails, the lock is not
    /// held. A [`Mutex`] whose value was left half changed meanwhile is
    /// [`LockError::OwnerDied`](crate::LockError::OwnerDied), with the guard.
    ///
    /// # Blocking
    /// Until notified, and then until the lock is free.
    pub fn wait<'a>(&self, guard: L::Guard<'a>) -> Result<L::Guard<'a>, L::Failure<'a>> {
        Ok(self.wait_until(guard, None)?.0)
    }

    /// The same, waiting for the notification no longer than this: Python's `wait(timeout)`. `false`: the time was up.
    ///
    /// # Errors
    /// As [`Condition::wait`].
    ///
    /// # Blocking
    /// As long as said, and then until the lock is free.
    pub fn wait_timeout<'a>(
        &self,
        guard: L::Guard<'a>,
        timeout: Duration,
    ) -> Result<(L::Guard<'a>, bool), L::Failure<'a>> {
        self.wait_until(guard, deadline(timeout))
    }

    fn wait_until<'a>(
        &self,
        guard: L::Guard<'a>,
        deadline: Option<Instant>,
    ) -> Result<(L::Guard<'a>, bool), L::Failure<'a>> {
        let lock = guard.of();
        if lock.raw().0.object() != self.lock.raw().0.object() {
            let detail = format!("Condition: the guard is not of its lock, {}", self.lock.raw().0.what());
            return Err(Error::InvalidArgument { detail }.into());
        }
        let line = self.anchor.session().get_in_line(self.line())?;
        let held = guard.suspend();
        // On an error, the lock is not held, and `held` says so to the session when it is dropped.
        let carried: Option<Carried<'_>> = line.sleep(deadline)?;
        let guard = L::Guard::resume(lock, held)?;
        Ok((guard, carried.is_some()))
    }

    fn line(&self) -> &AtomicU64 {
        self.anchor.waiters(Role::First)
    }
}

/// When a wait of that length ends: never, for a length beyond all clocks.
fn deadline(timeout: Duration) -> Option<Instant> {
    match Patience::lasting(timeout) {
        Patience::None => Some(Instant::now()),
        Patience::Until(deadline) => Some(deadline),
        Patience::Endless => None,
    }
}

/// With a lock that guards no value.
#[expect(private_bounds, reason = "the bound names this crate's own locks")]
impl<L: Bare> Condition<L> {
    /// Takes the lock until the guard is dropped.
    ///
    /// # Errors
    /// As the lock's own `lock`.
    ///
    /// # Blocking
    /// Until it is released.
    pub fn lock(&self) -> Result<L::Guard<'_>> {
        self.lock.take()
    }

    /// Waits until `done` says so, which is asked under the lock: Python's `wait_for(predicate)`.
    ///
    /// # Errors
    /// As [`Condition::wait`].
    ///
    /// # Blocking
    /// As [`Condition::wait`], again and again.
    pub fn wait_for<'a>(
        &self,
        mut guard: L::Guard<'a>,
        mut done: impl FnMut() -> bool,
    ) -> Result<L::Guard<'a>, L::Failure<'a>> {
        while !done() {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// The same, no longer than this; what `done` said last.
    ///
    /// # Errors
    /// As [`Condition::wait`].
    ///
    /// # Blocking
    /// As [`Condition::wait_timeout`].
    pub fn wait_for_timeout<'a>(
        &self,
        mut guard: L::Guard<'a>,
        timeout: Duration,
        mut done: impl FnMut() -> bool,
    ) -> Result<(L::Guard<'a>, bool), L::Failure<'a>> {
        let deadline = deadline(timeout);
        loop {
            if done() {
                return Ok((guard, true));
            }
            if deadline.is_some_and(has_passed) {
                return Ok((guard, false));
            }
            guard = self.wait_until(guard, deadline)?.0;
        }
    }

    /// For who has taken the lock by `acquire`: gives it back, waits until notified, and has acquired it again when it
    /// returns: Python's `wait(timeout)`. `false`: the time was up; `Duration::MAX` is for ever.
    ///
    /// # Errors
    /// [`Error::NotOwner`] when this thread does not hold the lock. After any other error the lock is not held.
    ///
    /// # Blocking
    /// As [`Condition::wait_timeout`].
    ///
    /// # If a process dies
    /// If one died holding the lock meanwhile, this one is not told; use guards for that.
    pub fn wait_acquired(&self, timeout: Duration) -> Result<bool> {
        let held = self.lock.holding()?;
        let line = self.anchor.session().get_in_line(self.line())?;
        self.lock.put_down(&held);
        let carried = line.sleep(deadline(timeout))?;
        self.lock.take_up(held)?;
        Ok(carried.is_some())
    }
}

/// With the lock of a value.
impl<T: Plain> Condition<Mutex<T>> {
    /// Takes the lock until the guard is dropped.
    ///
    /// # Errors
    /// As [`Mutex::lock`].
    ///
    /// # Blocking
    /// Until it is released.
    pub fn lock(&self) -> Result<crate::MutexGuard<'_, T>, crate::LockError<crate::MutexGuard<'_, T>>> {
        self.lock.lock()
    }

    /// Waits until `done` says so about the value: Python's `wait_for(predicate)`.
    ///
    /// # Errors
    /// As [`Condition::wait`].
    ///
    /// # Blocking
    /// As [`Condition::wait`], again and again.
    pub fn wait_for<'a>(
        &self,
        mut guard: crate::MutexGuard<'a, T>,
        mut done: impl FnMut(&mut T) -> bool,
    ) -> Result<crate::MutexGuard<'a, T>, crate::LockError<crate::MutexGuard<'a, T>>> {
        while !done(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// The same, no longer than this; what `done` said last.
    ///
    /// # Errors
    /// As [`Condition::wait`].
    ///
    /// # Blocking
    /// As [`Condition::wait_timeout`].
    pub fn wait_for_timeout<'a>(
        &self,
        mut guard: crate::MutexGuard<'a, T>,
        timeout: Duration,
        mut done: impl FnMut(&mut T) -> bool,
    ) -> Result<(crate::MutexGuard<'a, T>, bool), crate::LockError<crate::MutexGuard<'a, T>>> {
        let deadline = deadline(timeout);
        loop {
            if done(&mut guard) {
                return Ok((guard, true));
            }
            if deadline.is_some_and(has_passed) {
                return Ok((guard, false));
            }
            guard = self.wait_until(guard, deadline)?.0;
        }
    }
}

impl<L: Lockable + fmt::Debug> fmt::Debug for Condition<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.lock).finish()
    }
}

impl<L: Lockable + Serialize> Serialize for Condition<L> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.anchor.object(), &self.lock).serialize(serializer)
    }
}

impl<'de, L: Lockable + Deserialize<'de>> Deserialize<'de> for Condition<L> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Condition<L>, D::Error> {
        let (anchor, lock) = <(Line, L)>::deserialize(deserializer)?;
        Ok(Condition { anchor: anchor.0, lock })
    }
}

/// The condition's own object, as the first of two things in a message.
struct Line(Anchor);

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Line, D::Error> {
        Anchor::deserialize(deserializer, &PLAN).map(Line)
    }
}

/// A condition lives in the session of its lock.
const _: fn(&Condition) -> &Session = |condition| condition.anchor.session();
