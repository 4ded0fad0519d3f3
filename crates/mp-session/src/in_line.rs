//! Standing in line: waiting to be woken, and for nothing else.
//!
//! [`crate::wait`] is for conditions that can be looked at. Here the wake-up itself is what is waited for, as by those who wait for a
//! notification: a thread gets in line while it still holds a lock, lets go of the lock, and sleeps until somebody
//! wakes it ([`crate::Session::wake_one`]), which is done in the order in which they came. So whoever is woken had been in line at
//! that time, and who comes later takes nothing from it.
//!
//! # Deaths
//!
//! | dies | when | what becomes of the wake-up |
//! |---|---|---|
//! | one in line | before it is woken | it is passed over |
//! | | `WOKEN`, before it has noticed | its sweeper wakes the next in line |
//! | | it has noticed, and is on its way back to its lock | `carries`, written before the wait record says `IDLE`, names the wait word: its sweeper wakes the next in line |
//! | | it has its lock back | none: it had come to act |
//! | who wakes it | after it took it off the word, before `WOKEN` | none, and it gets in line again, behind the others (*chosen-not-woken*) |
//! | its sweeper | after waking the next | somebody is woken once too often, which those who wait for notifications bear |

use std::fmt;
use std::time::Instant;

use mp_wire::Result;

use crate::cancel;
use crate::ids::ThreadId;
use crate::primitive::{AtomicU64, Ordering::*, has_passed};
use crate::session::Session;
use crate::spin::Spin;
use crate::thread::Me;
use crate::wait::{ASLEEP, IDLE, QUIET, WOKEN};

/// A place in the line of a wait word. Dropping it leaves the line; a wake-up that has come by then goes to the next.
#[must_use = "who does not sleep is not woken"]
pub struct InLine<'a> {
    me: Me<'a>,
    word: &'a AtomicU64,
    is_over: bool,
    /// The word may know us although we were chosen already.
    entered_again: bool,
}

/// A wake-up on its way to who is to act on it. It is handed on if the thread dies before this is dropped.
#[must_use = "drop it when the thread has what it needs in order to act"]
pub struct Carried<'a>(Me<'a>);

impl Session {
    /// Gets in line at a wait word. Until it is over, the thread must not wait for anything else.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    pub fn get_in_line<'a>(&'a self, word: &'a AtomicU64) -> Result<InLine<'a>> {
        let me = self.me()?;
        me.enter(word);
        Ok(InLine { me, word, is_over: false, entered_again: false })
    }
}

impl<'a> InLine<'a> {
    /// Sleeps until somebody wakes this thread. `None`: the deadline came first.
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn sleep(mut self, deadline: Option<Instant>) -> Result<Option<Carried<'a>>> {
        let slot = self.me.slot();
        let mut spin = Spin::begin();
        while spin.again() {
            if self.is_woken() {
                spin.succeeded();
                return Ok(Some(self.carry()));
            }
        }
        spin.failed();
        loop {
            cancel::check()?; // *cancel-before-sleep*
            if deadline.is_some_and(has_passed) {
                self.is_over = self.me.withdraw(self.word);
                return Ok(if self.is_over { None } else { Some(self.carry()) });
            }
            if slot.bell.compare_exchange(QUIET, ASLEEP, AcqRel, Acquire).is_ok() {
                self.me.park(deadline, ThreadId::NONE);
            }
            // By a swap: as in `wait`.
            slot.bell.swap(QUIET, SeqCst);
            if self.is_woken() {
                return Ok(Some(self.carry()));
            }
            self.entered_again |= self.me.enter_again(self.word);
        }
    }

    fn is_woken(&self) -> bool {
        self.me.slot().wait.load(SeqCst) & 0xFF == WOKEN
    }

    /// From `WOKEN` to `IDLE`, with no instant at which a death would lose the wake-up.
    fn carry(&mut self) -> Carried<'a> {
        let slot = self.me.slot();
        if self.entered_again {
            crate::wait::remove_lane(self.word, self.me.index);
        }
        slot.carries.store(self.me.inner.ground.offset_of(self.word), SeqCst);
        slot.wait.store(slot.wait.load(SeqCst) & !0xFF | IDLE, SeqCst);
        self.is_over = true;
        Carried(self.me)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.me.leave(self.word);
        }
    }
}

impl Drop for Carried<'_> {
    fn drop(&mut self) {
        self.0.slot().carries.store(0, Release);
    }
}

impl fmt::Debug for InLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InLine").field(&self.me).finish()
    }
}

impl fmt::Debug for Carried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Carried").field(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::ids::{Kind, Role};
    use crate::object::{Blueprint, Object};
    use crate::table::Shape;

    const PLAN: Blueprint = Blueprint { kind: Kind::CONDITION, fingerprint: 0, shape: Shape::Plain, size: 0 };

    fn waiting(session: &Session, word: &AtomicU64) -> usize {
        let ground = &session.0.ground;
        let key = ground.offset_of(word);
        (0..ground.threads_used())
            .map(|t| ground.thread(t))
            .filter(|t| t.wait.load(SeqCst) & 0xFF == crate::wait::WAITING && t.wait_key.load(SeqCst) == key)
            .count()
    }

    #[test]
    fn who_is_woken_carries_it_until_it_acts() {
        let heap = Session::on_heap(0).unwrap();
        for stage in 0..3 {
            let (a, b) = (heap.member("a").unwrap(), heap.member("b").unwrap());
            let object = Object::create(&a, PLAN, |_, _| {}).unwrap();
            let word = object.words().waiters(Role::First);
            assert!(!a.wake_one(word), "nobody is in line");
            // b comes first, in a thread of its own, and dies at that stage; then a.
            std::thread::scope(|s| {
                s.spawn(|| {
                    let line = b.get_in_line(word).unwrap();
                    if stage >= 1 {
                        assert!(a.wake_one(word));
                    }
                    let mut line = std::mem::ManuallyDrop::new(line);
                    if stage >= 2 {
                        std::mem::forget(line.carry());
                    }
                    b.clone().abandon();
                });
            });
            let line = a.get_in_line(word).unwrap();
            if stage == 0 {
                assert!(a.wake_one(word), "the dead one is passed over");
            } else {
                assert!(a.notice_deaths().unwrap());
            }
            let soon = Instant::now() + Duration::from_secs(10);
            assert!(line.sleep(Some(soon)).unwrap().is_some(), "stage {stage}");
            let line = a.get_in_line(word).unwrap();
            assert!(line.sleep(Some(Instant::now())).unwrap().is_none(), "woken once");
            a.abandon();
        }
    }

    #[test]
    fn who_leaves_hands_it_on() {
        let heap = Session::on_heap(0).unwrap();
        let (a, b) = (heap.member("a").unwrap(), heap.member("b").unwrap());
        let object = Object::create(&a, PLAN, |_, _| {}).unwrap();
        let word = object.words().waiters(Role::First);
        let first = a.get_in_line(word).unwrap();
        std::thread::scope(|s| {
            let second = s.spawn(|| {
                let line = b.get_in_line(word).unwrap();
                line.sleep(Some(Instant::now() + Duration::from_secs(10))).unwrap().is_some()
            });
            while waiting(&a, word) < 2 {
                std::thread::yield_now();
            }
            assert!(a.wake_one(word), "the first");
            drop(first);
            assert!(second.join().unwrap());
        });
    }
}
