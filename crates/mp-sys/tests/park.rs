//! Parking: rings, watches, deadlines.

mod common;
use common::{Words, again, soon, told};
use mp_sys::{Watch, Woken, beacon_notify, park, ring};
use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

#[test]
fn a_changed_word_does_not_sleep() {
    let words = Words::create();
    assert_eq!(park(words.bell(0), 1, &[], None), Woken::Rung);
    let other = AtomicU32::new(7);
    let watch = |value| Watch { word: &other, value, process: None };
    assert_eq!(park(words.bell(0), 0, &[watch(7), watch(8)], None), Woken::Watched(1));
    assert_eq!(park(words.bell(0), 1, &[watch(8)], None), Woken::Rung, "the bell comes first");
}

#[test]
fn a_deadline_is_neither_missed_nor_early() {
    let words = Words::create();
    let other = AtomicU32::new(0);
    let watched = [Watch { word: &other, value: 0, process: None }];
    for watches in [&[][..], &watched] {
        for millis in [0, 1, 30, 70] {
            let start = Instant::now();
            let deadline = start + Duration::from_millis(millis);
            assert_eq!(park(words.bell(0), 0, watches, Some(deadline)), Woken::TimedOut);
            assert!(Instant::now() >= deadline, "early");
            assert!(start.elapsed() < Duration::from_millis(millis + 2000), "late");
        }
        let past = Instant::now();
        assert_eq!(park(words.bell(0), 0, watches, Some(past)), Woken::TimedOut);
    }
}

#[test]
fn a_ring_wakes_with_and_without_watches() {
    let words = Words::create();
    let other = AtomicU32::new(0);
    let watched = [Watch { word: &other, value: 0, process: None }; 5];
    for (round, watches) in [&[][..], &watched, &watched[..1]].into_iter().enumerate() {
        let seen = round as u32;
        thread::scope(|s| {
            let sleeper = s.spawn(|| park(words.bell(0), seen, watches, soon()));
            thread::sleep(Duration::from_millis(20)); // so that it sleeps, mostly; the outcome does not depend on it
            words.set(0, seen + 1);
            assert_eq!(sleeper.join().expect("join"), Woken::Rung);
        });
    }
}

#[test]
fn no_ring_is_lost_in_a_long_game_of_ping_pong() {
    if let Some(told) = told() {
        let words = Words::inherited(told[0]);
        for round in 1..=ROUNDS {
            words.wait_for(0, round);
            words.set(1, round);
        }
        return;
    }
    const ROUNDS: u32 = 3000;
    let words = Words::create();
    let number = words.object.as_inherited();
    let kid = again("no_ring_is_lost_in_a_long_game_of_ping_pong", &[number], &[number]);
    for round in 1..=ROUNDS {
        words.set(0, round);
        words.wait_for(1, round);
    }
    assert_eq!(kid.0.wait(soon()).expect("wait"), Some(mp_sys::Exit::Code(0)));
}

#[test]
fn a_changed_watch_wakes_every_watcher() {
    let words = Words::create();
    let death = AtomicU32::new(5);
    thread::scope(|s| {
        let sleepers: Vec<_> = (0..4)
            .map(|i| {
                let (words, death) = (&words, &death);
                s.spawn(move || {
                    let other = AtomicU32::new(0);
                    let watches = [
                        Watch { word: &other, value: 0, process: None },
                        Watch { word: death, value: 5, process: None },
                    ];
                    park(words.bell(i), 0, &watches, soon())
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(20));
        death.store(6, Ordering::Release);
        beacon_notify(&death);
        for sleeper in sleepers {
            assert_eq!(sleeper.join().expect("join"), Woken::Watched(1));
        }
    });
}

#[test]
fn more_watches_than_the_kernel_takes_are_no_trouble() {
    let words = Words::create();
    let other = AtomicU32::new(0);
    let watches = vec![Watch { word: &other, value: 0, process: None }; 300];
    thread::scope(|s| {
        let sleeper = s.spawn(|| park(words.bell(0), 0, &watches, soon()));
        words.set(0, 1);
        assert_eq!(sleeper.join().expect("join"), Woken::Rung);
    });
}

#[test]
fn a_ring_for_nobody_is_harmless() {
    let words = Words::create();
    ring(words.bell(3));
    let deadline = Instant::now() + Duration::from_millis(30);
    assert_eq!(park(words.bell(3), 0, &[], Some(deadline)), Woken::TimedOut);
}

/// Where beacons are marked by the kernel, or process handles are watched, a death is news at once.
#[cfg(any(target_os = "linux", windows))]
#[test]
fn a_killed_process_wakes_all_who_watch_it() {
    use mp_sys::{Beacon, ProcessWatch, Signal, beacon_link};
    const BEACON: usize = 4096;
    if let Some(told) = told() {
        let words = Words::inherited(told[0]);
        // SAFETY: nobody else uses it, and it stays mapped until this process is killed.
        let linked = unsafe { beacon_link(words.at::<Beacon>(BEACON)) };
        words.set(1, if linked { 1 } else { 2 });
        words.stay();
    }
    let words = Words::create();
    let number = words.object.as_inherited();
    let kid = again("a_killed_process_wakes_all_who_watch_it", &[number], &[number]);
    let started = mp_sys::start_time(kid.0.pid()).expect("start time");
    while words.bell(1).word.load(Ordering::Acquire) == 0 {
        assert_ne!(park(words.bell(1), 0, &[], soon()), Woken::TimedOut);
    }
    if cfg!(target_os = "linux") && words.bell(1).word.load(Ordering::Acquire) == 2 {
        eprintln!("skipped: no robust list here");
        if cfg!(all(target_arch = "x86_64", target_env = "gnu")) {
            panic!("there is one on any real machine");
        }
        return;
    }
    let beacon = words.at::<Beacon>(BEACON);
    let alive = beacon.word.load(Ordering::Acquire);
    assert!(!Beacon::is_dead(alive));
    let watch = ProcessWatch::open(kid.0.pid(), started).expect("watch");
    thread::scope(|s| {
        let sleepers: Vec<_> = (10..14)
            .map(|i| {
                let (words, watch) = (&words, &watch);
                s.spawn(move || {
                    let watches = [Watch { word: &beacon.word, value: alive, process: Some(watch) }];
                    (park(words.bell(i), 0, &watches, soon()), Instant::now())
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(50));
        let start = Instant::now();
        kid.0.signal(Signal::Kill).expect("kill");
        for sleeper in sleepers {
            let (woken, when) = sleeper.join().expect("join");
            assert_eq!(woken, Woken::Watched(0));
            assert!(when.duration_since(start) < Duration::from_secs(5), "late news");
        }
    });
    if cfg!(target_os = "linux") {
        assert!(Beacon::is_dead(beacon.word.load(Ordering::Acquire)));
    }
}
