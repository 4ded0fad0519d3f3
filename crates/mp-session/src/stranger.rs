//! Coming into a session through a door: the other side of [`crate::door`].

use std::time::{Duration, Instant};

use mp_sys::local::{Awaited, ready};
use mp_sys::{LivenessFile, LocalStream, MemoryObject};
use mp_wire::{Error, Result};

use crate::current;
use crate::door::{address, described};
use crate::founding::Prepared;
use crate::handshake::{ANSWER, Answer, ENTERED, HELLO, Hello, Program};
use crate::ids::MemberId;
use crate::session::{FOUNDING, Session};

/// How a process comes into another program's session, by a [`Door`](crate::Door).
///
/// # Trust
/// Who comes in sees and may change all of the session's memory, and so do those inside with what it puts there. The kernel's word that both
/// are the same user's is the only guard.
///
/// # Examples
///
/// ```no_run
/// use mp_session::{Joining, Session};
///
/// // In a program of its own; the other has called `Door::open(&session, "workshop")`.
/// let session = Joining::at("workshop").named("visitor").join()?;
/// let numbers: Option<Vec<u64>> = session.lookup("numbers")?;
/// # Ok::<(), mp_session::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Joining {
    door: String,
    name: Option<String>,
    same_program: bool,
    patience: Duration,
}

impl Session {
    /// Comes into the session behind the door of that name: [`Joining`] with its defaults.
    ///
    /// # Errors
    /// As [`Joining::join`].
    pub fn join(door: &str) -> Result<Session> {
        Joining::at(door).join()
    }

    /// Whether this process runs the program that founded the session. Strangers of other programs share data with it; functions are
    /// named by their place in one program's image.
    pub fn is_founders_program(&self) -> bool {
        self.image_id() == mp_sys::image_id()
    }
}

impl Joining {
    /// By the door of that name. It waits five seconds at most.
    pub fn at(door: &str) -> Joining {
        Joining { door: door.into(), name: None, same_program: false, patience: Duration::from_secs(5) }
    }

    /// The name of this process in the session; ordinarily that of its program's file.
    pub fn named(mut self, name: &str) -> Joining {
        self.name = Some(name.into());
        self
    }

    /// Only if the session was founded by the same program, to the last byte.
    pub fn same_program(mut self) -> Joining {
        self.same_program = true;
        self
    }

    /// Waits no longer than that.
    pub fn within(mut self, patience: Duration) -> Joining {
        self.patience = patience;
        self
    }

    /// Comes in: the session is this process's from then on. It is nobody's child there; when it ends, whoever notices clears up after
    /// it, as after any other process, and it reads as "disappeared": nobody inside can ask the system how it ended.
    ///
    /// # Errors
    /// [`Error::Closed`] when nobody holds such a door open; [`Error::Refused`] when it is another user's, in another pid namespace, or says so;
    /// [`Error::Layout`] when the two programs have other versions of mp; [`Error::ImageMismatch`] when one of them asked for the same program;
    /// [`Error::LimitReached`] when the session is full, or this process has no room for it; [`Error::TimedOut`]; [`Error::Stale`] when the
    /// door gave us up meanwhile; [`Error::Other`] when this process has a session already, founded or entered.
    ///
    /// # Blocking
    /// For as long as [`Joining::within`] says. [`Session::current`] waits meanwhile in other threads.
    ///
    /// # Platform
    /// [`Error::Unsupported`] on Windows.
    pub fn join(self) -> Result<Session> {
        let _one = FOUNDING.lock();
        // Before anything is received: a second descriptor of the liveness file would take our lock with it.
        if current::get().is_some() {
            return Err(Error::Other("this process has a session already".into()));
        }
        let deadline = Instant::now() + self.patience;
        let (directory, file) = address(&self.door)?;
        let door = described(&self.door);
        let stream = LocalStream::connect(&directory.join(file), deadline).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
                Error::Closed { what: format!("{door} in {}", directory.display()) }
            }
            std::io::ErrorKind::TimedOut => Error::TimedOut { what: door.clone() },
            _ => Error::os(&door, e),
        })?;
        let refused = |why: String| Error::Refused { what: door.clone(), why };
        let peer = stream.peer().map_err(|e| Error::os(&door, e))?;
        let user = mp_sys::current_user();
        if peer.uid != user {
            return Err(refused(format!("it is user {}'s, this process is user {user}'s", peer.uid)));
        }
        let hello = Hello {
            program: Program::this(),
            same_program: self.same_program,
            name: self.name.clone().unwrap_or_else(program_name),
        };
        let conversation = Conversation { stream, door: &door, deadline };
        let (answer, passed) = conversation.hold(&hello)?;
        let place = answer.place.clone()?;
        if peer.pid != Some(answer.program.pid) {
            return Err(refused("it is in another pid namespace".into()));
        }
        hello.program.fits(&answer.program)?;
        if self.same_program {
            hello.program.is_same(&answer.program)?;
        }
        let Ok([memory, liveness]) = <[_; 2]>::try_from(passed) else {
            return Err(refused("it did not pass the session's two descriptors".into()));
        };
        let memory = MemoryObject::from_received(memory).map_err(|e| Error::os(&door, e))?;
        if memory.size().map_err(|e| Error::os(&door, e))? != answer.size {
            return Err(Error::Layout { detail: "the session has another size than its door says".into() });
        }
        let prepared = Prepared::from_door(memory, answer.size, LivenessFile::from_received(liveness))?;
        if prepared.session_id() != answer.session {
            return Err(Error::Layout { detail: "another session than its door says".into() });
        }
        let session = prepared.enter_from_outside(MemberId::from_bits(place))?;
        // A door that is closed by now has seen us come.
        let _ = conversation.stream.send(&[ENTERED], &[]);
        Ok(session)
    }
}

fn program_name() -> String {
    let path = std::env::current_exe().ok();
    path.as_deref().and_then(|p| p.file_name()).map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

struct Conversation<'a> {
    stream: LocalStream,
    door: &'a str,
    deadline: Instant,
}

impl Conversation<'_> {
    fn hold(&self, hello: &Hello) -> Result<(Answer, Vec<mp_sys::OsHandle>)> {
        let said: [u8; HELLO] = hello.write();
        let mut sent = 0;
        while sent < HELLO {
            match self.stream.send(&said[sent..], &[]) {
                Ok(n) => sent += n,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => self.wait(true)?,
                // It does not listen any more, and has perhaps said why.
                Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => break,
                Err(e) => return Err(Error::os(self.door, e)),
            }
        }
        let (mut heard, mut got, mut passed) = ([0; ANSWER], 0, Vec::new());
        while got < ANSWER {
            match self.stream.recv(&mut heard[got..]) {
                Ok((0, _)) => return Err(self.gone()),
                Ok((n, more)) => {
                    got += n;
                    passed.extend(more);
                }
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => self.wait(false)?,
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return Err(self.gone()),
                Err(e) if e.kind() == std::io::ErrorKind::InvalidData => {
                    return Err(Error::LimitReached {
                        limit: "open descriptors of this process (RLIMIT_NOFILE)".into(),
                        detail: format!("{}: {e}", self.door),
                    });
                }
                Err(e) => return Err(Error::os(self.door, e)),
            }
        }
        Ok((Answer::read(&heard, self.door)?, passed))
    }

    fn gone(&self) -> Error {
        Error::Disconnected { what: self.door.into(), who: None, how: None }
    }

    fn wait(&self, to_write: bool) -> Result<()> {
        if Instant::now() >= self.deadline {
            return Err(Error::TimedOut { what: self.door.into() });
        }
        let awaited = Awaited { handle: self.stream.as_handle(), to_write };
        ready(&[awaited], Some(self.deadline)).map(drop).map_err(|e| Error::os(self.door, e))
    }
}
