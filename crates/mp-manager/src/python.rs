//! CPython's manager protocol: what `multiprocessing.managers` speaks.
//!
//! A client of CPython's makes a connection for each thread that calls methods, and one more for each thing that it asks of the manager itself.
//! The first request of a connection is of the second kind, `(_, function, args, kwds)`:
//!
//! | function | does |
//! |---|---|
//! | `create(typeid, ...)` | makes an object, or finds one that was offered by that name; `(id, methods)` |
//! | `incref(id)`, `decref(id)` | one reference more or less |
//! | `get_methods(token)` | what can be called |
//! | `accept_connection(name)` | the connection is for methods from now on |
//! | `number_of_objects()`, `debug_info()`, `dummy()` | what they say |
//! | `shutdown()` | stops the gateway, if it was told to obey; the objects stay |
//!
//! After `accept_connection` each request is `(id, method, args, kwds)`. Answers are `(kind, value)`:
//!
//! | kind | value |
//! |---|---|
//! | `#RETURN` | the result |
//! | `#ERROR` | an exception, which is raised there |
//! | `#TRACEBACK` | a text, which is raised there as a `RemoteError` |
//!
//! `#PROXY` is not needed: an iterator over a shared dict is sent as what it iterates over, in one message, instead of a proxy that asks for each
//! element. And `for key in d` works in a proxy that came out of another container, where CPython's own fails.
//!
//! # References
//!
//! References are counted by messages on connections that do not say whose they are. On a local socket the kernel says which process is at the
//! other end, so that the references of one that died are dropped. Over TCP nobody says; references of a dead client stay until the
//! session ends.

mod pickle;
mod request;
mod value;

use std::sync::Arc;

use crate::any::Any;
use crate::gateway::agent::Lane;
use crate::gateway::client::Client;
use crate::gateway::core::Core;
use crate::gateway::fault::{Exception, Fault};
use crate::gateway::job::{Answer, Done, Job};
use crate::gateway::link::Link;
use crate::gateway::store::Holder;
use crate::gateway::{frame, methods};
use crate::handle::Handle;

pub(crate) use pickle::Writer;
pub(crate) use request::{Request, slice_of};
pub(crate) use value::{Proxies, Token, write};

/// Reads a pickle of one value.
///
/// # Errors
/// Why it is none.
pub(crate) fn read(bytes: &[u8], proxies: &impl Proxies) -> Result<Any, pickle::PickleError> {
    let graph = pickle::read(bytes, pickle::Limits::default())?;
    value::read(&graph, graph.root(), proxies, bytes.len())
}

/// The id of the object of which a value is the proxy, where proxies were kept as what they are.
pub(crate) fn proxy_of(value: &Any) -> Option<String> {
    let Any::Opaque(fragment) = value else { return None };
    let whole = [&**fragment, b"."].concat();
    let graph = pickle::read(&whole, pickle::Limits::default()).ok()?;
    value::proxy(&graph, graph.root()).map(|token| token.id.to_owned())
}

/// A proxy of an object, for who serves it.
pub(crate) fn proxy_value(typeid: &str, id: &str) -> Any {
    let mut to = Writer::default();
    rebuild(&mut to, "AutoProxy", typeid, b"N", id);
    to.dict(&[(); 0], |_, ()| ());
    to.end_tuple();
    to.reduce();
    Any::Opaque(to.into_fragment())
}

/// `slice(start, stop, None)`.
pub(crate) fn slice(start: usize, stop: usize) -> Any {
    let bound = |bound: usize| i64::try_from(bound).unwrap_or(i64::MAX);
    let mut to = Writer::default();
    to.global("builtins", "slice");
    to.begin_tuple();
    to.int(bound(start));
    to.int(bound(stop));
    to.none();
    to.end_tuple();
    to.reduce();
    Any::Opaque(to.into_fragment())
}

/// `RebuildProxy(type, token, "pickle", ...`, up to the last argument.
fn rebuild(to: &mut Writer, proxy: &str, typeid: &str, address: &[u8], id: &str) {
    const MANAGERS: &str = "multiprocessing.managers";
    to.global(MANAGERS, "RebuildProxy");
    to.begin_tuple();
    to.global(MANAGERS, proxy);
    to.global(MANAGERS, "Token");
    to.begin_tuple();
    to.end_tuple();
    to.new_object();
    to.begin_tuple();
    to.str(typeid);
    to.fragment(address);
    to.str(id);
    to.end_tuple();
    to.build();
    to.str("pickle");
}

/// A connection of a CPython client.
#[derive(Debug)]
pub(crate) struct Python {
    core: Arc<Core>,
    link: Arc<Link>,
    /// Who is at the other end, as a holder of references.
    holder: Holder,
    /// Once it is a connection for methods.
    client: Option<(Arc<Client>, Arc<Lane<Job>>)>,
}

impl Python {
    pub(crate) fn new(core: &Arc<Core>, link: &Arc<Link>) -> Python {
        let pid = link.socket().peer().ok().and_then(|peer| peer.pid);
        let holder = match pid.and_then(|pid| Some((pid, mp_sys::start_time(pid).ok()?))) {
            Some((pid, start_time)) => Holder::Process { pid, start_time },
            None => Holder::Unseen,
        };
        Python { core: core.clone(), link: link.clone(), holder, client: None }
    }

    /// Acts on a request. `false`: the connection is over, after what is in `out`.
    pub(crate) fn frame(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        let proxies = Served(&self.core);
        let request = match Request::read(bytes, &proxies) {
            Ok(request) => request,
            Err(error) => {
                traceback(&format!("the request cannot be read: {error}"), out);
                return self.client.is_some();
            }
        };
        match &self.client {
            Some((client, lane)) => {
                call(&self.core, client, lane, request, out);
                true
            }
            None => self.manage(request, out),
        }
    }

    fn manage(&mut self, mut request: Request, out: &mut Vec<u8>) -> bool {
        if request.method == "accept_connection" {
            return match self.accept() {
                Ok(()) => {
                    done(&self.core, Done::Value(Any::None), out);
                    true
                }
                Err(error) => {
                    traceback(&error.to_string(), out);
                    false
                }
            };
        }
        match self.function(&mut request) {
            Ok(value) => done(&self.core, Done::Value(value), out),
            Err(fault) => traceback(&described(&fault), out),
        }
        if request.method == "shutdown" && self.core.obeys {
            self.core.stop();
        }
        false
    }

    fn accept(&mut self) -> mp_wire::Result<()> {
        let number = mp_sys::random_u128().map_err(|e| mp_wire::Error::os("a random number", e))?;
        let client = Arc::new(Client::new(&self.core, number, &self.link, None)?);
        let lane = client.lane(0);
        self.client = Some((client, lane));
        Ok(())
    }

    fn function(&self, request: &mut Request) -> Result<Any, Fault> {
        let args = &mut request.args;
        let object = |args: &mut methods::Args| match args.need("ident")? {
            Any::Str(id) => self.core.find(&id).ok_or_else(|| Exception::Key.says(id)),
            other => Err(Exception::Key.of(other)),
        };
        Ok(match &*request.method {
            "create" => {
                let Any::Str(typeid) = args.need("typeid")? else {
                    return Err(Exception::Type.says("a typeid is a string"));
                };
                let entry = self.core.create(&typeid, std::mem::take(args), self.holder)?;
                (entry.id.to_string().as_str(), exposed(&entry.handle)).into()
            }
            "incref" => {
                let entry = object(args)?;
                self.core.add_ref(&entry, self.holder)?;
                Any::None
            }
            "decref" => {
                let entry = object(args)?;
                if !self.core.drop_ref(&entry, self.holder)? {
                    return Err(
                        Exception::Runtime.says(format!("{} has no references of this client", entry.id))
                    );
                }
                Any::None
            }
            "get_methods" => {
                let id =
                    request.token.take().ok_or_else(|| Exception::Type.says("get_methods takes a token"))?;
                let entry = self.core.find(&id).ok_or_else(|| Exception::Key.says(id))?;
                exposed(&entry.handle)
            }
            "number_of_objects" => self.core.in_use().len().into(),
            "debug_info" => {
                let lines: Vec<String> = self
                    .core
                    .in_use()
                    .iter()
                    .map(|(entry, count)| {
                        let shown: String = self.core.shown(entry).chars().take(75).collect();
                        format!("  {}:       refcount={count}\n    {shown}", entry.id)
                    })
                    .collect();
                Any::Str(lines.join("\n"))
            }
            "dummy" => Any::None,
            "shutdown" if self.core.obeys => Any::None,
            "shutdown" => return Err(Exception::Runtime.says("this gateway is not stopped by its clients")),
            other => return Err(Exception::Attribute.says(format!("{other:?} unrecognized"))),
        })
    }

    /// The connection is over.
    pub(crate) fn end(self) {
        if let Some((client, _)) = self.client {
            client.end();
        }
    }
}

fn exposed(handle: &Handle) -> Any {
    Any::tuple(methods::exposed(handle).iter().copied())
}

/// Does it now, or gives it to the lane's agent.
fn call(core: &Arc<Core>, client: &Arc<Client>, lane: &Arc<Lane<Job>>, request: Request, out: &mut Vec<u8>) {
    let Some(entry) = core.find(&request.id) else {
        return traceback(&format!("KeyError: {:?}: the object is gone, or was never here", request.id), out);
    };
    let Request { method, args, .. } = request;
    let mut job =
        Job { core: core.clone(), client: client.clone(), entry, method, args, answer: Answer::Python };
    if !lane.is_busy() {
        match job.try_now() {
            Ok(outcome) => return answer(core, client, outcome.result, out),
            Err(later) => job = later,
        }
    }
    if let Err(error) = core.agents.give(lane, job) {
        traceback(&error.to_string(), out);
    }
}

/// Writes an answer.
pub(crate) fn answer(core: &Arc<Core>, _client: &Client, result: Result<Done, Fault>, out: &mut Vec<u8>) {
    match result {
        Ok(value) => done(core, value, out),
        Err(fault) => raise(core, &fault, out),
    }
}

/// Appends `(kind, ...)` as a frame.
fn framed(kind: &str, out: &mut Vec<u8>, value: impl FnOnce(&mut Writer)) {
    let at = frame::begin(out);
    let mut writer = Writer::after(std::mem::take(out));
    writer.begin_tuple();
    writer.str(kind);
    value(&mut writer);
    writer.end_tuple();
    *out = writer.finish();
    frame::end(out, at);
}

fn done(core: &Arc<Core>, value: Done, out: &mut Vec<u8>) {
    framed("#RETURN", out, |to| result(core, &value, to));
}

/// Writes a result.
pub(crate) fn result(core: &Arc<Core>, value: &Done, to: &mut Writer) {
    let proxies = Served(core);
    match value {
        Done::Value(value) => value::write(value, &proxies, to),
        Done::Iterator(values) => {
            to.global("builtins", "iter");
            to.begin_tuple();
            to.list(values, |to, value| value::write(value, &proxies, to));
            to.end_tuple();
            to.reduce();
        }
    }
}

fn raise(core: &Arc<Core>, fault: &Fault, out: &mut Vec<u8>) {
    let Some((module, name)) = fault.exception.name() else { return traceback(&described(fault), out) };
    framed("#ERROR", out, |to| {
        to.global(module, name);
        to.begin_tuple();
        fault.args.iter().for_each(|arg| value::write(arg, &Served(core), to));
        to.end_tuple();
        to.reduce();
    });
}

fn described(fault: &Fault) -> String {
    match &fault.exception {
        Exception::Ours(error) => error.to_string(),
        other => {
            let said: Vec<String> = fault.args.iter().map(Any::to_string).collect();
            format!("{}: {}", other.name().map_or("error", |(_, name)| name), said.join(", "))
        }
    }
}

fn traceback(text: &str, out: &mut Vec<u8>) {
    framed("#TRACEBACK", out, |to| to.str(&format!("{text}\n")));
}

/// The objects that a gateway serves, as proxies.
pub(crate) struct Served<'a>(pub(crate) &'a Arc<Core>);

impl Proxies for Served<'_> {
    fn find(&self, token: Token<'_>) -> Option<Handle> {
        self.0.find(token.id).map(|entry| entry.handle.clone())
    }

    fn write(&self, handle: &Handle, to: &mut Writer) {
        let typeid = handle.type_name();
        let entry = match self.0.enter(typeid, handle.clone()) {
            Ok(entry) => entry,
            Err(error) => {
                self.0.note(format_args!("an object cannot be given out: {error}"));
                return to.none();
            }
        };
        let proxy = match handle {
            Handle::Dict(_) => "DictProxy",
            Handle::List(_) => "ListProxy",
            Handle::Namespace(_) => "NamespaceProxy",
            Handle::Value(_) => "ValueProxy",
            Handle::Array(_) => "ArrayProxy",
            Handle::Lock(_) | Handle::RLock(_) | Handle::Semaphore(_) | Handle::BoundedSemaphore(_) => {
                "AcquirerProxy"
            }
            Handle::Condition(_) => "ConditionProxy",
            Handle::Event(_) => "EventProxy",
            Handle::Barrier(_) => "BarrierProxy",
            // Not every CPython has a proxy of its own for these.
            Handle::Queue(_) | Handle::JoinableQueue(_) | Handle::Set(_) => "AutoProxy",
        };
        rebuild(to, proxy, typeid, &self.0.address, &entry.id.to_string());
        // The peer knows the key, or it would not be here; over a network it is not said again.
        let key: &[&[u8]] = if self.0.is_local { &[&self.0.key] } else { &[] };
        let auto = proxy == "AutoProxy";
        let mut named: Vec<(&str, Any)> =
            key.iter().map(|key| ("authkey", Any::Bytes(key.to_vec()))).collect();
        if auto {
            named.push(("exposed", exposed(handle)));
        }
        to.dict(&named, |to, (name, value)| {
            to.str(name);
            value::write(value, self, to);
        });
        to.end_tuple();
        to.reduce();
    }
}

/// An address as Python has it, as a pickle's fragment.
pub(crate) fn address(address: &mp_pipe::Address) -> Vec<u8> {
    use mp_pipe::Address;
    let mut to = Writer::default();
    match address {
        Address::Tcp(tcp) => {
            to.begin_tuple();
            to.str(&tcp.ip().to_string());
            to.int(tcp.port().into());
            to.end_tuple();
        }
        Address::Abstract(name) => to.str(&format!("\0{}", String::from_utf8_lossy(name))),
        other => to.str(&other.to_string()),
    }
    to.into_fragment()
}
