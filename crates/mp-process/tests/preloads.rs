//! What the fork server does once for all its children.

#![cfg(target_os = "linux")] // elsewhere is no fork server

use std::sync::atomic::{AtomicU32, Ordering::*};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mp_process::{Error, Process, StartMethod, preload};

mp_process::enable_in_tests!();

static MADE: AtomicU32 = AtomicU32::new(0);

/// One test at a time: what is preloaded is the process's.
fn turn() -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    StartMethod::available().contains(&StartMethod::ForkServer).then_some(turn)
}

fn start() -> mp_process::Builder {
    Process::builder().start_method(StartMethod::ForkServer)
}

fn made() -> u32 {
    MADE.load(SeqCst)
}

#[test]
fn children_find_it_done_once() {
    let Some(_turn) = turn() else { return };
    preload(|| MADE.store(made() + 1, SeqCst)).unwrap();
    for _ in 0..20 {
        assert_eq!(start().spawn(made, ()).unwrap().join().unwrap(), 1);
    }
    assert_eq!(made(), 0, "not here");
    // Another one replaces it, and the server.
    preload(|| MADE.store(7, SeqCst)).unwrap();
    assert_eq!(start().spawn(made, ()).unwrap().join().unwrap(), 7);
    // What a child starts finds it done as well.
    let grandchild = || start().spawn(made, ()).unwrap().join().unwrap();
    assert_eq!(start().spawn(grandchild, ()).unwrap().join().unwrap(), 7);
    // The other method does without.
    let spawned = Process::builder().start_method(StartMethod::Spawn).spawn(made, ()).unwrap();
    assert_eq!(spawned.join().unwrap(), 0);
}

#[test]
fn its_failure_is_that_of_each_start() {
    let Some(_turn) = turn() else { return };
    preload(|| -> Result<(), std::io::Error> { Err(std::io::Error::other("no table today")) }).unwrap();
    for _ in 0..2 {
        let error = start().spawn(made, ()).unwrap_err();
        assert!(matches!(&error, Error::Failed(failure) if failure.message == "no table today"), "{error}");
    }
    preload(|| -> () { panic!("the table is broken") }).unwrap();
    let error = start().spawn(made, ()).unwrap_err();
    assert!(matches!(&error, Error::Panicked(report) if report.message == "the table is broken"), "{error}");
    preload(|| ()).unwrap();
    assert_eq!(start().spawn(made, ()).unwrap().join().unwrap(), 0);
}

#[test]
fn a_thread_that_it_left_behind_is_refused() {
    let Some(_turn) = turn() else { return };
    preload(|| drop(std::thread::spawn(std::thread::park))).unwrap();
    let error = start().spawn(made, ()).unwrap_err();
    assert!(error.to_string().contains("1 threads left behind"), "{error}");
    // One that was joined is none.
    preload(|| std::thread::spawn(|| MADE.store(9, SeqCst)).join().unwrap()).unwrap();
    assert_eq!(start().spawn(made, ()).unwrap().join().unwrap(), 9);
}
