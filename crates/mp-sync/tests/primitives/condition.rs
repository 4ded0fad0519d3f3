use std::mem::forget;
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use mp_sync::{Condition, Error, Lock, LockError, Mutex, RLock};

use crate::common::{Actor, Board, LIMIT, PROMPT, arguments, carry, until};
use crate::{SHORT, two_members};

/// Until that many threads wait (or so it looks: they are in line before they give the lock back).
fn in_line(count: u64, arrived: &AtomicU64, lock: impl FnOnce()) {
    until("the waiters", || arrived.load(SeqCst) == count);
    lock(); // held by each of them until it is in line
}

#[test]
fn notify_wakes_so_many_of_those_that_wait() {
    let condition = Condition::new().unwrap();
    let (arrived, woken) = (AtomicU64::new(0), AtomicU64::new(0));
    condition.notify(5).unwrap(); // of no effect on those who come later
    thread::scope(|s| {
        for _ in 0..5 {
            s.spawn(|| {
                let guard = condition.lock().unwrap();
                arrived.fetch_add(1, SeqCst);
                let (_guard, notified) = condition.wait_timeout(guard, LIMIT).unwrap();
                assert!(notified);
                woken.fetch_add(1, SeqCst);
            });
        }
        in_line(5, &arrived, || drop(condition.lock().unwrap()));
        let start = Instant::now();
        condition.notify(2).unwrap();
        until("two", || woken.load(SeqCst) == 2);
        thread::sleep(SHORT);
        assert_eq!(woken.load(SeqCst), 2);
        condition.notify_all().unwrap();
        until("the rest", || woken.load(SeqCst) == 5);
        assert!(start.elapsed() < LIMIT);
    });
}

#[test]
fn a_wait_ends_by_itself() {
    let condition = Condition::on(Lock::new().unwrap()).unwrap();
    let start = Instant::now();
    let guard = condition.lock().unwrap();
    let (guard, notified) = condition.wait_timeout(guard, SHORT).unwrap();
    assert!(!notified && start.elapsed() >= SHORT);
    assert!(condition.get_lock().locked(), "and has the lock again");
    let (guard, notified) = condition.wait_timeout(guard, Duration::ZERO).unwrap();
    assert!(!notified);
    let (guard, done) = condition.wait_for_timeout(guard, SHORT, || false).unwrap();
    assert!(!done);
    let (_guard, done) = condition.wait_for_timeout(guard, Duration::MAX, || true).unwrap();
    assert!(done);
}

#[test]
fn all_levels_are_given_back_and_taken_again() {
    let condition = Condition::new().unwrap();
    let lock = condition.get_lock();
    let (_one, _two) = (lock.lock().unwrap(), lock.lock().unwrap());
    let guard = condition.lock().unwrap();
    thread::scope(|s| {
        s.spawn(|| {
            let _held = lock.lock_timeout(LIMIT).unwrap().expect("given back");
            condition.notify(1).unwrap();
        });
        let guard = condition.wait(guard).unwrap();
        assert_eq!(lock.depth().unwrap(), 3);
        drop(guard);
        assert_eq!(lock.depth().unwrap(), 2);
    });
    // The same without guards.
    thread::scope(|s| {
        s.spawn(|| {
            let _held = lock.lock_timeout(LIMIT).unwrap().expect("given back");
            condition.notify_all().unwrap();
        });
        assert!(condition.wait_acquired(Duration::MAX).unwrap());
        assert_eq!(lock.depth().unwrap(), 2);
    });
}

#[test]
fn who_does_not_hold_the_lock_cannot_wait() {
    let condition = Condition::on(Lock::new().unwrap()).unwrap();
    assert!(matches!(condition.wait_acquired(SHORT), Err(Error::NotOwner { .. })));
    let other = Lock::new().unwrap();
    let error = condition.wait(other.lock().unwrap()).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
    assert!(!other.locked(), "the guard is gone");
    condition.get_lock().acquire().unwrap();
    assert!(!condition.wait_acquired(SHORT).unwrap());
    condition.get_lock().release().unwrap();
    let rlock = RLock::new().unwrap();
    assert!(matches!(Condition::on(rlock).unwrap().wait_acquired(SHORT), Err(Error::NotOwner { .. })));
}

/// *no-stealing*: a producer's notification goes to one that waited, whoever else comes and goes.
#[test]
fn nothing_is_lost_between_producers_and_consumers() {
    const EACH: u64 = 3000;
    let basket = Condition::on(Mutex::new(0_u64).unwrap()).unwrap();
    let eaten = AtomicU64::new(0);
    thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                for _ in 0..EACH {
                    let mut loaves = basket.wait_for(basket.lock().unwrap(), |n| *n > 0).unwrap();
                    *loaves -= 1;
                    eaten.fetch_add(1, SeqCst);
                }
            });
        }
        for _ in 0..2 {
            s.spawn(|| {
                for i in 0..EACH * 3 / 2 {
                    *basket.lock().unwrap() += 1;
                    if i % 100 == 0 {
                        thread::yield_now();
                    }
                    basket.notify(1).unwrap();
                }
            });
        }
    });
    assert_eq!((eaten.load(SeqCst), *basket.lock().unwrap()), (3 * EACH, 0));
}

#[test]
fn a_waiter_is_told_who_died_over_the_value() {
    let (a, b) = two_members();
    let condition = Condition::on(Mutex::new_in(&a, 0_u32).unwrap()).unwrap();
    let victim = carry(&condition, &a, &b);
    let arrived = AtomicU64::new(0);
    thread::scope(|s| {
        let waiter = s.spawn(|| {
            let guard = condition.lock().unwrap();
            arrived.fetch_add(1, SeqCst);
            match condition.wait_timeout(guard, LIMIT) {
                Err(LockError::OwnerDied(died)) => *died.mark_consistent(),
                other => panic!("{other:?}"),
            }
        });
        s.spawn(|| {
            in_line(1, &arrived, || drop(victim.lock().unwrap()));
            let mut guard = victim.lock().unwrap();
            *guard = 7;
            victim.notify(1).unwrap();
            thread::sleep(SHORT); // the waiter waits for the lock by now
            forget(guard);
            forget(victim);
            b.abandon();
        });
        assert_eq!(waiter.join().unwrap(), 7);
    });
}

#[derive(serde::Serialize, serde::Deserialize)]
enum Part {
    /// Wait to be notified, once.
    Wait,
    /// Eat loaf by loaf, for ever.
    Eat,
}

#[test]
#[ignore = "a part that other tests start in a process of its own"]
fn actor() {
    let Some((part, condition, board)) = arguments::<(Part, Condition<Mutex<[u64; 2]>>, Board)>() else {
        return;
    };
    let repair = |e: LockError<_>| e.repair(|_: &mut [u64; 2]| ());
    match part {
        Part::Wait => {
            let guard = condition.lock().or_else(repair).unwrap();
            board.add(0);
            let (_guard, notified) = condition.wait_timeout(guard, LIMIT).unwrap();
            assert!(notified);
            board.add(1);
        }
        Part::Eat => loop {
            let guard = condition.lock().or_else(repair).unwrap();
            let mut guard = condition.wait_for(guard, |n| n[0] > 0).or_else(repair).unwrap();
            if guard[0] > 0 {
                guard[0] -= 1;
                guard[1] += 1;
                board.add(2);
            }
        },
    }
}

type Basket = Condition<Mutex<[u64; 2]>>;

fn start(name: &str, part: Part, basket: &Basket, board: &Board) -> Actor {
    Actor::start("condition::actor", name, &(part, basket.clone(), board.clone()))
}

/// D28: CPython's `notify` waits for ever for the check-in of a killed waiter.
#[test]
fn d28_a_killed_waiter_neither_holds_up_notify_nor_eats_the_notification() {
    let (basket, board) = (Basket::on(Mutex::new([0; 2]).unwrap()).unwrap(), Board::new());
    let mut actors: Vec<_> =
        (0..4).map(|i| start(&format!("waiter-{i}"), Part::Wait, &basket, &board)).collect();
    until("the waiters", || board.get(0) == 4);
    drop(basket.lock().unwrap());
    thread::sleep(SHORT);
    actors[0].kill();
    actors[2].kill();
    actors[0].wait();
    actors[2].wait();
    let began = Instant::now();
    basket.notify(2).unwrap();
    assert!(began.elapsed() < PROMPT, "notify took {:?}", began.elapsed());
    assert!(actors[1].wait().success() && actors[3].wait().success(), "both notifications reach the living");
    assert_eq!(board.get(1), 2);
}

#[test]
fn every_loaf_is_eaten_whoever_is_killed() {
    let (basket, board) = (Basket::on(Mutex::new([0; 2]).unwrap()).unwrap(), Board::new());
    let mut actors: Vec<_> =
        (0..3).map(|i| start(&format!("eater-{i}"), Part::Eat, &basket, &board)).collect();
    let lock = || basket.lock().or_else(|e| e.repair(|_| ())).unwrap();
    let mut baked = 0;
    for i in 0..15_u64 {
        for _ in 0..200 {
            lock()[0] += 1;
            baked += 1;
            basket.notify(1).unwrap();
        }
        let at = (i % 3) as usize;
        if at > 0 {
            // The first one lives on.
            actors[at].kill();
            actors[at].wait();
            actors[at] = start("another", Part::Eat, &basket, &board);
        }
    }
    // A loaf on which a killed one was is still there or eaten; whoever lives eats what is there when told once more.
    basket.notify_all().unwrap();
    until("the last loaf", || lock()[0] == 0);
    let [left, eaten] = *lock();
    assert_eq!(left, 0);
    assert!(baked - eaten <= 10, "{baked} {eaten}");
}
