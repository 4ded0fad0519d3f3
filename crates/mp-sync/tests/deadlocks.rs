//! Locks taken in opposite orders, by threads of different processes: the deadlock finder.

mod common;

use std::thread;

use common::{Actor, Board, arguments, until};
use mp_session::Session;
use mp_sync::{Error, Lock, Mutex};

#[test]
#[ignore = "a part that other tests start in a process of its own"]
fn actor() {
    let Some((mine, other, board)) = arguments::<(Lock, Mutex<u64>, Board)>() else { return };
    let held = mine.lock().unwrap();
    board.add(0);
    until("the other side holds its lock", || board.get(1) == 1);
    // Told, or served after the other side was told.
    match other.lock() {
        Ok(mut value) => *value += 1,
        Err(error) => {
            check(&error.into(), "child", "Mutex", "\"stock\"");
            board.add(2);
        }
    }
    drop(held);
}

/// The one who is told is the first of the ring.
fn check(error: &Error, process: &str, kind: &str, label: &str) {
    let Error::Deadlock { cycle } = error else { panic!("{error}") };
    assert_eq!(cycle.len(), 2);
    assert!(cycle[0].process.name.contains(process), "{error}");
    assert_eq!(cycle[0].process.pid, std::process::id(), "{error}");
    assert!(cycle[0].waits_for.starts_with(kind) && cycle[0].waits_for.ends_with(label), "{error}");
    assert_ne!(cycle[1].process.pid, cycle[0].process.pid);
}

#[test]
fn two_processes_that_wait_for_each_other() {
    Session::current().unwrap().find_deadlocks(true);
    for _ in 0..20 {
        let (ledger, stock) = (Lock::named("ledger").unwrap(), Mutex::named("stock", 0_u64).unwrap());
        let board = Board::new();
        let mut child = Actor::start("actor", "child", &(ledger.clone(), stock.clone(), board.clone()));
        let held = stock.lock().unwrap();
        until("the child holds its lock", || board.get(0) == 1);
        board.add(1);
        let told = match ledger.lock() {
            Ok(_) => false,
            Err(error) => {
                check(&error, "Main", "Lock", "\"ledger\"");
                true
            }
        };
        drop(held);
        assert!(child.wait().success());
        assert_ne!(told, board.get(2) == 1, "exactly one is told");
        assert_eq!(*stock.lock().unwrap(), u64::from(told), "the other one was served");
    }
}

/// Waits that end by themselves, and locks that anybody may release, are no deadlock.
#[test]
fn what_may_still_end_is_not_reported() {
    Session::current().unwrap().find_deadlocks(true);
    let (a, b) = (Lock::new().unwrap(), Lock::new().unwrap());
    let _a = a.lock().unwrap();
    b.acquire().unwrap();
    let crossing = {
        let (a, b) = (a.clone(), b.clone());
        thread::spawn(move || {
            let timed_out = a.lock_timeout(std::time::Duration::from_millis(200)).unwrap().is_none();
            b.release().unwrap();
            timed_out
        })
    };
    let _b = b.lock().unwrap();
    assert!(crossing.join().unwrap());
}

/// A dead holder is no link: its lock goes to who waits for it.
#[test]
fn the_dead_close_no_ring() {
    Session::current().unwrap().find_deadlocks(true);
    let (ledger, stock) = (Lock::named("ledger").unwrap(), Mutex::named("stock", 0_u64).unwrap());
    let board = Board::new();
    let mut child = Actor::start("actor", "victim", &(ledger.clone(), stock.clone(), board.clone()));
    let held = stock.lock().unwrap();
    until("the child holds its lock", || board.get(0) == 1);
    child.kill();
    let guard = ledger.lock().unwrap();
    assert!(guard.owner_died().is_some());
    drop((guard, held));
}

#[test]
fn names_are_shown() {
    let lock = Lock::named("ledger").unwrap();
    assert_eq!(lock.name().as_deref(), Some("ledger"));
    assert!(format!("{lock:?}").contains("\"ledger\", free"), "{lock:?}");
    assert_eq!(Lock::new().unwrap().name(), None);
    let stock = Mutex::named("stock", 1_u8).unwrap();
    assert_eq!(*stock.lock().unwrap(), 1);
    assert_eq!(stock.name().as_deref(), Some("stock"));
}
