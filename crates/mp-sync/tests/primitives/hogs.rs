//! Nobody starves: a waiter against two hogs that hold a lock for most of the time.

use std::sync::atomic::{AtomicBool, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use mp_sync::{BoundedSemaphore, Lock, RLock, Semaphore};

use crate::common::LIMIT;

/// Takes it by `take`, which gives up after [`LIMIT`], and holds what that returns.
fn waits_bounded<G>(what: &str, take: impl Fn() -> Option<G> + Sync) {
    let done = AtomicBool::new(false);
    let worst = thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                while !done.load(Relaxed) {
                    let _held = take().expect("a turn for a hog");
                    let since = Instant::now();
                    while since.elapsed() < Duration::from_micros(200) {}
                }
            });
        }
        let mut worst = Duration::ZERO;
        for _ in 0..30 {
            let start = Instant::now();
            drop(take().expect("a turn"));
            worst = worst.max(start.elapsed());
        }
        done.store(true, Relaxed);
        worst
    });
    // Some five times a sleep in vain, then it goes first; the rest is the machine's business.
    assert!(worst < LIMIT / 4, "{what}: {worst:?}");
}

#[test]
fn no_waiter_starves_under_two_hogs() {
    let lock = Lock::new().unwrap();
    waits_bounded("Lock", || lock.lock_timeout(LIMIT).unwrap());
    let rlock = RLock::new().unwrap();
    waits_bounded("RLock", || rlock.lock_timeout(LIMIT).unwrap());
    let semaphore = Semaphore::new(1).unwrap();
    waits_bounded("Semaphore, guards", || semaphore.acquire_guard_timeout(LIMIT).unwrap());
    let seats = BoundedSemaphore::new(1).unwrap();
    waits_bounded("BoundedSemaphore", || seats.acquire_timeout(LIMIT).unwrap().then_some(Owner(&seats)));
    assert_eq!((semaphore.get_value(), seats.get_value()), (1, 1));
}

/// Gives back what was taken anonymously.
struct Owner<'a>(&'a BoundedSemaphore);

impl Drop for Owner<'_> {
    fn drop(&mut self) {
        self.0.release().unwrap();
    }
}
