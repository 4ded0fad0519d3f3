use std::sync::atomic::{AtomicU64, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use mp_sync::Event;

use crate::SHORT;
use crate::common::{Actor, Board, LIMIT, PROMPT, arguments, carry, until};

#[test]
fn set_clear_and_set_again() {
    let event = Event::new().unwrap();
    assert!(!event.is_set() && !event.wait_timeout(Duration::ZERO).unwrap());
    event.clear().unwrap();
    event.set().unwrap();
    event.set().unwrap();
    assert!(event.is_set() && event.wait_timeout(Duration::ZERO).unwrap());
    event.wait().unwrap();
    assert!(event.wait_timeout(Duration::MAX).unwrap());
    assert_eq!(format!("{event:?}"), "Event(set)");
    event.clear().unwrap();
    assert!(!event.is_set());
    let start = Instant::now();
    assert!(!event.wait_timeout(SHORT).unwrap());
    assert!(start.elapsed() >= SHORT);
}

#[test]
fn all_who_wait_are_woken() {
    let (event, woken) = (Event::new().unwrap(), AtomicU64::new(0));
    thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| {
                assert!(event.wait_timeout(LIMIT).unwrap());
                woken.fetch_add(1, SeqCst);
            });
        }
        thread::sleep(SHORT);
        assert_eq!(woken.load(SeqCst), 0);
        event.set().unwrap();
    });
    assert_eq!(woken.load(SeqCst), 8);
}

/// D29, *set-then-clear*: CPython's `wait` may return `False` though it was set while it waited.
#[test]
fn d29_a_set_is_not_lost_to_a_clear_that_follows() {
    let event = Event::new().unwrap();
    let (arrived, done) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                for round in 0..100 {
                    arrived.fetch_add(1, SeqCst);
                    assert!(event.wait_timeout(LIMIT).unwrap(), "round {round}");
                    done.fetch_add(1, SeqCst);
                    until("the others", || done.load(SeqCst) >= 3 * (round + 1));
                }
            });
        }
        for round in 0..100 {
            until("the waiters", || arrived.load(SeqCst) >= 3 * (round + 1));
            // Most of them are inside of `wait` by now; who is not is caught by the next pulse.
            until("the wake-up", || {
                event.set().unwrap();
                event.clear().unwrap();
                done.load(SeqCst) >= 3 * (round + 1)
            });
        }
    });
}

#[test]
#[ignore = "a part that other tests start in a process of its own"]
fn actor() {
    let Some((event, board)) = arguments::<(Event, Board)>() else { return };
    board.add(0);
    assert!(event.wait_timeout(LIMIT).unwrap());
    board.add(1);
}

/// D28: CPython's `set` hangs when a waiter was killed.
#[test]
fn d28_a_killed_waiter_neither_holds_up_set_nor_takes_anything_along() {
    let (event, board) = (Event::new().unwrap(), Board::new());
    let mut actors: Vec<_> = (0..4)
        .map(|i| Actor::start("event::actor", &format!("waiter-{i}"), &(event.clone(), board.clone())))
        .collect();
    until("the waiters", || board.get(0) == 4);
    thread::sleep(SHORT);
    actors[0].kill();
    actors[1].kill();
    let start = Instant::now();
    event.set().unwrap();
    assert!(start.elapsed() < PROMPT, "set took {:?}", start.elapsed());
    assert!(actors[2].wait().success() && actors[3].wait().success());
    assert_eq!(board.get(1), 2);
    assert!(event.is_set());
}

#[test]
fn it_is_the_same_event_where_it_arrives() {
    let (a, b) = crate::two_members();
    let event = Event::new_in(&a).unwrap();
    let there = carry(&event, &a, &b);
    there.set().unwrap();
    assert!(event.is_set());
}
