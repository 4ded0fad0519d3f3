use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use mp_sync::{Barrier, Error};

use crate::common::{Actor, Board, LIMIT, PROMPT, arguments, carry, until};
use crate::{SHORT, two_members};

fn why(result: mp_sync::Result<usize>) -> String {
    match result {
        Err(Error::Broken { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn phase_by_phase_all_go_together_and_the_action_runs_once() {
    const PHASES: u64 = 300;
    for parties in [1, 2, 5] {
        let barrier = Barrier::new(parties).unwrap();
        let (places, actions, inside) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|s| {
            for _ in 0..parties {
                s.spawn(|| {
                    for phase in 0..PHASES {
                        inside.fetch_add(1, SeqCst);
                        let action = || {
                            assert_eq!(inside.swap(0, SeqCst), parties as u64, "all are here");
                            assert_eq!(actions.fetch_add(1, SeqCst), phase);
                        };
                        places.fetch_add(1 << (8 * barrier.wait_with(action).unwrap()), SeqCst);
                        assert!(actions.load(SeqCst) > phase, "the action comes before they go on");
                        // All have counted their place before it is read; and nobody is in the next phase yet.
                        let at = barrier.wait().unwrap();
                        if at == 0 {
                            let expected = (0..parties).fold(0, |sum, i| sum + (1 << (8 * i)));
                            assert_eq!(places.swap(0, SeqCst), expected, "each place once");
                        }
                        barrier.wait().unwrap();
                    }
                });
            }
        });
        assert_eq!((barrier.n_waiting(), barrier.parties(), barrier.broken()), (0, parties, false));
    }
}

#[test]
fn a_wait_that_times_out_breaks_it_for_all_until_a_reset() {
    let barrier = Barrier::new(3).unwrap();
    thread::scope(|s| {
        let patient = s.spawn(|| barrier.wait());
        until("the patient one", || barrier.n_waiting() == 1);
        let start = Instant::now();
        assert_eq!(why(barrier.wait_timeout(SHORT)), "a wait timed out");
        assert!(start.elapsed() >= SHORT);
        assert_eq!(why(patient.join().unwrap()), "a wait timed out");
    });
    assert!(barrier.broken());
    assert_eq!(why(barrier.wait()), "a wait timed out");
    assert_eq!(format!("{barrier:?}"), "Barrier(0 of 3 waiting, broken)");
    barrier.reset().unwrap();
    assert!(!barrier.broken());
    thread::scope(|s| {
        let others = [s.spawn(|| barrier.wait()), s.spawn(|| barrier.wait_timeout(Duration::MAX))];
        barrier.wait().unwrap();
        others.into_iter().for_each(|t| assert!(t.join().unwrap().is_ok()));
    });
    assert_eq!(why(Barrier::new(2).unwrap().wait_timeout(Duration::ZERO)), "a wait timed out");
}

#[test]
fn abort_and_reset_end_the_waits() {
    let barrier = Barrier::new(2).unwrap();
    for (end, expected) in
        [(Barrier::abort as fn(&Barrier) -> _, "it was aborted"), (Barrier::reset, "it was reset")]
    {
        thread::scope(|s| {
            let waiter = s.spawn(|| barrier.wait());
            until("the waiter", || barrier.n_waiting() == 1);
            end(&barrier).unwrap();
            assert_eq!(why(waiter.join().unwrap()), expected);
        });
        assert_eq!(barrier.broken(), expected == "it was aborted");
        barrier.reset().unwrap();
        assert!(!barrier.broken());
    }
    assert!(Barrier::new(0).is_err() && Barrier::new(1 << 20).is_err());
}

#[test]
fn a_panic_in_the_action_breaks_it() {
    let barrier = Barrier::new(2).unwrap();
    thread::scope(|s| {
        let waiter = s.spawn(|| barrier.wait());
        until("the waiter", || barrier.n_waiting() == 1);
        let panics = || barrier.wait_with(|| std::panic::resume_unwind(Box::new("no report, please")));
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!(why(waiter.join().unwrap()), "its action panicked");
    });
}

#[test]
fn more_threads_than_parties_take_turns() {
    let (barrier, came, passed) = (Barrier::new(2).unwrap(), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|s| {
        for _ in 0..6 {
            s.spawn(|| {
                while came.fetch_add(1, SeqCst) < 600 {
                    barrier.wait_timeout(LIMIT).unwrap();
                    passed.fetch_add(1, SeqCst);
                }
            });
        }
    });
    assert_eq!(passed.load(SeqCst), 600);
}

#[test]
fn resets_of_all_ages_leave_it_usable() {
    let barrier = Barrier::new(3).unwrap();
    let (a, b) = two_members();
    drop((a, b));
    // The last place is not taken in all of these phases; its stamp must not come round again.
    for _ in 0..70_000 {
        barrier.abort().unwrap();
        barrier.reset().unwrap();
    }
    for _ in 0..3 {
        thread::scope(|s| {
            let others = [s.spawn(|| barrier.wait_timeout(LIMIT)), s.spawn(|| barrier.wait_timeout(LIMIT))];
            barrier.wait_timeout(LIMIT).unwrap();
            others.into_iter().for_each(|t| assert!(t.join().unwrap().is_ok()));
        });
    }
}

#[test]
fn one_that_had_come_dies() {
    let (a, b) = two_members();
    let barrier = Barrier::new_in(&a, 3).unwrap();
    let victim = carry(&barrier, &a, &b);
    thread::scope(|s| {
        // It gives up only because the test's process lives on; for the others it is dead by then.
        s.spawn(|| victim.wait_timeout(Duration::from_millis(300)));
        until("the victim", || barrier.n_waiting() == 1);
        b.clone().abandon();
        let error = barrier.wait_timeout(LIMIT).unwrap_err();
        assert!(matches!(&error, Error::Broken { .. }), "{error}");
    });
}

#[test]
fn a_party_s_death_breaks_it_and_its_leaving_does_not() {
    let (a, b) = two_members();
    let barrier = Barrier::new_in(&a, 2).unwrap();
    let there = carry(&barrier, &a, &b);
    let party = barrier.party().unwrap();
    drop(there.party().unwrap());
    assert!(!barrier.broken(), "it left in order");
    forget(there.party().unwrap());
    assert!(matches!(barrier.party(), Err(Error::LimitReached { .. })));
    forget(there);
    b.abandon();
    assert!(barrier.broken());
    let error = party.barrier().wait().unwrap_err();
    assert!(matches!(&error, Error::Broken { why, .. } if why == "a party died"), "{error}");
    barrier.reset().unwrap();
    assert!(!barrier.broken(), "it breaks it once");
    assert!(barrier.party().is_ok(), "and its place is free");
}

#[derive(serde::Serialize, serde::Deserialize)]
enum Part {
    /// Wait, once, and count how it ended.
    Wait,
    /// Register, and never come.
    Register,
    /// Wait again and again until it is broken.
    Go,
}

#[test]
#[ignore = "a part that other tests start in a process of its own"]
fn actor() {
    let Some((part, barrier, board)) = arguments::<(Part, Barrier, Board)>() else { return };
    match part {
        Part::Wait => {
            board.add(0);
            let ended = barrier.wait_timeout(LIMIT);
            board.add(if why(ended) == "a party died" { 1 } else { 2 });
        }
        Part::Register => {
            let _party = barrier.party().unwrap();
            board.add(3);
            loop {
                thread::park();
            }
        }
        Part::Go => {
            let _party = barrier.party().unwrap();
            let error = loop {
                match barrier.wait_with(|| board.add(4)) {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            };
            board.add(if error.who().is_some() { 5 } else { 6 });
        }
    }
}

fn start(name: &str, part: Part, barrier: &Barrier, board: &Board) -> Actor {
    Actor::start("barrier::actor", name, &(part, barrier.clone(), board.clone()))
}

/// D28: CPython's barrier hangs.
#[test]
fn d28_a_killed_waiter_breaks_it_for_those_that_sleep() {
    let (barrier, board) = (Barrier::new(4).unwrap(), Board::new());
    let mut actors: Vec<_> =
        (0..3).map(|i| start(&format!("waiter-{i}"), Part::Wait, &barrier, &board)).collect();
    until("the waiters", || barrier.n_waiting() == 3);
    thread::sleep(Duration::from_millis(50)); // now they sleep
    let killed = Instant::now();
    actors[1].kill();
    assert!(actors[0].wait().success() && actors[2].wait().success());
    assert!(killed.elapsed() < PROMPT * 10, "{:?}", killed.elapsed());
    assert_eq!((board.get(1), board.get(2)), (2, 0));
    assert_eq!(why(barrier.wait()), "a party died");
}

#[test]
fn a_registered_party_that_is_killed_before_it_comes_breaks_it() {
    let (barrier, board) = (Barrier::new(2).unwrap(), Board::new());
    let mut late = start("late", Part::Register, &barrier, &board);
    until("its registration", || board.get(3) == 1);
    let mut waiter = start("waiter", Part::Wait, &barrier, &board);
    until("the waiter", || barrier.n_waiting() == 1);
    thread::sleep(SHORT);
    late.kill();
    assert!(waiter.wait().success());
    assert_eq!(board.get(1), 1);
}

#[test]
fn whenever_one_is_killed_the_others_learn_of_it() {
    for round in 0..6 {
        let (barrier, board) = (Barrier::new(3).unwrap(), Board::new());
        let mut actors: Vec<_> =
            (0..3).map(|i| start(&format!("party-{i}"), Part::Go, &barrier, &board)).collect();
        until("some phases", || board.get(4) > 50);
        thread::sleep(Duration::from_micros(round * 211 % 1000));
        actors[1].kill();
        assert!(actors[0].wait().success() && actors[2].wait().success());
        assert_eq!(board.get(5) + board.get(6), 2, "round {round}");
    }
}
