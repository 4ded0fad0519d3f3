//! Barriers whose parties die: nobody waits for the dead.
#![cfg(mp_model)]

use std::cell::Cell;
use std::rc::Rc;

use mp_models::{Victim, chance, check};
use mp_sync::Barrier;

/// How many phases there are at most.
const PHASES: usize = 3;

/// Three registered parties go from phase to phase, and one of them may be killed at any step. The others come to all phases if it lives,
/// and else are told. (*phase-moves-on*)
#[test]
fn a_party_s_death_is_told_to_the_others_whatever_phase_is_on() {
    check(|game| {
        let maker = game.member("maker");
        let barrier = game.quietly(|| Barrier::new_in(&maker, 3).unwrap());
        let go = |barrier: &Barrier, registered: &Cell<bool>| {
            let party = barrier.party().unwrap();
            registered.set(true);
            for _ in 0..PHASES {
                if party.barrier().wait().is_err() {
                    return false;
                }
            }
            true
        };
        let victim = game.member("victim");
        // Who sleeps before a process has a thread looks again after a while, and there is no time here.
        game.quietly(|| victim.thread_id().unwrap());
        let players: Vec<_> = (0..2)
            .map(|i| {
                let member = game.member(&format!("party {i}"));
                let own = game.carry(&barrier, &maker, &member);
                game.player(move || {
                    let _member = member;
                    go(&own, &Cell::new(false))
                })
            })
            .collect();
        let own = game.carry(&barrier, &maker, &victim);
        let registered = Rc::new(Cell::new(false));
        let doomed = {
            let registered = registered.clone();
            game.victim(&victim, chance(300), move |_| go(&own, &registered))
        };
        drop(victim);
        let end = doomed.join();
        if !registered.get() {
            barrier.abort().unwrap(); // it is not missed
        }
        let ends: Vec<bool> = players.into_iter().map(|p| p.join()).collect();
        if end == Victim::Survived(true) {
            assert_eq!(ends, [true, true]);
        }
        game.verify(&maker);
    });
}
