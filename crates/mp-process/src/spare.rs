//! A child started ahead.
//!
//! A program that starts one process after another waits, each time, for a fork and for a copy to find its feet. So once starts
//! come thick ([`Demand`]), the parent asks its fork server after each for one child more: it takes a place, and waits there for
//! arguments. The next start puts its arguments into that place and wakes it; the fork has happened meanwhile, on another
//! processor. Nothing else differs: the spare is a copy of the server as any child is, it becomes what its arguments say only
//! when they come, and it is our child from the beginning.
//!
//! There is at most one for each process that starts others; none before [`Demand::STREAK`] starts in quick succession, none where
//! there is one processor only. One that nobody needs for [`IDLE`] goes away by itself.
//!
//! Whether it is used or goes is settled by one word of its place:
//!
//! | word 1: generation of the place (32), and | meaning | moved by |
//! |---|---|---|
//! | `WAITS` | it waits, or is on its way | the parent, before it asks for the spare |
//! | `CALLED` | its arguments come, or lie there | the parent, before it puts them there |
//! | `WITHDRAWN` | it ends | the spare, when nobody has called for it in time |
//!
//! One that withdraws detaches itself, so that its place is given away when its death is noticed; the generation keeps the
//! parent from calling whoever has the place then. What remains of it is an entry in the process table, until the next start.
//!
//! | death | who notices | what follows |
//! |---|---|---|
//! | the spare, before the call | the next start, which looks | it is reaped, and the child is forked as ever |
//! | the spare, after the call | whoever joins it | [`Error::Died`], as for any child that was killed |
//! | the parent, at any time | the spare, by the parent's beacon | it ends; what the parent put there is swept |
//! | the server, before it answered | the next start | the spare is killed, if there is one; a new server |
//! | the server, later | nobody yet | the spare is as good as before; the server's end takes it along when it is noticed |
//!
//! One that is stopped (`SIGSTOP`) is started with its arguments, and runs when it is continued.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::time::{Duration, Instant};

use mp_session::{MemberId, Message, Place, Session, StartedProcess};
use mp_sys::Signal;
use mp_wire::Result;

/// Which of a place's words says whether a spare is used.
const CALL_WORD: usize = 1;
const WAITS: u64 = 1;
const CALLED: u64 = 2;
const WITHDRAWN: u64 = 3;

fn word(member: MemberId, state: u64) -> u64 {
    member.to_bits() >> 32 << 32 | state
}

/// Before a spare is asked for in this place.
pub(crate) fn expect_in(place: &Place) {
    if let Some(call) = place.user_word(CALL_WORD) {
        call.store(word(place.id(), WAITS), Release);
    }
}

/// Whether it was us who moved the word from `WAITS`.
fn settle(call: Option<&AtomicU64>, member: MemberId, to: u64) -> bool {
    let (from, to) = (word(member, WAITS), word(member, to));
    call.is_some_and(|call| call.compare_exchange(from, to, AcqRel, Acquire).is_ok())
}

/// How long a spare waits.
const IDLE: Duration = Duration::from_secs(1);

/// A spare as its parent has it.
#[derive(Debug)]
pub(crate) struct Spare {
    place: Place,
    process: Arc<StartedProcess>,
}

impl Spare {
    pub(crate) fn new(place: Place, process: StartedProcess, start_time: Option<u64>) -> Spare {
        let process = Arc::new(process);
        place.started_at(process.clone(), start_time);
        Spare { place, process }
    }

    /// Has it run these arguments. `None`: it is gone.
    pub(crate) fn call(self, name: &str, message: &Message) -> Result<Option<(Place, Arc<StartedProcess>)>> {
        let waits = settle(self.place.user_word(CALL_WORD), self.place.id(), CALLED);
        if !waits || self.process.ended().is_some() {
            self.dismiss()?;
            return Ok(None);
        }
        self.place.set_name(name);
        if let Err(error) = self.place.put_arguments(message) {
            self.dismiss()?;
            return Err(error);
        }
        self.place.call();
        Ok(Some((self.place, self.process)))
    }

    /// Ends it and clears up after it.
    pub(crate) fn dismiss(self) -> Result<()> {
        self.process.signal(Signal::Kill)?;
        if let Some(how) = self.process.wait(None)? {
            self.place.settle(&how)?;
        }
        Ok(())
    }
}

/// In a spare: waits for the call. `false`: nobody called, or nobody is left to.
pub(crate) fn await_call(session: &Session) -> Result<bool> {
    if session.wait_for_arguments(Some(Instant::now() + IDLE))? {
        return Ok(true);
    }
    if settle(session.user_word(CALL_WORD), session.member(), WITHDRAWN) {
        session.detach();
        return Ok(false);
    }
    // Called for in the last moment: the arguments are on their way, or the parent died over them.
    session.wait_for_arguments(None)
}

/// How thick starts come.
#[derive(Debug)]
pub(crate) struct Demand {
    last: Instant,
    streak: u32,
}

impl Demand {
    /// So many starts, each soon after the last, are a reason for a spare.
    const STREAK: u32 = 8;
    /// What "soon" is: a program that starts a process less often will hardly notice a tenth of a millisecond.
    const SOON: Duration = Duration::from_millis(20);

    pub(crate) fn new() -> Demand {
        Demand { last: Instant::now(), streak: 0 }
    }

    /// Counts a start.
    pub(crate) fn count(&mut self) {
        let now = Instant::now();
        let soon = now.duration_since(self.last) < Demand::SOON;
        self.streak = if soon { self.streak.saturating_add(1) } else { 0 };
        self.last = now;
    }

    /// Nothing is to be gained for now.
    pub(crate) fn forget(&mut self) {
        self.streak = 0;
    }

    pub(crate) fn is_high(&self) -> bool {
        static SEVERAL: OnceLock<bool> = OnceLock::new();
        self.streak >= Demand::STREAK && *SEVERAL.get_or_init(|| mp_sys::cpu_count() > 1)
    }
}
