use std::mem::forget;
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use mp_sync::{BoundedSemaphore, Error, Semaphore, SemaphoreGuard};
use proptest::prelude::*;

use crate::common::{Actor, Board, LIMIT, PROMPT, arguments, carry, until};
use crate::{SHORT, two_members};

#[test]
fn so_many_and_no_more() {
    let semaphore = Semaphore::new(2).unwrap();
    semaphore.acquire().unwrap();
    let guard = semaphore.try_acquire_guard().unwrap().unwrap();
    assert_eq!((semaphore.get_value(), semaphore.locked()), (0, true));
    assert!(!semaphore.try_acquire().unwrap() && semaphore.try_acquire_guard().unwrap().is_none());
    let start = Instant::now();
    assert!(!semaphore.acquire_timeout(SHORT).unwrap());
    assert!(semaphore.acquire_guard_timeout(SHORT).unwrap().is_none());
    assert!(start.elapsed() >= 2 * SHORT);
    assert!(!semaphore.acquire_timeout(Duration::ZERO).unwrap());
    drop(guard);
    assert!(semaphore.acquire_timeout(Duration::MAX).unwrap());
    // Anybody may release, also more than was acquired.
    thread::scope(|s| s.spawn(|| semaphore.release_many(5).unwrap()).join().unwrap());
    assert_eq!(format!("{semaphore:?}"), "Semaphore(5)");
}

#[test]
fn a_bound_is_exact() {
    let seats = BoundedSemaphore::new(3).unwrap();
    assert!(matches!(seats.release(), Err(Error::InvalidArgument { .. })));
    seats.acquire().unwrap();
    let guard = seats.acquire_guard().unwrap();
    assert!(seats.release_many(3).is_err(), "all or none");
    assert_eq!((seats.get_value(), seats.bound()), (1, 3));
    seats.release_many(2).unwrap();
    // Somebody has released in the guard's place: its end adds nothing.
    drop(guard);
    assert_eq!(seats.get_value(), 3);
    assert!(BoundedSemaphore::new(1 << 40).is_err());
    assert!(matches!(Semaphore::new(33_554_431).unwrap().release(), Err(Error::InvalidArgument { .. })));
}

/// D30: CPython checks the bound and then posts.
#[test]
fn d30_releases_at_once_do_not_pass_the_bound() {
    let seats = BoundedSemaphore::new(4).unwrap();
    for _ in 0..200 {
        (0..2).for_each(|_| seats.acquire().unwrap());
        let good = AtomicU64::new(0);
        thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| good.fetch_add(u64::from(seats.release().is_ok()), SeqCst));
            }
        });
        assert_eq!((good.load(SeqCst), seats.get_value()), (2, 4));
    }
}

#[test]
fn never_more_inside_than_permits_however_they_are_taken() {
    let (semaphore, inside) = (BoundedSemaphore::new(2).unwrap(), AtomicU64::new(0));
    thread::scope(|s| {
        for t in 0..5_u64 {
            let (semaphore, inside) = (&semaphore, &inside);
            s.spawn(move || {
                let mut guard: Option<SemaphoreGuard> = None;
                for i in 0..2000 {
                    let anonymous = (i + t) % 2 == 0;
                    match (i + t) % 6 {
                        0 => semaphore.acquire().unwrap(),
                        1 => guard = Some(semaphore.acquire_guard().unwrap()),
                        2 => until("a permit", || semaphore.try_acquire().unwrap()),
                        3 => until("a permit", || {
                            guard = semaphore.try_acquire_guard().unwrap();
                            guard.is_some()
                        }),
                        4 => until("a permit", || semaphore.acquire_timeout(SHORT).unwrap()),
                        _ => until("a permit", || {
                            guard = semaphore.acquire_guard_timeout(SHORT).unwrap();
                            guard.is_some()
                        }),
                    }
                    assert!(inside.fetch_add(1, SeqCst) < 2);
                    inside.fetch_sub(1, SeqCst);
                    if anonymous {
                        semaphore.release().unwrap();
                    } else {
                        guard = None;
                    }
                }
            });
        }
    });
    assert_eq!(semaphore.get_value(), 2);
}

#[test]
fn a_guard_goes_from_thread_to_thread_and_keeps_its_semaphore() {
    let semaphore = Semaphore::new(1).unwrap();
    let guard = semaphore.acquire_guard().unwrap();
    let other = semaphore.clone();
    drop(semaphore);
    thread::spawn(move || drop(guard)).join().unwrap();
    assert_eq!(other.get_value(), 1);
}

#[test]
fn a_dead_member_s_guarded_permits_return_and_the_others_do_not() {
    let (a, b) = two_members();
    let semaphore = Semaphore::new_in(&a, 10).unwrap();
    let victim = carry(&semaphore, &a, &b);
    (0..3).for_each(|_| forget(victim.acquire_guard().unwrap()));
    (0..2).for_each(|_| victim.acquire().unwrap());
    forget(victim);
    assert_eq!(semaphore.get_value(), 5);
    b.abandon();
    a.notice_deaths().unwrap();
    assert_eq!(semaphore.get_value(), 8);
    a.notice_deaths().unwrap();
    assert_eq!(semaphore.get_value(), 8, "once");
}

#[test]
fn one_that_does_not_wait_finds_the_permit_of_a_dead_one() {
    let (a, b) = two_members();
    let semaphore = Semaphore::new_in(&a, 1).unwrap();
    let victim = carry(&semaphore, &a, &b);
    forget((victim.acquire_guard().unwrap(), victim));
    b.abandon();
    assert!(semaphore.try_acquire().unwrap());
}

#[derive(serde::Serialize, serde::Deserialize)]
enum Part {
    /// Take so many by guards, so many anonymously, say so, and never let go.
    Hold(u64, u64),
    /// Take one, count, give it back.
    Take,
    /// Take and give back, again and again.
    Work,
}

#[test]
#[ignore = "a part that other tests start in a process of its own"]
fn actor() {
    let Some((part, semaphore, board)) = arguments::<(Part, Semaphore, Board)>() else { return };
    match part {
        Part::Hold(guarded, anonymous) => {
            (0..guarded).for_each(|_| forget(semaphore.acquire_guard().unwrap()));
            (0..anonymous).for_each(|_| semaphore.acquire().unwrap());
            board.add(0);
            loop {
                thread::park();
            }
        }
        Part::Take => {
            board.add(1);
            let _guard = semaphore.acquire_guard_timeout(LIMIT).unwrap().expect("in time");
            board.add(2);
        }
        Part::Work => loop {
            let guard = semaphore.acquire_guard().unwrap();
            board.add(3);
            drop(guard);
        },
    }
}

/// D27: CPython's permits are lost.
#[test]
fn d27_a_killed_holder_s_guarded_permits_wake_those_that_sleep() {
    let (semaphore, board) = (Semaphore::new(3).unwrap(), Board::new());
    let start = |name: &str, part: Part| {
        Actor::start("semaphore::actor", name, &(part, semaphore.clone(), board.clone()))
    };
    let mut holder = start("holder", Part::Hold(2, 1));
    until("the holder", || board.get(0) == 1);
    let mut waiting: Vec<_> = (0..4).map(|i| start(&format!("waiter-{i}"), Part::Take)).collect();
    until("the waiters", || board.get(1) == 4);
    thread::sleep(Duration::from_millis(50)); // now they sleep
    waiting[0].kill();
    let killed = Instant::now();
    holder.kill();
    for actor in &mut waiting[1..] {
        assert!(actor.wait().success());
    }
    assert!(killed.elapsed() < PROMPT * 10, "{:?}", killed.elapsed());
    assert_eq!(semaphore.get_value(), 2, "the anonymous one stays taken");
}

#[test]
fn the_count_is_exact_after_many_kills() {
    let (semaphore, board) = (Semaphore::new(2).unwrap(), Board::new());
    let start = |i: u64| {
        Actor::start("semaphore::actor", &format!("w{i}"), &(Part::Work, semaphore.clone(), board.clone()))
    };
    let mut actors: Vec<_> = (0..3).map(start).collect();
    for i in 0..20_u64 {
        let before = board.get(3);
        until("work", || board.get(3) > before + 100);
        thread::sleep(Duration::from_micros(i * 97 % 1000));
        let at = (i % 3) as usize;
        actors[at].kill();
        actors[at].wait();
        if i < 17 {
            actors[at] = start(10 + i);
        }
    }
    drop(actors);
    until("the permits", || semaphore.try_acquire().unwrap());
    until("the permits", || semaphore.try_acquire().unwrap());
    assert_eq!(semaphore.get_value(), 0);
    assert!(!semaphore.acquire_timeout(SHORT).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Beside a plain counter.
    #[test]
    fn it_counts(start in 0_u64..5, steps in prop::collection::vec(0_u8..6, 0..60)) {
        let (a, b) = two_members();
        let semaphore = BoundedSemaphore::new_in(&a, start).unwrap();
        let victim = carry(&semaphore, &a, &b);
        let (mut count, mut guards, mut lost) = (start, Vec::new(), 0);
        for step in steps {
            match step {
                0 => {
                    prop_assert_eq!(semaphore.try_acquire().unwrap(), count > 0);
                    count = count.saturating_sub(1);
                }
                1 => {
                    prop_assert_eq!(semaphore.release().is_ok(), count < start);
                    count = (count + 1).min(start);
                }
                2 => match semaphore.try_acquire_guard().unwrap() {
                    Some(guard) => {
                        guards.push(guard);
                        count -= 1;
                    }
                    None => prop_assert_eq!(count, 0),
                },
                3 => if guards.pop().is_some() {
                    count = (count + 1).min(start);
                },
                _ => match victim.try_acquire_guard().unwrap() {
                    Some(guard) => {
                        forget(guard);
                        lost += 1;
                        count -= 1;
                    }
                    None => prop_assert_eq!(count, 0),
                },
            }
            prop_assert_eq!(semaphore.get_value(), count);
        }
        forget(victim);
        b.abandon();
        a.notice_deaths().unwrap();
        prop_assert_eq!(semaphore.get_value(), (count + lost).min(start));
    }
}
