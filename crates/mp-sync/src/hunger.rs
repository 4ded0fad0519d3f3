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
//!
//! Locks and semaphores have this in common: "free" means that there is something to have.

use mp_session::primitive::{AtomicU64, Ordering::*, has_passed};
use std::cell::Cell;
use std::time::{Duration, Instant};

use mp_session::{Session, ThreadId};
use mp_wire::Result;

/// How many sleeps in vain make hungry.
const PATIENCE: u32 = 4;
/// How long a hungry waiter may leave a free lock untouched before others come first again.
const PORCH: Duration = Duration::from_millis(5);

/// Something that waiters compete for, in a word that has a flag for hunger.
pub(crate) trait Contested {
    /// The flag.
    const HUNGRY: u64;
    fn session(&self) -> &Session;
    fn word(&self) -> &AtomicU64;
    /// The word that names who starves.
    fn starving(&self) -> &AtomicU64;
    /// Where newcomers wait.
    fn porch(&self) -> &AtomicU64;
    /// Whether a word says that there is something to have.
    fn is_free(word: u64) -> bool;
    /// The word that names the holder, if there is one holder at a time.
    fn holder(&self) -> Option<&AtomicU64>;
}

/// A waiter that keeps count.
pub(crate) struct Hunger<'a, C: Contested> {
    on: &'a C,
    me: ThreadId,
    /// How often it slept.
    sleeps: Cell<u32>,
    is_hungry: Cell<bool>,
}

impl<'a, C: Contested> Hunger<'a, C> {
    pub(crate) fn new(on: &'a C, me: ThreadId) -> Hunger<'a, C> {
        Hunger { on, me, sleeps: Cell::new(0), is_hungry: Cell::new(false) }
    }

    /// Whether others wait for us to be served: who takes it then takes the flag down in the same step.
    pub(crate) fn is_hungry(&self) -> bool {
        self.is_hungry.get()
    }

    /// Called right before each sleep.
    pub(crate) fn slept(&self) {
        self.sleeps.set(self.sleeps.get().saturating_add(1));
    }

    fn somebody_is_hungry(&self) -> bool {
        self.on.word().load(Acquire) & C::HUNGRY != 0
    }

    /// Waits as long as somebody hungry comes first.
    pub(crate) fn wait_on_porch(&self, deadline: Option<Instant>) -> Result<()> {
        let (on, session) = (self.on, self.on.session());
        while self.somebody_is_hungry() {
            let until = Instant::now() + PORCH;
            let starving = || ThreadId::from_bits(on.starving().load(SeqCst));
            let open = || {
                let open = !self.somebody_is_hungry() || session.is_gone(starving());
                Ok(open.then_some(()))
            };
            let admitted = match (deadline, on.holder()) {
                // Out here we wait for the lock's holder as those inside do.
                (None, Some(holder)) => {
                    session.wait_for_holder(on.porch(), Some(until), holder, &starving, open)
                }
                _ => {
                    session.wait(on.porch(), Some(deadline.map_or(until, |d| d.min(until))), &starving, open)
                }
            }?;
            if deadline.is_some_and(has_passed) {
                return Ok(()); // one attempt is still due
            }
            if admitted.is_some() || C::is_free(on.word().load(Acquire)) {
                self.open_porch(starving());
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes the flag down for somebody who is gone or does not come.
    fn open_porch(&self, starving: ThreadId) {
        let on = self.on;
        if !self.somebody_is_hungry() {
            return;
        }
        on.word().fetch_and(!C::HUNGRY, SeqCst);
        if on.session().is_gone(starving) {
            // Not ours to keep: the next hungry one would replace it anyway.
            let _ = on.starving().compare_exchange(starving.to_bits(), 0, SeqCst, SeqCst);
        }
        on.session().wake_all(on.porch());
    }

    /// After an attempt in vain.
    pub(crate) fn may_get_hungry(&self) {
        if self.sleeps.get() < PATIENCE {
            return;
        }
        let on = self.on;
        if !self.is_hungry.get() {
            let other = ThreadId::from_bits(on.starving().load(SeqCst));
            if !other.is_none() && !on.session().is_gone(other) {
                return; // one at a time
            }
            let me = self.me.to_bits();
            if on.starving().compare_exchange(other.to_bits(), me, SeqCst, SeqCst).is_err() {
                return;
            }
            self.is_hungry.set(true);
        }
        let seen = on.word().load(Acquire);
        if !C::is_free(seen) && seen & C::HUNGRY == 0 {
            // In vain if the word changed just now: then there is another attempt to come.
            let _ = on.word().compare_exchange(seen, seen | C::HUNGRY, SeqCst, SeqCst);
        }
    }

    /// Has what it wanted, or has given up: lets the others in.
    pub(crate) fn no_longer_hungry(&self) {
        if !self.is_hungry.take() {
            return;
        }
        let on = self.on;
        on.word().fetch_and(!C::HUNGRY, SeqCst);
        on.starving().store(0, SeqCst);
        on.session().wake_all(on.porch());
    }
}
