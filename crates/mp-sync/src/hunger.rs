//! Nobody starves: what a waiter does that was overtaken too often.
//!
//! A lock that is given back is free for whoever comes first, which is fastest: the waiter that is woken for it needs some
//! forty microseconds to come, and by then others may have had it many times. A waiter that slept `PATIENCE` times in
//! vain gets *hungry*: it writes its name into word 2 and sets `HUNGRY` in the lock word. From then on the
//! fast path fails, and who comes now goes to the *porch*: it waits at the second wait word until the hungry one has got
//! the lock. Those that were waiting before do not give way, but there are no new ones, so its turn comes.
//!
//! | word 2 | `HUNGRY` | meaning | moved by |
//! |---|---|---|---|
//! | 0 | no | nobody is hungry | a waiter t, to (t, no) |
//! | t | no | t is about to be, or has just been served | t, to (t, yes) or (0, no) |
//! | t | yes | newcomers wait on the porch | t: to (t, no) by the very swap that takes the lock, or when it gives up |
//!
//! # Deaths
//!
//! A dead t is seen by those on the porch (they watch it) and by the next one that gets hungry: they put their own name in
//! its place. Who came from the porch takes the flag down then.
//!
//! A *stopped* t holds up newcomers only: who has been on the porch for `PORCH` and finds the lock free takes the flag
//! down; t will raise it again when it goes on and still has to wait.

use mp_session::primitive::{Ordering::*, has_passed};
use std::time::{Duration, Instant};

use mp_session::ThreadId;
use mp_wire::Result;

use crate::contended::Contender;
use crate::word::Word;

/// How many sleeps in vain make hungry.
const PATIENCE: u32 = 4;
/// How long a hungry waiter may leave a free lock untouched before others come first again.
const PORCH: Duration = Duration::from_millis(5);

impl Contender<'_> {
    /// Waits as long as somebody hungry comes first.
    pub(crate) fn wait_on_porch(&self, deadline: Option<Instant>) -> Result<()> {
        let lock = self.lock;
        while lock.look().is_hungry() {
            let until = Instant::now() + PORCH;
            let starving = || ThreadId::from_bits(lock.starving().load(SeqCst));
            let open = || {
                let open = !lock.look().is_hungry() || lock.session().is_gone(starving());
                Ok(open.then_some(()))
            };
            let (session, porch) = (lock.session(), lock.porch());
            let admitted = match deadline {
                // Out here we wait for the lock's holder as those inside do.
                None => session.wait_for_holder(porch, Some(until), lock.word(), &starving, open),
                Some(d) => session.wait(porch, Some(d.min(until)), &starving, open),
            }?;
            if deadline.is_some_and(has_passed) {
                return Ok(()); // one attempt is still due
            }
            let seen = lock.look();
            if admitted.is_some() || seen.is_free() {
                self.open_porch(starving());
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes the flag down for somebody who is gone or does not come.
    fn open_porch(&self, starving: ThreadId) {
        let lock = self.lock;
        if !lock.look().is_hungry() {
            return;
        }
        lock.word().fetch_and(Word::NOT_HUNGRY, SeqCst);
        if lock.session().is_gone(starving) {
            // Not ours to keep: the next hungry one would replace it anyway.
            let _ = lock.starving().compare_exchange(starving.to_bits(), 0, SeqCst, SeqCst);
        }
        lock.session().wake_all(lock.porch());
    }

    /// After an attempt in vain.
    pub(crate) fn may_get_hungry(&self) {
        if self.sleeps.get() < PATIENCE {
            return;
        }
        let lock = self.lock;
        if !self.is_hungry.get() {
            let other = ThreadId::from_bits(lock.starving().load(SeqCst));
            if !other.is_none() && !lock.session().is_gone(other) {
                return; // one at a time
            }
            let me = self.holder.thread().to_bits();
            if lock.starving().compare_exchange(other.to_bits(), me, SeqCst, SeqCst).is_err() {
                return;
            }
            self.is_hungry.set(true);
        }
        let seen = lock.look();
        if !seen.is_free() && !seen.is_hungry() {
            // In vain if the lock changed just now: then there is another attempt to come.
            let _ = lock.word().compare_exchange(seen.0, seen.hungry().0, SeqCst, SeqCst);
        }
    }

    /// Has the lock, or has given up: lets the others in.
    pub(crate) fn no_longer_hungry(&self) {
        if !self.is_hungry.take() {
            return;
        }
        let lock = self.lock;
        lock.word().fetch_and(Word::NOT_HUNGRY, SeqCst);
        lock.starving().store(0, SeqCst);
        lock.session().wake_all(lock.porch());
    }
}
