use std::mem::forget;
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use mp_sync::{Error, RLock};

use crate::common::{Actor, Board, LIMIT, PROMPT, arguments, carry, until};
use crate::{SHORT, two_members};

#[test]
fn the_owner_takes_it_again_and_gives_it_back_as_often() {
    let lock = RLock::new().unwrap();
    assert_eq!(lock.depth().unwrap(), 0);
    let first = lock.lock().unwrap();
    let second = lock.try_lock().unwrap().unwrap();
    lock.acquire().unwrap();
    assert!(lock.try_acquire().unwrap() && lock.acquire_timeout(SHORT).unwrap());
    assert_eq!((lock.depth().unwrap(), lock.locked()), (5, true));
    for _ in 0..3 {
        lock.release().unwrap();
    }
    drop(first); // in any order
    thread::scope(|s| {
        s.spawn(|| assert!(lock.try_lock().unwrap().is_none(), "one level is left"));
    });
    drop(second);
    assert_eq!((lock.depth().unwrap(), lock.locked()), (0, false));
    assert!(lock.lock_timeout(Duration::MAX).unwrap().is_some());
}

#[test]
fn only_the_owner_releases() {
    let lock = RLock::named("orders").unwrap();
    let error = lock.release().unwrap_err();
    assert!(matches!(&error, Error::NotOwner { holder: None, .. }), "{error}");
    lock.acquire().unwrap();
    thread::scope(|s| {
        s.spawn(|| {
            let error = lock.release().unwrap_err();
            assert!(matches!(&error, Error::NotOwner { holder: Some(_), .. }), "{error}");
            assert!(error.to_string().starts_with("RLock \"orders\" is not held by this thread"), "{error}");
            assert_eq!(lock.depth().unwrap(), 0);
        });
    });
    lock.release().unwrap();
    assert!(lock.release().is_err());
}

#[test]
fn it_excludes_at_every_depth() {
    let (lock, inside) = (RLock::new().unwrap(), AtomicU64::new(0));
    thread::scope(|s| {
        for t in 0..4_u64 {
            let (lock, inside) = (&lock, &inside);
            s.spawn(move || {
                for i in 0..3000 {
                    let guards: Vec<_> = (0..1 + (i + t) % 4).map(|_| lock.lock().unwrap()).collect();
                    assert_eq!(inside.fetch_add(1, SeqCst), 0);
                    assert_eq!(inside.fetch_sub(1, SeqCst), 1);
                    drop(guards);
                }
            });
        }
    });
    assert!(!lock.locked());
}

#[test]
fn what_a_thread_holds_at_its_end_is_freed_and_the_next_one_is_told() {
    let lock = RLock::new().unwrap();
    thread::scope(|s| {
        s.spawn(|| {
            lock.acquire().unwrap();
            forget(lock.lock().unwrap());
        })
        .join()
        .unwrap();
    });
    let guard = lock.lock_timeout(LIMIT).unwrap().unwrap();
    assert!(guard.owner_died().is_some());
    assert_eq!(lock.depth().unwrap(), 1, "the dead one's levels are gone");
    drop(guard);
    assert!(!lock.locked());
    assert!(lock.lock().unwrap().owner_died().is_none(), "told once");
}

#[test]
fn an_owner_dies_at_any_depth() {
    for depth in [1, 2, 7] {
        let (a, b) = two_members();
        let lock = RLock::new_in(&a).unwrap();
        let victim = carry(&lock, &a, &b);
        for _ in 0..depth {
            forget(victim.lock().unwrap());
        }
        forget(victim);
        b.abandon();
        let guard = lock.lock().unwrap();
        assert_eq!(guard.owner_died().map(|who| who.name.as_str()), Some("b"));
        assert_eq!(lock.depth().unwrap(), 1);
        drop(guard);
        assert!(!lock.locked());
    }
}

#[test]
fn debug_tells_owner_and_depth() {
    let lock = RLock::named("a").unwrap();
    let me = format!("MainProcess (pid {})", std::process::id());
    assert_eq!(format!("{lock:?}"), "RLock(\"a\", free)");
    let _one = lock.lock().unwrap();
    let _two = lock.lock().unwrap();
    assert_eq!(format!("{lock:?}"), format!("RLock(\"a\", held by {me}, 2 deep)"));
}

#[test]
#[ignore = "a part that other tests start in a process of its own"]
fn actor() {
    let Some((holds, lock, board)) = arguments::<(bool, RLock, Board)>() else { return };
    if holds {
        lock.acquire().unwrap();
        lock.acquire().unwrap();
        assert!(matches!(lock.depth(), Ok(2)));
        board.add(0);
        loop {
            thread::park();
        }
    }
    // Another process cannot release it.
    assert!(matches!(lock.release(), Err(Error::NotOwner { .. })));
    board.add(1);
    let guard = lock.lock_timeout(LIMIT).unwrap().expect("in time");
    board.word(2).fetch_add(u64::from(guard.owner_died().is_some()), SeqCst);
    assert_eq!(lock.depth().unwrap(), 1);
    board.add(3);
}

/// D27: CPython's waits for ever.
#[test]
fn d27_a_killed_owner_s_lock_goes_on_also_when_everybody_sleeps() {
    let (lock, board) = (RLock::new().unwrap(), Board::new());
    let start =
        |name: &str, holds: bool| Actor::start("rlock::actor", name, &(holds, lock.clone(), board.clone()));
    let mut owner = start("owner", true);
    until("the owner", || board.get(0) == 1);
    let mut waiting: Vec<_> = (0..3).map(|i| start(&format!("waiter-{i}"), false)).collect();
    until("the waiters", || board.get(1) == 3);
    thread::sleep(Duration::from_millis(50)); // now they sleep
    let killed = Instant::now();
    owner.kill();
    for actor in &mut waiting {
        assert!(actor.wait().success());
    }
    assert!(killed.elapsed() < PROMPT * 10, "{:?}", killed.elapsed());
    assert_eq!((board.get(2), board.get(3)), (1, 3), "one is told");
    assert!(!lock.locked());
}
