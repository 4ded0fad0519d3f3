//! Who this process is in the tree: what its parent told it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::*};
use std::time::{Duration, Instant};

use mp_session::Session;
use mp_wire::{Error, Result};
use parking_lot::Mutex;

use crate::spec::Spec;
use crate::start::StartMethod;

/// How deep the tree of processes may get: a fork bomb ends here.
pub(crate) const MAX_DEPTH: u32 = 32;

static INITIALISED: AtomicBool = AtomicBool::new(false);
static COUNTER: AtomicU32 = AtomicU32::new(0);
static METHOD: AtomicU8 = AtomicU8::new(0);
static ROLE: Mutex<Option<Role>> = Mutex::new(None);

/// What the parent's spec says about us; a process without a parent has none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Role {
    pub(crate) daemon: bool,
    pub(crate) may_have_children: bool,
    pub(crate) depth: u32,
}

pub(crate) fn set_initialised() {
    INITIALISED.store(true, Release);
}

pub(crate) fn require_initialised() -> Result<()> {
    if INITIALISED.load(Acquire) {
        return Ok(());
    }
    Err(Error::NotInitialised {
        hint: "a child runs this program again, so main must begin with `mp::init()` or have `#[mp::main]` \
               (tests: `mp::enable_in_tests!();` once in the test file)"
            .into(),
    })
}

pub(crate) fn set_role(spec: &Spec) {
    let role = Role { daemon: spec.daemon, may_have_children: spec.may_have_children, depth: spec.depth };
    *ROLE.lock() = Some(role);
    METHOD.store(spec.start_method, Relaxed);
}

/// In a copy of a process: it has had no children yet.
pub(crate) fn count_anew() {
    COUNTER.store(0, Relaxed);
}

fn role() -> Option<Role> {
    *ROLE.lock()
}

pub(crate) fn is_daemon() -> bool {
    role().is_some_and(|r| r.daemon)
}

pub(crate) fn depth() -> u32 {
    role().map_or(0, |r| r.depth)
}

/// Whether this process may start children at all.
pub(crate) fn require_may_have_children() -> Result<()> {
    if let Some(role) = role() {
        if role.daemon && !role.may_have_children {
            return Err(Error::Daemon {
                detail: "a daemon may start no children, for they would outlive it (allow it with `may_have_children`)".into(),
            });
        }
        if role.depth >= MAX_DEPTH {
            return Err(Error::LimitReached {
                limit: "depth of the tree of processes".into(),
                detail: format!("{MAX_DEPTH} generations"),
            });
        }
    }
    Ok(())
}

/// The next child's name, as Python gives it: `Process-1`, and `Process-1:2` for the second child of that one.
pub(crate) fn next_name() -> String {
    let number = COUNTER.fetch_add(1, Relaxed) + 1;
    let own = Session::existing().map(|s| s.name()).unwrap_or_default();
    match own.strip_prefix("Process-") {
        Some(lineage) if depth() > 0 => format!("Process-{lineage}:{number}"),
        _ => format!("Process-{number}"),
    }
}

pub(crate) fn method() -> StartMethod {
    StartMethod::from_code(METHOD.load(Relaxed))
}

pub(crate) fn set_method(method: StartMethod) {
    METHOD.store(method.code(), Relaxed);
}

/// This process (Python's `current_process()`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CurrentProcess {
    /// The process id.
    pub pid: u32,
    /// The name that the parent gave it, `MainProcess` if there is none.
    pub name: String,
    /// Whether it ends with its parent.
    pub daemon: bool,
}

/// Who this process is.
pub fn current_process() -> CurrentProcess {
    CurrentProcess {
        pid: mp_sys::current_pid(),
        name: Session::existing().map_or_else(|| "MainProcess".into(), |s| s.name()),
        daemon: is_daemon(),
    }
}

/// Gives this process another name (Python's `current_process().name = ...`). It shows up in errors of others, in reports and, in short, in
/// `ps`; the handle that its parent has keeps the old one.
///
/// # Errors
/// As [`Session::current`].
pub fn set_current_name(name: &str) -> Result<()> {
    Session::current()?.set_name(name);
    // A name that the system does not take is no reason to fail.
    let _ = mp_sys::set_process_title(name);
    Ok(())
}

/// The process that started this one (Python's `parent_process()`).
#[derive(Clone, Debug)]
pub struct ParentProcess {
    session: Session,
    pid: u32,
    name: String,
}

/// The parent, or `None` in a process that mp did not start.
pub fn parent_process() -> Option<ParentProcess> {
    role()?;
    let session = Session::existing()?;
    let (ident, _) = session.parent()?;
    Some(ParentProcess { pid: ident.pid, name: ident.name, session })
}

impl ParentProcess {
    /// Its process id; 0 when it was gone before it was asked for.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it lives.
    pub fn is_alive(&self) -> bool {
        self.session.parent().is_some_and(|(_, lives)| lives)
    }

    /// Waits until it is gone.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    pub fn join(&self) -> Result<()> {
        self.session.wait_for_parent(None).map(|_| ())
    }

    /// Waits until it is gone, at most so long; `false` if it still lives.
    ///
    /// # Errors
    /// As [`Session::thread_id`].
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool> {
        self.session.wait_for_parent(Instant::now().checked_add(timeout))
    }
}
