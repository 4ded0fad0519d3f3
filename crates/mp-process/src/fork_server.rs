//! The fork server: a small process that forks for us.
//!
//! It is a run of this program's image that never came to `main`: one thread, the session mapped but not entered. A request
//! is a place in the session, the child's standard streams if they differ from the server's, and the handles in its arguments. The
//! server clones itself in such a way that the child is *our* child (`CLONE_PARENT`): we reap it, signal it and learn
//! its end, and the server's death takes nothing with it. The rest of what the child is to be lies in its place.
//!
//! The answer to a request is sent twice, by the server and by the child before it does anything else; the first counts,
//! the other is skipped when the next answer is read. The child closes the channel only after it has answered. So the
//! end of the channel says more than that the server is gone: there is no child either that we do not know of, and
//! the same place can be asked for again.
//!
//! | death | who notices | what follows |
//! |---|---|---|
//! | the server, idle | the next start (the channel is closed) | a new server, the request is sent again |
//! | the server, before it forked | the same | the place was not taken: the same |
//! | the server, after it forked, before it answered | nobody yet | the child answers; the next start makes a new server |
//! | the child, before it answered | us, reaping it | the server answers |
//! | both, before either answered | the same start (the channel is closed) | a new server; what the killed child leaves is an entry in the process table, until we end |
//! | us | the server (the channel is closed) | it exits |

use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;

use mp_session::{Place, StartedProcess, Ticket};
use mp_sys::{BorrowedOsHandle, Channel, Child, OsHandle, Program, SpawnRequest, Stdio};
use mp_wire::{Error, Result};
use parking_lot::Mutex;

use crate::launch::{Order, start_error};
use crate::streams::Stream;

/// The environment variable that makes a run of this program a fork server: its channel, and its ticket.
pub(crate) const SERVER_VAR: &str = "MP_FORK_SERVER";

/// Requests and answers: `member(8) | own streams(1)`, and `pid(4) | error code(4) | member(8)`.
pub(crate) const REQUEST: usize = 9;
pub(crate) const ANSWER: usize = 16;

/// A server that was killed is no reason to give a start up; one that dies each time is.
const ATTEMPTS: u32 = 5;

static SERVER: Mutex<Option<Server>> = Mutex::new(None);

#[derive(Debug)]
struct Server {
    channel: Channel,
    process: StartedProcess,
}

/// What the server was started with, and so gives its children by itself.
#[derive(Debug)]
struct Inherited {
    env: u64,
    cwd: Option<PathBuf>,
    streams: [Option<(u64, u64)>; 3],
}

static INHERITED: Mutex<Option<Inherited>> = Mutex::new(None);

fn environment_hash(hasher: &RandomState) -> u64 {
    std::env::vars_os().fold(0_u64, |sum, pair| sum.wrapping_add(hasher.hash_one(&pair)))
}

fn hasher() -> &'static RandomState {
    static HASHER: std::sync::OnceLock<RandomState> = std::sync::OnceLock::new();
    HASHER.get_or_init(RandomState::new)
}

/// Makes sure that there is a server, and writes into the spec what its children would not have by themselves.
pub(crate) fn complete(order: &mut Order) -> Result<()> {
    let mut server = SERVER.lock();
    if server.is_none() {
        *server = Some(Server::start()?);
    }
    let inherited = INHERITED.lock();
    let Some(inherited) = inherited.as_ref() else { return Ok(()) };
    if let Some(env) = order.env.take() {
        order.spec.env = Some(env);
    } else if environment_hash(hasher()) != inherited.env {
        order.spec.env = Some(std::env::vars_os().collect());
    }
    if order.spec.cwd.is_none() {
        let here = std::env::current_dir().ok();
        if here != inherited.cwd {
            order.spec.cwd = here;
        }
    }
    Ok(())
}

/// Has the server fork for this place.
pub(crate) fn launch(place: &Place, order: Order) -> Result<StartedProcess> {
    let mut guard = SERVER.lock();
    let streams = own_streams(&order.streams)?;
    for attempt in 1..=ATTEMPTS {
        if guard.is_none() {
            *guard = Some(Server::start()?);
        }
        let Some(server) = guard.as_ref() else { continue };
        match server.request(place, &streams, &order.handles) {
            Ok(pid) => {
                // SAFETY: the server's clone made it our child, and nobody else reaps it.
                return Ok(StartedProcess::new(unsafe { Child::from_pid(pid) }));
            }
            Err(Refusal::Said(error)) => return Err(start_error("fork server: start a process", error)),
            Err(Refusal::Gone(error)) => {
                if let Some(dead) = guard.take() {
                    // Collected, so that it is no zombie; it is gone or about to go.
                    let _ = dead.process.signal(mp_sys::Signal::Kill);
                    dead.process.wait(None)?;
                }
                if attempt == ATTEMPTS {
                    return Err(Error::os(format!("fork server: it ended {ATTEMPTS} times in a row"), error));
                }
            }
        }
    }
    Err(Error::Other("fork server: no answer".into()))
}

enum Refusal {
    Said(std::io::Error),
    Gone(std::io::Error),
}

impl Server {
    fn start() -> Result<Server> {
        let (ours, theirs) = Channel::pair().map_err(|e| start_error("fork server: channel", e))?;
        let session = mp_session::Session::current()?;
        let ticket = session.descriptors()?;
        let mut env: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let value = format!("{:x},{}", theirs.as_inherited(), ticket.to_text());
        env.push((SERVER_VAR.into(), value.into()));
        *INHERITED.lock() = Some(Inherited {
            env: environment_hash(hasher()),
            cwd: std::env::current_dir().ok(),
            streams: [None, mp_sys::stream_identity(1).ok(), mp_sys::stream_identity(2).ok()],
        });
        let request = SpawnRequest {
            program: Program::SelfImage,
            args: std::env::args_os().skip(1).collect(),
            env,
            inherit: ticket.descriptors().into_iter().chain([theirs.as_inherited()]).collect(),
            stdio: [Stdio::Null, Stdio::Inherit, Stdio::Inherit],
            cwd: None,
            // Ctrl-C is not for it: it ends when its channel does.
            new_process_group: true,
        };
        let child = mp_sys::spawn(&request).map_err(|e| start_error("fork server: start", e))?;
        Ok(Server { channel: ours, process: StartedProcess::new(child) })
    }

    fn request(
        &self,
        place: &Place,
        streams: &Option<[OsHandle; 3]>,
        handles: &[OsHandle],
    ) -> std::result::Result<u32, Refusal> {
        let mut request = [0_u8; REQUEST];
        let member = place.id().to_bits().to_le_bytes();
        request[..8].copy_from_slice(&member);
        request[8] = u8::from(streams.is_some());
        let fds: Vec<BorrowedOsHandle<'_>> =
            streams.iter().flatten().chain(handles).map(mp_sys::borrow).collect();
        self.channel.send(&request, &fds).map_err(Refusal::Gone)?;
        let mut answer = [0_u8; ANSWER];
        while answer[8..] != member {
            let (length, _) = self.channel.recv(&mut answer).map_err(Refusal::Gone)?;
            if length != ANSWER {
                return Err(Refusal::Gone(std::io::ErrorKind::UnexpectedEof.into()));
            }
        }
        let (pid, code) = answer.split_at(4);
        let number = |b: &[u8]| i32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        match number(code) {
            0 => Ok(number(pid).cast_unsigned()),
            code => Err(Refusal::Said(std::io::Error::from_raw_os_error(code))),
        }
    }
}

/// The child's streams, if the server's own will not do.
fn own_streams(wanted: &[Stream; 3]) -> Result<Option<[OsHandle; 3]>> {
    let inherited = INHERITED.lock();
    let servers = inherited.as_ref().map_or([None; 3], |i| i.streams);
    let same = |i: usize| match &wanted[i] {
        // The server's standard input is nothing.
        Stream::Null => i == 0,
        Stream::Piped | Stream::Handle(_) => false,
        Stream::Inherit => i != 0 && servers[i].is_some() && mp_sys::stream_identity(i).ok() == servers[i],
    };
    if (0..3).all(same) {
        return Ok(None);
    }
    let stream = |i: usize| match &wanted[i] {
        Stream::Null => mp_sys::null_stream(),
        Stream::Handle(handle) => mp_sys::duplicate_handle(mp_sys::borrow(handle)),
        Stream::Piped => Err(std::io::ErrorKind::InvalidInput.into()), // made one before
        // One that is closed here is nothing there.
        Stream::Inherit => mp_sys::duplicate_stream(i).or_else(|_| mp_sys::null_stream()),
    };
    let handle = |i| stream(i).map_err(|e| start_error("standard streams for a process", e));
    Ok(Some([handle(0)?, handle(1)?, handle(2)?]))
}

/// What a server reads from [`SERVER_VAR`].
pub(crate) fn parse(value: &str) -> Result<(u64, Ticket)> {
    let bad = || Error::Forged { what: format!("the environment variable {SERVER_VAR}") };
    let (channel, ticket) = value.split_once(',').ok_or_else(bad)?;
    Ok((u64::from_str_radix(channel, 16).map_err(|_| bad())?, Ticket::parse(ticket)?))
}
