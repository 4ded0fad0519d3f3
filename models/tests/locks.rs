//! Mutexes and locks: one at a time, also over the dead bodies of owners, and nobody starves.
#![cfg(mp_model)]

use std::cell::Cell;
use std::rc::Rc;

use mp_models::{Game, Victim, chance, check};
use mp_session::Session;
use mp_sync::{Lock, LockError, Mutex};

/// Who is in the critical section, as far as this process knows: what the lock is to keep true.
type Inside = Rc<Cell<Option<u32>>>;

/// Adds one under the mutex, in two halves with steps between them.
fn work(member: &Session, mutex: &Mutex<[u64; 2]>, inside: &Inside, dead: &Cell<Option<u32>>) {
    let me = member.member().to_bits() as u32;
    let mut guard = match mutex.lock() {
        Ok(guard) => {
            assert_eq!(inside.get(), None, "one at a time");
            guard
        }
        Err(LockError::OwnerDied(died)) => {
            // Whom we find inside has died there, or before it could mark the value as repaired.
            assert!(inside.get() == dead.get() || inside.get().is_none());
            let mut guard = died.mark_consistent();
            guard[1] = guard[0];
            guard
        }
        Err(other) => panic!("{other:?}"),
    };
    inside.set(Some(me));
    assert_eq!(guard[0], guard[1], "whole");
    guard[0] += 1;
    // Something that others may come in between of.
    mutex.lock_is_mine_step(member);
    guard[1] += 1;
    assert_eq!(inside.get(), Some(me), "one at a time");
    inside.set(None);
    drop(guard);
}

trait Step {
    fn lock_is_mine_step(&self, member: &Session);
}

impl<T: mp_sync::Plain> Step for Mutex<T> {
    fn lock_is_mine_step(&self, member: &Session) {
        let _ = member.is_gone(member.thread_id().unwrap());
    }
}

/// Three members, one of whom may be killed at any step, holding the mutex or not.
#[test]
fn one_at_a_time_whoever_dies() {
    check(|game| {
        let maker = game.member("maker");
        let mutex = game.quietly(|| Mutex::new_in(&maker, [0_u64; 2]).unwrap());
        let (inside, dead) = (Inside::default(), Rc::new(Cell::new(None)));
        let players: Vec<_> = (0..2)
            .map(|i| {
                let member = game.member(&format!("worker {i}"));
                let own = game.carry(&mutex, &maker, &member);
                let (inside, dead) = (inside.clone(), dead.clone());
                game.player(move || {
                    for _ in 0..2 {
                        work(&member, &own, &inside, &dead);
                    }
                })
            })
            .collect();
        let victim = game.member("victim");
        dead.set(Some(victim.member().to_bits() as u32));
        let own = game.carry(&mutex, &maker, &victim);
        let doomed = {
            let (inside, dead) = (inside.clone(), dead.clone());
            game.victim(&victim, chance(120), move |member| {
                for _ in 0..2 {
                    work(member, &own, &inside, &dead);
                }
            })
        };
        drop(victim);
        let end = doomed.join();
        players.into_iter().for_each(|p| p.join());
        game.verify(&maker);
        let value = match mutex.try_lock() {
            Ok(guard) => guard.expect("nobody holds it")[0],
            Err(LockError::OwnerDied(died)) => died.into_guard()[0],
            Err(other) => panic!("{other:?}"),
        };
        let bound = if end == Victim::Killed { 4..=6 } else { 6..=6 };
        assert!(bound.contains(&value), "{value} of {bound:?}");
    });
}

/// Owner deaths one after the other, over a lock without data, with waiters in between.
#[test]
fn a_lock_goes_on_when_owners_die() {
    check(|game| {
        let maker = game.member("maker");
        let lock = game.quietly(|| Lock::new_in(&maker).unwrap());
        let inside = Inside::default();
        let doomed: Vec<_> = (0..2)
            .map(|i| {
                let victim = game.member(&format!("victim {i}"));
                let own = game.carry(&lock, &maker, &victim);
                game.victim(&victim, chance(60), move |_| {
                    let guard = own.lock().unwrap();
                    drop(guard);
                })
            })
            .collect();
        let players: Vec<_> = (0..2)
            .map(|i| {
                let member = game.member(&format!("worker {i}"));
                let own = game.carry(&lock, &maker, &member);
                let inside = inside.clone();
                game.player(move || {
                    let guard = own.lock().unwrap();
                    assert_eq!(inside.replace(Some(i)), None, "one at a time");
                    let _ = member.is_gone(member.thread_id().unwrap());
                    assert_eq!(inside.take(), Some(i), "one at a time");
                    drop(guard);
                })
            })
            .collect();
        for player in doomed {
            player.join();
        }
        players.into_iter().for_each(|p| p.join());
        // One that died after the others were done left it, for the next one.
        assert!(lock.try_acquire().unwrap());
        game.verify(&maker);
    });
}

/// How often a waiter sleeps at most: in vain until it is hungry, for those that were hungry before, and for those that were
/// waiting already.
const SLEEPS: u32 = 24;
/// How long the others would go on at most.
const ROUNDS: u32 = 60;

/// Two who take the lock again and again, and a third that wants it once.
#[test]
fn nobody_starves() {
    check(nobody_starves_game);
}

fn nobody_starves_game(game: &Game) {
    let maker = game.member("maker");
    let lock = game.quietly(|| Lock::new_in(&maker).unwrap());
    let served = Rc::new(Cell::new(false));
    let players: Vec<_> = (0..2)
        .map(|i| {
            let member = game.member(&format!("glutton {i}"));
            let own = game.carry(&lock, &maker, &member);
            let served = served.clone();
            game.player(move || {
                for _ in 0..ROUNDS {
                    if served.get() {
                        break;
                    }
                    drop(own.lock().unwrap());
                }
                drop(member);
            })
        })
        .collect();
    let guard = lock.lock().unwrap();
    let sleeps = Game::sleeps();
    drop(guard);
    assert!(sleeps <= SLEEPS, "{sleeps} times in vain");
    served.set(true);
    players.into_iter().for_each(|p| p.join());
}
