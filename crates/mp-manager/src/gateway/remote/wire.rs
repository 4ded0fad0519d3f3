//! The connection of a client: calls go out, answers come in, and when it breaks it is made again.
//!
//! There is no thread. Whoever waits for an answer reads, if nobody else does, and hands out what is others'; when it has its own, the next of those
//! who wait goes on reading. A call stands in `pending` until its answer has come, and is sent again on the next connection.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mp_sys::socket::{Endpoint, Socket};
use mp_wire::{Error, Result};
use parking_lot::{Condvar, Mutex};

use super::super::auth::{self, CHALLENGE, WELCOME};
use super::super::frame::{self, Input};
use super::super::handshake::LIMIT;
use super::super::rust::{BACK, HELLO, UNKNOWN};

/// How long one attempt to connect may take.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Pauses between attempts.
const PAUSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));
/// The longest answer.
const ANSWER: usize = 1 << 30;
/// Where the number of a call is in its frame, behind the length.
const HEADER: usize = 4;

/// See above.
#[derive(Debug)]
pub(super) struct Wire {
    endpoint: Endpoint,
    key: Vec<u8>,
    /// How long it tries to come back.
    patience: Duration,
    state: Mutex<State>,
    news: Condvar,
    /// Who writes has it. It is taken before `state`.
    writing: Mutex<()>,
}

#[derive(Debug)]
struct State {
    socket: Arc<Socket>,
    /// Which connection this is.
    generation: u64,
    number: u128,
    next: u64,
    /// Calls that were not answered yet.
    pending: BTreeMap<u64, Pending>,
    answers: HashMap<u64, Result<Vec<u8>>>,
    reading: bool,
    input: Input,
}

#[derive(Debug)]
struct Pending {
    frame: Vec<u8>,
    /// Nobody waits for the answer.
    forgotten: bool,
}

/// A call on its way.
#[derive(Debug)]
pub(super) struct Ticket(u64);

impl Wire {
    pub(super) fn connect(endpoint: Endpoint, key: Vec<u8>, patience: Duration) -> Result<Wire> {
        let number = mp_sys::random_u128().map_err(|e| Error::os("a random number", e))?;
        let deadline = Instant::now() + ATTEMPT;
        let mut input = Input::default();
        let (socket, _) = open(&endpoint, &key, number, false, &mut input, deadline)?;
        let state = State {
            socket: Arc::new(socket),
            generation: 0,
            number,
            next: 1,
            pending: BTreeMap::new(),
            answers: HashMap::new(),
            reading: false,
            input,
        };
        Ok(Wire {
            endpoint,
            key,
            patience,
            state: Mutex::new(state),
            news: Condvar::new(),
            writing: Mutex::new(()),
        })
    }

    /// Sends calls: requests, and whether anybody will wait for the answers.
    pub(super) fn send(&self, lane: u32, requests: Vec<Vec<u8>>, forgotten: bool) -> Vec<Ticket> {
        let writing = self.writing.lock();
        let mut all = Vec::new();
        let mut tickets = Vec::with_capacity(requests.len());
        let socket = {
            let mut state = self.state.lock();
            let acked = state.pending.keys().next().map_or(state.next, |first| *first) - 1;
            for request in requests {
                let call = state.next;
                state.next += 1;
                let from = all.len();
                let at = frame::begin(&mut all);
                all.extend(call.to_le_bytes());
                all.extend(acked.to_le_bytes());
                all.extend(lane.to_le_bytes());
                all.extend(request);
                frame::end(&mut all, at);
                state.pending.insert(call, Pending { frame: all[from..].to_vec(), forgotten });
                tickets.push(Ticket(call));
            }
            state.socket.clone()
        };
        // If it does not arrive, whoever waits for the answer finds the connection broken, and sends it again.
        let _found_out_by_who_reads = write(&socket, &all, None);
        drop(writing);
        tickets
    }

    /// Waits for the answer to a call.
    pub(super) fn wait(&self, ticket: &Ticket) -> Result<Vec<u8>> {
        let mut state = self.state.lock();
        loop {
            if let Some(answer) = state.answers.remove(&ticket.0) {
                return answer;
            }
            if state.reading {
                self.news.wait(&mut state);
                continue;
            }
            state.reading = true;
            let (socket, generation) = (state.socket.clone(), state.generation);
            let mut input = std::mem::take(&mut state.input);
            drop(state);
            let read = self.read_until(&socket, &mut input, ticket);
            state = self.state.lock();
            match read {
                Ok(()) => state.input = input,
                Err(why) => {
                    drop(state);
                    self.come_back(generation, &why);
                    state = self.state.lock();
                }
            }
            state.reading = false;
            self.news.notify_all();
        }
    }

    fn read_until(&self, socket: &Socket, input: &mut Input, ticket: &Ticket) -> std::io::Result<()> {
        loop {
            let mut come = false;
            let mut state = None;
            while let Some(frame) =
                input.next(ANSWER).map_err(|bad| std::io::Error::other(bad.to_string()))?
            {
                let Some((call, answer)) = frame.split_first_chunk::<8>() else {
                    return Err(std::io::Error::other("an answer to nothing"));
                };
                let call = u64::from_le_bytes(*call);
                come |= call == ticket.0;
                let state = state.get_or_insert_with(|| self.state.lock());
                // What was answered twice, before and after a connection broke, is taken once.
                if let Some(pending) = state.pending.remove(&call)
                    && !pending.forgotten
                {
                    state.answers.insert(call, Ok(answer.to_vec()));
                }
            }
            if state.is_some() {
                drop(state);
                self.news.notify_all();
            }
            if come {
                return Ok(());
            }
            match socket.read(input.room(), None)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                count => input.came(count),
            }
        }
    }

    /// Makes the connection again, and sends what was not answered. If that cannot be, all calls fail.
    fn come_back(&self, broken: u64, why: &std::io::Error) {
        let mut socket = self.state.lock().socket.clone();
        socket.shutdown();
        let _writing = self.writing.lock();
        let until = Instant::now() + self.patience;
        let mut pause = PAUSE.0;
        loop {
            let (number, generation) = {
                let state = self.state.lock();
                (state.number, state.generation)
            };
            if generation != broken {
                return;
            }
            let mut input = Input::default();
            let attempt = Instant::now() + ATTEMPT;
            match open(&self.endpoint, &self.key, number, true, &mut input, attempt.min(until)) {
                Ok((again, BACK)) => {
                    socket = Arc::new(again);
                    let mut state = self.state.lock();
                    let all: Vec<u8> =
                        state.pending.values().flat_map(|pending| pending.frame.iter().copied()).collect();
                    state.socket = socket.clone();
                    state.generation += 1;
                    state.input = input;
                    drop(state);
                    let _found_out_by_who_reads = write(&socket, &all, None);
                    return;
                }
                // We are not known any more: whether our calls were done nobody can tell. Others that come now are a new client's.
                Ok((again, _)) => {
                    drop(again);
                    match mp_sys::random_u128() {
                        Ok(number) => {
                            let mut state = self.state.lock();
                            state.number = number;
                            fail_all(
                                &mut state,
                                &Error::InDoubt {
                                    what: "a call to a gateway that does not know us any more".into(),
                                },
                            );
                            drop(state);
                            match open(
                                &self.endpoint,
                                &self.key,
                                number,
                                false,
                                &mut Input::default(),
                                attempt,
                            ) {
                                Ok((fresh, _)) => {
                                    let mut state = self.state.lock();
                                    state.socket = Arc::new(fresh);
                                    state.generation += 1;
                                    state.input = Input::default();
                                    return;
                                }
                                Err(_) if Instant::now() < until => {}
                                Err(_) => return,
                            }
                        }
                        Err(_) => return fail_all(&mut self.state.lock(), &lost(why)),
                    }
                }
                Err(Error::Refused { what, why }) => {
                    return fail_all(&mut self.state.lock(), &Error::Refused { what, why });
                }
                Err(_) if Instant::now() < until => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(PAUSE.1);
                }
                Err(_) => return fail_all(&mut self.state.lock(), &lost(why)),
            }
        }
    }
}

fn lost(why: &std::io::Error) -> Error {
    Error::os(
        "reach the gateway",
        std::io::Error::new(why.kind(), format!("the connection is lost and cannot be made again: {why}")),
    )
}

fn fail_all(state: &mut State, error: &Error) {
    for (call, pending) in std::mem::take(&mut state.pending) {
        if !pending.forgotten {
            state.answers.insert(call, Err(error.clone()));
        }
    }
}

fn write(socket: &Socket, mut bytes: &[u8], deadline: Option<Instant>) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let count = socket.write([bytes, &[]], &[], deadline)?;
        bytes = &bytes[count..];
    }
    Ok(())
}

/// Connects, proves that we know the key, has the other side prove it, and says who we are. What the gateway said to that.
fn open(
    endpoint: &Endpoint,
    key: &[u8],
    number: u128,
    was_here: bool,
    input: &mut Input,
    deadline: Instant,
) -> Result<(Socket, u8)> {
    let os = |error| Error::os("connect to a gateway", error);
    let refused = |why: &str| Error::Refused { what: "a gateway".into(), why: why.into() };
    let socket = Socket::connect(endpoint, Some(deadline)).map_err(os)?;
    let say = |bytes: &[u8]| {
        let mut out = Vec::with_capacity(HEADER + bytes.len());
        frame::write(&mut out, bytes);
        write(&socket, &out, Some(deadline)).map_err(os)
    };
    let mut hear = || loop {
        match input.next(LIMIT) {
            Ok(Some(frame)) => return Ok(frame.to_vec()),
            Ok(None) => {}
            Err(_) => return Err(refused("it does not speak our protocol")),
        }
        match socket.read(input.room(), Some(deadline)).map_err(os)? {
            0 => return Err(os(std::io::ErrorKind::UnexpectedEof.into())),
            count => input.came(count),
        }
    };
    let first = hear()?;
    let answer = first.strip_prefix(CHALLENGE).and_then(|asked| auth::answer(key, asked));
    say(&answer.ok_or_else(|| refused("it does not speak our protocol"))?)?;
    if hear()? != WELCOME {
        return Err(refused("the key is wrong"));
    }
    let challenge = auth::challenge().map_err(os)?;
    say(&[CHALLENGE, &challenge].concat())?;
    if !auth::is_answer(key, &challenge, &hear()?) {
        return Err(refused("it does not know the key"));
    }
    say(WELCOME)?;
    say(&[HELLO, &number.to_le_bytes(), &[u8::from(was_here)]].concat())?;
    match hear()?[..] {
        [status] if status <= UNKNOWN => Ok((socket, status)),
        _ => Err(refused("it does not speak our protocol")),
    }
}
