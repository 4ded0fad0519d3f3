//! New objects, by the names of `SyncManager`'s methods.

use mp_queue::JoinableQueue;
use mp_session::Session;
use mp_sync::{Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, Semaphore};

use crate::any::Any;
use crate::dict::Dict;
use crate::handle::Handle;
use crate::list::List;
use crate::namespace::Namespace;
use crate::set::Set;
use crate::value::{Array, Value};

use super::fault::{Exception, Fault};
use super::methods::{Args, elements, entries, is_number};

/// Python's largest size of a queue that makes sense; more is no limit.
const LARGEST_QUEUE: i64 = 1 << 20;

/// An object of that type. `None`: there is no such type.
pub(crate) fn object(session: &Session, typeid: &str, mut args: Args) -> Option<Result<Handle, Fault>> {
    let make: fn(&Session, &mut Args) -> Result<Handle, Fault> = match typeid {
        "dict" => dict,
        "list" => list,
        "set" => set,
        "Namespace" => namespace,
        "Value" => value,
        "Array" => array,
        "Queue" | "JoinableQueue" => queue,
        "Lock" => |session, _| Ok(Handle::Lock(Lock::new_in(session)?)),
        "RLock" => |session, _| Ok(Handle::RLock(RLock::new_in(session)?)),
        "Event" => |session, _| Ok(Handle::Event(Event::new_in(session)?)),
        "Semaphore" => semaphore,
        "BoundedSemaphore" => bounded_semaphore,
        "Condition" => condition,
        "Barrier" => barrier,
        _ => return None,
    };
    Some(make(session, &mut args).and_then(|made| args.end().map(|()| made)))
}

fn dict(session: &Session, args: &mut Args) -> Result<Handle, Fault> {
    let dict = Dict::new_in(session)?;
    let mut all = if args.len() > 0 { entries(args.need("mapping")?)? } else { Vec::new() };
    all.extend(std::mem::take(&mut args.named).into_iter().map(|(name, value)| (Any::Str(name), value)));
    dict.update(all)?;
    Ok(Handle::Dict(dict))
}

fn list(session: &Session, args: &mut Args) -> Result<Handle, Fault> {
    let list = List::new_in(session)?;
    if let Some(iterable) = args.next("iterable") {
        list.extend(elements(iterable)?)?;
    }
    Ok(Handle::List(list))
}

fn set(session: &Session, args: &mut Args) -> Result<Handle, Fault> {
    let set = Set::new_in(session)?;
    if let Some(iterable) = args.next("iterable") {
        set.update(elements(iterable)?)?;
    }
    Ok(Handle::Set(set))
}

fn namespace(session: &Session, args: &mut Args) -> Result<Handle, Fault> {
    let names = Namespace::new_in(session)?;
    for (name, value) in std::mem::take(&mut args.named) {
        names.set(&name, value)?;
    }
    Ok(Handle::Namespace(names))
}

fn value(session: &Session, args: &mut Args) -> Result<Handle, Fault> {
    // Python keeps the type code to show it, and does nothing else with it.
    let _type_code = args.need("typecode")?;
    let value = Value::new_in(session, args.need("value")?)?;
    let _each_access_is_locked_anyway = args.next("lock");
    Ok(Handle::Value(value))
}

fn array(session: &Session, args: &mut Args) -> Result<Handle, Fault> {
    let typecode = args.need("typecode")?;
    let floats = matches!(&typecode, Any::Str(code) if code == "f" || code == "d");
    if !matches!(&typecode, Any::Str(code) if matches!(&**code, "b" | "B" | "u" | "w" | "h" | "H" | "i" | "I" | "l" | "L" | "q" | "Q" | "f" | "d"))
    {
        return Err(
            Exception::Value.says("bad typecode (must be b, B, u, w, h, H, i, I, l, L, q, Q, f or d)")
        );
    }
    let mut numbers = elements(args.need("sequence")?)?;
    for number in &mut numbers {
        if !is_number(number) {
            return Err(
                Exception::Type.says(format!("an array of numbers takes no {:?}", number.type_name()))
            );
        }
        match number {
            Any::Int(whole) if floats => *number = Any::Float(*whole as f64),
            Any::Float(_) if !floats => {
                return Err(Exception::Type.says("'float' object cannot be interpreted as an integer"));
            }
            _ => {}
        }
    }
    let _each_access_is_locked_anyway = args.next("lock");
    Ok(Handle::Array(Array::new_in(session, numbers)?))
}

fn queue(session: &Session, args: &mut Args) -> Result<Handle, Fault> {
    let capacity = match args.int("maxsize")?.unwrap_or(0) {
        size @ 1..=LARGEST_QUEUE => Some(size as usize),
        _ => None,
    };
    Ok(Handle::JoinableQueue(JoinableQueue::make(session, capacity)?))
}

fn start(args: &mut Args) -> Result<u64, Fault> {
    u64::try_from(args.int("value")?.unwrap_or(1))
        .map_err(|_| Exception::Value.says("semaphore initial value must be >= 0"))
}

fn semaphore(session: &Session, args: &mut Args) -> Result<Handle, Fault> {
    Ok(Handle::Semaphore(Semaphore::new_in(session, start(args)?)?))
}

fn bounded_semaphore(session: &Session, args: &mut Args) -> Result<Handle, Fault> {
    Ok(Handle::BoundedSemaphore(BoundedSemaphore::new_in(session, start(args)?)?))
}

fn condition(session: &Session, args: &mut Args) -> Result<Handle, Fault> {
    let lock = match args.next("lock") {
        None | Some(Any::None) => RLock::new_in(session)?,
        Some(Any::Handle(Handle::RLock(lock))) => lock,
        Some(other) => {
            return Err(Exception::Type.says(format!(
                "a shared Condition goes with an RLock, and not with a {:?}",
                other.type_name()
            )));
        }
    };
    Ok(Handle::Condition(Condition::on(lock)?))
}

fn barrier(session: &Session, args: &mut Args) -> Result<Handle, Fault> {
    let parties = usize::try_from(args.need("parties").and_then(|parties| super::methods::int(&parties))?)
        .map_err(|_| Exception::Value.says("parties must be > 0"))?;
    if !matches!(args.next("action"), None | Some(Any::None)) {
        return Err(Exception::Type.says("a shared Barrier takes no action: functions stay in their process"));
    }
    if args.timeout()?.is_some() {
        return Err(Exception::Type.says("a shared Barrier takes its timeout at each wait"));
    }
    Ok(Handle::Barrier(Barrier::new_in(session, parties)?))
}

/// Whether that is the name of a type.
pub(crate) fn is_type(name: &str) -> bool {
    const TYPES: [&str; 15] = [
        "dict",
        "list",
        "set",
        "Namespace",
        "Value",
        "Array",
        "Queue",
        "JoinableQueue",
        "Lock",
        "RLock",
        "Event",
        "Semaphore",
        "BoundedSemaphore",
        "Condition",
        "Barrier",
    ];
    TYPES.contains(&name)
}
