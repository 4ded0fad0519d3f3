//! A registration with a barrier.

use std::fmt;
use std::marker::PhantomData;

use mp_session::ThreadId;
use mp_session::primitive::Ordering::*;

use super::Barrier;

/// A thread's registration with a [`Barrier`], see [`Barrier::party`]. Dropping it ends the registration, and breaks nothing.
///
/// It belongs to its thread and cannot be sent to another.
#[must_use = "the registration ends as soon as this is dropped"]
pub struct Party {
    barrier: Barrier,
    me: ThreadId,
    at: usize,
    /// Not `Send`.
    stays_here: PhantomData<*const ()>,
}

impl Party {
    pub(super) fn new(barrier: Barrier, me: ThreadId, at: usize) -> Party {
        Party { barrier, me, at, stays_here: PhantomData }
    }

    /// Its barrier, to [wait](Barrier::wait) at.
    pub fn barrier(&self) -> &Barrier {
        &self.barrier
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        if self.barrier.anchor.session().is_member()
            && let Some(place) = self.barrier.registered().get(self.at)
        {
            // Names are not given twice: if it is not ours any more, somebody found us dead.
            let _ = place.compare_exchange(self.me.to_bits(), 0, SeqCst, Relaxed);
        }
    }
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Party").field(&self.barrier).finish()
    }
}
