//! How long to wait.

use std::time::{Duration, Instant};

use mp_session::primitive::AtomicU64;
use mp_session::{Session, ThreadId};
use mp_wire::Result;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    /// Not at all.
    Now,
    /// Until then.
    At(Instant),
    Never,
}

impl Deadline {
    /// So long from now on; a time that no clock will show is for ever.
    pub(crate) fn after(time: Duration) -> Deadline {
        if time.is_zero() {
            return Deadline::Now;
        }
        Instant::now().checked_add(time).map_or(Deadline::Never, Deadline::At)
    }

    /// Whether a time was set that has come.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Deadline::At(until) if Instant::now() >= until)
    }

    /// The time for a call of the system's; one that has passed only looks.
    pub(crate) fn instant(self) -> Option<Instant> {
        match self {
            Deadline::Now => Some(Instant::now()),
            Deadline::At(until) => Some(until),
            Deadline::Never => None,
        }
    }

    /// Waits at a wait word of the session as [`Session::wait`] does.
    #[cold]
    pub(crate) fn wait<R>(
        self,
        session: &Session,
        word: &AtomicU64,
        owner: &dyn Fn() -> ThreadId,
        mut ready: impl FnMut() -> Result<Option<R>>,
    ) -> Result<Option<R>> {
        let until = match self {
            Deadline::Now => {
                // Whoever is in the way may have died.
                return match ready()? {
                    None if session.notice_deaths()? => ready(),
                    found => Ok(found),
                };
            }
            Deadline::At(until) => Some(until),
            Deadline::Never => None,
        };
        session.wait(word, until, owner, ready)
    }
}
