//! The rings of a queue, one after the other.
//!
//! A bounded queue has one ring. An unbounded one begins with a small ring; when it is full its end is sealed and it is
//! followed by one of twice the size. Messages stay where they are: consumers finish the old ring and go on to
//! the next. Old rings stay until the queue is destroyed, all of them together no larger than the last.
//!
//! A ring whose end is sealed (a `MOVED` cell) and that nothing follows is the end of the queue: it was closed.
//!
//! # Growing and closing
//!
//! Both decide what comes after a ring, so they exclude each other by a word of the ring's object that names the thread at it (0:
//! nobody). It protects few steps; the new ring is made before.
//!
//! | ring | follower | what the holder died of doing | what the next holder does |
//! |---|---|---|---|
//! | open | none | nothing yet | begins |
//! | open | there | growing: sealing was left | seals |
//! | sealed | there | growing, done | goes on to the follower |
//! | sealed | none | closing, done | nothing: the queue is closed |
//!
//! The follower is there before the seal, so who finds the seal knows at once which of the two it was. A dead holder is
//! replaced only after the sweep has settled what it was in the middle of; before that "none" might not be the last word.
//!
//! # A process's view
//!
//! Each process follows the chain from the first ring and keeps a reference to each ring that it has seen, in a list that
//! only grows, with two places in it: the ring that it puts into and the ring that it takes from. A place moves on when nothing can
//! happen in a ring any more; that of the takers therefore waits for cells that somebody else is still emptying, because a
//! death would bring their messages back.

use mp_session::primitive::{AtomicU64, AtomicUsize, Ordering::*};
use std::sync::OnceLock;

use mp_session::{Object, Session, ThreadId};
use mp_wire::{Error, Result};

use crate::ring::Ring;

/// Rings double, so this many exceed what a ring may hold.
const MOST: usize = 24;

/// Messages in the first ring of an unbounded queue with such cells: with the spare cell and the hints it fits into 3 KiB, if cells are
/// not large.
pub(crate) fn first_room(stride: u64) -> u64 {
    match stride {
        _ if cfg!(mp_model) => 3,
        0..=64 => 31,
        65..=128 => 15,
        _ => 7,
    }
}
/// Which word of a ring's object names the thread that decides what follows it.
const DECIDER: usize = 0;

/// A process's view of the chain.
#[derive(Debug)]
pub(crate) struct Rings {
    known: Box<[OnceLock<Ring>; MOST]>,
    tail: AtomicUsize,
    head: AtomicUsize,
}

/// How an attempt to decide what follows a ring went.
#[derive(Debug)]
pub(crate) enum Decision {
    Made,
    /// This thread is at it.
    Waits(ThreadId),
}

#[cold]
fn broken() -> Error {
    Error::Layout { detail: "a queue whose chain of rings is broken".into() }
}

impl Rings {
    pub(crate) fn starting_with(first: Ring) -> Rings {
        let known: [OnceLock<Ring>; MOST] = [const { OnceLock::new() }; MOST];
        // A fresh lock is empty, so this cannot be refused.
        let _ = known[0].set(first);
        Rings { known: Box::new(known), tail: AtomicUsize::new(0), head: AtomicUsize::new(0) }
    }

    #[inline]
    fn get(&self, at: usize) -> Result<&Ring> {
        self.known.get(at).and_then(OnceLock::get).ok_or_else(broken)
    }

    /// The ring to put into, as far as this process knows.
    #[inline]
    pub(crate) fn tail(&self) -> Result<(usize, &Ring)> {
        let at = self.tail.load(Acquire);
        Ok((at, self.get(at)?))
    }

    /// The ring to take from, as far as this process knows.
    #[inline]
    pub(crate) fn head(&self) -> Result<(usize, &Ring)> {
        let at = self.head.load(Acquire);
        Ok((at, self.get(at)?))
    }

    /// The ring after the sealed ring `at`, if the queue does not end there.
    pub(crate) fn after(&self, at: usize) -> Result<Option<(usize, &Ring)>> {
        let Some(next) = self.known.get(at + 1) else { return Ok(None) };
        if next.get().is_none() {
            match follower(self.get(at)?.object())? {
                // Another thread of ours may have been faster; its view is as good.
                Some(object) => {
                    let ring = Ring::open(object)?;
                    next.get_or_init(|| ring);
                }
                None => return Ok(None),
            }
        }
        Ok(next.get().map(|ring| (at + 1, ring)))
    }

    /// Nothing can be put into the rings before `at` any more.
    pub(crate) fn tail_is_at(&self, at: usize) {
        self.tail.fetch_max(at, AcqRel);
    }

    /// Nothing can be taken from the rings before `at` any more.
    pub(crate) fn head_is_at(&self, at: usize) {
        self.head.fetch_max(at, AcqRel);
    }

    /// Lets ring `at`, which is full, be followed by a larger one.
    #[cold]
    pub(crate) fn grow(&self, session: &Session, at: usize) -> Result<Decision> {
        let ring = self.get(at)?;
        let decider = ring.object().words().word(DECIDER);
        // Do not make a ring only to find that somebody else is about to.
        let holder = ThreadId::from_bits(decider.load(Acquire));
        if !holder.is_none() && !session.is_gone(holder) {
            return Ok(Decision::Waits(holder));
        }
        if at + 1 >= MOST {
            return Err(Error::LimitReached {
                limit: "messages in a queue".into(),
                detail: format!("it has grown {at} times"),
            });
        }
        let next = Ring::make(session, (ring.room() + 1) * 2 - 1, ring.stride())?;
        decide(session, decider, || {
            if follower(ring.object())?.is_none() {
                if matches!(ring.spot(), crate::ring::Spot::Moved) {
                    return Ok(()); // closed
                }
                ring.object().adopt(next.object())?;
            }
            ring.seal();
            Ok(())
        })
    }

    /// Seals the last ring. Not done before it says `Made`.
    #[cold]
    pub(crate) fn close(&self, session: &Session) -> Result<Decision> {
        loop {
            let (at, ring) = self.tail()?;
            let decision = decide(session, ring.object().words().word(DECIDER), || {
                ring.seal();
                Ok(())
            })?;
            if let Decision::Waits(_) = decision {
                return Ok(decision);
            }
            match self.after(at)? {
                Some((next, _)) => self.tail_is_at(next),
                None => return Ok(Decision::Made),
            }
        }
    }
}

/// The ring that follows, if one was adopted.
fn follower(ring: &Object) -> Result<Option<Object>> {
    match ring.child() {
        Ok(next) => Ok(Some(next)),
        Err(Error::Stale { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Does `work` as the only thread that does, unless another is at it.
pub(crate) fn decide(
    session: &Session,
    word: &AtomicU64,
    work: impl FnOnce() -> Result<()>,
) -> Result<Decision> {
    let me = session.thread_id()?;
    let seen = word.load(Acquire);
    let holder = ThreadId::from_bits(seen);
    let is_free = holder.is_none() || (session.is_gone(holder) && session.clear_up_after(holder)?);
    if !is_free {
        return Ok(Decision::Waits(holder));
    }
    if word.compare_exchange(seen, me.to_bits(), AcqRel, Acquire).is_err() {
        return Ok(Decision::Waits(ThreadId::from_bits(word.load(Acquire))));
    }
    let done = work();
    word.store(0, Release);
    done.map(|()| Decision::Made)
}
