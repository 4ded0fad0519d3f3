//! Doors: how a program that is no relative comes into a session.
//!
//! A session has no name, and its memory passes by inheritance. A *door* is a name, opened when somebody asks for it, behind which a
//! thread of the member that opened it waits for strangers of the same user, and hands them the session's two descriptors.
//!
//! **Letting somebody in is full trust.** From then on the stranger may change any byte of the session, as a relative may. The door's
//! checks keep out other users, other pid namespaces and other versions of mp; they do not make a bad program of your own harmless.
//!
//! # Functions and data
//!
//! A stranger may run another program. What crosses between programs:
//!
//! - *Data*: messages, queues, locks, memory. Each object's kind and type fingerprint are compared when a handle arrives
//!   ([`Object::expect`](crate::Object::expect)). The fingerprint is of the type's name and tells a queue of `u32` from one of `String`; it does
//!   not see that two programs define one name differently. Values are decoded with bounds checked and may come out wrong then; memory holds
//!   types of which every sequence of bytes is a value. So share types through a crate that both programs use.
//! - *Functions* do not: a process is started from its parent's own image, and checks that ([`Error::ImageMismatch`]). A pool's workers are
//!   children of the pool's owner.
//!
//! Who wants nothing but its own program opens with [`Door::open_to_this_program`].
//!
//! # Deaths
//!
//! | dies | survivors see |
//! |---|---|
//! | the stranger, before it has its place | its connection's end, or its pid's: the place is given up |
//! | the stranger, inside | what they see of any process: its beacon, its lock |
//! | the door's process | a socket that nobody listens at: refused, and replaced by the next door of that name. Places that it had reserved are swept with it; a stranger that comes for one finds it taken back ([`Error::Stale`]) |
//!
//! The stranger's place names the door's process as its parent until it is taken, and the stranger's pid from the start, so that one or the
//! other death is noticed by anybody. When it is taken it has no parent, and it was said before that nobody will ask about its end: it is
//! free as soon as the stranger was swept.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Once, Weak};
use std::time::Instant;

use mp_sys::{LocalListener, LocalStream};
use mp_wire::{Error, Result};
use parking_lot::Mutex;

use crate::reception::{Log, PATIENCE, Reception};
use crate::session::Session;

/// Names the directory of the doors' names, which must be this user's and closed to all others. Ordinarily it is `mp` in
/// `$XDG_RUNTIME_DIR`, or `mp-UID` among the temporary files.
pub const DOOR_DIR_VAR: &str = "MP_DOOR_DIR";

/// The directory and the file of a door's name.
pub(crate) fn address(name: &str) -> Result<(PathBuf, String)> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.bytes().all(fine) {
        return Err(Error::InvalidArgument {
            detail: format!(
                "{name:?} is no name for a door: 1 to 64 letters, digits, '.', '_' or '-', no '.' in front"
            ),
        });
    }
    let chosen = std::env::var_os(DOOR_DIR_VAR).map(PathBuf::from);
    let directory = mp_sys::private_directory(chosen.as_deref()).map_err(|e| match e.kind() {
        std::io::ErrorKind::Unsupported => Error::Unsupported { what: "a door into a session".into() },
        std::io::ErrorKind::PermissionDenied => {
            Error::Refused { what: "a directory for doors".into(), why: e.to_string() }
        }
        _ => Error::os("make a directory for doors", e),
    })?;
    Ok((directory, format!("{name}.door")))
}

pub(crate) fn described(name: &str) -> String {
    format!("the door {name:?}")
}

/// A stranger that was not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedPeer {
    /// Its pid, if it can be seen from here.
    pub pid: Option<u32>,
    /// Why: what the stranger was told, too, if it listened.
    pub error: Error,
}

/// A named way into the session, for programs of the same user that are no relatives. It is open until it is dropped, or its process
/// ends. See [`Joining`](crate::Joining) for the other side.
///
/// # Trust
/// **Letting somebody in is full trust**: who comes in may read and change all that the session holds. Only processes of the same user can.
///
/// # If a process dies
/// Nobody can come in any more; those inside stay. The name is free for the next door.
///
/// # Platform
/// Linux and macOS; [`Error::Unsupported`] on Windows. A writable directory of one's own is needed ([`DOOR_DIR_VAR`]).
///
/// # Examples
///
/// ```
/// use mp_session::{Door, Session};
///
/// let session = Session::current()?;
/// let name = format!("example-{}", std::process::id());
/// match Door::open(&session, &name) {
///     Ok(door) => assert_eq!(door.admitted(), 0),
///     Err(error) => eprintln!("no doors here: {error}"),
/// }
/// # Ok::<(), mp_session::Error>(())
/// ```
#[derive(Debug)]
pub struct Door {
    state: Arc<State>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// Whose other end the thread watches: its end is the thread's.
    awake: Option<LocalStream>,
}

/// What the door and its thread share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) session: Session,
    pub(crate) listener: LocalListener,
    path: PathBuf,
    pub(crate) same_program: bool,
    pub(crate) log: Mutex<Log>,
}

/// The doors of this process, for its end.
static OPEN: Mutex<Vec<Weak<State>>> = Mutex::new(Vec::new());

extern "C" fn close_all() {
    // A copy that a foreign fork made has no doors, and finds the lock as the fork found it.
    let Some(mut doors) = OPEN.try_lock() else { return };
    let doors = std::mem::take(&mut *doors);
    for door in doors.iter().filter_map(Weak::upgrade).filter(|d| d.session.is_member()) {
        door.listener.remove_name();
    }
}

impl Door {
    /// Opens a door of that name (letters, digits, `.`, `_`, `-`) to any program of this user.
    ///
    /// # Errors
    /// [`Error::Refused`] when somebody else holds a door of that name open, or the directory is not ours alone;
    /// [`Error::InvalidArgument`] for what cannot be a name; [`Error::TimedOut`] when another process is at work on the directory for too
    /// long; [`Error::Unsupported`] for a session on the heap and on Windows; [`Error::Os`] for a read-only file system and the like.
    ///
    /// # Blocking
    /// Five seconds at most, for others that open and close doors at that moment.
    pub fn open(session: &Session, name: &str) -> Result<Door> {
        Door::make(session, name, false)
    }

    /// The same, for processes of this very program (the same image, to the last byte) only.
    ///
    /// # Errors
    /// As [`Door::open`].
    pub fn open_to_this_program(session: &Session, name: &str) -> Result<Door> {
        Door::make(session, name, true)
    }

    fn make(session: &Session, name: &str, same_program: bool) -> Result<Door> {
        session.me()?;
        session.descriptors()?;
        let failed = |e| Error::os(described(name), e);
        let (awake, watched) = LocalStream::pair().map_err(failed)?;
        let (path, listener) = listen(name)?;
        let state =
            Arc::new(State { session: session.clone(), listener, path, same_program, log: Mutex::default() });
        let reception = Reception::new(state.clone(), watched);
        let mut door = Door { state, thread: None, awake: Some(awake) };
        let thread = std::thread::Builder::new()
            .name("mp-door".into())
            .stack_size(256 * 1024) // it may have to sweep
            .spawn(move || reception.run());
        door.thread = Some(thread.map_err(|e| Error::os("thread of a door", e))?);
        // Without it the name stays behind at the end of the process, and is recognised as such.
        static AT_EXIT: Once = Once::new();
        AT_EXIT.call_once(|| drop(mp_sys::at_exit(close_all)));
        let mut open = OPEN.lock();
        open.retain(|door| door.strong_count() > 0);
        open.push(Arc::downgrade(&door.state));
        drop(open);
        Ok(door)
    }

    /// Where the name lies.
    pub fn path(&self) -> &Path {
        &self.state.path
    }

    /// How many strangers came in.
    pub fn admitted(&self) -> u64 {
        self.state.log.lock().admitted
    }

    /// The last strangers that were not let in, and why; the oldest first. Each is told once.
    pub fn take_refused(&self) -> Vec<RefusedPeer> {
        self.state.log.lock().refused.drain(..).collect()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if !self.state.session.is_member() {
            return; // a foreign fork's copy: the thread and the name are its parent's
        }
        self.awake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there was told by itself; the name goes all the same
        }
        // What cannot be removed in time is recognised as left behind.
        let _ = self.state.listener.remove(Instant::now() + PATIENCE);
    }
}

fn listen(name: &str) -> Result<(PathBuf, LocalListener)> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (directory, file) = address(name)?;
        match LocalListener::bind(&directory, &file, deadline) {
            Ok(listener) => return Ok((directory.join(file), listener)),
            // Somebody closed the last door, and took the empty directory away.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && Instant::now() < deadline => {}
            Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
                let why = "somebody holds a door of this name open".into();
                return Err(Error::Refused { what: described(name), why });
            }
            Err(e) if e.kind() == std::io::ErrorKind::TimedOut => {
                return Err(Error::TimedOut {
                    what: format!("{} (its directory is locked)", described(name)),
                });
            }
            Err(e) if e.kind() == std::io::ErrorKind::InvalidInput => {
                return Err(Error::InvalidArgument { detail: e.to_string() });
            }
            Err(e) => return Err(Error::os(described(name), e)),
        }
    }
}
