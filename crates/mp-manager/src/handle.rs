//! A handle of some shared object, of whatever kind.

use mp_queue::{JoinableQueue, Queue};
use mp_session::Object;
use mp_sync::{Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, Semaphore};
use serde::{Deserialize, Serialize};

use crate::{Any, Array, Dict, List, Namespace, Set, Value};

/// A shared object inside an [`Any`]: what Python sees as a proxy. Two are equal when they are the same object.
///
/// The encoding is postcard's of this enum, whose order is therefore not to be changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Handle {
    /// A shared dict.
    Dict(Dict<Any, Any>),
    /// A shared list.
    List(List<Any>),
    /// A shared set.
    Set(Set<Any>),
    /// A shared namespace.
    Namespace(Namespace),
    /// A shared value.
    Value(Value<Any>),
    /// A shared array.
    Array(Array<Any>),
    /// A queue.
    Queue(Queue<Any>),
    /// A queue whose messages are said to be done.
    JoinableQueue(JoinableQueue<Any>),
    /// A lock.
    Lock(Lock),
    /// A lock that its owner may take again.
    RLock(RLock),
    /// A semaphore.
    Semaphore(Semaphore),
    /// A semaphore with an upper bound.
    BoundedSemaphore(BoundedSemaphore),
    /// A condition.
    Condition(Condition<RLock>),
    /// An event.
    Event(Event),
    /// A barrier.
    Barrier(Barrier),
}

impl Handle {
    /// What Python's `SyncManager` calls the type of the object.
    pub fn type_name(&self) -> &'static str {
        match self {
            Handle::Dict(_) => "dict",
            Handle::List(_) => "list",
            Handle::Set(_) => "set",
            Handle::Namespace(_) => "Namespace",
            Handle::Value(_) => "Value",
            Handle::Array(_) => "Array",
            Handle::Queue(_) => "Queue",
            Handle::JoinableQueue(_) => "JoinableQueue",
            Handle::Lock(_) => "Lock",
            Handle::RLock(_) => "RLock",
            Handle::Semaphore(_) => "Semaphore",
            Handle::BoundedSemaphore(_) => "BoundedSemaphore",
            Handle::Condition(_) => "Condition",
            Handle::Event(_) => "Event",
            Handle::Barrier(_) => "Barrier",
        }
    }

    /// Slot and generation of the object in its session: equal for handles of the same object only. `None` where it cannot be told, as in
    /// a process that is no member.
    pub fn id(&self) -> Option<(u32, u64)> {
        let encoded = mp_wire::encode(self, &mut Vec::new()).ok()?;
        let object = Object::from_export(encoded.exports.into_iter().next()?).ok()?;
        Some(object.id())
    }
}

impl PartialEq for Handle {
    fn eq(&self, other: &Handle) -> bool {
        let ids = (self.id(), other.id());
        self.type_name() == other.type_name() && ids.0.is_some() && ids.0 == ids.1
    }
}

macro_rules! into_any {
    ($($variant:ident($type:ty)),* $(,)?) => { $(
        impl From<$type> for Handle {
            fn from(object: $type) -> Handle {
                Handle::$variant(object)
            }
        }

        impl From<$type> for Any {
            fn from(object: $type) -> Any {
                Any::Handle(object.into())
            }
        }

        impl TryFrom<Any> for $type {
            type Error = mp_wire::Error;

            fn try_from(any: Any) -> mp_wire::Result<$type> {
                match any {
                    Any::Handle(Handle::$variant(object)) => Ok(object),
                    other => Err(mp_wire::Error::WrongKind {
                        expected: stringify!($variant).into(),
                        found: other.type_name().into(),
                    }),
                }
            }
        }
    )* };
}

into_any! {
    Dict(Dict<Any, Any>), List(List<Any>), Set(Set<Any>), Namespace(Namespace), Value(Value<Any>), Array(Array<Any>),
    Queue(Queue<Any>), JoinableQueue(JoinableQueue<Any>), Lock(Lock), RLock(RLock), Semaphore(Semaphore),
    BoundedSemaphore(BoundedSemaphore), Condition(Condition<RLock>), Event(Event), Barrier(Barrier),
}
