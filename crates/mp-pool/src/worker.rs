//! A worker's life: take a batch, do its tasks, write down the results.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use mp_session::primitive::AtomicU32;
use mp_session::primitive::Ordering::*;

use mp_process::__private::shim_of;
use mp_session::{CancelToken, Error, Message, Object, Result, Session, ThreadId};
use mp_wire::{Failure, Outcome};
use serde::{Deserialize, Serialize};

use crate::lane::{Lane, Word};
use crate::parcel::Work;
use crate::record::{STOP, Writer, wake_pool};
use crate::shim::{self, Done};

/// What a worker is started with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Contract {
    pub(crate) lane: Lane,
    /// The pool's own object: who waits for results waits there.
    pub(crate) control: Object,
    pub(crate) initializer: Option<(i64, Object)>,
    pub(crate) max_tasks: Option<u64>,
    /// It leaves when it had nothing to do for so long.
    pub(crate) idle: Option<Duration>,
    /// Pools around it.
    pub(crate) depth: u32,
    /// Cancelled when the task that it is at is not wanted any more.
    pub(crate) token: CancelToken,
}

/// How many pools this process is a worker of, one inside the other.
static DEPTH: AtomicU32 = AtomicU32::new(0);

pub(crate) fn depth() -> u32 {
    DEPTH.load(Relaxed)
}

thread_local! {
    static TOKEN: RefCell<Option<CancelToken>> = const { RefCell::new(None) };
}

/// In a task: the token that is cancelled when its result is not wanted any more, because its time is up or somebody
/// [cancelled](crate::AsyncResult::cancel) it. `None` outside of tasks.
///
/// A task that works without waiting should ask it now and then: a little later it loses its process. Calls of mp that wait return
/// [`Error::Cancelled`] by themselves. Python has no counterpart.
///
/// # Examples
///
/// ```
/// fn count(to: u64) -> mp_pool::Result<u64> {
///     let token = mp_pool::task_token();
///     for _ in 0..to {
///         token.as_ref().map_or(Ok(()), |token| token.check())?;
///     }
///     Ok(to)
/// }
/// assert_eq!(count(3)?, 3);
/// # Ok::<(), mp_pool::Error>(())
/// ```
pub fn task_token() -> Option<CancelToken> {
    TOKEN.with_borrow(Clone::clone)
}

/// The function of a worker's process.
pub(crate) fn work(contract: Contract) -> Result<()> {
    DEPTH.store(contract.depth, Relaxed);
    live(contract)
}

/// A worker's life, in whichever process.
pub(crate) fn live(contract: Contract) -> Result<()> {
    let lane = contract.lane.clone().checked()?;
    let session = lane.session().clone();
    let token = contract.token.clone();
    TOKEN.set(Some(token.clone()));
    let ended = token.scope(|| {
        if let Some((name, message)) = &contract.initializer {
            initialise(*name, &Message::from_object(message.clone())?)?;
        }
        lane.word(Word::Ready).store(1, SeqCst);
        wake_pool(&session, &contract.control);
        serve(&session, &lane, &contract)
    });
    TOKEN.set(None);
    match ended {
        // Told to go, after a task that was cancelled.
        Err(Error::Cancelled) if token.is_cancelled() => Ok(()),
        other => other,
    }
}

fn serve(session: &Session, lane: &Lane, contract: &Contract) -> Result<()> {
    let mut port = Port {
        lane,
        writer: Writer::new(lane, &contract.control),
        sequence: 0,
        left: contract.max_tasks.unwrap_or(u64::MAX),
        is_clocked: true,
    };
    while port.left > 0 {
        let deadline = contract.idle.and_then(|idle| Instant::now().checked_add(idle));
        let there = session.wait(lane.waiters(), deadline, &|| ThreadId::NONE, || {
            Ok(if lane.word(Word::Closing).load(SeqCst) == STOP {
                Some(false)
            } else if lane.is_there(port.sequence) {
                Some(true)
            } else if lane.word(Word::Closing).load(SeqCst) != 0 {
                Some(false)
            } else {
                None
            })
        })?;
        if there != Some(true) {
            break;
        }
        port.batch()?;
        if !lane.is_there(port.sequence) {
            port.writer.tell();
        }
    }
    port.writer.tell();
    Ok(())
}

/// The worker's side of its lane, for a batch at a time.
pub(crate) struct Port<'a> {
    lane: &'a Lane,
    writer: Writer<'a>,
    sequence: u64,
    /// Tasks that it may still do.
    left: u64,
    /// Tasks take so long that the time of each is taken.
    is_clocked: bool,
}

/// Tasks that take less are not worth a look at the clock each, in nanoseconds.
const SHORT: u64 = 2_000;

impl<'a> Port<'a> {
    fn batch(&mut self) -> Result<()> {
        let handed = self.lane.read(self.sequence);
        let parsed = handed.as_ref().map_err(Clone::clone).and_then(Work::parse);
        let begun = mp_sys::shared_nanos();
        self.lane.word(Word::Started).store(begun, Relaxed);
        let before = self.writer.records;
        match (&parsed, &handed) {
            (Ok(work), Ok(handed)) => {
                self.is_clocked |= work.is_timed;
                // SAFETY: the pool named it, in the image that this process proved to run when it was started.
                let shim = unsafe { shim::of_name(handed.name) };
                shim(work, self)?;
            }
            // The batch is gone or damaged: each of its tasks says so.
            (Err(error), _) | (_, Err(error)) => {
                while let Some(task) = self.claim() {
                    let failed = Outcome::Failure(Failure::capture(error.clone()));
                    self.writer.outcome(task, &failed)?;
                }
            }
        }
        self.writer.close_run();
        let done = self.writer.records - before;
        if let Some(each) = mp_sys::shared_nanos().saturating_sub(begun).checked_div(done) {
            self.lane.word(Word::Pace).store(each.max(1), Relaxed);
            self.is_clocked = each > SHORT;
        }
        self.sequence += 1;
        Ok(())
    }

    /// Begins the next task of the batch.
    #[inline]
    pub(crate) fn claim(&mut self) -> Option<u32> {
        if self.left == 0 {
            return None;
        }
        let task = self.lane.claim(self.sequence);
        self.writer.look();
        let task = task?;
        self.left -= 1;
        if self.is_clocked {
            // Which one it is about, since the claim and this are two steps.
            let since = mp_sys::shared_nanos() & !0xFF | u64::from(task) & 0xFF;
            self.lane.word(Word::Started).store(since, Release);
        }
        Some(task)
    }

    pub(crate) fn lane(&self) -> &'a Lane {
        self.lane
    }

    /// Before it sleeps.
    pub(crate) fn tell(&mut self) {
        self.writer.tell();
    }

    /// Writes down what came of a task.
    #[inline]
    pub(crate) fn done(&mut self, task: u32, done: Done, bytes: &[u8]) -> Result<()> {
        match done {
            Done::Word(word, length) => self.writer.word(task, word, length),
            Done::Value(codec, exports) => self.writer.value(task, codec, bytes, exports),
            Done::Else(outcome) => self.writer.outcome(task, &outcome),
        }
    }
}

fn initialise(name: i64, message: &Message) -> Result<()> {
    // SAFETY: as in `Port::batch`.
    let shim = unsafe { shim_of(name) };
    let (codec, payload) = message.payload()?;
    let produced = shim(codec, payload, message.imports()?);
    Outcome::decode(&produced.payload)
        .0
        .into_result()
        .map_err(|error| Error::PoolBroken { detail: format!("the initializer of a worker failed: {error}") })
}
