//! Real processes, and `kill -9`.

mod common;

use std::sync::atomic::Ordering::*;
use std::thread;
use std::time::{Duration, Instant};

use common::{Actor, Board, LIMIT, PROMPT, arguments, until};
use mp_sync::{Lock, LockError, Mutex};

/// What a child does with a mutex; the board counts: 0 holding, 1 about to wait, 2 told of a death, 3 clean, 4 nanoseconds.
#[derive(serde::Serialize, serde::Deserialize)]
enum Part {
    /// Take it, say so, and never let go.
    Hold,
    /// Leak a guard in a thread that ends, say so, and live on.
    Leak,
    /// Wait for it once.
    Wait,
    /// Add one to both numbers, again and again.
    Add(u32),
}

type Pair = Mutex<[u64; 2]>;

#[test]
#[ignore = "a part that other tests start in a process of its own"]
#[expect(clippy::mem_forget, reason = "what one of them is about")]
fn actor() {
    let Some((part, mutex, board)) = arguments::<(Part, Pair, Board)>() else { return };
    match part {
        Part::Hold => {
            let mut guard = mutex.lock().unwrap();
            guard[0] += 1;
            board.add(0);
            loop {
                thread::park();
            }
        }
        Part::Leak => {
            let leaks = move || std::mem::forget(Box::leak(Box::new(mutex)).lock().unwrap());
            thread::spawn(leaks).join().unwrap();
            board.add(0);
            loop {
                thread::park();
            }
        }
        Part::Wait => {
            board.add(1);
            let result = mutex.lock_timeout(LIMIT);
            board.word(4).fetch_max(now(), SeqCst);
            match result {
                Err(LockError::OwnerDied(died)) => {
                    board.add(2);
                    died.mark_consistent()[1] += 1;
                }
                Ok(guard) => {
                    assert_eq!(guard.expect("in time")[1], 1);
                    board.add(3);
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        Part::Add(times) => {
            for _ in 0..times {
                let mut guard = mutex.lock().or_else(|e| e.repair(|value| value[1] = value[0])).unwrap();
                guard[0] += 1;
                board.add(0);
                guard[1] += 1;
            }
            board.add(3);
        }
    }
}

/// Nanoseconds on a clock that all processes share.
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
}

#[test]
fn a_killed_holder_s_lock_goes_to_the_next_within_a_moment() {
    for sleepers in [0, 1, 5] {
        let (mutex, board) = (Pair::new([0, 0]).unwrap(), Board::new());
        let mut holder = Actor::start("actor", "holder", &(Part::Hold, mutex.clone(), board.clone()));
        until("the holder's lock", || board.get(0) == 1);
        assert!(mutex.try_lock().unwrap().is_none());
        let waiting: Vec<Actor> = (0..sleepers)
            .map(|i| {
                Actor::start("actor", &format!("sleeper-{i}"), &(Part::Wait, mutex.clone(), board.clone()))
            })
            .collect();
        until("the sleepers", || board.get(1) == sleepers);
        thread::sleep(Duration::from_millis(50)); // now they do sleep
        let killed = now();
        holder.kill();
        if sleepers == 0 {
            let start = Instant::now();
            match mutex.lock() {
                Err(LockError::OwnerDied(died)) => {
                    let who = died.who().expect("a name");
                    assert_eq!((who.pid, who.name.as_str()), (holder.pid(), "holder"));
                    assert_eq!(*died.mark_consistent(), [1, 0]);
                }
                other => panic!("{other:?}"),
            }
            assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
        } else {
            for mut actor in waiting {
                assert!(actor.wait().success());
            }
            let took = Duration::from_nanos(board.get(4) - killed);
            assert_eq!(
                (board.get(2), board.get(3)),
                (1, sleepers - 1),
                "one is told, the others come after the repair"
            );
            assert!(took < PROMPT * 2, "the last of {sleepers} had it after {took:?}");
            assert_eq!(*mutex.lock().unwrap(), [1, 1]);
        }
    }
}

#[test]
fn a_leaked_guard_ends_with_its_process() {
    let (mutex, board) = (Pair::new([0, 0]).unwrap(), Board::new());
    let mut leaker = Actor::start("actor", "leaker", &(Part::Leak, mutex.clone(), board.clone()));
    until("the leak", || board.get(0) == 1);
    assert!(mutex.lock_timeout(PROMPT / 2).unwrap().is_none(), "the process lives");
    leaker.kill();
    let start = Instant::now();
    assert!(matches!(mutex.lock(), Err(LockError::OwnerDied(_))));
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
}

#[test]
fn a_waiter_s_death_takes_nothing_along() {
    let (mutex, board) = (Pair::new([0, 1]).unwrap(), Board::new());
    let guard = mutex.lock().unwrap();
    let mut waiting: Vec<Actor> = (0..3)
        .map(|i| Actor::start("actor", &format!("sleeper-{i}"), &(Part::Wait, mutex.clone(), board.clone())))
        .collect();
    until("the sleepers", || board.get(1) == 3);
    thread::sleep(Duration::from_millis(50));
    waiting[0].kill();
    drop(guard);
    waiting[1].kill();
    assert!(waiting[2].wait().success());
    assert_ne!(board.get(2) + board.get(3), 0);
    drop(mutex.lock_timeout(LIMIT).or_else(|e| e.repair(|_| {}).map(Some)).unwrap().expect("free"));
}

#[test]
fn sums_stay_right_while_processes_are_killed() {
    let (mutex, board) = (Pair::new([0, 0]).unwrap(), Board::new());
    let start = |i: u32, times| {
        Actor::start("actor", &format!("adder-{i}"), &(Part::Add(times), mutex.clone(), board.clone()))
    };
    let mut steady = start(0, 300_000);
    let mut deaths = 0;
    for i in 1..=10 {
        let before = board.get(0);
        let mut doomed = start(i, u32::MAX);
        until("work", || board.get(0) > before + 500);
        thread::sleep(Duration::from_millis(u64::from(i)));
        doomed.kill();
        doomed.wait();
        deaths += u64::from(mutex.lock().is_err_and(|e| e.repair(|value| value[1] = value[0]).is_ok()));
    }
    assert!(steady.wait().success());
    let [first, second] = *mutex.lock().or_else(|e| e.repair(|value| value[1] = value[0])).unwrap();
    assert_eq!(first, second);
    assert!(first >= 300_000, "{first}");
    // Each addition was counted on the board by its owner, save one per victim at the most.
    assert!(first - board.get(0) <= 10, "{first} {} {deaths}", board.get(0));
}

#[test]
#[ignore = "a part that another test starts in a process of its own"]
fn forever() {
    let Some((lock, board)) = arguments::<(Lock, Board)>() else { return };
    lock.acquire().unwrap();
    board.add(0);
    loop {
        thread::park();
    }
}

#[test]
fn an_anonymous_lock_outlives_the_process_that_took_it() {
    let (lock, board) = (Lock::new().unwrap(), Board::new());
    let mut child = Actor::start("forever", "taker", &(lock.clone(), board.clone()));
    until("the lock", || board.get(0) == 1);
    child.kill();
    child.wait();
    assert!(!lock.acquire_timeout(PROMPT).unwrap());
    lock.release().unwrap();
    assert!(lock.try_acquire().unwrap());
}
