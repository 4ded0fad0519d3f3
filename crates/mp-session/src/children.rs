//! The processes that this process started: the one place that reaps them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mp_sys::{Child, Exit};
use mp_wire::{Departure, Error, Result};
use parking_lot::Mutex;

/// How long a sweeper waits for the kernel to finish with a process that is certainly dying, to learn how it ended.
const LAST_BREATH: Duration = Duration::from_millis(20);

/// A started process: its end is collected once and remembered.
#[derive(Debug)]
pub struct StartedProcess {
    child: Child,
    exit: Mutex<Option<Exit>>,
}

impl StartedProcess {
    /// Takes over the reaping of `child`.
    pub fn new(child: Child) -> StartedProcess {
        StartedProcess { child, exit: Mutex::new(None) }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Waits for the end of the process; `None` if the deadline came first.
    ///
    /// # Errors
    /// What the system says when it cannot wait.
    pub fn wait(&self, deadline: Option<Instant>) -> Result<Option<Departure>> {
        let lock = match deadline {
            Some(d) => match self.exit.try_lock_until(d) {
                Some(lock) => lock,
                None => return Ok(None),
            },
            None => self.exit.lock(),
        };
        let mut lock = lock;
        if lock.is_none() {
            *lock = self
                .child
                .wait(deadline)
                .map_err(|e| Error::os(format!("wait for process {}", self.pid()), e))?;
        }
        Ok(lock.as_ref().map(departure))
    }

    /// The end of the process, if it has ended. Also while others wait for it.
    pub fn ended(&self) -> Option<Departure> {
        match self.exit.try_lock() {
            Some(mut lock) => {
                if lock.is_none() {
                    *lock = self.child.try_wait().ok().flatten();
                }
                lock.as_ref().map(departure)
            }
            // Somebody is waiting, and will remember it.
            None => self.child.try_wait().ok().flatten().as_ref().map(departure),
        }
    }

    /// Sends a signal to the process group that the process leads, as long as it is not reaped.
    ///
    /// # Errors
    /// What the system says, for instance that it is not permitted.
    pub fn signal_group(&self, signal: mp_sys::Signal) -> Result<()> {
        let what = |e| Error::os(format!("signal the group of process {}", self.pid()), e);
        self.child.signal_group(signal).map_err(what)
    }

    /// What becomes ready at the end of the process.
    ///
    /// # Errors
    /// What the system says, for instance that there are no descriptors left.
    pub fn sentinel(&self) -> Result<mp_sys::OsHandle> {
        self.child.sentinel().map_err(|e| Error::os(format!("descriptor of process {}", self.pid()), e))
    }

    /// Sends a signal, never to a recycled pid; a process that has ended is no error.
    ///
    /// # Errors
    /// What the system says, for instance that it is not permitted.
    pub fn signal(&self, signal: mp_sys::Signal) -> Result<()> {
        self.child.signal(signal).map_err(|e| Error::os(format!("signal process {}", self.pid()), e))
    }
}

fn departure(exit: &Exit) -> Departure {
    match exit {
        Exit::Code(code) => Departure::Exited(*code),
        Exit::Signal(signal) => Departure::Signalled(*signal),
        Exit::Lost => Departure::Lost,
    }
}

/// By member slot.
#[derive(Debug, Default)]
pub(crate) struct Children {
    by_member: Mutex<BTreeMap<u32, Arc<StartedProcess>>>,
}

impl Children {
    pub(crate) fn add(&self, member: u32, process: Arc<StartedProcess>) {
        self.by_member.lock().insert(member, process);
    }

    pub(crate) fn remove(&self, member: u32) {
        self.by_member.lock().remove(&member);
    }

    /// The same, unless the place is another child's by now.
    pub(crate) fn forget(&self, member: u32, process: &Arc<StartedProcess>) {
        let mut children = self.by_member.lock();
        if children.get(&member).is_some_and(|known| Arc::ptr_eq(known, process)) {
            children.remove(&member);
        }
    }

    pub(crate) fn departure(&self, member: u32) -> Option<Departure> {
        let process = self.by_member.lock().get(&member).cloned()?;
        process.wait(Some(Instant::now() + LAST_BREATH)).ok().flatten()
    }
}
