//! Locks among the threads of one process: exclusion, the ways of taking, timeouts, who may release.

mod common;

use std::sync::atomic::{AtomicU64, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use common::{LIMIT, until};
use mp_sync::{Error, Lock, LockError, Mutex};

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn a_lock_excludes() {
    let mutex = Mutex::new([0_u64; 4]).unwrap();
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..20_000 {
                    let mut guard = mutex.lock().unwrap();
                    guard.iter_mut().for_each(|n| *n += 1);
                    assert!(guard.iter().all(|n| *n == guard[0]));
                }
            });
        }
    });
    assert_eq!(*mutex.lock().unwrap(), [80_000; 4]);
}

#[test]
fn all_ways_of_taking_exclude_each_other() {
    let (lock, inside, count) = (Lock::new().unwrap(), AtomicU64::new(0), AtomicU64::new(0));
    let enter = |way: u64| {
        let work = || {
            assert_eq!(inside.fetch_add(1, SeqCst), 0);
            count.fetch_add(1, Relaxed);
            assert_eq!(inside.fetch_sub(1, SeqCst), 1);
        };
        match way % 5 {
            0 => {
                let _guard = lock.lock().unwrap();
                work();
            }
            1 => {
                lock.acquire().unwrap();
                work();
                lock.release().unwrap();
            }
            2 => while lock.try_lock().unwrap().map(|_guard| work()).is_none() {},
            3 => while lock.lock_timeout(SHORT).unwrap().map(|_guard| work()).is_none() {},
            _ => {
                until("try_acquire", || lock.try_acquire().unwrap() || lock.acquire_timeout(SHORT).unwrap());
                work();
                lock.release().unwrap();
            }
        }
    };
    thread::scope(|s| {
        for t in 0..4 {
            s.spawn(move || (0..5000).for_each(|i| enter(t + i)));
        }
    });
    assert_eq!(count.load(Relaxed), 20_000);
    assert!(!lock.locked());
}

#[test]
fn taking_without_waiting() {
    let lock = Lock::new().unwrap();
    let guard = lock.lock().unwrap();
    assert!(lock.locked() && guard.owner_died().is_none());
    assert!(!lock.try_acquire().unwrap() && lock.try_lock().unwrap().is_none());
    drop(guard);
    assert!(lock.try_acquire().unwrap());
    assert!(lock.locked() && lock.try_lock().unwrap().is_none());
    lock.release().unwrap();

    let mutex = Mutex::new(1.5).unwrap();
    let guard = mutex.try_lock().unwrap().unwrap();
    assert!(mutex.try_lock().unwrap().is_none());
    drop(guard);
    assert!(mutex.try_lock().unwrap().is_some());
}

#[test]
fn a_timeout_ends_the_wait_and_not_before() {
    let (lock, mutex) = (Lock::new().unwrap(), Mutex::new(0).unwrap());
    let held = (lock.lock().unwrap(), mutex.lock().unwrap());
    thread::scope(|s| {
        s.spawn(|| {
            let start = Instant::now();
            assert!(!lock.acquire_timeout(SHORT).unwrap());
            assert!(lock.lock_timeout(SHORT).unwrap().is_none());
            assert!(mutex.lock_timeout(SHORT).unwrap().is_none());
            assert!(start.elapsed() >= 3 * SHORT);
            assert!(lock.lock_timeout(Duration::ZERO).unwrap().is_none());
        });
    });
    drop(held);
    assert!(lock.acquire_timeout(Duration::ZERO).unwrap(), "free: no time is needed");
    assert!(mutex.lock_timeout(Duration::MAX).unwrap().is_some(), "a time beyond all clocks");
}

#[test]
fn a_release_wakes_a_sleeper() {
    let lock = Lock::new().unwrap();
    lock.acquire().unwrap();
    thread::scope(|s| {
        let sleeper = s.spawn(|| lock.lock_timeout(LIMIT).unwrap().is_some());
        thread::sleep(SHORT);
        lock.release().unwrap();
        assert!(sleeper.join().unwrap());
    });
}

#[test]
fn anybody_may_release_what_was_acquired_anonymously() {
    let lock = Lock::new().unwrap();
    lock.acquire().unwrap();
    thread::scope(|s| s.spawn(|| lock.release().unwrap()).join().unwrap());
    assert!(matches!(lock.release(), Err(Error::InvalidArgument { .. })), "nobody holds it");
    let _guard = lock.lock().unwrap();
    assert!(matches!(lock.release(), Err(Error::InvalidArgument { .. })), "a guard holds it");
    assert!(lock.locked());
}

#[test]
fn what_was_acquired_survives_its_thread() {
    let lock = Lock::new().unwrap();
    thread::scope(|s| s.spawn(|| lock.acquire().unwrap()).join().unwrap());
    assert!(lock.locked() && lock.try_lock().unwrap().is_none());
    assert!(!lock.acquire_timeout(SHORT).unwrap());
    lock.release().unwrap();
}

#[test]
fn waiting_for_oneself_is_an_error() {
    let (lock, mutex) = (Lock::new().unwrap(), Mutex::new(0).unwrap());
    let _held = (lock.lock().unwrap(), mutex.lock().unwrap());
    assert!(matches!(lock.acquire(), Err(Error::InvalidArgument { .. })));
    assert!(matches!(lock.lock_timeout(LIMIT), Err(Error::InvalidArgument { .. })));
    assert!(matches!(mutex.lock(), Err(LockError::Failed(Error::InvalidArgument { .. }))));
}

#[test]
#[expect(clippy::mem_forget, reason = "the point of the test")]
fn a_forgotten_lock_guard_ends_with_its_thread() {
    let lock = Lock::new().unwrap();
    thread::scope(|s| s.spawn(|| std::mem::forget(lock.lock().unwrap())).join().unwrap());
    assert!(lock.lock_timeout(LIMIT).unwrap().unwrap().owner_died().is_some());
    assert!(lock.lock().unwrap().owner_died().is_none(), "told once");
}

#[test]
#[expect(clippy::mem_forget, reason = "the point of the test")]
fn a_sleeper_is_told_when_a_thread_ends_with_a_forgotten_guard() {
    let lock = Lock::new().unwrap();
    let (go, held) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|s| {
        s.spawn(|| {
            std::mem::forget(lock.lock().unwrap());
            held.store(1, SeqCst);
            until("the sleeper", || go.load(SeqCst) == 1);
            thread::sleep(SHORT);
        });
        until("the lock", || held.load(SeqCst) == 1);
        go.store(1, SeqCst);
        let start = Instant::now();
        assert!(lock.lock_timeout(LIMIT).unwrap().unwrap().owner_died().is_some());
        assert!(start.elapsed() < LIMIT / 2, "{:?}", start.elapsed());
    });
}

#[test]
fn a_leaked_mutex_guard_keeps_the_mutex_beyond_its_thread() {
    let mutex: &'static Mutex<u32> = Box::leak(Box::new(Mutex::new(7_u32).unwrap()));
    // The value goes to another thread, safely, and its owner ends.
    let leaked: &'static mut u32 =
        thread::spawn(|| &mut **Box::leak(Box::new(mutex.lock().unwrap()))).join().unwrap();
    assert!(mutex.try_lock().unwrap().is_none());
    assert!(
        mutex.lock_timeout(SHORT).unwrap().is_none(),
        "or there would be two references to change the value by"
    );
    *leaked += 1;
}

#[test]
fn guards_in_thread_locals_give_back_what_is_their_own_and_nothing_else() {
    use mp_sync::{LockGuard, MutexGuard};
    use std::cell::RefCell;
    use std::sync::OnceLock;
    static LOCKS: OnceLock<(Lock, Mutex<u8>)> = OnceLock::new();
    type Kept = Option<(LockGuard<'static>, MutexGuard<'static, u8>)>;
    thread_local!(static KEPT: RefCell<Kept> = const { RefCell::new(None) });
    let (lock, mutex) = LOCKS.get_or_init(|| (Lock::new().unwrap(), Mutex::new(0).unwrap()));
    // The local is made before the thread takes part in the session, so it is destroyed after it has left.
    let keep = || KEPT.with(|kept| *kept.borrow_mut() = Some((lock.lock().unwrap(), mutex.lock().unwrap())));
    thread::spawn(keep).join().unwrap();
    let guards = (lock.lock_timeout(LIMIT).unwrap().unwrap(), mutex.lock_timeout(LIMIT).unwrap().unwrap());
    assert!(lock.locked() && mutex.locked());
    drop(guards);
    assert!(!lock.locked() && !mutex.locked());
}

#[test]
fn a_panic_releases_and_is_no_death() {
    let mutex = Mutex::new(1).unwrap();
    let result = thread::scope(|s| {
        s.spawn(|| {
            let mut guard = mutex.lock().unwrap();
            *guard = 2;
            std::panic::resume_unwind(Box::new("no report, please"));
        })
        .join()
    });
    assert!(result.is_err());
    assert_eq!(*mutex.lock().unwrap(), 2);
}

#[test]
fn values_of_all_sizes() {
    let nothing = Mutex::new(()).unwrap();
    let page = Mutex::new([7_u8; 10_000]).unwrap();
    let wide = Mutex::new((u128::MAX,)).unwrap();
    *nothing.lock().unwrap() = ();
    page.lock().unwrap()[9_999] = 8;
    wide.lock().unwrap().0 -= 1;
    assert_eq!(page.lock().unwrap()[9_998..], [7, 8]);
    assert_eq!(wide.lock().unwrap().0, u128::MAX - 1);
}

#[test]
fn debug_names_the_holder() {
    let (lock, mutex) = (Lock::new().unwrap(), Mutex::new(3_u8).unwrap());
    assert_eq!(format!("{lock:?} {mutex:?}"), "Lock(free) Mutex<u8>(free)");
    let guard = mutex.lock().unwrap();
    lock.acquire().unwrap();
    let me = format!("MainProcess (pid {})", std::process::id());
    assert_eq!(format!("{lock:?}"), format!("Lock(acquired by {me})"));
    assert_eq!(format!("{mutex:?}"), format!("Mutex<u8>(held by {me})"));
    assert_eq!((format!("{guard:?}"), format!("{guard}")), ("3".into(), "3".into()));
}

#[test]
fn a_waiter_is_not_overtaken_for_ever() {
    const TURNS: u64 = 50;
    let (mutex, done) = (Mutex::new(0_u64).unwrap(), AtomicU64::new(0));
    thread::scope(|s| {
        // Free for a blink only: whoever has to be woken for it comes too late.
        s.spawn(|| {
            while done.load(Relaxed) < TURNS {
                let mut guard = mutex.lock().unwrap();
                *guard += 1;
                let since = Instant::now();
                while since.elapsed() < Duration::from_micros(300) {}
            }
        });
        let waiter = s.spawn(|| {
            let mut worst = 0;
            for _ in 0..TURNS {
                let before = *mutex.lock_timeout(LIMIT).unwrap().expect("a turn");
                thread::sleep(Duration::from_micros(100));
                let now = *mutex.lock_timeout(LIMIT).unwrap().expect("a turn");
                worst = worst.max(now - before);
                done.fetch_add(1, Relaxed);
            }
            worst
        });
        let worst = waiter.join().unwrap();
        println!("overtaken {worst} times at worst");
        assert!(worst < 200, "overtaken {worst} times");
    });
}
