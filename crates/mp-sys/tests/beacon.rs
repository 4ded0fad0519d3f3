//! Beacons live in glibc's robust list, beside glibc's own robust mutexes.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use mp_sys::{Beacon, beacon_link, beacon_unlink};
use std::{cell::UnsafeCell, mem::MaybeUninit, sync::atomic::Ordering, thread};

/// A robust mutex of the C library.
struct Robust(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: a pthread mutex is for several threads.
unsafe impl Sync for Robust {}

impl Robust {
    fn new(inherit_priority: bool) -> Box<Self> {
        let mut attributes = MaybeUninit::uninit();
        let mutex = Box::new(Self(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER)));
        // SAFETY: initialised in this order; the mutex stays where it is, in its box.
        unsafe {
            assert_eq!(libc::pthread_mutexattr_init(attributes.as_mut_ptr()), 0);
            let set = libc::pthread_mutexattr_setrobust(attributes.as_mut_ptr(), libc::PTHREAD_MUTEX_ROBUST);
            assert_eq!(set, 0);
            if inherit_priority {
                let set =
                    libc::pthread_mutexattr_setprotocol(attributes.as_mut_ptr(), libc::PTHREAD_PRIO_INHERIT);
                assert_eq!(set, 0);
            }
            assert_eq!(libc::pthread_mutex_init(mutex.0.get(), attributes.as_ptr()), 0);
        }
        mutex
    }

    fn lock(&self) -> i32 {
        // SAFETY: initialised in `new`.
        unsafe { libc::pthread_mutex_lock(self.0.get()) }
    }

    fn unlock(&self) {
        // SAFETY: as above.
        assert_eq!(unsafe { libc::pthread_mutex_unlock(self.0.get()) }, 0);
    }
}

fn word(beacon: &Beacon) -> u32 {
    beacon.word.load(Ordering::Acquire)
}

/// Emulators have no robust lists; real machines with glibc do.
fn available() -> bool {
    let beacon = Beacon::default();
    // SAFETY: unlinked by the same thread before it goes out of scope.
    let linked = unsafe { beacon_link(&beacon) };
    if linked {
        assert!(word(&beacon) != 0 && !Beacon::is_dead(word(&beacon)));
        // SAFETY: linked just now.
        unsafe { beacon_unlink(&beacon) };
        assert_eq!(word(&beacon), 0);
    } else {
        eprintln!("skipped: no robust list here");
        if cfg!(target_arch = "x86_64") {
            panic!("there is one on any real machine");
        }
    }
    linked
}

#[test]
fn a_thread_that_ends_is_marked_before_it_can_be_joined() {
    if !available() {
        return;
    }
    let (kept, left) = (Beacon::default(), Beacon::default());
    thread::scope(|s| {
        s.spawn(|| {
            // SAFETY: both outlive the thread; nobody else writes to them.
            unsafe {
                assert!(beacon_link(&left) && beacon_link(&kept));
                beacon_unlink(&left);
            }
        })
        .join()
        .expect("join");
    });
    assert!(Beacon::is_dead(word(&kept)));
    assert_eq!(word(&left), 0, "left in good order");
}

#[test]
fn mutexes_before_and_after_it_in_the_list_keep_working() {
    if !available() {
        return;
    }
    for inherit_priority in [false, true] {
        let mutexes = [Robust::new(false), Robust::new(inherit_priority), Robust::new(inherit_priority)];
        let [a, b, c] = &mutexes;
        let beacons = [Beacon::default(), Beacon::default()];
        // Held at the end of the thread: b and the second beacon.
        thread::scope(|s| {
            s.spawn(|| {
                assert_eq!(a.lock(), 0);
                // SAFETY: they outlive the thread; nobody else writes to them.
                unsafe { assert!(beacon_link(&beacons[0])) };
                assert_eq!(b.lock(), 0);
                // SAFETY: as above.
                unsafe { assert!(beacon_link(&beacons[1])) };
                assert_eq!(c.lock(), 0);
                a.unlock(); // the neighbour behind a beacon
                // SAFETY: linked above; its neighbours are a mutex and the end.
                unsafe { beacon_unlink(&beacons[0]) };
                c.unlock(); // the neighbour before a beacon
                assert_eq!(a.lock(), 0);
                a.unlock();
            })
            .join()
            .expect("join");
        });
        assert_eq!((a.lock(), c.lock()), (0, 0));
        assert_eq!(b.lock(), libc::EOWNERDEAD);
        assert_eq!(word(&beacons[0]), 0);
        assert!(Beacon::is_dead(word(&beacons[1])));
        a.unlock();
        c.unlock();
    }
}

#[test]
fn many_beacons_in_any_order() {
    if !available() {
        return;
    }
    let beacons: Vec<Beacon> = (0..100).map(|_| Beacon::default()).collect();
    thread::scope(|s| {
        s.spawn(|| {
            for beacon in &beacons {
                // SAFETY: they outlive the thread; nobody else writes to them.
                assert!(unsafe { beacon_link(beacon) });
            }
            for index in (0..100).map(|i| i * 37 % 100).filter(|i| i % 3 != 0) {
                // SAFETY: linked above.
                unsafe { beacon_unlink(&beacons[index]) };
            }
        })
        .join()
        .expect("join");
    });
    for (index, beacon) in beacons.iter().enumerate() {
        assert_eq!(Beacon::is_dead(word(beacon)), index % 3 == 0, "{index}");
    }
}
