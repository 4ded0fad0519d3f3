//! Each kind of object that a manager makes, used from a child: all of them travel in one namespace.

use mp::manager::Array;
use mp::prelude::*;

/// Takes everything out of the namespace, and uses it.
fn use_all(things: Namespace) -> mp::Result<()> {
    fn find<T: TryFrom<Any, Error = mp::Error>>(things: &Namespace, name: &str) -> mp::Result<T> {
        things.get(name)?.ok_or_else(|| mp::Error::msg(format!("there is no {name}")))
    }
    let lock: Lock = find(&things, "lock")?;
    let rlock: RLock = find(&things, "rlock")?;
    let semaphore: Semaphore = find(&things, "semaphore")?;
    let bounded: BoundedSemaphore = find(&things, "bounded")?;
    let condition: Condition<RLock> = find(&things, "condition")?;
    let event: Event = find(&things, "event")?;
    let barrier: Barrier = find(&things, "barrier")?;
    let queue: Queue<Any> = find(&things, "queue")?;
    let value: mp::manager::Value<Any> = find(&things, "value")?;
    let array: Array<Any> = find(&things, "array")?;

    assert!(!lock.try_acquire()?, "the parent has it");
    let outer = rlock.lock()?;
    drop((rlock.lock()?, outer));
    assert!(semaphore.try_acquire()? && !semaphore.try_acquire()?);
    bounded.acquire()?;
    bounded.release()?;
    assert!(bounded.release().is_err(), "more than it began with");
    things.alter("x", |x: Option<i64>| x.unwrap_or(0) + 1)?;
    value.set(Any::from("changed by the child"))?;
    array.set(1, Any::from(20))?;
    queue.put(Any::tuple(["from", "the", "child"]))?;
    event.wait()?;
    let guard = condition.lock()?;
    things.set("ready", true)?;
    condition.notify_all()?;
    drop(guard);
    barrier.wait()?;
    Ok(())
}

#[mp::main]
fn main() -> mp::Result<()> {
    let manager = Manager::new()?;
    let things = manager.namespace()?;
    things.set("x", 41)?;
    let (lock, event, barrier) = (manager.lock()?, manager.event()?, manager.barrier(2)?);
    let (condition, queue) = (manager.condition()?, manager.queue::<Any>()?);
    let (value, array) =
        (manager.value(Any::from("as made"))?, manager.array(vec![Any::from(1), Any::from(2)])?);
    things.set("lock", lock.clone())?;
    things.set("rlock", manager.rlock()?)?;
    things.set("semaphore", manager.semaphore(1)?)?;
    things.set("bounded", manager.bounded_semaphore(1)?)?;
    things.set("condition", condition.clone())?;
    things.set("event", event.clone())?;
    things.set("barrier", barrier.clone())?;
    things.set("queue", queue.clone())?;
    things.set("value", value.clone())?;
    things.set("array", array.clone())?;

    lock.acquire()?;
    let child = Process::spawn(use_all, (things.clone(),))?;
    println!("the queue brought {}", queue.get()?);
    let guard = condition.lock()?;
    event.set()?;
    let guard = condition.wait_for(guard, || matches!(things.get("ready"), Ok(Some(true))))?;
    drop(guard);
    barrier.wait()?;
    child.join()?;
    lock.release()?;

    println!("x is {:?}, the value is {}", things.get::<i64>("x")?, value.get()?);
    assert_eq!(things.get::<i64>("x")?, Some(42));
    assert_eq!(value.get()?, Any::from("changed by the child"));
    assert_eq!(array.to_vec()?, [Any::from(1), Any::from(20)]);
    Ok(())
}
