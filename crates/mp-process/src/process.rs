//! The handle to a child.

use std::fmt;
use std::io::{PipeReader, PipeWriter};
use std::marker::PhantomData;
use std::sync::atomic::Ordering::Acquire;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use mp_session::{Place, StartedProcess};
use mp_wire::{Departure, Error, Ident, Output, Result};
use parking_lot::Mutex;

use crate::builder::Builder;
use crate::events;
use crate::registry;
use crate::returned::{self, Returned};
use crate::start::StartMethod;
use crate::streams::{self, Captured, Pipes};
use crate::target::{self, Run, Target};

/// A function running in another process (Python's `Process`).
///
/// Clones are handles to the same child. Dropping the last one neither waits nor kills: at the end of this process
/// non-daemons are waited for, daemons are terminated.
///
/// # If a process dies
///
/// A child that is killed, or that cannot even start, is an error at whoever [joins](Process::join) it, never a hang.
///
/// # Examples
///
/// ```no_run
/// use mp_process::Process;
///
/// fn add(a: u32, b: u32) -> u32 { a + b }
///
/// mp_process::init();
/// let child = Process::spawn(add, (2, 3))?;
/// assert_eq!(child.join()?, 5);
/// assert_eq!(child.exitcode(), Some(0));
/// # Ok::<(), mp_process::Error>(())
/// ```
pub struct Process<T = ()> {
    shared: Arc<Shared>,
    value: PhantomData<fn() -> T>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) place: Place,
    pub(crate) process: Arc<StartedProcess>,
    ident: Ident,
    /// Who started it.
    parent: u32,
    facts: Facts,
    pipes: Mutex<Pipes>,
    end: OnceLock<End>,
    ending: Mutex<()>,
}

/// What a child is and stays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) daemon: bool,
    pub(crate) method: StartMethod,
    pub(crate) leads_group: bool,
}

/// Which of the slot's words for us tells, in case the system's answer is lost, what the child was about to exit with:
/// [`EXIT_KNOWN`] and the code, written by the child when it has left its result.
pub(crate) const EXIT_WORD: usize = 5;
const EXIT_KNOWN: u64 = 1 << 32;

/// The word for a code.
pub(crate) fn exit_word(code: i32) -> u64 {
    EXIT_KNOWN | u64::from(code.cast_unsigned())
}

fn exit_code(word: u64) -> Option<i32> {
    (word & EXIT_KNOWN != 0).then_some((word as u32).cast_signed())
}

#[derive(Debug)]
struct End {
    how: Departure,
    result: Option<Returned>,
}

impl<T> Clone for Process<T> {
    fn clone(&self) -> Self {
        Process { shared: self.shared.clone(), value: PhantomData }
    }
}

impl Process<()> {
    /// Runs `target` with `args` in a new process, started by the default method.
    ///
    /// # Errors
    /// [`Error::NotInitialised`] in a program whose `main` does not begin with [`init`](crate::init); [`Error::Daemon`] in a daemon;
    /// [`Error::Encode`] for arguments that cannot be sent; [`Error::LimitReached`] or [`Error::Os`] when there is no room.
    pub fn spawn<F, A>(target: F, args: A) -> Result<Process<<F::Output as Output>::Value>>
    where
        F: Target<A>,
        A: mp_wire::Message,
    {
        Builder::new().spawn(target, args)
    }

    /// Runs a struct's [`Run::run`] in a new process: Python's subclassing.
    ///
    /// # Errors
    /// As [`Process::spawn`].
    pub fn run<S: Run>(it: S) -> Result<Process<<S::Output as Output>::Value>> {
        Builder::new().run(it)
    }

    /// Sets what a child is to be before it is started.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl<T: mp_wire::Message> Process<T> {
    pub(crate) fn new(
        place: Place,
        process: Arc<StartedProcess>,
        name: String,
        facts: Facts,
        pipes: Mutex<Pipes>,
    ) -> Self {
        let ident = Ident { pid: process.pid(), name };
        let shared = Arc::new(Shared {
            place,
            process: process.clone(),
            ident,
            parent: mp_sys::current_pid(),
            facts,
            pipes,
            end: OnceLock::new(),
            ending: Mutex::new(()),
        });
        events::started(&shared.ident, facts.method);
        registry::add(process, facts.daemon, &shared);
        Process { shared, value: PhantomData }
    }

    /// Waits for the end of the process, and returns what its function returned. May be called again, from any thread:
    /// each call decodes the value afresh.
    ///
    /// # Errors
    /// [`Error::Failed`] with what the function's error said, [`Error::Panicked`] with message, place and backtrace,
    /// [`Error::Exited`] when the process called `exit` instead of returning, [`Error::Died`] when it was killed.
    pub fn join(&self) -> Result<T> {
        match self.shared.wait(None)? {
            Some(end) => self.value(end),
            None => Err(Error::TimedOut { what: self.shared.ident.to_string() }),
        }
    }

    /// Waits as [`Process::join`], but not longer than `timeout`: `Ok(None)` then.
    ///
    /// # Errors
    /// As [`Process::join`].
    pub fn join_timeout(&self, timeout: Duration) -> Result<Option<T>> {
        match self.shared.wait(Instant::now().checked_add(timeout))? {
            Some(end) => self.value(end).map(Some),
            None => Ok(None),
        }
    }

    /// Joins, and gathers what the process wrote to those of its standard streams that are
    /// [piped](crate::Stream::Piped) and were not taken. Its standard input, if piped, is closed first.
    ///
    /// # Errors
    /// When the pipes cannot be read or the system cannot wait; what the function's end was is in
    /// [`Captured::value`].
    ///
    /// # Blocking
    /// Until the process has ended *and* nobody has its streams any more, say a child of its own that inherited them.
    ///
    /// # Examples
    /// ```no_run
    /// use mp_process::{Process, Stream};
    ///
    /// mp_process::init();
    /// let child = Process::builder().stdout(Stream::Piped).spawn(|| println!("hello"), ())?;
    /// assert_eq!(child.join_captured()?.stdout, b"hello\n");
    /// # Ok::<(), mp_process::Error>(())
    /// ```
    pub fn join_captured(&self) -> Result<Captured<T>> {
        let pipes = std::mem::take(&mut *self.shared.pipes.lock());
        let (stdout, stderr) = streams::read_both(pipes)?;
        Ok(Captured { value: self.join(), stdout, stderr })
    }

    fn value(&self, end: &End) -> Result<T> {
        let who = || self.shared.ident.clone();
        let Some(result) = &end.result else {
            return Err(match end.how {
                Departure::Exited(code) => {
                    // A function that returns nothing may also leave by `exit(0)`.
                    match mp_wire::decode::<T>(mp_wire::Codec::Plain, &[], Vec::new()) {
                        Ok(nothing) if code == 0 => return Ok(nothing),
                        _ => Error::Exited { who: who(), code },
                    }
                }
                how => Error::Died { who: who(), how },
            });
        };
        let (codec, payload) = result.payload()?;
        target::read(codec, payload, || result.imports())
    }
}

impl<T> Process<T> {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.shared.process.pid()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.ident.name
    }

    /// Pid and name.
    pub fn ident(&self) -> &Ident {
        &self.shared.ident
    }

    /// Whether it ends with this process.
    pub fn is_daemon(&self) -> bool {
        self.shared.facts.daemon
    }

    /// How it was started.
    pub fn start_method(&self) -> StartMethod {
        self.shared.facts.method
    }

    /// Our end of its standard input, once, if that is [piped](crate::Stream::Piped). Dropping it is the end of the child's input.
    pub fn take_stdin(&self) -> Option<PipeWriter> {
        self.shared.pipes.lock().stdin.take()
    }

    /// Our end of its standard output, once, if that is [piped](crate::Stream::Piped).
    ///
    /// # Blocking
    /// A child that writes more than a pipe holds (64 KiB on Linux) waits until somebody reads: read before you join, or use
    /// [`join_captured`](Process::join_captured).
    pub fn take_stdout(&self) -> Option<PipeReader> {
        self.shared.pipes.lock().stdout.take()
    }

    /// Our end of its standard error; as [`take_stdout`](Process::take_stdout).
    pub fn take_stderr(&self) -> Option<PipeReader> {
        self.shared.pipes.lock().stderr.take()
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        self.shared.is_alive()
    }

    /// For pools: whether its death is certain, though the system may not have finished with it.
    #[doc(hidden)]
    pub fn is_certainly_dead(&self) -> bool {
        self.shared.place.is_swept()
    }

    /// How it ended; `None` while it runs.
    pub fn departure(&self) -> Option<Departure> {
        self.shared.poll().map(|end| end.how)
    }

    /// Python's `exitcode`: `None` while it runs, its exit code, or minus the signal that killed it. 255 when somebody
    /// else took that news away before we asked, and it did not come to its end by itself.
    pub fn exitcode(&self) -> Option<i32> {
        self.departure().map(|how| match how {
            Departure::Exited(code) => code,
            Departure::Signalled(signal) => -signal,
            Departure::Returned => 0,
            Departure::Lost | Departure::Unknown => 255,
        })
    }

    /// Waits for the end, whatever the function returned.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait(&self) -> Result<Departure> {
        match self.shared.wait(None)? {
            Some(end) => Ok(end.how),
            None => Err(Error::TimedOut { what: self.shared.ident.to_string() }),
        }
    }

    /// Waits for the end, at most so long: `None` if it still runs then.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Option<Departure>> {
        Ok(self.shared.wait(Instant::now().checked_add(timeout))?.map(|end| end.how))
    }

    /// What becomes ready when the process ends: for `poll`, `epoll` and their kind (Python's `sentinel`). Made for the caller at each
    /// call, and open until that drops it. Of a process that was joined it is ready at once.
    ///
    /// # Errors
    /// [`Error::Os`] when there are no descriptors left, or the system has no such thing.
    ///
    /// # Platform
    /// Linux 5.3 and later: a descriptor of the process. Windows: its handle. Not on macOS.
    ///
    /// # Examples
    /// ```no_run
    /// # #[cfg(target_os = "linux")] {
    /// use mp_process::Process;
    /// use std::os::fd::AsFd;
    ///
    /// mp_process::init();
    /// let child = Process::spawn(|| (), ())?;
    /// let sentinel = child.sentinel()?;
    /// let to_poll = sentinel.as_fd(); // readable as soon as the child has ended
    /// # let _ = to_poll;
    /// # }
    /// # Ok::<(), mp_process::Error>(())
    /// ```
    pub fn sentinel(&self) -> Result<mp_sys::OsHandle> {
        self.shared.process.sentinel()
    }

    /// The same child, without the type of its value: to be kept in lists.
    pub fn erase(&self) -> Process<()> {
        Process { shared: self.shared.clone(), value: PhantomData }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn place(&self) -> &Place {
        &self.shared.place
    }

    pub(crate) fn from_shared(shared: Arc<Shared>) -> Process<T> {
        Process { shared, value: PhantomData }
    }
}

impl Shared {
    pub(crate) fn leads_group(&self) -> bool {
        self.facts.leads_group
    }

    fn wait(&self, deadline: Option<Instant>) -> Result<Option<&End>> {
        if let Some(end) = self.end.get() {
            return Ok(Some(end));
        }
        // Under a token the wait must end when that is cancelled; after it the end is a moment away.
        if mp_session::is_cancellable() && !self.place.wait_gone(deadline)? {
            return Ok(None);
        }
        match self.process.wait(deadline)? {
            Some(how) => self.settle(how).map(Some),
            None => Ok(None),
        }
    }

    fn poll(&self) -> Option<&End> {
        if let Some(end) = self.end.get() {
            return Some(end);
        }
        let how = self.process.ended()?;
        self.settle(how).ok()
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.poll().is_none()
    }

    /// The process has ended: takes its result, clears up after it, remembers.
    fn settle(&self, mut how: Departure) -> Result<&End> {
        let _one = self.ending.lock();
        if let Some(end) = self.end.get() {
            return Ok(end);
        }
        let result = returned::take(&self.place)?;
        if how == Departure::Lost
            && let Some(code) = self.place.user_word(EXIT_WORD).and_then(|word| exit_code(word.load(Acquire)))
        {
            // Somebody else took its status away; what it was about to exit with is known all the same.
            how = Departure::Exited(code);
        }
        self.place.settle(&how)?;
        events::ended(&self.ident, &how);
        registry::remove(self.process.pid());
        Ok(self.end.get_or_init(|| End { how, result }))
    }
}

/// As Python's `repr`: name, pid, parent, `started` or `stopped`, the exit code with the name of its signal, daemon or not.
impl<T> fmt::Debug for Process<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only looks: whoever joins settles what it left.
        let how = self.shared.end.get().map(|end| end.how).or_else(|| self.shared.process.ended());
        let mut s = f.debug_struct("Process");
        s.field("name", &self.name()).field("pid", &self.pid()).field("parent", &self.shared.parent);
        match how {
            Some(how) => s.field("state", &format_args!("stopped: {how}")),
            None => s.field("state", &format_args!("started")),
        };
        s.field("daemon", &self.shared.facts.daemon).finish()
    }
}

/// The children of this process that still run and whose handles exist (Python's `active_children()`), as a side effect
/// collecting those that have ended.
pub fn active_children() -> Vec<Process<()>> {
    registry::alive().into_iter().map(Process::from_shared).collect()
}
