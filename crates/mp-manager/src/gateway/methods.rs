//! What the objects can be asked for, by Python's names.
//!
//! Both languages ask in the same way: an object, the name of a method, and values. An attempt never waits. What cannot be done now says
//! so, and whoever asked decides: the loop gives it to an agent, and the agent waits until the object is ready and tries again.

mod args;
mod dict;
mod list;
mod order;
mod queue;
mod set;
mod sync;

use std::time::Duration;

use mp_wire::Error;

use crate::any::Any;
use crate::handle::Handle;

use super::agent::Owned;
use super::client::Client;
use super::fault::{Exception, Fault};
use super::id::ObjectId;

pub(crate) use args::{Args, elements, entries, int};
pub(crate) use list::is_number;

/// What an attempt comes to.
#[derive(Debug)]
pub(crate) enum Tried {
    /// It is done.
    Value(Any),
    /// It is done, and these are what an iterator goes through.
    Iterator(Vec<Any>),
    /// It would have to wait, no longer than this if there is a limit.
    Wait(Option<Duration>),
    /// It has to be done, or to wait, in a thread that belongs to who asked.
    Agent,
}

impl<T: Into<Any>> From<T> for Tried {
    fn from(value: T) -> Tried {
        Tried::Value(value.into())
    }
}

/// Who asks, and how.
#[derive(Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) client: &'a Client,
    pub(crate) id: ObjectId,
    /// What the thread owns that belongs to who asks; `None`: this is the loop, which belongs to nobody and never waits.
    pub(crate) agent: Option<&'a mut Owned>,
    /// The time is up: what would have to wait fails.
    pub(crate) late: bool,
}

type Result<T> = std::result::Result<T, Fault>;

/// Tries to do it.
pub(crate) fn attempt(
    handle: &Handle,
    method: &str,
    args: &mut Args,
    asking: &mut Asking<'_>,
) -> Result<Tried> {
    match handle {
        Handle::Dict(dict) => dict::dict(dict, method, args),
        Handle::Namespace(names) => dict::namespace(names, method, args),
        Handle::Value(cell) => dict::value(cell, method, args),
        Handle::List(list) => list::list(list, method, args),
        Handle::Array(array) => list::array(array, method, args),
        Handle::Set(set) => set::set(set, method, args),
        Handle::Queue(queue) => queue::queue(queue, method, args, asking),
        Handle::JoinableQueue(queue) => queue::joinable(queue, method, args, asking),
        Handle::Lock(lock) => sync::lock(lock, method, args, asking),
        Handle::RLock(lock) => sync::rlock(lock, method, args, asking),
        Handle::Semaphore(semaphore) => sync::semaphore(semaphore, method, args, asking),
        Handle::BoundedSemaphore(semaphore) => sync::bounded_semaphore(semaphore, method, args, asking),
        Handle::Condition(condition) => sync::condition(condition, method, args, asking),
        Handle::Event(event) => sync::event(event, method, args, asking),
        Handle::Barrier(barrier) => sync::barrier(barrier, method, args, asking),
    }
}

/// Whether a call changes nothing, so that it may be done again.
pub(crate) fn only_reads(method: &str) -> bool {
    matches!(
        method,
        "__getitem__"
            | "__len__"
            | "__contains__"
            | "__iter__"
            | "__reversed__"
            | "__getattribute__"
            | "__repr__"
            | "__str__"
            | "#GETVALUE"
    ) || matches!(
        method,
        "items"
            | "keys"
            | "values"
            | "copy"
            | "count"
            | "index"
            | "qsize"
            | "empty"
            | "full"
            | "is_set"
            | "locked"
    )
}

/// The methods that an object lets others call, in the order of CPython's proxies.
pub(crate) fn exposed(handle: &Handle) -> &'static [&'static str] {
    match handle {
        Handle::Dict(_) => &[
            "__contains__",
            "__delitem__",
            "__getitem__",
            "__ior__",
            "__iter__",
            "__len__",
            "__or__",
            "__reversed__",
            "__ror__",
            "__setitem__",
            "clear",
            "copy",
            "get",
            "items",
            "keys",
            "pop",
            "popitem",
            "setdefault",
            "update",
            "values",
        ],
        Handle::List(_) => &[
            "__add__",
            "__contains__",
            "__delitem__",
            "__getitem__",
            "__iadd__",
            "__imul__",
            "__len__",
            "__mul__",
            "__reversed__",
            "__rmul__",
            "__setitem__",
            "append",
            "clear",
            "copy",
            "count",
            "extend",
            "index",
            "insert",
            "pop",
            "remove",
            "reverse",
            "sort",
        ],
        Handle::Set(_) => &[
            "__and__",
            "__contains__",
            "__iand__",
            "__ior__",
            "__isub__",
            "__iter__",
            "__ixor__",
            "__len__",
            "__or__",
            "__rand__",
            "__ror__",
            "__rsub__",
            "__rxor__",
            "__sub__",
            "__xor__",
            "__ge__",
            "__gt__",
            "__le__",
            "__lt__",
            "__eq__",
            "__ne__",
            "add",
            "clear",
            "copy",
            "difference",
            "difference_update",
            "discard",
            "intersection",
            "intersection_update",
            "isdisjoint",
            "issubset",
            "issuperset",
            "pop",
            "remove",
            "symmetric_difference",
            "symmetric_difference_update",
            "union",
            "update",
        ],
        Handle::Namespace(_) => &["__getattribute__", "__setattr__", "__delattr__"],
        Handle::Value(_) => &["get", "set"],
        Handle::Array(_) => &["__len__", "__getitem__", "__setitem__"],
        Handle::Queue(_) => &["empty", "full", "get", "get_nowait", "put", "put_nowait", "qsize"],
        Handle::JoinableQueue(_) => {
            &["empty", "full", "get", "get_nowait", "join", "put", "put_nowait", "qsize", "task_done"]
        }
        Handle::Lock(_) | Handle::RLock(_) | Handle::Semaphore(_) | Handle::BoundedSemaphore(_) => {
            &["acquire", "release", "locked"]
        }
        Handle::Condition(_) => &["acquire", "release", "wait", "notify", "notify_all"],
        Handle::Event(_) => &["is_set", "set", "clear", "wait"],
        Handle::Barrier(_) => &["__getattribute__", "wait", "abort", "reset"],
    }
}

/// For a method that an object does not have.
pub(crate) fn no_method(what: &str, method: &str) -> Fault {
    Error::Unsupported { what: format!("the method {method:?} of a {what}") }.into()
}

/// `#GETVALUE`, and what `str()` and `repr()` show: a copy of everything.
pub(crate) fn whole(handle: &Handle) -> Result<Any> {
    Ok(match handle {
        Handle::Dict(dict) => Any::Dict(dict.items()?),
        Handle::Namespace(names) => {
            Any::Dict(names.items()?.into_iter().map(|(name, value)| (Any::Str(name), value)).collect())
        }
        Handle::List(list) => Any::List(list.to_vec()?),
        Handle::Array(array) => Any::List(array.to_vec()?),
        Handle::Set(set) => Any::Set(set.to_vec()?),
        Handle::Value(cell) => cell.get()?,
        other => return Err(Exception::Type.says(format!("cannot pickle {:?} object", other.type_name()))),
    })
}
