//! A new process image, and the end of it.
//!
//! [`spawn`] starts a program with exactly what the [`SpawnRequest`] says: these arguments, this environment, these descriptors. Its
//! cost does not grow with the caller's memory (nothing is copied), and it fails in the caller: when the program cannot be
//! executed there is no child and the error says why.
//!
//! # Descriptors
//!
//! The child has 0, 1 and 2 as [`Stdio`] says, and those in [`SpawnRequest::inherit`] under the numbers they have here. Every
//! descriptor that Rust or this crate opened is close-on-exec and stays behind. A C library may have opened others; the child
//! gets rid of those with [`close_all_except`], the first thing it does.
//!
//! # The end of a child
//!
//! A pid is ours until we reap it; after that it may name a stranger. [`Child`] therefore keeps "reaped" and "signal" under
//! one lock: [`Child::wait`] first waits *without* reaping, then takes the lock and reaps; [`Child::signal`] takes the lock, and sends
//! only if the child is not reaped. A program that calls `waitpid(-1)` behind our back may take the exit status away: then the end is
//! [`Exit::Lost`], which is sad but not a hang.

use crate::{imp, memory::Inherited};
use std::{
    ffi::{OsStr, OsString},
    fmt, io,
    path::{Path, PathBuf},
    time::Instant,
};

/// An owned descriptor (Windows: handle).
#[cfg(unix)]
pub type OsHandle = std::os::fd::OwnedFd;
/// An owned descriptor (Windows: handle).
#[cfg(windows)]
pub type OsHandle = std::os::windows::io::OwnedHandle;

/// A borrowed descriptor (Windows: handle).
#[cfg(unix)]
pub type BorrowedOsHandle<'a> = std::os::fd::BorrowedFd<'a>;
/// A borrowed descriptor (Windows: handle).
#[cfg(windows)]
pub type BorrowedOsHandle<'a> = std::os::windows::io::BorrowedHandle<'a>;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub enum Program<'a> {
    /// The image that runs now. On Linux even if its file was replaced or deleted meanwhile.
    SelfImage,
    /// The program in this file. There is no search through `PATH`; a relative path is relative to the child's directory on Unix.
    Path(&'a Path),
}

/// One of the three standard streams of a child.
#[derive(Debug, Default)]
pub enum Stdio {
    /// The same as ours.
    #[default]
    Inherit,
    /// Nothing to read, nowhere to write.
    Null,
    /// A copy of this one.
    Handle(OsHandle),
}

/// All that a new process is started with.
#[derive(Debug)]
pub struct SpawnRequest<'a> {
    /// The program. Its name (`argv[0]`) is ours for [`Program::SelfImage`], else the path.
    pub program: Program<'a>,
    /// Its arguments, without the name.
    pub args: Vec<OsString>,
    /// Its whole environment; nothing else is passed on.
    pub env: Vec<(OsString, OsString)>,
    /// Descriptors that keep their number in the child. None below 3: those are `stdio`.
    pub inherit: Vec<Inherited>,
    /// Standard input, output and error.
    pub stdio: [Stdio; 3],
    /// Where it starts. `None`: where we are.
    pub cwd: Option<PathBuf>,
    /// Whether it leads a new process group, out of reach of the terminal's Ctrl-C.
    pub new_process_group: bool,
    /// Whether Ctrl-C is held back in it until it [resets its signals](crate::reset_signals): for a child that first has to say what it
    /// does then. Nothing on Windows.
    pub hold_interrupt: bool,
}

/// Starts a process.
///
/// Signals are all unblocked in the child (see [`SpawnRequest::hold_interrupt`]), and `SIGPIPE` has its default effect until the child's Rust runtime ignores it again.
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for a NUL in a string, a `=` in a variable's name, or a number in `inherit` that cannot be one;
/// [`Unsupported`](io::ErrorKind::Unsupported) for `cwd` with a C library that cannot (glibc before 2.29); else why the program cannot be
/// executed, or why there can be no further process.
///
/// # Platform
///
/// Windows: handles named in `inherit` are inheritable for the moment of the call, and calls take turns; a process that `std` starts at that
/// very moment from another thread may get them too. Batch files are refused: no quoting is safe for them.
///
/// # Examples
///
/// ```no_run
/// use mp_sys::{Exit, Program, SpawnRequest, Stdio, spawn};
/// let child = spawn(&SpawnRequest {
///     program: Program::SelfImage,
///     args: vec!["--child".into()],
///     env: std::env::vars_os().collect(),
///     inherit: vec![],
///     stdio: [Stdio::Null, Stdio::Inherit, Stdio::Inherit],
///     cwd: None,
///     new_process_group: false,
///     hold_interrupt: false,
/// })?;
/// assert_eq!(child.wait(None)?, Some(Exit::Code(0)));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn spawn(request: &SpawnRequest<'_>) -> io::Result<Child> {
    imp::spawn::spawn(request).map(Child)
}

/// Closes every descriptor above 2 that is not in `keep`.
///
/// For the first moment of a new process, while nobody in it owns a descriptor yet: an owner would find its own closed.
///
/// # Errors
///
/// When the kernel neither closes ranges nor tells which descriptors are open.
///
/// # Platform
///
/// Windows: nothing to do, [`spawn`] lets nothing else through.
pub fn close_all_except(keep: &[Inherited]) -> io::Result<()> {
    imp::spawn::close_all_except(keep)
}

/// Whether both are names of the same environment variable.
///
/// # Platform
///
/// Windows does not tell upper from lower case there.
pub fn same_variable(a: &OsStr, b: &OsStr) -> bool {
    imp::spawn::same_variable(a, b)
}

/// Whether this is the error of a process, or of a system, that can open no more descriptors; it has no kind of its own.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(imp::spawn::is_out_of_descriptors)
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It returned or called `exit` with this code.
    Code(i32),
    /// This signal killed it. On Windows: [`Child::signal`] did, by that name.
    Signal(i32),
    /// It has ended, and somebody else in this process took the news away.
    Lost,
}

/// What to send to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGTERM`.
    Terminate,
    /// `SIGKILL`.
    Kill,
    /// `SIGINT`.
    Interrupt,
}

/// A child of this process. Dropping it neither ends nor reaps the child.
pub struct Child(imp::child::Child);

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("pid", &self.pid()).finish_non_exhaustive()
    }
}

impl Child {
    /// Adopts a child of this process that was not made by [`spawn`], but say by a sibling of it.
    ///
    /// # Safety
    ///
    /// `pid` is a child of this process (Windows: any process), not yet reaped, and nobody else reaps it.
    pub unsafe fn from_pid(pid: u32) -> Self {
        Self(imp::child::Child::new(pid))
    }

    /// Its pid. After it was reaped the number may be somebody else's.
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Waits until the child has ended, and reaps it. `None`: the deadline came first. Later calls give the same answer at once.
    ///
    /// For one thread at a time; [`try_wait`](Self::try_wait) and [`signal`](Self::signal) may run beside it.
    ///
    /// # Blocking
    ///
    /// Until the end of the child or the deadline. No poll, except on Linux before 5.3 (without `pidfd_open`) and on macOS with a deadline.
    ///
    /// # Errors
    ///
    /// Whatever the system says; a status that was taken away is no error but [`Exit::Lost`].
    pub fn wait(&self, deadline: Option<Instant>) -> io::Result<Option<Exit>> {
        self.0.wait(deadline)
    }

    /// As [`wait`](Self::wait), without waiting.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn try_wait(&self) -> io::Result<Option<Exit>> {
        self.0.try_wait()
    }

    /// Sends a signal to the process group that this child leads, for as long as it is not reaped; after that nothing is sent.
    ///
    /// # Errors
    ///
    /// When nobody in it may be signalled; [`Unsupported`](io::ErrorKind::Unsupported) on Windows.
    pub fn signal_group(&self, signal: Signal) -> io::Result<()> {
        self.0.signal_group(signal)
    }

    /// What becomes ready (readable to `poll`; on Windows signalled) when the child ends, made for the caller.
    ///
    /// # Errors
    ///
    /// When there are no descriptors left; [`Unsupported`](io::ErrorKind::Unsupported) on macOS, and the system's error on Linux before 5.3.
    pub fn sentinel(&self) -> io::Result<OsHandle> {
        self.0.sentinel()
    }

    /// Sends a signal. To a child that has ended already: nothing, and that is no error.
    ///
    /// # Errors
    ///
    /// When the child has become somebody we may not signal.
    ///
    /// # Platform
    ///
    /// Windows has no signals: each ends the process at once, with exit code 0x10000 (which Python reads as "terminated"), 0x10002 or
    /// 0x10009; whoever waits is told the signal.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.0.signal(signal)
    }
}
