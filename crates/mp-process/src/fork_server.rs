//! The fork server: a small process that forks for us.
//!
//! It is a run of this program's image that never came to `main`: one thread, the session mapped but not entered. A request
//! is a place in the session, the child's standard streams if they differ from the server's, and the handles in its arguments. The
//! server clones itself in such a way that the child is *our* child (`CLONE_PARENT`): we reap it, signal it and learn
//! its end, and the server's death takes nothing with it. The rest of what the child is to be lies in its place.
//!
//! A request, an answer, one at a time:
//!
//! ```text
//! request   member(64) | OWN_STREAMS, SPARE (8)
//! answer    pid(32) | error code(32) | member(64) | start time(64)
//! ```
//!
//! The kernel itself writes the child's pid into a word of the child's place ([`mp_sys::fork_sibling`]), before the child runs
//! its first instruction. So there is no child that we do not know of: once a server is dead and reaped, the word says
//! whether it had forked.
//!
//! A server that does not answer within [`ANSWER_WITHIN`] (somebody stopped it) is killed, and then is as one that died.
//!
//! | death | who notices | what follows |
//! |---|---|---|
//! | the server, idle | the next start (the channel is closed) | a new server, the request is sent again |
//! | the server, before it forked | the same start | the word is zero: the same |
//! | the server, after it forked, before it answered | the same start | the word names the child, which is ours |
//! | the child, at any time | us, reaping it | the server has answered, or answers |
//! | both, before an answer | the same start | the word names the child, which is reaped |
//! | us | the server (the channel is closed) | it exits |
//!
//! *nobody's-request*: we die right after a request, are swept, and the place is another's before the server reads the request.
//! The server looks at the generation of the place and does not fork; should it have looked too early, the child finds its
//! place gone, and the pid that lies in the word is one that the new owner asks about only after the death of its own server.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::*;
use std::time::Duration;

use mp_session::{Message, Place, Session, StartedProcess, Ticket};
use mp_sys::{BorrowedOsHandle, Channel, Child, OsHandle, Program, SpawnRequest, Standing, Stdio};
use mp_wire::{Error, Outcome, Result};
use parking_lot::Mutex;

use crate::launch::{Order, start_error};
use crate::preload;
use crate::request::{
    ANSWER, Answer, OUTCOME, OWN_STREAMS, PID_WORD, PRELOAD_FAILED, REQUEST, SPARE, pid_note,
};
use crate::spare::{self, Demand, Spare};
use crate::streams::{self, Stream};

/// The environment variable that makes a run of this program a fork server: its channel, and its ticket.
pub(crate) const SERVER_VAR: &str = "MP_FORK_SERVER";

/// How long a server may take. A fork takes a hundred microseconds; this is for machines that swap, and for servers that somebody
/// has stopped.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The same for the first answer of one that has to preload something.
const PRELOAD_WITHIN: Duration = Duration::from_secs(120);

/// A server that was killed is no reason to give a start up; one that dies each time is.
const ATTEMPTS: u32 = 5;

static SERVER: Mutex<Option<Server>> = Mutex::new(None);

#[derive(Debug)]
struct Server {
    channel: Channel,
    process: StartedProcess,
    ahead: Ahead,
}

/// A child started ahead ([`crate::spare`]).
#[derive(Debug)]
enum Ahead {
    None,
    /// The answer has not been read.
    Asked(Place),
    Ready(Spare),
}

static DEMAND: Mutex<Option<Demand>> = Mutex::new(None);

/// What the server was started with, and so gives its children by itself.
#[derive(Debug)]
struct Inherited {
    env: Vec<(OsString, OsString)>,
    cwd: Option<PathBuf>,
    streams: [Option<(u64, u64)>; 3],
    standing: Standing,
    preload: i64,
    /// Of the thread that started it.
    affinity: Option<Vec<usize>>,
    nice: i32,
}

static INHERITED: Mutex<Option<Inherited>> = Mutex::new(None);

/// Makes sure that there is a server that can make such a child, and writes into the spec what its children would not have by
/// themselves.
///
/// | what differs from the server's start | what is done |
/// |---|---|
/// | environment, directory, niceness (upwards), affinity | it goes along in the spec |
/// | streams | they go along with the request |
/// | limits, umask, ignored signals, user, groups, rights, session, OOM score ([`Standing`]); niceness downwards; what is preloaded | a new server |
pub(crate) fn complete(order: &mut Order) -> Result<()> {
    let mut server = SERVER.lock();
    let standing = Standing::now();
    let nice = mp_sys::niceness();
    let outdated = |inherited: &Inherited| {
        inherited.standing != standing || inherited.nice > nice || inherited.preload != preload::name()
    };
    if INHERITED.lock().as_ref().is_some_and(outdated)
        && let Some(server) = server.take()
    {
        server.end()?;
    }
    if server.is_none() {
        *server = Some(Server::start()?);
    }
    let inherited = INHERITED.lock();
    let Some(inherited) = inherited.as_ref() else { return Ok(()) };
    if let Some(env) = order.env.take() {
        order.spec.env = Some(env);
    } else if !std::env::vars_os().eq(inherited.env.iter().cloned()) {
        order.spec.env = Some(std::env::vars_os().collect());
    }
    if order.spec.cwd.is_none() {
        let here = std::env::current_dir().ok();
        if here != inherited.cwd {
            order.spec.cwd = here;
        }
    }
    if order.spec.affinity.is_none() {
        let affinity = mp_sys::affinity().ok();
        if affinity != inherited.affinity {
            order.spec.affinity = affinity;
        }
    }
    if nice != inherited.nice {
        order.spec.niceness = Some(nice);
    }
    Ok(())
}

/// Starts a process with these arguments: a spare, or a new one.
pub(crate) fn launch(
    session: &Session,
    name: &str,
    order: &Order,
    message: &Message,
) -> Result<(Place, Arc<StartedProcess>)> {
    let mut guard = SERVER.lock();
    let mut demand = DEMAND.lock();
    let demand = demand.get_or_insert_with(Demand::new);
    demand.count();
    let streams = own_streams(&order.streams)?;
    let like_the_server = streams.is_none() && order.handles.is_empty();
    let gone = guard.as_mut().is_some_and(|server| server.read_ahead(demand).is_err());
    if gone && let Some(server) = guard.take() {
        server.end()?;
    }
    if like_the_server
        && let Some(server) = guard.as_mut()
        && let Some(spare) = server.take_ahead()
        && let Some(started) = spare.call(name, message)?
    {
        server.ask_ahead(session, demand);
        return Ok(started);
    }
    let place = session.reserve(name)?;
    let started =
        place.put_arguments(message).and_then(|()| fork(&mut guard, &place, &streams, &order.handles));
    match started {
        Ok((process, start_time)) => {
            let process = Arc::new(process);
            place.started_at(process.clone(), start_time);
            if let Some(server) = guard.as_mut() {
                server.ask_ahead(session, demand);
            }
            Ok((place, process))
        }
        Err(error) => {
            place.give_up()?;
            Err(error)
        }
    }
}

/// Ends the child that was started ahead, if there is one, or collects it. At the end of the process, and where somebody counts.
pub(crate) fn dismiss_spare() -> Result<()> {
    // Whoever holds it for longer is in the middle of a start, and not of ours.
    let Some(mut guard) = SERVER.try_lock_for(Duration::from_millis(100)) else { return Ok(()) };
    let Some(server) = guard.as_mut() else { return Ok(()) };
    if server.read_ahead(&mut Demand::new()).is_err() {
        return guard.take().map_or(Ok(()), Server::end);
    }
    server.take_ahead().map_or(Ok(()), Spare::dismiss)
}

/// In a copy of this process: the server is the original's. The copy's end of the channel must not outlive that.
pub(crate) fn leave_to_the_original() {
    if let Some(server) = SERVER.lock().take() {
        let Server { channel, process, ahead } = server;
        drop(channel);
        #[expect(clippy::mem_forget, reason = "whom they name are the original's children")]
        std::mem::forget((process, ahead));
    }
    *DEMAND.lock() = None;
    *INHERITED.lock() = None;
}

/// Has the server fork for this place.
fn fork(
    guard: &mut Option<Server>,
    place: &Place,
    streams: &Option<[OsHandle; 3]>,
    handles: &[OsHandle],
) -> Result<(StartedProcess, Option<u64>)> {
    let flags = if streams.is_some() { OWN_STREAMS } else { 0 };
    let fds: Vec<BorrowedOsHandle<'_>> =
        streams.iter().flatten().chain(handles).map(mp_sys::borrow).collect();
    for attempt in 1..=ATTEMPTS {
        let server = match guard.take() {
            Some(server) => server,
            None => Server::start()?,
        };
        match server.request(place, flags, &fds).and_then(|()| server.answer(place)) {
            Ok(answer) => {
                server.has_answered()?;
                *guard = Some(server);
                return Ok((adopt(answer.pid), answer.start_time()));
            }
            Err(Refusal::Said(error)) => {
                *guard = Some(server);
                return Err(start_error("fork server: start a process", error));
            }
            Err(Refusal::Preload(error)) => {
                // The next start gives it another chance: what it wants may be there by then.
                server.end()?;
                return Err(error);
            }
            Err(Refusal::Gone(error)) => {
                server.end()?;
                if let Some(process) = process_in(place) {
                    return Ok((process, None));
                }
                if attempt == ATTEMPTS {
                    return Err(Error::os(format!("fork server: it ended {ATTEMPTS} times in a row"), error));
                }
            }
        }
    }
    Err(Error::Other("fork server: no answer".into()))
}

/// After the end of a server: the child that it forked for this place, if it did.
fn process_in(place: &Place) -> Option<StartedProcess> {
    let pid = place.user_word(PID_WORD).map_or(0, |word| pid_note(word).load(Acquire));
    (pid != 0).then(|| adopt(pid))
}

fn adopt(pid: u32) -> StartedProcess {
    // SAFETY: the server's clone made it our child, and nobody else reaps it.
    StartedProcess::new(unsafe { Child::from_pid(pid) })
}

enum Refusal {
    Said(std::io::Error),
    Preload(Error),
    Gone(std::io::Error),
}

impl Server {
    fn start() -> Result<Server> {
        let (ours, theirs) = Channel::pair().map_err(|e| start_error("fork server: channel", e))?;
        let preload = preload::name();
        let patience = if preload == 0 { ANSWER_WITHIN } else { PRELOAD_WITHIN };
        ours.set_timeout(patience).map_err(|e| Error::os("fork server: channel", e))?;
        let session = mp_session::Session::current()?;
        let ticket = session.descriptors()?;
        let inherited: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let mut env = inherited.clone();
        let value = format!("{:x},{:x},{}", theirs.as_inherited(), preload, ticket.to_text());
        env.push((SERVER_VAR.into(), value.into()));
        *INHERITED.lock() = Some(Inherited {
            env: inherited,
            cwd: std::env::current_dir().ok(),
            streams: [None, mp_sys::stream_identity(1).ok(), mp_sys::stream_identity(2).ok()],
            standing: Standing::now(),
            preload: preload::name(),
            affinity: mp_sys::affinity().ok(),
            nice: mp_sys::niceness(),
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
            // Nor for its copies, before they have said what they do then.
            hold_interrupt: true,
        };
        let child = mp_sys::spawn(&request).map_err(|e| start_error("fork server: start", e))?;
        Ok(Server { channel: ours, process: StartedProcess::new(child), ahead: Ahead::None })
    }

    fn request(
        &self,
        place: &Place,
        flags: u8,
        fds: &[BorrowedOsHandle<'_>],
    ) -> std::result::Result<(), Refusal> {
        let mut request = [0_u8; REQUEST];
        request[..8].copy_from_slice(&place.id().to_bits().to_le_bytes());
        request[8] = flags;
        self.channel.send(&request, fds).map_err(Refusal::Gone)
    }

    fn answer(&self, place: &Place) -> std::result::Result<Answer, Refusal> {
        let mut answer = [0_u8; ANSWER];
        let (length, _) = self.channel.recv(&mut answer).map_err(Refusal::Gone)?;
        if length != ANSWER {
            return Err(Refusal::Gone(std::io::ErrorKind::UnexpectedEof.into()));
        }
        let answer = Answer::from_bytes(&answer);
        if answer.member != place.id() {
            return Err(Refusal::Gone(std::io::ErrorKind::InvalidData.into()));
        }
        match answer.code {
            0 => Ok(answer),
            PRELOAD_FAILED => {
                let mut outcome = vec![0; OUTCOME];
                let (length, _) = self.channel.recv(&mut outcome).map_err(Refusal::Gone)?;
                let error = Outcome::decode(&outcome[..length]).0.into_result();
                Err(Refusal::Preload(
                    error.err().unwrap_or_else(|| Error::Other("fork server: preload".into())),
                ))
            }
            code => Err(Refusal::Said(std::io::Error::from_raw_os_error(code))),
        }
    }

    /// Its preload is through, if it has one.
    fn has_answered(&self) -> Result<()> {
        if preload::name() != 0 {
            self.channel.set_timeout(ANSWER_WITHIN).map_err(|e| Error::os("fork server: channel", e))?;
        }
        Ok(())
    }

    /// Asks for a spare, if there is reason to and none yet. No failure matters: the next start sees what is wrong.
    fn ask_ahead(&mut self, session: &Session, demand: &Demand) {
        if !demand.is_high() || !matches!(self.ahead, Ahead::None) {
            return;
        }
        let Ok(place) = session.reserve("spare") else { return };
        spare::expect_in(&place);
        match self.request(&place, SPARE, &[]) {
            Ok(()) => self.ahead = Ahead::Asked(place),
            Err(_) => {
                let _ = place.give_up();
            }
        }
    }

    /// Reads the answer that may be outstanding. An error: the server is gone.
    fn read_ahead(&mut self, demand: &mut Demand) -> std::io::Result<()> {
        let Ahead::Asked(place) = &self.ahead else { return Ok(()) };
        match self.answer(place) {
            Ok(answer) => {
                if let Ahead::Asked(place) = std::mem::replace(&mut self.ahead, Ahead::None) {
                    let spare = Spare::new(place, adopt(answer.pid), answer.start_time());
                    self.ahead = Ahead::Ready(spare);
                }
                Ok(())
            }
            // No room for one more than is needed.
            Err(Refusal::Said(_) | Refusal::Preload(_)) => {
                demand.forget();
                if let Ahead::Asked(place) = std::mem::replace(&mut self.ahead, Ahead::None) {
                    let _ = place.give_up();
                }
                Ok(())
            }
            Err(Refusal::Gone(error)) => Err(error),
        }
    }

    fn take_ahead(&mut self) -> Option<Spare> {
        match std::mem::replace(&mut self.ahead, Ahead::None) {
            Ahead::Ready(spare) => Some(spare),
            other => {
                self.ahead = other;
                None
            }
        }
    }

    /// Makes sure that it forks no more, and is no zombie. A child that it forked ahead goes with it: the next server will have
    /// begun with another environment.
    fn end(self) -> Result<()> {
        self.process.signal(mp_sys::Signal::Kill)?;
        self.process.wait(None)?;
        match self.ahead {
            Ahead::None => Ok(()),
            Ahead::Ready(spare) => spare.dismiss(),
            Ahead::Asked(place) => match process_in(&place) {
                Some(process) => Spare::new(place, process, None).dismiss(),
                None => place.give_up().map(|_| ()),
            },
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
    streams::of_a_child(wanted).map(Some)
}

/// What a server reads from [`SERVER_VAR`]: its channel, what to preload, its way to the session.
pub(crate) fn parse(value: &str) -> Result<(u64, i64, Ticket)> {
    let bad = || Error::Forged { what: format!("the environment variable {SERVER_VAR}") };
    let (channel, rest) = value.split_once(',').ok_or_else(bad)?;
    let (preload, ticket) = rest.split_once(',').ok_or_else(bad)?;
    let number = |text| u64::from_str_radix(text, 16).map_err(|_| bad());
    Ok((number(channel)?, number(preload)?.cast_signed(), Ticket::parse(ticket)?))
}
