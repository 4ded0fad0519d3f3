//! `Semaphore` and `BoundedSemaphore`: so many at a time.
//!
//! # Protocol
//!
//! | word | holds |
//! |---|---|
//! | 0 | the count ([`PermitWord`]), with the flag `HUNGRY` |
//! | 1 | the largest count there may be: the start value of a bounded semaphore |
//! | 2 | the thread that is hungry (`hunger.rs`) |
//! | waiters, first role | who waits for a permit |
//! | waiters, second role | who waits on the porch |
//!
//! | from | to | by |
//! |---|---|---|
//! | n > 0 | n - 1 | `acquire`, one compare-and-swap; by a guard with a record (`permit.rs` in mp-session) |
//! | n < limit | n + 1 | `release`, one compare-and-swap, so the bound is exact; a guard's end, with its record |
//! | n = limit | the same | `release`: an error. A guard's end: somebody has released in its place |
//!
//! Who finds no permit enters the wait word and looks again; who gives one back raises the count and then looks for waiters
//! (*ready-after-enter*). The woken one has no right to the permit, but goes first when it has been overtaken too often.
//!
//! | who dies | when | what the others see |
//! |---|---|---|
//! | an anonymous holder | any time | nothing: its permits are gone until somebody releases them |
//! | a holder by a guard | any time | its sweeper gives the permit back, once |
//! | one that releases | after the swap, before it woke anybody | sleepers are made to look |
//! | a waiter | asleep; woken | it is passed over; its wake-up is handed on by the session |

use std::fmt;
use std::time::Duration;

use mp_session::primitive::{AtomicU64, Ordering::*};
use mp_session::{Blueprint, Kind, Permit, PermitWord, Role, Session, Shape, ThreadId, permit_words};
use mp_wire::{Error, Result};

use crate::anchor::{Anchor, handle};
use crate::hunger::{Contested, Hunger};
use crate::raw::Patience;

const PLAN: Blueprint = Blueprint { kind: Kind::SEMAPHORE, fingerprint: 0, shape: Shape::Plain, size: 0 };
const BOUNDED: Blueprint =
    Blueprint { kind: Kind::BOUNDED_SEMAPHORE, fingerprint: 0, shape: Shape::Plain, size: 0 };

impl Contested for Anchor {
    const HUNGRY: u64 = PermitWord::HUNGRY;

    fn session(&self) -> &Session {
        Anchor::session(self)
    }

    fn word(&self) -> &AtomicU64 {
        Anchor::word(self, 0)
    }

    fn starving(&self) -> &AtomicU64 {
        Anchor::word(self, 2)
    }

    fn porch(&self) -> &AtomicU64 {
        self.waiters(Role::Second)
    }

    fn is_free(word: u64) -> bool {
        PermitWord(word).count() > 0
    }

    fn holder(&self) -> Option<&AtomicU64> {
        None
    }
}

fn create(session: &Session, plan: Blueprint, value: u64, limit: u64) -> Result<Anchor> {
    if value > PermitWord::MAX {
        let detail = format!("{} permits are more than {}", value, PermitWord::MAX);
        return Err(Error::InvalidArgument { detail });
    }
    Anchor::create(session, plan, |[count, most, ..], _| permit_words(count, most, value, limit))
}

fn count(anchor: &Anchor) -> u64 {
    PermitWord(anchor.word(0).load(Acquire)).count()
}

/// Takes a permit for nobody in particular, if there is one.
#[inline]
fn take(anchor: &Anchor, served: bool) -> bool {
    let word = anchor.word(0);
    let mut seen = PermitWord(word.load(Relaxed));
    loop {
        let Some(count) = seen.count().checked_sub(1) else { return false };
        let new = seen.with_count(count).with_hungry(seen.is_hungry() && !served);
        match word.compare_exchange_weak(seen.0, new.0, SeqCst, Relaxed) {
            Ok(_) => return true,
            Err(now) => seen = PermitWord(now),
        }
    }
}

/// The same for a newcomer, who lets a hungry one go first.
#[inline]
fn take_if_free(anchor: &Anchor) -> bool {
    let word = anchor.word(0);
    let mut seen = PermitWord(word.load(Relaxed));
    loop {
        let Some(count) = seen.count().checked_sub(1).filter(|_| !seen.is_hungry()) else { return false };
        match word.compare_exchange_weak(seen.0, seen.with_count(count).0, Acquire, Relaxed) {
            Ok(_) => return true,
            Err(now) => seen = PermitWord(now),
        }
    }
}

/// Waits for a permit as long as `patience` lasts; `attempt(served)` takes one.
#[cold]
fn wait<R>(
    anchor: &Anchor,
    patience: Patience,
    attempt: impl Fn(bool) -> Result<Option<R>>,
) -> Result<Option<R>> {
    let session = anchor.session();
    let me = session.thread_id()?;
    let deadline = match patience {
        Patience::None => {
            return match attempt(false)? {
                // Perhaps somebody died holding one, and nobody has looked yet.
                None if session.notice_deaths()? => attempt(false),
                taken => Ok(taken),
            };
        }
        Patience::Until(deadline) => Some(deadline),
        Patience::Endless => None,
    };
    let hunger = Hunger::new(anchor, me);
    hunger.wait_on_porch(deadline)?;
    let before_sleep = || {
        hunger.slept();
        ThreadId::NONE
    };
    let taken = session.wait(anchor.waiters(Role::First), deadline, &before_sleep, || {
        let taken = attempt(hunger.is_hungry())?;
        if taken.is_none() {
            hunger.may_get_hungry();
        }
        Ok(taken)
    });
    hunger.no_longer_hungry();
    taken
}

fn acquire(anchor: &Anchor, patience: Patience) -> Result<bool> {
    if !anchor.session().is_member() {
        return Err(Error::ForeignFork);
    }
    if take_if_free(anchor) {
        return Ok(true);
    }
    Ok(wait(anchor, patience, |served| Ok(take(anchor, served).then_some(())))?.is_some())
}

fn acquire_guard(anchor: &Anchor, patience: Patience) -> Result<Option<SemaphoreGuard>> {
    let attempt = |served| anchor.object().take_permit(served);
    let first = if PermitWord(anchor.word(0).load(Acquire)).is_hungry() { None } else { attempt(false)? };
    let permit = match first {
        Some(permit) => Some(permit),
        None => wait(anchor, patience, attempt)?,
    };
    Ok(permit.map(SemaphoreGuard))
}

fn release(anchor: &Anchor, n: u64) -> Result<()> {
    if !anchor.session().is_member() {
        return Err(Error::ForeignFork);
    }
    let (word, limit) = (anchor.word(0), anchor.word(1).load(Relaxed));
    let mut seen = PermitWord(word.load(Relaxed));
    loop {
        let count = seen.count().checked_add(n).filter(|count| *count <= limit);
        let Some(count) = count else { return Err(released_too_often(anchor, seen.count(), n, limit)) };
        match word.compare_exchange_weak(seen.0, seen.with_count(count).0, SeqCst, Relaxed) {
            Ok(_) => break,
            Err(now) => seen = PermitWord(now),
        }
    }
    for _ in 0..n {
        if !anchor.session().wake_one(anchor.waiters(Role::First)) {
            break;
        }
    }
    Ok(())
}

#[cold]
fn released_too_often(anchor: &Anchor, count: u64, n: u64, limit: u64) -> Error {
    let kind = anchor.object().kind().name();
    Error::InvalidArgument { detail: format!("{kind}: released {n} with {count} of at most {limit} there") }
}

/// A permit of a semaphore, given back when it is dropped or its process dies.
///
/// It belongs to the process, not to a thread, so it may be sent to another one. It keeps its semaphore.
#[must_use = "the permit is given back as soon as the guard is dropped"]
#[derive(Debug)]
pub struct SemaphoreGuard(#[expect(dead_code, reason = "what counts is its end")] Permit);

/// A counter of permits that any process may take and give back: Python's `multiprocessing.Semaphore`.
///
/// Permits can be taken in two ways:
///
/// - **by a guard** ([`acquire_guard`](Semaphore::acquire_guard)): the permit belongs to this process, and is given back when
///   the guard is dropped or the process dies;
/// - **anonymously** ([`acquire`](Semaphore::acquire), [`release`](Semaphore::release)): anybody may release, as in Python, also what
///   nobody has acquired. Nobody owns these, so nobody's death gives them back.
///
/// Prefer guards where a permit means "I am using it"; they take some twenty nanoseconds longer. Use the anonymous way for
/// signals, such as items that one side makes and the other takes.
///
/// A `Semaphore` is a handle: clones, and copies that were sent to other processes, are the same semaphore. Its value goes up to
/// 33,554,431.
///
/// # If a process dies
/// Permits that it held by guards return, each once. Those that it took anonymously do not.
///
/// # Fairness
/// As [`Lock`](crate::Lock).
///
/// # Examples
///
/// ```
/// use mp_sync::Semaphore;
///
/// let rooms = Semaphore::new(2)?;
/// let first = rooms.acquire_guard()?;
/// let second = rooms.acquire_guard()?;
/// assert!(!rooms.try_acquire()?);
/// drop(first);
/// assert_eq!(rooms.get_value(), 1);
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[derive(Clone)]
pub struct Semaphore {
    pub(crate) anchor: Anchor,
}

/// A [`Semaphore`] that cannot be released above its start value: Python's `multiprocessing.BoundedSemaphore`.
///
/// A release too many is an error, exactly: the check and the release are one step.
///
/// # If a process dies
/// As [`Semaphore`].
///
/// # Examples
///
/// ```
/// let seats = mp_sync::BoundedSemaphore::new(1)?;
/// seats.acquire()?;
/// seats.release()?;
/// assert!(seats.release().is_err());
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[derive(Clone)]
pub struct BoundedSemaphore {
    pub(crate) anchor: Anchor,
}

handle!(Semaphore, PLAN);
handle!(BoundedSemaphore, BOUNDED);

impl Semaphore {
    /// A semaphore with so many permits, in this process's session.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when that is more than 33,554,431; [`Error::LimitReached`] when the session has no room, and what
    /// [`Session::current`] returns.
    pub fn new(value: u64) -> Result<Semaphore> {
        Semaphore::new_in(&Session::current()?, value)
    }

    /// A semaphore with so many permits, in that session.
    ///
    /// # Errors
    /// As [`Semaphore::new`].
    pub fn new_in(session: &Session, value: u64) -> Result<Semaphore> {
        Ok(Semaphore { anchor: create(session, PLAN, value, PermitWord::MAX)? })
    }
}

impl BoundedSemaphore {
    /// A semaphore with so many permits and never more, in this process's session.
    ///
    /// # Errors
    /// As [`Semaphore::new`].
    pub fn new(value: u64) -> Result<BoundedSemaphore> {
        BoundedSemaphore::new_in(&Session::current()?, value)
    }

    /// A semaphore with so many permits and never more, in that session.
    ///
    /// # Errors
    /// As [`Semaphore::new`].
    pub fn new_in(session: &Session, value: u64) -> Result<BoundedSemaphore> {
        Ok(BoundedSemaphore { anchor: create(session, BOUNDED, value, value)? })
    }

    /// The start value.
    pub fn bound(&self) -> u64 {
        self.anchor.word(1).load(Relaxed)
    }
}

macro_rules! semaphore {
    ($type:ident, $name:literal) => {
        impl $type {
            /// Takes a permit for nobody in particular: Python's `acquire()`.
            ///
            /// # Errors
            /// [`Error::LimitReached`] and [`Error::ForeignFork`] as [`Session::thread_id`].
            ///
            /// # Blocking
            /// Until there is one.
            ///
            /// # If a process dies
            /// A permit that was taken this way stays taken.
            #[inline]
            pub fn acquire(&self) -> Result<()> {
                acquire(&self.anchor, Patience::Endless).map(|_| ())
            }

            /// Takes a permit if there is one: Python's `acquire(block=False)`.
            ///
            /// # Errors
            #[doc = concat!("As [`", $name, "::acquire`].")]
            #[inline]
            pub fn try_acquire(&self) -> Result<bool> {
                acquire(&self.anchor, Patience::None)
            }

            /// Takes a permit, waiting no longer than this: Python's `acquire(timeout=...)`.
            ///
            /// # Errors
            #[doc = concat!("As [`", $name, "::acquire`].")]
            pub fn acquire_timeout(&self, timeout: Duration) -> Result<bool> {
                acquire(&self.anchor, Patience::lasting(timeout))
            }

            /// Gives a permit back, or adds one: Python's `release()`. Never blocks.
            ///
            /// # Errors
            /// [`Error::InvalidArgument`] when there would be more than there may be; [`Error::ForeignFork`].
            #[inline]
            pub fn release(&self) -> Result<()> {
                release(&self.anchor, 1)
            }

            /// Gives so many back at once, or none. Never blocks.
            ///
            /// # Errors
            #[doc = concat!("As [`", $name, "::release`].")]
            pub fn release_many(&self, n: u64) -> Result<()> {
                release(&self.anchor, n)
            }

            /// Takes a permit for this process, until the guard is dropped or the process dies.
            ///
            /// # Errors
            #[doc = concat!("As [`", $name, "::acquire`], and [`Error::LimitReached`] when the process holds too much.")]
            ///
            /// # Blocking
            /// Until there is one.
            ///
            /// # If a process dies
            /// The permits that it held by guards return, each once.
            pub fn acquire_guard(&self) -> Result<SemaphoreGuard> {
                // Endless patience always ends with a permit.
                loop {
                    if let Some(guard) = acquire_guard(&self.anchor, Patience::Endless)? {
                        return Ok(guard);
                    }
                }
            }

            /// Takes a permit for this process if there is one.
            ///
            /// # Errors
            #[doc = concat!("As [`", $name, "::acquire_guard`].")]
            pub fn try_acquire_guard(&self) -> Result<Option<SemaphoreGuard>> {
                acquire_guard(&self.anchor, Patience::None)
            }

            /// Takes a permit for this process, waiting no longer than this.
            ///
            /// # Errors
            #[doc = concat!("As [`", $name, "::acquire_guard`].")]
            pub fn acquire_guard_timeout(&self, timeout: Duration) -> Result<Option<SemaphoreGuard>> {
                acquire_guard(&self.anchor, Patience::lasting(timeout))
            }

            /// How many permits there are to have at this moment: Python's `get_value()`.
            pub fn get_value(&self) -> u64 {
                count(&self.anchor)
            }

            /// Whether there is none to have at this moment: Python's `locked()`.
            pub fn locked(&self) -> bool {
                count(&self.anchor) == 0
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($name, "({})"), count(&self.anchor))
            }
        }
    };
}

semaphore!(Semaphore, "Semaphore");
semaphore!(BoundedSemaphore, "BoundedSemaphore");
