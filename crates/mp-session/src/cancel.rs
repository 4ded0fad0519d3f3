//! Cancellation: a word that ends the waits of whole threads.
//!
//! A token is an object of one word, 0 or 1, and its wait word. A thread that works *under* a token ([`CancelToken::scope`])
//! notes so in its slot, by a count, and each of its waits looks at the token wherever it looks whether it may go on.
//! Who cancels
//!
//! 1. sets the word,
//! 2. wakes those who wait for the token itself,
//! 3. rings the bell of each thread that waits for anything under any token. Rung for nothing, it looks and sleeps on.
//!
//! *cancel-before-sleep*: a waiter first notes that it waits, then looks at the token, then sleeps; who cancels first sets the word,
//! then looks who waits. Both by sequentially consistent operations, so one of the two sees the other.
//!
//! # Deaths
//!
//! | dies | what the others see |
//! |---|---|
//! | who cancels, before 1 | nothing was cancelled |
//! | between 1 and the end of 3 | the word is set; the death itself makes every sleeper look around ([`crate::wait`]), and it sees the word |
//! | a thread under a token | its count stays in its slot until another thread takes that, and costs a ring for nothing at most |

use std::cell::RefCell;
use std::fmt;
use std::time::{Duration, Instant};

use mp_wire::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ids::{Kind, Role, ThreadId};
use crate::object::{Blueprint, Object};
use crate::primitive::Ordering::*;
use crate::session::Session;
use crate::table::Shape;
use crate::waitable::{Sources, Waitable};

/// The word of a token.
const STATE: usize = 0;
const CANCELLED: u64 = 1;

thread_local! {
    /// The tokens that this thread works under, the innermost last.
    static SCOPES: RefCell<Vec<CancelToken>> = const { RefCell::new(Vec::new()) };
}

/// In a copy of a process: the tokens are the original's.
pub(crate) fn leave_all_scopes() {
    // A thread that is ending waits no more.
    let _ = SCOPES.try_with(|scopes| scopes.take());
}

/// Says, to whoever holds a clone in whichever process, that some work is not wanted any more.
///
/// It is a handle like any other: clone it, send it in the arguments of a process or in a message. Work that never waits asks
/// [`is_cancelled`](CancelToken::is_cancelled) now and then; work that waits runs in a [`scope`](CancelToken::scope), in which every
/// blocking call of mp returns [`Error::Cancelled`]. Once cancelled, a token stays so. Python has no counterpart.
///
/// # If a process dies
/// Its tokens are as they were; a process that is killed while it cancels has cancelled for everybody or for nobody.
///
/// # Examples
/// ```
/// use mp_session::{CancelToken, Error};
/// use std::time::Duration;
///
/// let token = CancelToken::new()?;
/// let theirs = token.clone();
/// let worker = std::thread::spawn(move || theirs.wait());
/// assert!(!token.wait_timeout(Duration::from_millis(5))?);
/// token.cancel();
/// worker.join().unwrap()?;
/// assert_eq!(token.check(), Err(Error::Cancelled));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct CancelToken(Object);

impl CancelToken {
    /// A token that nobody has cancelled yet, in this process's session.
    ///
    /// # Errors
    /// As [`Object::create`].
    pub fn new() -> Result<CancelToken> {
        CancelToken::in_session(&Session::current()?)
    }

    /// As [`CancelToken::new`], in that session.
    ///
    /// # Errors
    /// As [`Object::create`].
    pub fn in_session(session: &Session) -> Result<CancelToken> {
        let plan = Blueprint { kind: Kind::CANCEL_TOKEN, fingerprint: 0, shape: Shape::Plain, size: 0 };
        Object::create(session, plan, |_, _| {}).map(CancelToken)
    }

    /// Cancels, for all who hold it. Never waits; again it does nothing.
    pub fn cancel(&self) {
        let words = self.0.words();
        if words.word(STATE).fetch_or(CANCELLED, SeqCst) == CANCELLED {
            return;
        }
        let session = self.0.session();
        session.wake_all(words.waiters(Role::First));
        session.0.ring_cancellable();
    }

    /// Whether somebody has cancelled it: one load.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.0.words().word(STATE).load(SeqCst) == CANCELLED
    }

    /// For `token.check()?` in a loop that works.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when somebody has cancelled it.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Waits until somebody cancels it.
    ///
    /// # Errors
    /// As [`Session::thread_id`], and [`Error::Cancelled`] in the scope of *another* token.
    ///
    /// # Blocking
    /// Until then, for ever if nobody does.
    pub fn wait(&self) -> Result<()> {
        self.wait_until(None).map(drop)
    }

    /// As [`CancelToken::wait`], not longer than `timeout`; `false` if nobody has cancelled it by then.
    ///
    /// # Errors
    /// As there.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool> {
        self.wait_until(Instant::now().checked_add(timeout))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<bool> {
        let words = self.0.words();
        let ready = || Ok(self.is_cancelled().then_some(()));
        let nobody = || ThreadId::NONE;
        Ok(self.0.session().wait(words.waiters(Role::First), deadline, &nobody, ready)?.is_some())
    }

    /// Runs `work` under the token: each call of mp in it, on this thread, that has to wait returns [`Error::Cancelled`] from the moment
    /// of the cancellation on. What needs no waiting is done all the same, so that clearing up works.
    ///
    /// Scopes nest; any of their tokens ends a wait. Threads that `work` starts are not under the token.
    ///
    /// # Examples
    /// ```
    /// use mp_session::{CancelToken, Error};
    ///
    /// let (mine, never) = (CancelToken::new()?, CancelToken::new()?);
    /// mine.cancel();
    /// assert_eq!(mine.scope(|| never.wait()), Err(Error::Cancelled));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn scope<R>(&self, work: impl FnOnce() -> R) -> R {
        let _under = Under::enter(self);
        work()
    }

    /// Runs `work` under no token: for waits that must end as they should, whatever was cancelled around them.
    pub fn shield<R>(work: impl FnOnce() -> R) -> R {
        // On a thread whose locals are gone there is no scope to be shielded from.
        let taken = SCOPES.try_with(|scopes| std::mem::take(&mut *scopes.borrow_mut())).unwrap_or_default();
        let _back = Back(taken);
        work()
    }

    /// The object that it is.
    pub fn as_object(&self) -> &Object {
        &self.0
    }
}

/// Whether the calling thread works under any token: it must then wait for nothing but in the session.
pub fn is_cancellable() -> bool {
    SCOPES.try_with(|scopes| !scopes.borrow().is_empty()).unwrap_or(false)
}

/// For waits: an error if a token that the calling thread works under was cancelled.
#[inline]
pub(crate) fn check() -> Result<()> {
    SCOPES.try_with(|scopes| scopes.borrow().iter().try_for_each(CancelToken::check)).unwrap_or(Ok(()))
}

/// The calling thread is under a token while this lives.
struct Under;

impl Under {
    fn enter(token: &CancelToken) -> Under {
        // A thread that has no place in the session cannot wait in it either.
        if let Ok(me) = token.0.session().me() {
            me.slot().cancellable.fetch_add(1, SeqCst);
        }
        let _ = SCOPES.try_with(|scopes| scopes.borrow_mut().push(token.clone()));
        Under
    }
}

impl Drop for Under {
    fn drop(&mut self) {
        let token = SCOPES.try_with(|scopes| scopes.borrow_mut().pop()).ok().flatten();
        if let Some(token) = token
            && let Ok(me) = token.0.session().me()
        {
            me.slot().cancellable.fetch_sub(1, SeqCst);
        }
    }
}

/// Puts the scopes back that a shield took away.
struct Back(Vec<CancelToken>);

impl Drop for Back {
    fn drop(&mut self) {
        let _ = SCOPES.try_with(|scopes| *scopes.borrow_mut() = std::mem::take(&mut self.0));
    }
}

/// Ready when it is cancelled.
impl Waitable for CancelToken {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        to.word(self.0.words().waiters(Role::First));
    }

    fn is_ready(&self) -> bool {
        self.is_cancelled()
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

impl Serialize for CancelToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for CancelToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CancelToken, D::Error> {
        let object = Object::deserialize(deserializer)?.expect(Kind::CANCEL_TOKEN, 0);
        object.map(CancelToken).map_err(|e| de::Error::custom(mp_wire::carrier::refuse(e)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session::on_heap(16 << 20).unwrap().member("alone").unwrap()
    }

    #[test]
    fn scopes_nest_and_end_also_by_a_panic() {
        let session = session();
        let token = || CancelToken::in_session(&session).unwrap();
        let (outer, inner) = (token(), token());
        assert!(!is_cancellable());
        outer.scope(|| {
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                inner.scope(|| {
                    inner.cancel();
                    assert_eq!(check(), Err(Error::Cancelled));
                    CancelToken::shield(|| assert_eq!((check(), is_cancellable()), (Ok(()), false)));
                    assert_eq!(check(), Err(Error::Cancelled));
                    std::panic::resume_unwind(Box::new(()));
                });
            }));
            assert!(panicked.is_err());
            assert_eq!((check(), is_cancellable()), (Ok(()), true));
            outer.cancel();
            assert_eq!(check(), Err(Error::Cancelled));
        });
        assert_eq!((check(), is_cancellable()), (Ok(()), false));
        assert_eq!(session.me().unwrap().slot().cancellable.load(SeqCst), 0);
    }

    /// What is ready is taken, whatever was cancelled; only waiting is refused.
    #[test]
    fn only_waits_are_refused() {
        let session = session();
        let token = CancelToken::in_session(&session).unwrap();
        token.cancel();
        let other = CancelToken::in_session(&session).unwrap();
        let word = other.0.words().waiters(Role::First);
        token.scope(|| {
            assert_eq!(session.wait(word, None, &|| ThreadId::NONE, || Ok(Some(7))), Ok(Some(7)));
            let refused = session.wait(word, None, &|| ThreadId::NONE, || Ok(None::<()>));
            assert_eq!(refused, Err(Error::Cancelled));
            assert_eq!(token.wait(), Ok(()), "its own scope does not keep one from seeing it");
        });
    }

    #[test]
    fn a_sleeper_under_a_token_is_woken_and_leaves_nothing_behind() {
        let session = session();
        let token = CancelToken::in_session(&session).unwrap();
        let other = CancelToken::in_session(&session).unwrap();
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| token.scope(|| other.wait_timeout(Duration::from_secs(60))));
            let asleep = || {
                (0..session.0.ground.threads_used())
                    .any(|t| session.0.ground.thread(t).bell.load(SeqCst) == crate::wait::ASLEEP)
            };
            while !asleep() {
                std::thread::yield_now();
            }
            token.cancel();
            assert_eq!(waiter.join().unwrap(), Err(Error::Cancelled));
        });
        assert!(begun.elapsed() < Duration::from_secs(30));
        assert!(!crate::wait::has_waiters(other.0.words().waiters(Role::First)));
    }
}
