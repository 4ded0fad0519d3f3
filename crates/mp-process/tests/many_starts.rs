//! Starts by the hundred from one thread, while others allocate, lock and start: none hangs, none leaves anything open.
//!
//! `MP_TEST_ROUNDS=10000` runs the long form.

#![cfg(target_os = "linux")] // what a process has open is read from /proc

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::*};

use common::{alone, at_rest, children_of, descriptors, is_as, rounds, signals_held};
use mp_process::{Process, StartMethod};
use mp_session::Session;

mp_process::enable_in_tests!();

/// What a child finds blocked, ignored, and open above its streams.
fn how_it_begins() -> (u64, u64, usize) {
    let (blocked, ignored) = signals_held();
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() - 1; // but for the directory's own
    (blocked, ignored, open.saturating_sub(3))
}

/// Ends the other threads, also when an assertion fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn starts_among_busy_threads_all_come_to_an_end() {
    let _alone = alone();
    let session = Session::current().unwrap();
    let (_, ignored_here) = signals_held();
    for method in StartMethod::available() {
        let start = || Process::builder().start_method(*method);
        start().spawn(|| (), ()).unwrap().join().unwrap();
        let before = at_rest(&session);
        let (files, children) = (descriptors().len(), children_of(std::process::id()));
        let (over, shared) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    // The allocator's locks and one of our own are held at any moment.
                    let mut shared = shared.lock().unwrap();
                    let size = 100 + shared.len() * 64;
                    shared.push(vec![0_u8; size]);
                    shared.truncate(50);
                }
            });
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    start().spawn(|| (), ()).unwrap().join().unwrap();
                }
            });
            let _ends = Ends(&over);
            for i in 0..rounds(100) {
                let (blocked, ignored, open) = start().spawn(how_it_begins, ()).unwrap().join().unwrap();
                assert_eq!((blocked, ignored & !ignored_here), (0, 0), "{method}, {i}");
                assert!(open <= 2, "{method}, {i}: {open} descriptors");
            }
        });
        assert!(is_as(&session, before), "{method}: {:?}, at first {before:?}", session.stats());
        assert!(descriptors().len() <= files, "{method}");
        assert_eq!(children_of(std::process::id()), children, "{method}");
    }
}
