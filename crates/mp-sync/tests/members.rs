//! One process plays several members of a session in its own memory and lets them die.
#![expect(clippy::mem_forget, reason = "what a kill does: no destructor runs")]

mod common;

use std::mem::forget;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use common::{LIMIT, PROMPT, carry, until};
use mp_session::Session;
use mp_sync::{Error, Lock, LockError, Mutex};

fn two_members() -> (Session, Session) {
    let heap = Session::on_heap(0).unwrap();
    (heap.member("a").unwrap(), heap.member("b").unwrap())
}

#[test]
fn a_handle_is_the_same_lock_where_it_arrives() {
    let (a, b) = two_members();
    let (lock, mutex) = (Lock::new_in(&a).unwrap(), Mutex::new_in(&a, 5_i64).unwrap());
    let (lock_b, mutex_b) = carry(&(lock.clone(), mutex.clone()), &a, &b);
    lock.acquire().unwrap();
    *mutex_b.lock().unwrap() += 1;
    assert!(lock_b.locked() && !lock_b.try_acquire().unwrap());
    lock_b.release().unwrap();
    assert!(!lock.locked());
    assert_eq!(*mutex.lock().unwrap(), 6);
}

#[test]
fn a_handle_is_not_taken_for_another_one() {
    let (a, b) = two_members();
    let lock = Lock::new_in(&a).unwrap();
    let mut bytes = Vec::new();
    let decode = |bytes: &[u8], encoded: mp_wire::Encoded| {
        mp_wire::decode::<Mutex<u32>>(encoded.codec, bytes, encoded.exports)
    };
    let encoded = mp_wire::encode(&lock, &mut bytes).unwrap();
    assert!(matches!(decode(&bytes, encoded), Err(Error::WrongKind { .. })));
    bytes.clear();
    let encoded = mp_wire::encode(&Mutex::new_in(&b, 1_i32).unwrap(), &mut bytes).unwrap();
    assert!(matches!(decode(&bytes, encoded), Err(Error::WrongType { .. })));
}

#[test]
fn the_next_one_is_told_until_somebody_repairs() {
    let (a, b) = two_members();
    let mutex = Mutex::new_in(&a, [1, 1]).unwrap();
    let victim = carry(&mutex, &a, &b);
    let mut guard = victim.lock().unwrap();
    guard[0] = 2; // and dies before it can change the other
    forget(guard);
    forget(victim);
    b.abandon();

    match mutex.lock() {
        Err(LockError::OwnerDied(died)) => {
            assert_eq!(died.who().map(|who| who.name.as_str()), Some("b"));
            let guard = died.into_guard();
            assert_eq!((*guard, guard.is_consistent()), ([2, 1], false));
        }
        other => panic!("{other:?}"),
    }
    assert!(format!("{mutex:?}").ends_with("(free, inconsistent)"));
    let error = mutex.lock().map(|_| ()).map_err(Error::from).unwrap_err();
    assert!(matches!(error, Error::OwnerDied { .. }) && error.is_death(), "told again: {error}");
    assert!(matches!(mutex.try_lock(), Err(LockError::OwnerDied(_))));
    assert!(matches!(mutex.lock_timeout(LIMIT), Err(LockError::OwnerDied(_))));
    drop(mutex.lock().or_else(|e| e.repair(|value| value[1] = 2)).unwrap());
    assert_eq!(*mutex.lock().unwrap(), [2, 2]);
    assert_eq!(*mutex.try_lock().unwrap().unwrap(), [2, 2]);
}

#[test]
fn who_dies_over_the_repair_is_the_next_owner_that_died() {
    let heap = Session::on_heap(0).unwrap();
    let a = heap.member("a").unwrap();
    let mutex = Mutex::new_in(&a, 0).unwrap();
    for name in ["first", "second", "third"] {
        let member = heap.member(name).unwrap();
        let own = carry(&mutex, &a, &member);
        match own.lock() {
            Ok(guard) => forget(guard),
            Err(LockError::OwnerDied(died)) => forget(died),
            Err(other) => panic!("{other:?}"),
        }
        forget(own);
        member.abandon();
    }
    let error = Error::from(mutex.lock().map(|_| ()).unwrap_err());
    assert_eq!(error.who().map(|who| who.name.as_str()), Some("third"));
}

#[test]
fn a_lock_tells_once_and_an_anonymous_one_stays_taken() {
    let (a, b) = two_members();
    let (owned, anonymous) = (Lock::new_in(&a).unwrap(), Lock::new_in(&a).unwrap());
    let (owned_b, anonymous_b) = carry(&(owned.clone(), anonymous.clone()), &a, &b);
    anonymous_b.acquire().unwrap();
    forget(owned_b.lock().unwrap());
    forget((owned_b, anonymous_b));
    b.abandon();

    let guard = owned.try_lock().unwrap().unwrap();
    assert_eq!(guard.owner_died().map(|who| who.name.as_str()), Some("b"));
    drop(guard);
    assert!(owned.lock().unwrap().owner_died().is_none());
    assert!(!anonymous.acquire_timeout(Duration::from_millis(20)).unwrap());
    assert_eq!(format!("{anonymous:?}"), "Lock(acquired by somebody who is gone)");
    anonymous.release().unwrap();
    assert!(anonymous.try_acquire().unwrap());
}

#[test]
fn sleepers_learn_of_the_death() {
    let heap = Session::on_heap(0).unwrap();
    for sleepers in [1, 3] {
        let (a, b) = (heap.member("a").unwrap(), heap.member("b").unwrap());
        let mutex = Mutex::new_in(&a, 0_u32).unwrap();
        let ready = AtomicBool::new(false);
        thread::scope(|s| {
            s.spawn(|| {
                // A member with a thread of its own, which dies with the lock in its hand.
                let own = carry(&mutex, &a, &b);
                forget(own.lock().unwrap());
                forget(own);
                ready.store(true, SeqCst);
                thread::sleep(Duration::from_millis(30));
                b.abandon();
            });
            until("lock", || ready.load(SeqCst));
            let waiting: Vec<_> = (0..sleepers)
                .map(|_| {
                    s.spawn(|| match mutex.lock_timeout(LIMIT) {
                        Ok(guard) => {
                            assert_eq!(*guard.expect("in time"), 1);
                            false
                        }
                        Err(LockError::OwnerDied(died)) => {
                            *died.mark_consistent() += 1;
                            true
                        }
                        Err(other) => panic!("{other:?}"),
                    })
                })
                .collect();
            let start = Instant::now();
            let told = waiting.into_iter().map(|w| w.join().unwrap()).filter(|told| *told).count();
            assert_eq!(told, 1);
            assert!(start.elapsed() < PROMPT + Duration::from_millis(200));
        });
    }
}
