//! The protocol of our own clients: calls that may be many at once, and that are sent again when a connection broke.
//!
//! After the handshake the client says who it is, and every frame after that is a call. All numbers are little-endian.
//!
//! | frame | holds |
//! |---|---|
//! | hello | [`HELLO`], the client's number (16 bytes), 1 if it was here before |
//! | the answer | 0: welcome, new; 1: welcome back; 2: nothing is known of it any more, and the connection ends |
//! | call | its number (8 bytes, from 1 on), the number up to which all answers have come (8), the lane (4), a request as CPython's, pickled |
//! | answer | the number of the call (8), 0: a value, 1: an exception; pickled |
//!
//! # Once
//!
//! A client that lost its connection comes back with its number and sends all calls again that were not answered, in their order. What becomes of
//! each:
//!
//! | the call | is |
//! |---|---|
//! | was never here | done |
//! | is being done, by an agent that waits | answered when it is done |
//! | was done, and its result is in the [journal](super::journal) | answered from there |
//! | was being done when a gateway died | answered with [`Error::InDoubt`] |
//! | only reads | done (again) |
//!
//! # Deaths
//!
//! | dies | then |
//! |---|---|
//! | the client | its connection ends; if it is not back within [`ABSENT`], its calls are cancelled, its locks and references are given back |
//! | the gateway | its clients try until there is one again, and have [`RESTART`] to come back to it; locks that belong to a thread (`RLock`, that of a `Condition`) are free then, and whoever releases one is told that it does not hold it |
//! | the session's other processes | see the objects |

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mp_wire::{Error, Result};
use parking_lot::Mutex;

use crate::any::Any;
use crate::python::{self, Request, Served};

use super::client::Client;
use super::core::Core;
use super::fault::{Exception, Fault};
use super::job::{Answer, Done, Job, Outcome};
use super::journal::Journal;
use super::link::Link;
use super::store::{Holder, Store};
use super::{frame, methods};

/// How a client of ours begins.
pub(crate) const HELLO: &[u8] = b"mp-gateway 1\n";
/// How long a client may be away whose connection ended.
const ABSENT: Duration = Duration::from_millis(700);
/// How long clients have to come back to a gateway that was started again.
const RESTART: Duration = Duration::from_secs(10);

pub(crate) const NEW: u8 = 0;
pub(crate) const BACK: u8 = 1;
pub(crate) const UNKNOWN: u8 = 2;

pub(crate) const VALUE: u8 = 0;
pub(crate) const RAISED: u8 = 1;

/// The clients of our own protocol, those that may come back included.
#[derive(Debug, Default)]
pub(crate) struct Remotes(Mutex<HashMap<u128, Known>>);

#[derive(Debug)]
struct Known {
    state: Option<Arc<State>>,
    /// Until when it may come back.
    until: Option<Instant>,
}

/// What is known of a client.
#[derive(Debug)]
struct State {
    client: Arc<Client>,
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    /// Results of calls that may be sent again.
    done: HashMap<u64, Vec<u8>>,
    in_doubt: HashSet<u64>,
    /// Those that an agent is at.
    running: HashSet<u64>,
    /// Those whose results are kept beside the journal.
    large: Vec<u64>,
}

impl Remotes {
    pub(crate) fn left_by(store: &Store, now: Instant) -> Result<Remotes> {
        let until = Some(now + RESTART);
        let known =
            store.clients.keys()?.into_iter().map(|number| (number, Known { state: None, until })).collect();
        Ok(Remotes(Mutex::new(known)))
    }

    pub(crate) fn may_return(&self, client: u128) -> bool {
        self.0.lock().contains_key(&client)
    }

    /// Those that did not come back in time are gone.
    pub(crate) fn tick(&self, core: &Core, now: Instant) {
        let mut gone = Vec::new();
        self.0.lock().retain(|number, known| {
            let stays = known.until.is_none_or(|until| now < until);
            if !stays {
                gone.push((*number, known.state.take()));
            }
            stays
        });
        for (number, state) in gone {
            match state {
                Some(state) => state.client.end(),
                None => core.release_holds_of(number),
            }
            let forgotten = core.store.clients.remove(&number).and_then(|_| {
                let large = core.store.large.keys()?;
                large
                    .iter()
                    .filter(|(client, _)| *client == number)
                    .try_for_each(|key| core.store.large.remove(key).map(drop))
            });
            if let Err(error) = forgotten {
                core.note(format_args!("what was kept for a client stays: {error}"));
            }
            core.drop_refs_of(&HashSet::from([Holder::Client(number)]));
        }
    }
}

/// A connection of a client of ours.
#[derive(Debug)]
pub(crate) struct Remote {
    core: Arc<Core>,
    link: Arc<Link>,
    state: Arc<State>,
}

impl Remote {
    /// A client's first frame. `None`: it is not one of ours.
    pub(crate) fn hello(
        core: &Arc<Core>,
        link: &Arc<Link>,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<Result<Remote>> {
        let said = bytes.strip_prefix(HELLO)?;
        let (number, &[was_here]) = said.split_first_chunk::<16>()? else { return None };
        Some(Remote::welcome(core, link, u128::from_le_bytes(*number), was_here != 0, out))
    }

    fn welcome(
        core: &Arc<Core>,
        link: &Arc<Link>,
        number: u128,
        was_here: bool,
        out: &mut Vec<u8>,
    ) -> Result<Remote> {
        let mut all = core.remotes.0.lock();
        let known = all.get_mut(&number);
        let state = match known {
            Some(Known { state: Some(state), until }) => {
                *until = None;
                state.client.relink(link);
                state.recall(false)?;
                state.clone()
            }
            Some(Known { state: None, .. }) => {
                let Some(journal) = core.store.clients.get(&number)? else {
                    return Err(Error::Stale { what: "a client of a gateway".into() });
                };
                let state = Arc::new(State {
                    client: Arc::new(Client::new(core, number, link, Some(journal))?),
                    calls: Mutex::default(),
                });
                state.recall(true)?;
                let mut calls = state.calls.lock();
                for (key, result) in
                    core.store.large.items()?.into_iter().filter(|((client, _), _)| *client == number)
                {
                    calls.large.push(key.1);
                    calls.in_doubt.remove(&key.1);
                    calls.done.insert(key.1, result);
                }
                drop(calls);
                all.insert(number, Known { state: Some(state.clone()), until: None });
                state
            }
            None if was_here => {
                frame::write(out, &[UNKNOWN]);
                link.send(out);
                out.clear();
                return Err(Error::Stale { what: "a client that was away for too long".into() });
            }
            None => {
                let journal = Journal::new(&core.session)?;
                core.store.clients.insert(&number, journal.clone())?;
                let client = Arc::new(Client::new(core, number, link, Some(journal))?);
                let state = Arc::new(State { client, calls: Mutex::default() });
                all.insert(number, Known { state: Some(state.clone()), until: None });
                state
            }
        };
        frame::write(out, &[if was_here { BACK } else { NEW }]);
        Ok(Remote { core: core.clone(), link: link.clone(), state })
    }

    /// Acts on a call. `false`: it was none.
    pub(crate) fn frame(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        let Some((call, rest)) = bytes.split_first_chunk::<8>() else { return false };
        let Some((acked, rest)) = rest.split_first_chunk::<8>() else { return false };
        let Some((lane, rest)) = rest.split_first_chunk::<4>() else { return false };
        let (call, acked) = (u64::from_le_bytes(*call), u64::from_le_bytes(*acked));
        if call == 0 || acked >= call {
            return false;
        }
        let again = self.state.again(&self.core, call, acked);
        match again {
            Again::New => {}
            Again::Running => return true,
            Again::Done(result) => {
                written(call, &result, out);
                return true;
            }
            Again::InDoubt => {
                let fault =
                    Fault::from(Error::InDoubt { what: "a call that a gateway was at when it died".into() });
                answer(
                    &self.core,
                    &self.state.client,
                    call,
                    Outcome { result: Err(fault), begun: None },
                    out,
                );
                return true;
            }
        }
        match Request::read(rest, &Served(&self.core)) {
            Ok(request) => self.call(call, u32::from_le_bytes(*lane), request, out),
            Err(error) => {
                let fault = Exception::Value.says(format!("the request cannot be read: {error}"));
                answer(
                    &self.core,
                    &self.state.client,
                    call,
                    Outcome { result: Err(fault), begun: None },
                    out,
                );
            }
        }
        true
    }

    fn call(&self, call: u64, lane: u32, request: Request, out: &mut Vec<u8>) {
        let (core, client) = (&self.core, &self.state.client);
        if request.id.is_empty() {
            let begun = client.journal.as_ref().and_then(|journal| journal.lock().begin(call));
            let result = self.manage(request).map(Done::Value);
            return answer(core, client, call, Outcome { result, begun }, out);
        }
        let Some(entry) = core.find(&request.id) else {
            let fault = Fault::from(Error::Stale { what: "a handle of a gateway".into() });
            return answer(core, client, call, Outcome { result: Err(fault), begun: None }, out);
        };
        let Request { method, args, .. } = request;
        let mut job = Job {
            core: core.clone(),
            client: client.clone(),
            entry,
            method,
            args,
            answer: Answer::Ours(call),
        };
        let busy = client.lane_if_any(lane).is_some_and(|lane| lane.is_busy());
        if !busy {
            match job.try_now() {
                Ok(outcome) => return answer(core, client, call, outcome, out),
                Err(later) => job = later,
            }
        }
        self.state.calls.lock().running.insert(call);
        if let Err(error) = core.agents.give(&client.lane(lane), job) {
            answer(core, client, call, Outcome { result: Err(error.into()), begun: None }, out);
            self.state.calls.lock().running.remove(&call);
        }
    }

    /// What is asked of the gateway itself: as CPython asks.
    fn manage(&self, mut request: Request) -> std::result::Result<Any, Fault> {
        let holder = Holder::Client(self.state.client.number);
        let text = |args: &mut methods::Args| match args.need("name")? {
            Any::Str(text) => Ok(text),
            other => Err(Exception::Type.says(format!("a name is no {:?}", other.type_name()))),
        };
        let name = text(&mut request.args)?;
        let entry = || {
            self.core
                .find(&name)
                .ok_or_else(|| Fault::from(Error::Stale { what: "a handle of a gateway".into() }))
        };
        Ok(match &*request.method {
            "create" => {
                let entry = self.core.create(&name, request.args, holder)?;
                (entry.id.to_string().as_str(), entry.handle.type_name()).into()
            }
            "incref" => {
                let entry = entry()?;
                self.core.add_ref(&entry, holder)?;
                Any::from(entry.handle.type_name())
            }
            "decref" => self.core.drop_ref(&*entry()?, holder)?.into(),
            other => return Err(Exception::Attribute.says(format!("{other:?} unrecognized"))),
        })
    }

    /// The connection is over.
    pub(crate) fn end(self) {
        let mut all = self.core.remotes.0.lock();
        if let Some(known) = all.get_mut(&self.state.client.number)
            && Arc::ptr_eq(&self.state.client.link(), &self.link)
        {
            known.until = Some(Instant::now() + ABSENT);
        }
    }
}

/// What is known of a call that has come.
enum Again {
    New,
    Running,
    Done(Vec<u8>),
    InDoubt,
}

impl State {
    /// Remembers what the journal has, for calls that are sent again.
    fn recall(&self, after_a_death: bool) -> Result<()> {
        let Some(journal) = &self.client.journal else { return Ok(()) };
        let mut calls = self.calls.lock();
        let journal = journal.lock();
        if after_a_death {
            let (results, begun) = journal.recover()?;
            calls.done.extend(results);
            calls.in_doubt.extend(begun);
        } else {
            calls.done.extend(journal.results()?);
        }
        Ok(())
    }

    fn again(&self, core: &Core, call: u64, acked: u64) -> Again {
        let mut calls = self.calls.lock();
        if let Some(journal) = &self.client.journal {
            journal.lock().ack(acked);
        }
        if !calls.large.is_empty() {
            let (number, done) = (self.client.number, |large: &u64| *large <= acked);
            for large in calls.large.iter().copied().filter(done) {
                if let Err(error) = core.store.large.remove(&(number, large)) {
                    core.note(format_args!("a result that was taken stays: {error}"));
                }
            }
            calls.large.retain(|large| !done(large));
        }
        if calls.done.is_empty() && calls.in_doubt.is_empty() && calls.running.is_empty() {
            return Again::New;
        }
        if let Some(result) = calls.done.remove(&call) {
            Again::Done(result)
        } else if calls.in_doubt.remove(&call) {
            Again::InDoubt
        } else if calls.running.contains(&call) {
            Again::Running
        } else {
            Again::New
        }
    }
}

fn written(call: u64, result: &[u8], out: &mut Vec<u8>) {
    let at = frame::begin(out);
    out.extend(call.to_le_bytes());
    out.extend_from_slice(result);
    frame::end(out, at);
}

/// Writes the answer to a call, and its result into the client's journal.
pub(crate) fn answer(core: &Arc<Core>, client: &Client, call: u64, outcome: Outcome, out: &mut Vec<u8>) {
    let at = frame::begin(out);
    out.extend(call.to_le_bytes());
    let result_at = out.len();
    match &outcome.result {
        Ok(value) => {
            out.push(VALUE);
            let mut writer = python::Writer::after(std::mem::take(out));
            match value {
                Done::Iterator(values) => {
                    python::result(core, &Done::Value(Any::List(values.clone())), &mut writer)
                }
                value => python::result(core, value, &mut writer),
            }
            *out = writer.finish();
        }
        Err(fault) => {
            out.push(RAISED);
            let mut exception = Vec::new();
            if let Err(error) = mp_wire::encode(&fault.exception, &mut exception) {
                core.note(format_args!("an error cannot be told: {error}"));
            }
            let mut writer = python::Writer::after(std::mem::take(out));
            let told = Any::Tuple(vec![Any::Bytes(exception), Any::Tuple(fault.args.clone())]);
            python::result(core, &Done::Value(told), &mut writer);
            *out = writer.finish();
        }
    }
    if let (Some(begun), Some(journal)) = (outcome.begun, &client.journal) {
        let kept = journal.lock().record(call, &out[result_at..]);
        if !kept {
            match core.store.large.insert(&(client.number, call), out[result_at..].to_vec()) {
                Ok(()) => core.remotes.has_large(client.number, call),
                Err(error) => core.note(format_args!("a result is not kept for its client: {error}")),
            }
        }
        journal.lock().end(begun);
    }
    frame::end(out, at);
}

impl Remotes {
    fn with(&self, client: u128, f: impl FnOnce(&mut Calls)) {
        let state = self.0.lock().get(&client).and_then(|known| known.state.clone());
        if let Some(state) = state {
            f(&mut state.calls.lock());
        }
    }

    fn has_large(&self, client: u128, call: u64) {
        self.with(client, |calls| calls.large.push(call));
    }

    /// An agent has answered it.
    pub(crate) fn ran(&self, client: u128, call: u64) {
        self.with(client, |calls| {
            calls.running.remove(&call);
        });
    }
}
