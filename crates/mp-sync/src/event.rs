//! `Event`: a flag that threads wait for.
//!
//! # Protocol
//!
//! One word, `count of settings(63) | set(1)`:
//!
//! | from | to | by |
//! |---|---|---|
//! | (n, clear) | (n + 1, set) | `set`, one compare-and-swap, then it wakes all who wait |
//! | (n, set) | (n, clear) | `clear` |
//!
//! A waiter remembers the count that it found. It is done when the flag is up *or the count has risen*: so a `set` that is
//! followed by a `clear` before the waiter has come to itself is not lost (*set-then-clear*).
//!
//! Nobody waits for a waiter, so `set` may be called anywhere, by a signal handler too if its process has used the session
//! before.
//!
//! | who dies | when | what the others see |
//! |---|---|---|
//! | who sets | before the swap | nothing happened |
//! | | after it, having woken some | the count; all sleepers are made to look after a death |
//! | a waiter | any time | nothing |

use std::fmt;
use std::time::{Duration, Instant};

use mp_session::primitive::Ordering::*;
use mp_session::{Blueprint, Kind, Role, Session, Shape, ThreadId};
use mp_wire::Result;

use crate::anchor::{Anchor, handle};
use crate::raw::Patience;

const SET: u64 = 1;
const PLAN: Blueprint = Blueprint { kind: Kind::EVENT, fingerprint: 0, shape: Shape::Plain, size: 0 };

/// A flag that any process can set and wait for: Python's `multiprocessing.Event`.
///
/// An `Event` is a handle: clones, and copies that were sent to other processes, are the same event.
///
/// # If a process dies
/// Nobody owns an event. One that was set stays set; one that nobody is left to set is waited for as long as the
/// caller's patience lasts.
///
/// # Examples
///
/// ```
/// use mp_sync::Event;
/// use std::time::Duration;
///
/// let start = Event::new()?;
/// assert!(!start.wait_timeout(Duration::from_millis(1))?);
/// let signal = start.clone();
/// let boss = std::thread::spawn(move || signal.set());
/// start.wait()?;
/// boss.join().unwrap()?;
/// assert!(start.is_set());
/// # Ok::<(), mp_sync::Error>(())
/// ```
#[derive(Clone)]
pub struct Event {
    pub(crate) anchor: Anchor,
}

handle!(Event, PLAN);

impl Event {
    /// An event that is not set, in this process's session.
    ///
    /// # Errors
    /// [`Error::LimitReached`](crate::Error::LimitReached) when the session has no room, and what
    /// [`Session::current`] returns.
    pub fn new() -> Result<Event> {
        Event::new_in(&Session::current()?)
    }

    /// An event that is not set, in that session.
    ///
    /// # Errors
    /// As [`Event::new`].
    pub fn new_in(session: &Session) -> Result<Event> {
        Ok(Event { anchor: Anchor::create(session, PLAN, |_, _| {})? })
    }

    /// Whether it is set.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.anchor.word(0).load(Acquire) & SET != 0
    }

    /// Sets it, and wakes all who wait. Never blocks.
    ///
    /// # Errors
    /// [`Error::ForeignFork`](crate::Error::ForeignFork) in a child made by somebody else's `fork`.
    #[inline]
    pub fn set(&self) -> Result<()> {
        if !self.anchor.session().is_member() {
            return Err(crate::Error::ForeignFork);
        }
        let word = self.anchor.word(0);
        let mut seen = word.load(Relaxed);
        while let Err(now) = word.compare_exchange_weak(seen, raised(seen), SeqCst, Relaxed) {
            seen = now;
        }
        self.anchor.session().wake_all(self.anchor.waiters(Role::First));
        Ok(())
    }

    /// Takes the flag down: who waits from now on waits for the next [`set`](Event::set). Never blocks.
    ///
    /// # Errors
    /// As [`Event::set`].
    #[inline]
    pub fn clear(&self) -> Result<()> {
        if !self.anchor.session().is_member() {
            return Err(crate::Error::ForeignFork);
        }
        self.anchor.word(0).fetch_and(!SET, SeqCst);
        Ok(())
    }

    /// Waits until it is set.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    ///
    /// # Blocking
    /// Until it is set. A `set` at which this thread was waiting counts, also if a `clear` follows at once.
    #[inline]
    pub fn wait(&self) -> Result<()> {
        self.wait_until(None).map(|_| ())
    }

    /// Waits until it is set, no longer than this: Python's `wait(timeout)`. `false`: the time was up.
    ///
    /// # Errors
    /// As [`Event::wait`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool> {
        match Patience::lasting(timeout) {
            Patience::None => Ok(self.is_set()),
            Patience::Until(deadline) => self.wait_until(Some(deadline)),
            Patience::Endless => self.wait_until(None),
        }
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<bool> {
        let word = self.anchor.word(0);
        let first = word.load(Acquire);
        if first & SET != 0 {
            return Ok(true);
        }
        let nobody = || ThreadId::NONE;
        let set = self.anchor.session().wait(self.anchor.waiters(Role::First), deadline, &nobody, || {
            let now = word.load(SeqCst);
            Ok((now & SET != 0 || now != first).then_some(()))
        })?;
        Ok(set.is_some())
    }
}

/// The word after a `set`.
fn raised(word: u64) -> u64 {
    if word & SET == 0 { word.wrapping_add(2) | SET } else { word }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set() { "Event(set)" } else { "Event(clear)" })
    }
}
