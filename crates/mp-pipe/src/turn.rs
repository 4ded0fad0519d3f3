//! The turn: who may write to a stream, or read from it.
//!
//! A stream has one writer and one reader at a time. An end of a pipe may have several threads, and, after
//! [`try_clone`](crate::Connection::try_clone), several processes; they take turns. A turn is one word, 0 or the name of the thread that has it:
//!
//! | from | to | by |
//! |---|---|---|
//! | 0 | t | t, one compare-and-swap |
//! | t | 0 | t |
//! | t, and t is gone | u | u, one compare-and-swap from exactly that word, after t's process was swept |
//!
//! Names are not given twice, so of all who see a death one takes over; it is told, for it may have to put in order what t left.
//! Who waits for a turn sleeps at the wait word of its end, and is rung after each death.

use mp_session::primitive::{AtomicU64, Ordering::*};
use mp_session::{Session, ThreadId};
use mp_wire::Result;

use crate::deadline::Deadline;

/// A turn that was taken; it is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    word: &'a AtomicU64,
    waiters: &'a AtomicU64,
    session: &'a Session,
    me: ThreadId,
    /// Whether the last one to have it died with it.
    pub(crate) taken_over: bool,
}

impl<'a> Turn<'a> {
    /// Waits for the turn at `word`; who else waits for it does so at `waiters`. `None`: the deadline came first.
    #[inline]
    pub(crate) fn take(
        session: &'a Session,
        word: &'a AtomicU64,
        waiters: &'a AtomicU64,
        deadline: Deadline,
    ) -> Result<Option<Turn<'a>>> {
        let me = session.thread_id()?;
        if word.compare_exchange(0, me.to_bits(), SeqCst, Relaxed).is_ok() {
            return Ok(Some(Turn { word, waiters, session, me, taken_over: false }));
        }
        Turn::wait(session, word, waiters, me, deadline)
    }

    #[cold]
    fn wait(
        session: &'a Session,
        word: &'a AtomicU64,
        waiters: &'a AtomicU64,
        me: ThreadId,
        deadline: Deadline,
    ) -> Result<Option<Turn<'a>>> {
        let owner = || ThreadId::from_bits(word.load(SeqCst));
        deadline.wait(session, waiters, &owner, || {
            let seen = word.load(SeqCst);
            let holder = ThreadId::from_bits(seen);
            if !holder.is_none() && (!session.is_gone(holder) || !session.clear_up_after(holder)?) {
                return Ok(None);
            }
            let taken = word.compare_exchange(seen, me.to_bits(), SeqCst, Relaxed).is_ok();
            Ok(taken.then_some(Turn { word, waiters, session, me, taken_over: seen != 0 }))
        })
    }
}

impl Drop for Turn<'_> {
    #[inline]
    fn drop(&mut self) {
        // A thread that is past its end, or a foreign fork's copy, may not have it any more.
        if self.word.compare_exchange(self.me.to_bits(), 0, SeqCst, Relaxed).is_ok() {
            self.session.wake_all(self.waiters);
        }
    }
}
