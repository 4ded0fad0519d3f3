//! Behind a door: the thread that hears strangers and lets them in, or not.
//!
//! # One thread, many strangers
//!
//! The door's thread never waits for one stranger. Each has a state (to be heard, to be answered, entering) and five seconds; there are at
//! most sixteen, and when one more comes, the one that has been silent longest goes. Who says nonsense goes at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mp_sys::LocalStream;
use mp_sys::local::{Awaited, ready};
use mp_wire::{Error, Result};

use crate::door::{RefusedPeer, State};
use crate::handshake::{ANSWER, Answer, HELLO, Hello, Program, garbage};
use crate::place::Place;

/// How long a stranger has, from its coming to its place.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// How many strangers are on their way in at one time.
const MOST: usize = 16;
/// How many refusals are remembered.
const REMEMBERED: usize = 32;
/// How long a door that cannot accept (it has no descriptor left) looks away.
const REST: Duration = Duration::from_millis(50);

/// What became of strangers.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) admitted: u64,
    pub(crate) refused: VecDeque<RefusedPeer>,
}

/// A stranger on its way in.
struct Guest {
    stream: LocalStream,
    pid: Option<u32>,
    until: Instant,
    stage: Stage,
}

enum Stage {
    /// Has said so much of its greeting.
    Hello([u8; HELLO], usize),
    /// Has been told so much of its answer; with a place, or not.
    Answer(Box<[u8; ANSWER]>, usize, Option<Place>),
    /// Has its answer and has not taken its place.
    Entering(Place),
}

/// What came of a guest.
enum Outcome {
    Stays,
    Leaves(Option<Error>),
    Arrived,
}

/// The door's thread.
pub(crate) struct Reception {
    state: Arc<State>,
    watched: LocalStream,
    this: Program,
    guests: Vec<Guest>,
    /// Does not accept before that: it has no descriptor left.
    resting: Option<Instant>,
}

impl Reception {
    pub(crate) fn new(state: Arc<State>, watched: LocalStream) -> Reception {
        Reception { state, watched, this: Program::this(), guests: Vec::new(), resting: None }
    }

    pub(crate) fn run(mut self) {
        while self.wait() {
            self.let_in();
            let guests = std::mem::take(&mut self.guests);
            for guest in guests {
                self.serve(guest);
            }
        }
        for guest in std::mem::take(&mut self.guests) {
            self.see_off(guest, None);
        }
    }

    /// Until there is something to do. `false`: the door is closed.
    fn wait(&mut self) -> bool {
        let now = Instant::now();
        self.resting = self.resting.filter(|until| *until > now);
        let mut awaited = vec![Awaited { handle: self.watched.as_handle(), to_write: false }];
        awaited.extend(self.guests.iter().map(|g| Awaited {
            handle: g.stream.as_handle(),
            to_write: matches!(g.stage, Stage::Answer(..)),
        }));
        if self.resting.is_none() {
            awaited.push(Awaited { handle: self.state.listener.as_handle(), to_write: false });
        }
        let until = self.guests.iter().map(|g| g.until).chain(self.resting).min();
        match ready(&awaited, until) {
            Ok(ready) => !ready[0],
            Err(_) => false, // the system does not let us wait: no door
        }
    }

    fn let_in(&mut self) {
        for _ in 0..2 * MOST {
            if self.resting.is_some() {
                return;
            }
            let stream = match self.state.listener.accept() {
                Ok(Some(stream)) => stream,
                Ok(None) => return,
                Err(e) => {
                    self.resting = Some(Instant::now() + REST);
                    self.refuse(None, Error::os("let a stranger in", e));
                    return;
                }
            };
            let guest = match self.check(&stream) {
                Ok(pid) => Guest {
                    stream,
                    pid,
                    until: Instant::now() + PATIENCE,
                    stage: Stage::Hello([0; HELLO], 0),
                },
                Err((pid, error)) => {
                    // Noted before it is told: who has been told finds it noted.
                    self.refuse(pid, error.clone());
                    // At once, for it gets no time; a fresh connection has room for it.
                    let _ = stream.send(&self.answer(Err(error)), &[]);
                    continue;
                }
            };
            if self.guests.len() >= MOST {
                // Silent ones first, of those the oldest.
                let rank = |g: &Guest| (!matches!(g.stage, Stage::Hello(..)), g.until);
                let oldest = (0..self.guests.len()).min_by_key(|i| rank(&self.guests[*i]));
                if let Some(oldest) = oldest {
                    let guest = self.guests.swap_remove(oldest);
                    let error = Error::TimedOut { what: "a stranger, in a crowd".into() };
                    self.see_off(guest, Some(error));
                }
            }
            self.serve(guest);
        }
    }

    /// What the kernel says of who came.
    fn check(&self, stream: &LocalStream) -> Result<Option<u32>, (Option<u32>, Error)> {
        let peer = stream.peer().map_err(|e| (None, Error::os("who a stranger is", e)))?;
        let user = mp_sys::current_user();
        if peer.uid == user {
            return Ok(peer.pid);
        }
        let why = format!("it is user {}'s, this session is user {user}'s", peer.uid);
        Err((peer.pid, Error::Refused { what: "a stranger".into(), why }))
    }

    fn serve(&mut self, mut guest: Guest) {
        match self.step(&mut guest) {
            Outcome::Stays if Instant::now() < guest.until => self.guests.push(guest),
            Outcome::Stays => {
                let silent = matches!(guest.stage, Stage::Hello(..));
                let what = if silent { "the greeting of a stranger" } else { "a stranger's entering" };
                self.see_off(guest, Some(Error::TimedOut { what: what.into() }));
            }
            Outcome::Leaves(error) => self.see_off(guest, error),
            Outcome::Arrived => self.state.log.lock().admitted += 1,
        }
    }

    /// As far as the guest can go without waiting for it.
    fn step(&mut self, guest: &mut Guest) -> Outcome {
        loop {
            match &mut guest.stage {
                Stage::Hello(said, got) => match guest.stream.recv(&mut said[*got..]) {
                    // Somebody looked whether there is a door.
                    Ok((0, _)) if *got == 0 => return Outcome::Leaves(None),
                    Ok((0, _)) => return Outcome::Leaves(Some(garbage())),
                    // Descriptors that nobody asked for are closed with the value.
                    Ok((n, _)) => {
                        *got += n;
                        if *got == HELLO {
                            let hello = *said;
                            guest.stage = self.receive(&hello, guest.pid);
                        }
                    }
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Outcome::Stays,
                    Err(e) => return Outcome::Leaves(Some(Error::os("hear a stranger", e))),
                },
                Stage::Answer(answer, sent, place) => {
                    let passed = match (&place, *sent) {
                        (Some(_), 0) => self.state.session.passed(),
                        _ => Vec::new(),
                    };
                    match guest.stream.send(&answer[*sent..], &passed) {
                        Ok(n) => *sent += n,
                        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Outcome::Stays,
                        Err(e) => return Outcome::Leaves(Some(Error::os("answer a stranger", e))),
                    }
                    if *sent == ANSWER {
                        match place.take() {
                            Some(place) => guest.stage = Stage::Entering(place),
                            None => return Outcome::Leaves(None), // noted when it was refused
                        }
                    }
                }
                Stage::Entering(place) => {
                    let heard = guest.stream.recv(&mut [0]);
                    if place.has_arrived() {
                        return Outcome::Arrived;
                    }
                    return match heard {
                        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => Outcome::Stays,
                        _ => Outcome::Leaves(Some(Error::Disconnected {
                            what: "a stranger that was let in and did not come".into(),
                            who: Some(place.ident()),
                            how: None,
                        })),
                    };
                }
            }
        }
    }

    /// The answer to a greeting.
    fn receive(&self, hello: &[u8; HELLO], pid: Option<u32>) -> Stage {
        let place = self.admit(hello, pid);
        let answer = self.answer(place.as_ref().map(|p| p.id().to_bits()).map_err(Clone::clone));
        if let Err(error) = &place {
            self.refuse(pid, error.clone());
        }
        Stage::Answer(Box::new(answer), 0, place.ok())
    }

    fn admit(&self, hello: &[u8; HELLO], pid: Option<u32>) -> Result<Place> {
        let hello = Hello::read(hello)?;
        let Some(pid) = pid.filter(|pid| *pid == hello.program.pid) else {
            let why = "it is in another pid namespace".into();
            return Err(Error::Refused { what: "a stranger".into(), why });
        };
        self.this.fits(&hello.program)?;
        if self.state.same_program || hello.same_program {
            self.this.is_same(&hello.program)?;
        }
        let place = self.state.session.reserve(&hello.name)?;
        place.expect_stranger(pid);
        Ok(place)
    }

    fn answer(&self, place: Result<u64>) -> [u8; ANSWER] {
        let session = &self.state.session;
        Answer { program: self.this, session: session.id(), size: session.size(), place }.write()
    }

    fn see_off(&self, guest: Guest, error: Option<Error>) {
        if let Stage::Answer(_, _, Some(place)) | Stage::Entering(place) = &guest.stage {
            match place.give_up() {
                // It came in this moment.
                Ok(false) => {
                    self.state.log.lock().admitted += 1;
                    return;
                }
                Ok(true) => {}
                Err(error) => self.refuse(guest.pid, error),
            }
        }
        if let Some(error) = error {
            self.refuse(guest.pid, error);
        }
    }

    fn refuse(&self, pid: Option<u32>, error: Error) {
        let refused = &mut self.state.log.lock().refused;
        if refused.len() == REMEMBERED {
            refused.pop_front();
        }
        refused.push_back(RefusedPeer { pid, error });
    }
}
