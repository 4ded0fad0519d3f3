//! Locks and signals.
//!
//! A lock that is taken here is the *client's*: a `Lock` or a permit is recorded with the client, and given back when it is gone; an `RLock` and the
//! lock of a `Condition` belong to the thread of the agent that the client's lane has for as long as it holds one.
//!
//! Anybody may release a `Lock` or a semaphore, as in Python: what was recorded with whoever took it is struck out. A permit of a
//! `Semaphore` returns with its holder only if it was taken by `with`; one that was taken by `acquire` may be a signal that somebody else sent, and
//! does not.

use std::time::Duration;

use mp_sync::{Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, Semaphore};
use mp_wire::Error;

use crate::any::Any;
use crate::handle::Handle;

use super::args::seconds;
use super::{Args, Asking, Exception, Result, Tried, no_method};

/// Whether a call of `acquire` waits, and how long.
fn patience(args: &mut Args) -> Result<(bool, Option<Duration>)> {
    let wait = args.truth("blocking", true);
    match args.timeout()? {
        None => Ok((wait, None)),
        Some(-1.0) if wait => Ok((true, None)),
        Some(_) if !wait => Err(Exception::Value.says("can't specify a timeout for a non-blocking call")),
        Some(timeout) if timeout < 0.0 => {
            Err(Exception::Value.says("timeout value must be a non-negative number"))
        }
        Some(timeout) => Ok((true, Some(seconds(timeout)))),
    }
}

/// Acquires something that has no owner.
fn acquire(
    args: &mut Args,
    asking: &Asking<'_>,
    held: impl FnOnce() -> Option<Handle>,
    take: impl Fn() -> mp_wire::Result<bool>,
) -> Result<Tried> {
    let (wait, timeout) = patience(args)?;
    // Recorded first: a gateway that dies in between leaves a record of what was not taken, which the next one sees.
    let held = held();
    let recorded = match &held {
        Some(handle) => Some(asking.client.will_hold(asking.id, handle)?),
        None => None,
    };
    let taken = take();
    if let Some(recorded) = recorded {
        asking.client.holds(recorded, matches!(taken, Ok(true)))?;
    }
    Ok(match taken? {
        true => true.into(),
        false if wait && !asking.late => Tried::Wait(timeout),
        false => false.into(),
    })
}

pub(super) fn lock(lock: &Lock, method: &str, args: &mut Args, asking: &Asking<'_>) -> Result<Tried> {
    Ok(match method {
        "acquire" => acquire(args, asking, || Some(Handle::Lock(lock.clone())), || lock.try_acquire())?,
        "release" => {
            lock.release().map_err(|_| Exception::Runtime.says("release unlocked lock"))?;
            asking.client.gave_back(asking.id)?;
            Any::None.into()
        }
        "locked" => lock.locked().into(),
        _ => return Err(no_method("lock", method)),
    })
}

pub(super) fn semaphore(
    semaphore: &Semaphore,
    method: &str,
    args: &mut Args,
    asking: &Asking<'_>,
) -> Result<Tried> {
    Ok(match method {
        "acquire" => {
            // `with` asks without arguments, and `acquire()` always has one.
            let scoped = args.len() == 0 && args.named.is_empty();
            let held = || scoped.then(|| Handle::Semaphore(semaphore.clone()));
            acquire(args, asking, held, || semaphore.try_acquire())?
        }
        "release" => {
            let count = permits(args)?;
            semaphore.release_many(count)?;
            for _ in 0..count {
                asking.client.gave_back(asking.id)?;
            }
            Any::None.into()
        }
        "locked" => semaphore.locked().into(),
        _ => return Err(no_method("Semaphore", method)),
    })
}

pub(super) fn bounded_semaphore(
    semaphore: &BoundedSemaphore,
    method: &str,
    args: &mut Args,
    asking: &Asking<'_>,
) -> Result<Tried> {
    Ok(match method {
        "acquire" => acquire(
            args,
            asking,
            || Some(Handle::BoundedSemaphore(semaphore.clone())),
            || semaphore.try_acquire(),
        )?,
        "release" => {
            let count = permits(args)?;
            semaphore.release_many(count).map_err(|error| match error {
                Error::InvalidArgument { .. } => Exception::Value.says("Semaphore released too many times"),
                other => other.into(),
            })?;
            for _ in 0..count {
                asking.client.gave_back(asking.id)?;
            }
            Any::None.into()
        }
        "locked" => semaphore.locked().into(),
        _ => return Err(no_method("BoundedSemaphore", method)),
    })
}

/// How many permits are released.
fn permits(args: &mut Args) -> Result<u64> {
    match args.int("n")?.unwrap_or(1) {
        count @ 1..=65_536 => Ok(count as u64),
        _ => Err(Exception::Value.says("n must be one or more, and not too many")),
    }
}

fn un_acquired(what: &str) -> impl Fn(Error) -> super::Fault {
    let what = what.to_owned();
    move |error| match error {
        Error::NotOwner { .. } => Exception::Runtime.says(format!("cannot {what} un-acquired lock")),
        other => other.into(),
    }
}

pub(super) fn rlock(lock: &RLock, method: &str, args: &mut Args, asking: &mut Asking<'_>) -> Result<Tried> {
    let (id, late) = (asking.id, asking.late);
    if method == "locked" {
        return Ok(lock.locked().into());
    }
    let Some(owned) = asking.agent.as_deref_mut() else { return Ok(Tried::Agent) };
    Ok(match method {
        "acquire" => {
            let (wait, timeout) = patience(args)?;
            if lock.try_acquire()? {
                owned.took(id, lock);
                true.into()
            } else if wait && !late {
                Tried::Wait(timeout)
            } else {
                false.into()
            }
        }
        "release" => {
            lock.release().map_err(un_acquired("release"))?;
            owned.gave(id);
            Any::None.into()
        }
        _ => return Err(no_method("RLock", method)),
    })
}

pub(super) fn condition(
    condition: &Condition<RLock>,
    method: &str,
    args: &mut Args,
    asking: &mut Asking<'_>,
) -> Result<Tried> {
    if asking.agent.is_none() {
        return Ok(Tried::Agent);
    }
    let lock = condition.get_lock();
    let held = |what| match lock.depth()? {
        0 => Err(Exception::Runtime.says(format!("cannot {what} on un-acquired lock"))),
        _ => Ok(()),
    };
    Ok(match method {
        "wait" => {
            held("wait")?;
            let timeout = args.timeout()?.map_or(Duration::MAX, seconds);
            condition.wait_acquired(timeout)?.into()
        }
        "notify" => {
            held("notify")?;
            let count = args.int("n")?.unwrap_or(1);
            condition.notify(usize::try_from(count).unwrap_or(0))?;
            Any::None.into()
        }
        "notify_all" | "notifyAll" => {
            held("notify")?;
            condition.notify_all()?;
            Any::None.into()
        }
        "acquire" | "release" | "locked" => rlock(lock, method, args, asking)?,
        _ => return Err(no_method("Condition", method)),
    })
}

pub(super) fn event(event: &Event, method: &str, args: &mut Args, asking: &Asking<'_>) -> Result<Tried> {
    Ok(match method {
        "is_set" | "isSet" => event.is_set().into(),
        "set" => {
            event.set()?;
            Any::None.into()
        }
        "clear" => {
            event.clear()?;
            Any::None.into()
        }
        "wait" => match event.is_set() {
            true => true.into(),
            false if asking.late => false.into(),
            false => Tried::Wait(args.timeout()?.map(seconds)),
        },
        _ => return Err(no_method("Event", method)),
    })
}

pub(super) fn barrier(
    barrier: &Barrier,
    method: &str,
    args: &mut Args,
    asking: &Asking<'_>,
) -> Result<Tried> {
    Ok(match method {
        "wait" if asking.agent.is_none() => Tried::Agent,
        "wait" => {
            let timeout = args.timeout()?.map_or(Duration::MAX, seconds);
            match barrier.wait_timeout(timeout) {
                Ok(place) => place.into(),
                Err(Error::TimedOut { .. } | Error::Broken { .. }) => {
                    return Err(Exception::BrokenBarrier.bare());
                }
                Err(other) => return Err(other.into()),
            }
        }
        "abort" => {
            barrier.abort()?;
            Any::None.into()
        }
        "reset" => {
            barrier.reset()?;
            Any::None.into()
        }
        "__getattribute__" => match args.need("name")? {
            Any::Str(name) if name == "parties" => barrier.parties().into(),
            Any::Str(name) if name == "n_waiting" => barrier.n_waiting().into(),
            Any::Str(name) if name == "broken" => barrier.broken().into(),
            other => return Err(no_method("Barrier", &other.to_string())),
        },
        _ => return Err(no_method("Barrier", method)),
    })
}
