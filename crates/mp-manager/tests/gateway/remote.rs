//! Clients of our own protocol.

use std::time::{Duration, Instant};

use mp_manager::gateway::remote::*;
use mp_manager::{Any, Dict, Error, Handle, Manager, SharedDict, SharedList, SharedSet, SharedValue};

use crate::common::{KEY, both};

/// What is written once for containers here and there.
fn count(words: &impl SharedDict<String, u64>) {
    for word in "a rose is a rose".split(' ') {
        words.alter(&word.to_owned(), |n| Some(n.unwrap_or(0) + 1)).unwrap();
    }
    assert_eq!(words.get(&"rose".to_owned()).unwrap(), Some(2));
    assert_eq!(words.replace(&"a".to_owned(), &7).unwrap(), Some(2));
    assert_eq!(words.keys().unwrap(), ["a", "rose", "is"]);
    assert_eq!(words.pop_item().unwrap(), Some(("is".to_owned(), 1)));
    words.update(vec![("x".to_owned(), 1), ("y".to_owned(), 2)]).unwrap();
    assert_eq!(words.values().unwrap(), [7, 2, 1, 2]);
    words.clear().unwrap();
    assert!(words.is_empty().unwrap());
}

fn line_up(list: &impl SharedList<i64>) {
    list.extend(vec![1, 2, 3, 4]).unwrap();
    list.insert(0, &0).unwrap();
    assert_eq!(list.slice(1..3).unwrap(), [1, 2]);
    list.splice(1..3, vec![9]).unwrap();
    list.reverse().unwrap();
    assert_eq!(list.to_vec().unwrap(), [4, 3, 9, 0]);
    assert!(list.set(0, &5).unwrap() && !list.set(9, &5).unwrap());
    assert_eq!(
        (list.pop().unwrap(), list.pop_at(0).unwrap(), list.pop_at(7).unwrap()),
        (Some(0), Some(5), None)
    );
    assert_eq!((list.get(0).unwrap(), list.get(2).unwrap(), list.len().unwrap()), (Some(3), None, 2));
}

#[test]
fn code_over_the_traits_runs_here_and_there() {
    let (_gateway, manager) = both();
    count(&Dict::new().unwrap());
    count(&manager.dict::<String, u64>().unwrap());
    line_up(&mp_manager::List::new().unwrap());
    line_up(&manager.list::<i64>().unwrap());
    let set = manager.set::<String>().unwrap();
    assert!(SharedSet::add(&set, &"x".into()).unwrap() && !SharedSet::add(&set, &"x".into()).unwrap());
    let value = manager.value(1_i64).unwrap();
    assert_eq!(value.update(|n| *n += 41).unwrap(), 42);
    let names = manager.namespace().unwrap();
    names.set("x", 1).unwrap();
    assert_eq!((names.get::<i64>("x").unwrap(), names.get::<i64>("y").unwrap()), (Some(1), None));
}

#[test]
fn objects_that_are_offered_are_the_sessions() {
    let (gateway, manager) = both();
    let here = Dict::<Any, Any>::new().unwrap();
    gateway.offer("stock", &Handle::Dict(here.clone())).unwrap();
    assert!(gateway.offer("dict", &Handle::Dict(here.clone())).is_err());
    let there: RemoteDict<String, i64> = manager.open("stock").unwrap();
    there.insert("apples".into(), 3).unwrap();
    assert_eq!(here.get("apples").unwrap(), Some(Any::from(3)));
    assert!(matches!(manager.open::<RemoteList<i64>>("stock"), Err(Error::WrongKind { .. })));
    assert!(manager.open::<RemoteLock>("nothing").is_err());
    assert!(gateway.withdraw("stock").unwrap());
    assert!(manager.open::<RemoteDict<String, i64>>("stock").is_err());
    there.insert("pears".into(), 4).unwrap();
}

#[test]
fn objects_go_into_each_other_and_come_out_again() {
    let (_gateway, manager) = both();
    let (outer, inner) = (manager.dict::<String, Any>().unwrap(), manager.list::<i64>().unwrap());
    outer.insert("inner".into(), Any::from(&inner)).unwrap();
    let found = outer.get("inner".into()).unwrap().unwrap();
    let again: RemoteList<i64> = manager.open_from(&found).unwrap();
    again.append(7).unwrap();
    assert_eq!(inner.to_vec().unwrap(), [7]);
    assert!(matches!(manager.open_from::<RemoteList<i64>>(&Any::from(1)), Err(Error::WrongKind { .. })));
}

#[test]
fn calls_that_wait_hold_up_nobody() {
    let (_gateway, manager) = both();
    let queue = manager.queue::<i64>(Some(1)).unwrap();
    let (lock, event) = (manager.lock().unwrap(), manager.event().unwrap());
    let held = lock.lock().unwrap();
    std::thread::scope(|s| {
        let getter = s.spawn(|| queue.get().unwrap());
        let locker = s.spawn(|| drop(lock.lock().unwrap()));
        let waiter = s.spawn(|| event.wait(None).unwrap());
        assert!(!lock.try_acquire().unwrap());
        assert_eq!(queue.get_timeout(Duration::from_millis(1)), Err(Error::Empty));
        queue.put(5).unwrap();
        event.set().unwrap();
        drop(held);
        assert_eq!(getter.join().unwrap(), 5);
        assert!(waiter.join().unwrap());
        locker.join().unwrap();
    });
    queue.put(1).unwrap();
    assert_eq!(queue.try_put(2), Err(Error::Full));
    let start = Instant::now();
    assert!(!event.wait(Some(Duration::ZERO)).unwrap() || event.is_set().unwrap());
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn conditions_and_barriers_work_through_a_gateway() {
    let (_gateway, manager) = both();
    let (condition, ready, barrier) =
        (manager.condition().unwrap(), manager.event().unwrap(), manager.barrier(2).unwrap());
    assert!(condition.notify(1).is_err(), "without its lock");
    std::thread::scope(|s| {
        let waiter = s.spawn(|| {
            let _held = condition.lock().unwrap();
            ready.set().unwrap();
            condition.wait(Some(Duration::from_secs(30))).unwrap()
        });
        ready.wait(None).unwrap();
        {
            let _held = condition.lock().unwrap();
            condition.notify_all().unwrap();
        }
        assert!(waiter.join().unwrap());
        let other = s.spawn(|| barrier.wait(None).unwrap());
        assert_eq!(barrier.wait(None).unwrap() + other.join().unwrap(), 1);
    });
    assert!(matches!(barrier.wait(Some(Duration::from_millis(5))), Err(Error::Broken { .. })));
}

#[test]
fn a_lock_of_a_client_that_is_gone_is_free_within_a_second() {
    let (gateway, manager) = both();
    let (lock, rlock, semaphore) =
        (manager.lock().unwrap(), manager.rlock().unwrap(), manager.bounded_semaphore(1).unwrap());
    let names = manager.dict::<String, Any>().unwrap();
    for (name, value) in
        [("lock", Any::from(&lock)), ("rlock", Any::from(&rlock)), ("semaphore", Any::from(&semaphore))]
    {
        names.insert(name.into(), value).unwrap();
    }
    let other = Manager::connect(gateway.address().clone(), KEY).unwrap();
    let open = |name: &str| names.get(name.into()).unwrap().unwrap();
    let their_lock: RemoteLock = other.open_from(&open("lock")).unwrap();
    let their_rlock: RemoteRLock = other.open_from(&open("rlock")).unwrap();
    let their_semaphore: RemoteSemaphore = other.open_from(&open("semaphore")).unwrap();
    their_lock.acquire().unwrap();
    their_rlock.acquire().unwrap();
    their_semaphore.acquire().unwrap();
    assert!(
        !lock.try_acquire().unwrap() && !rlock.try_acquire().unwrap() && !semaphore.try_acquire().unwrap()
    );
    drop((their_lock, their_rlock, their_semaphore, other));
    let gone = Instant::now();
    assert!(lock.acquire_timeout(Duration::from_secs(20)).unwrap());
    assert!(rlock.acquire_timeout(Duration::from_secs(20)).unwrap());
    assert!(semaphore.acquire_timeout(Duration::from_secs(20)).unwrap());
    println!("free after {:?}", gone.elapsed());
    assert!(gone.elapsed() < Duration::from_secs(5), "{:?}", gone.elapsed());
}

#[test]
fn many_calls_go_together() {
    let (_gateway, manager) = both();
    let dict = manager.dict::<i64, String>().unwrap();
    dict.insert_many((0..5000).map(|i| (i, "x".repeat((i % 50) as usize)))).unwrap();
    let values = dict.get_many(0..5001).unwrap();
    assert!(values[..5000].iter().enumerate().all(|(i, v)| v.as_ref().is_some_and(|v| v.len() == i % 50)));
    assert_eq!(values[5000], None);
    let large = "y".repeat(3 << 20);
    dict.insert_many((0..4).map(|i| (i, large.clone()))).unwrap();
    assert!(dict.get_many(0..4).unwrap().iter().all(|v| v.as_ref().is_some_and(|v| v.len() == large.len())));
}

#[test]
fn a_wrong_key_is_refused() {
    let (gateway, _manager) = both();
    let error = Manager::connect(gateway.address().clone(), "wrong").unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
}
