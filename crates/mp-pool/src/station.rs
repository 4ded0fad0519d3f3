//! Stations over shared memory: a lane, and a process or a thread at its other end.

use std::fmt::{self, Debug};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use mp_session::primitive::{AtomicU64, Ordering::*};

use mp_process::{Builder, Departure, Ident, OnInterrupt, Process};
use mp_session::{CancelToken, Error, Message, Object, Result, Role, Session};

use crate::lane::{Lane, Word};
use crate::record::{Reader, STOP, Span};
use crate::task::Batch;
use crate::transport::{Station, Transport};
use crate::worker::{self, Contract};

/// What all workers of a pool are told.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) session: Session,
    pub(crate) control: Object,
    pub(crate) initializer: Option<(i64, Message)>,
    pub(crate) max_tasks: Option<u64>,
    pub(crate) idle: Option<Duration>,
}

impl Terms {
    fn contract(&self) -> Result<Contract> {
        Ok(Contract {
            lane: Lane::create(&self.session)?,
            control: self.control.clone(),
            initializer: self.initializer.as_ref().map(|(name, m)| (*name, m.as_object().clone())),
            max_tasks: self.max_tasks,
            idle: self.idle,
            depth: worker::depth() + 1,
            token: CancelToken::in_session(&self.session)?,
        })
    }
}

/// The other end of a lane.
trait Hand: Debug + Send {
    fn ended(&mut self) -> Option<Departure>;
    fn last_words(&self) -> Option<String>;
    fn kill(&self) -> bool;
    fn wait(&mut self) -> Result<()>;
}

#[derive(Debug)]
struct OverLane<H> {
    ident: Ident,
    lane: Lane,
    token: CancelToken,
    next: u64,
    reader: Reader,
    taken: u64,
    hand: H,
}

impl<H> OverLane<H> {
    fn new(ident: Ident, contract: &Contract, hand: H) -> OverLane<H> {
        OverLane {
            ident,
            lane: contract.lane.clone(),
            token: contract.token.clone(),
            next: 0,
            reader: Reader::default(),
            taken: 0,
            hand,
        }
    }

    fn closing(&self, how: u64) {
        self.lane.word(Word::Closing).fetch_max(how, SeqCst);
        let session = self.lane.session();
        session.wake_all(self.lane.waiters());
        session.wake_all(self.lane.room());
    }
}

impl<H: Hand> Station for OverLane<H> {
    fn ident(&self) -> &Ident {
        &self.ident
    }

    fn is_ready(&self) -> bool {
        self.lane.word(Word::Ready).load(Acquire) != 0
    }

    fn send(&mut self, batch: &Batch) -> Result<u64> {
        let number = self.next;
        self.lane.write(number, batch)?;
        self.next += 1;
        self.lane.session().wake_one(self.lane.waiters());
        Ok(number)
    }

    fn begun(&self, batch: u64) -> u32 {
        self.lane.begun(batch)
    }

    fn cut(&mut self, batch: u64, keep: u32) -> u32 {
        self.lane.cut(batch, keep)
    }

    fn next(&mut self) -> Option<Span> {
        let span = self.reader.next(&self.lane)?;
        self.taken += u64::from(span.count());
        Some(span)
    }

    fn taken(&mut self) {
        self.reader.tell(&self.lane);
    }

    fn wake_after(&self, results: u64) {
        let at = self.taken.saturating_add(results);
        let word = self.lane.word(Word::WakeAt);
        if word.load(Relaxed) != at {
            word.store(at, SeqCst);
        }
    }

    fn since(&self) -> u64 {
        self.lane.word(Word::Started).load(Relaxed)
    }

    fn pace(&self) -> u64 {
        self.lane.word(Word::Pace).load(Relaxed)
    }

    fn ended(&mut self) -> Option<Departure> {
        self.hand.ended()
    }

    fn last_words(&self) -> Option<String> {
        self.hand.last_words()
    }

    fn close(&self) {
        self.closing(1);
    }

    fn cancel(&self) {
        self.token.cancel();
    }

    fn kill(&self) -> bool {
        self.closing(STOP);
        self.hand.kill()
    }

    fn wait(&mut self) -> Result<()> {
        self.hand.wait()
    }
}

/// Workers that are processes.
#[derive(Debug)]
pub(crate) struct Processes {
    pub(crate) terms: Terms,
    pub(crate) builder: Builder,
}

impl Transport for Processes {
    fn start(&self, name: String) -> Result<Box<dyn Station>> {
        let contract = self.terms.contract()?;
        let builder = self.builder.clone().name(name).daemon(true).may_have_children(true);
        let builder = builder.process_group(0).on_interrupt(OnInterrupt::Ignore);
        let process = builder.spawn(worker::work, (contract.clone(),))?;
        Ok(Box::new(OverLane::new(process.ident().clone(), &contract, process)))
    }

    fn news(&self) -> u64 {
        self.terms.session.deaths()
    }
}

impl Hand for Process<()> {
    fn ended(&mut self) -> Option<Departure> {
        if self.is_certainly_dead() {
            // Swept before the system has finished with it: no second news will come, so wait for the last of it
            // now. What is wrong with waiting, if anything, shows in how it ended.
            let _ = Process::wait(self);
        }
        if self.is_alive() { None } else { Some(self.departure().unwrap_or(Departure::Unknown)) }
    }

    fn last_words(&self) -> Option<String> {
        self.join().err().map(|error| error.to_string())
    }

    fn kill(&self) -> bool {
        // Where there are no groups, all below it that can be found. One that has ended needs no signal.
        if self.kill_group().is_err() {
            let _ = self.kill_tree();
        }
        true
    }

    fn wait(&mut self) -> Result<()> {
        Process::wait(self).map(drop)
    }
}

/// Workers that are threads of this process.
#[derive(Debug)]
pub(crate) struct Threads {
    pub(crate) terms: Terms,
    pub(crate) ended: Arc<AtomicU64>,
}

struct Thread {
    handle: Option<JoinHandle<()>>,
    /// Set before it says that it ends.
    end: Arc<OnceLock<Result<()>>>,
}

impl Transport for Threads {
    fn start(&self, name: String) -> Result<Box<dyn Station>> {
        let contract = self.terms.contract()?;
        let end: Arc<OnceLock<Result<()>>> = Arc::default();
        let (theirs, ended, their_end) = (contract.clone(), self.ended.clone(), end.clone());
        let run = move || {
            let (control, session) = (theirs.control.clone(), theirs.lane.session().clone());
            // Nobody else sets it.
            let _ = their_end.set(worker::live(theirs));
            ended.fetch_add(1, SeqCst);
            session.wake_all(control.words().waiters(Role::First));
            session.wake_all(control.words().waiters(Role::Second));
        };
        let handle = std::thread::Builder::new()
            .name(name.clone())
            .spawn(run)
            .map_err(|e| Error::os("start a thread of a pool", e))?;
        let ident = Ident::new(std::process::id(), name);
        Ok(Box::new(OverLane::new(ident, &contract, Thread { handle: Some(handle), end })))
    }

    fn news(&self) -> u64 {
        self.ended.load(SeqCst)
    }
}

impl Hand for Thread {
    fn ended(&mut self) -> Option<Departure> {
        match self.end.get()? {
            Ok(()) => Some(Departure::Exited(0)),
            Err(_) => Some(Departure::Exited(1)),
        }
    }

    fn last_words(&self) -> Option<String> {
        self.end.get()?.as_ref().err().map(ToString::to_string)
    }

    fn kill(&self) -> bool {
        false
    }

    fn wait(&mut self) -> Result<()> {
        if let Some(handle) = self.handle.take() {
            handle.join().map_err(|_| Error::Other("a thread of the pool panicked".into()))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread").field("end", &self.end).finish_non_exhaustive()
    }
}
