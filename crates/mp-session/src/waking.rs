//! Waiting and waking, as the crates above do it.

use std::time::Instant;

use mp_wire::Result;

use crate::ids::ThreadId;
use crate::primitive::AtomicU64;
use crate::session::Session;
use crate::wait;

impl Session {
    /// Waits at a wait word until `ready` returns something. `None`: the deadline came first.
    ///
    /// `ready` is called first, after each wake-up and after each death in the session; `owner` names whom it waits for
    /// in particular, if anybody.
    ///
    /// # Errors
    /// What `ready` returns, and as [`Session::thread_id`].
    pub fn wait<R>(
        &self,
        word: &AtomicU64,
        deadline: Option<Instant>,
        owner: &dyn Fn() -> ThreadId,
        ready: impl FnMut() -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        self.me()?.wait(word, deadline, owner, None, ready)
    }

    /// As [`Session::wait`], for something that one thread holds at a time, by a caller who is going to wait for it as long as it
    /// takes (though perhaps not at this word). The word at `holder`, which must lie in session memory, names that thread in its
    /// low 48 bits; [`ThreadId::NONE`], or the bit above them, says that nobody's release or death is needed. This is what
    /// the deadlock finder follows ([`Session::find_deadlocks`]).
    ///
    /// # Errors
    /// As [`Session::wait`], and [`Error::Deadlock`](crate::Error::Deadlock) to the thread that closed a ring of waiters.
    pub fn wait_for_holder<R>(
        &self,
        word: &AtomicU64,
        deadline: Option<Instant>,
        holder: &AtomicU64,
        owner: &dyn Fn() -> ThreadId,
        ready: impl FnMut() -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        self.me()?.wait(word, deadline, owner, Some(holder), ready)
    }

    /// Wakes who waits longest at the word, and tells all who observe it ([`Waitable`](crate::Waitable)); costs one load when nobody does
    /// either. `false`: there was nobody to wake (observers do not count, for they need not act on it).
    ///
    /// What the waiter waits for must have been done by a sequentially consistent read-modify-write, or be followed by
    /// `fence(SeqCst)`: a plain store could become visible after the look at the word, and a waiter that comes in
    /// between would sleep on.
    #[inline]
    pub fn wake_one(&self, word: &AtomicU64) -> bool {
        wait::has_waiters(word) && self.0.wake_one(word)
    }

    /// Wakes all who wait at the word, and tells its observers; the same holds as for [`Session::wake_one`].
    #[inline]
    pub fn wake_all(&self, word: &AtomicU64) {
        if wait::has_waiters(word) {
            self.0.wake_all(word);
        }
    }

    /// Whether anybody may wait at the word, observers ([`WaitSet`](crate::WaitSet)) included: whether a wake-up has somebody to go to.
    #[inline]
    pub fn has_waiters(&self, word: &AtomicU64) -> bool {
        wait::has_waiters(word)
    }

    /// Whether anybody sleeps at the word who would take a wake-up: observers left out.
    #[inline]
    pub fn has_sleepers(&self, word: &AtomicU64) -> bool {
        wait::has_sleepers(word)
    }

    /// Passes a wake-up on that was meant for one waiter and not needed: to the next one who waits at the word. Observers
    /// were told of it already, so they are not told again.
    #[inline]
    pub fn pass_on(&self, word: &AtomicU64) -> bool {
        wait::has_sleepers(word) && self.0.pass_on(word)
    }
}
