//! Queues. CPython's `Queue` and `JoinableQueue` are the same there, and a joinable queue here.

use mp_queue::{JoinableQueue, Queue};
use mp_wire::Error;

use crate::any::Any;

use super::args::seconds;
use super::{Args, Asking, Exception, Result, Tried, no_method};

/// What both kinds have.
trait Queued {
    fn try_put(&self, item: Any) -> mp_wire::Result<()>;
    fn try_get(&self) -> mp_wire::Result<Any>;
    fn len(&self) -> usize;
    fn is_empty(&self) -> bool;
    fn is_full(&self) -> bool;
}

macro_rules! queued {
    ($type:ident) => {
        impl Queued for $type<Any> {
            fn try_put(&self, item: Any) -> mp_wire::Result<()> {
                Ok($type::try_put(self, item)?)
            }

            fn try_get(&self) -> mp_wire::Result<Any> {
                $type::try_get(self)
            }

            fn len(&self) -> usize {
                $type::len(self)
            }

            fn is_empty(&self) -> bool {
                $type::is_empty(self)
            }

            fn is_full(&self) -> bool {
                $type::is_full(self)
            }
        }
    };
}

queued!(Queue);
queued!(JoinableQueue);

pub(super) fn joinable(
    queue: &JoinableQueue<Any>,
    method: &str,
    args: &mut Args,
    asking: &Asking<'_>,
) -> Result<Tried> {
    Ok(match method {
        "task_done" => {
            queue.task_done().map_err(|error| match error {
                Error::InvalidArgument { .. } => Exception::Value.says("task_done() called too many times"),
                other => other.into(),
            })?;
            Any::None.into()
        }
        "join" if queue.unfinished() == 0 => Any::None.into(),
        "join" if asking.agent.is_none() => Tried::Agent,
        "join" => {
            queue.join()?;
            Any::None.into()
        }
        _ => return any(queue, method, args, asking),
    })
}

pub(super) fn queue(queue: &Queue<Any>, method: &str, args: &mut Args, asking: &Asking<'_>) -> Result<Tried> {
    any(queue, method, args, asking)
}

fn any(queue: &impl Queued, method: &str, args: &mut Args, asking: &Asking<'_>) -> Result<Tried> {
    Ok(match method {
        "put" | "put_nowait" => {
            let item = args.need("item")?;
            let wait = patience(method, args)?;
            match queue.try_put(item) {
                Ok(()) => Any::None.into(),
                Err(Error::Full) if wait && !asking.late => Tried::Wait(args.timeout()?.map(seconds)),
                Err(error) => return Err(error.into()),
            }
        }
        "get" | "get_nowait" => {
            let wait = patience(method, args)?;
            match queue.try_get() {
                Ok(item) => item.into(),
                Err(Error::Empty) if wait && !asking.late => Tried::Wait(args.timeout()?.map(seconds)),
                Err(error) => return Err(error.into()),
            }
        }
        "qsize" => queue.len().into(),
        "empty" => queue.is_empty().into(),
        "full" => queue.is_full().into(),
        _ => return Err(no_method("Queue", method)),
    })
}

/// Whether it waits, and no nonsense for how long.
fn patience(method: &str, args: &mut Args) -> Result<bool> {
    let wait = !method.ends_with("_nowait") && args.truth("block", true);
    let checked = args.clone().timeout()?;
    if wait && checked.is_some_and(|timeout| timeout < 0.0) {
        return Err(Exception::Value.says("'timeout' must be a non-negative number"));
    }
    Ok(wait)
}
