//! Reference counts, and sweeps, with deaths at any step.
#![cfg(mp_model)]

use mp_models::{Game, chance, check, finds};
use mp_session::primitive::Bug;
use mp_session::{Blueprint, Kind, Object, Role, Session, Shape};

fn object(game: &Game, session: &Session) -> Object {
    let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size: 100 };
    game.quietly(|| Object::create(session, plan, |_, _| {}).unwrap())
}

/// Three members come by references and drop them, and one of them is killed: in the end each count is what those who live hold,
/// and the object goes when they are gone.
#[test]
fn counts_survive_who_changes_them() {
    check(counts_survive_who_changes_them_game);
}

#[test]
fn counts_survive_who_changes_them_can_fail() {
    finds(Bug::ChangeUnconfirmed, counts_survive_who_changes_them_game);
}

fn counts_survive_who_changes_them_game(game: &Game) {
    let maker = game.member("maker");
    let shared = object(game, &maker);
    let before = maker.stats().objects;
    let change = |member: &Session, own: Object| {
        let _ = member;
        for _ in 0..2 {
            let copy = own.try_clone_counted().unwrap();
            drop(copy);
        }
        drop(own);
    };
    let (victim, other) = (game.member("victim"), game.member("other"));
    let (for_victim, for_other) = (game.carry(&shared, &maker, &victim), game.carry(&shared, &maker, &other));
    let doomed = game.victim(&victim, chance(150), move |member| change(member, for_victim));
    let player = game.player(move || change(&other, for_other));
    for _ in 0..2 {
        drop(shared.try_clone_counted().unwrap());
    }
    drop(victim);
    doomed.join();
    player.join();
    game.verify(&maker);
    assert_eq!(shared.holders(Role::First), 1);
    assert_eq!(maker.stats().objects, before);
    drop(shared);
    assert_eq!(maker.stats().objects, before - 1);
}

/// Making an object and dropping its last reference, cut off at any step, leaves nothing.
#[test]
fn objects_of_the_dead_are_gone() {
    check(|game| {
        let (maker, victim) = (game.member("maker"), game.member("victim"));
        let before = maker.stats().objects;
        let doomed = game.victim(&victim, chance(250), |member| {
            for size in [0, 100, 5000] {
                let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size };
                drop(Object::create(member, plan, |_, _| {}).unwrap());
            }
        });
        drop(victim);
        let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size: 100 };
        drop(Object::create(&maker, plan, |_, _| {}).unwrap());
        doomed.join();
        game.verify(&maker);
        assert_eq!(maker.stats().objects, before);
    });
}

/// *sweeper's-namesake*: a sweeper is killed over its work, and somebody new gets its place: what it was sweeping is swept.
#[test]
fn the_dead_sweepers_work_is_taken_over() {
    check(the_dead_sweepers_work_is_taken_over_game);
}

#[test]
fn the_dead_sweepers_work_is_taken_over_can_fail() {
    finds(Bug::NamesakeForgotten, the_dead_sweepers_work_is_taken_over_game);
}

fn the_dead_sweepers_work_is_taken_over_game(game: &Game) {
    let maker = game.member("maker");
    let shared = object(game, &maker);
    let (first, sweeper, third) = (game.member("first"), game.member("sweeper"), game.member("third"));
    let own = game.carry(&shared, &maker, &first);
    let fuse = chance(40);
    let doomed = game.victim(&first, fuse, move |_| {
        let copies: Vec<_> = (0..3).map(|_| own.try_clone_counted().unwrap()).collect();
        drop((own, copies));
    });
    drop(first);
    doomed.join();
    // Two sweep, and one of them is killed over it.
    let fuse = chance(200);
    let doomed = game.victim(&sweeper, fuse, |member| {
        member.notice_deaths().unwrap();
    });
    let helping = game.player(move || {
        third.notice_deaths().unwrap();
        drop(third);
    });
    drop(sweeper);
    doomed.join();
    helping.join();
    game.quietly(|| maker.notice_deaths().unwrap());
    let namesake = game.member("namesake");
    game.verify(&maker);
    assert_eq!(shared.holders(Role::First), 1);
    drop(namesake);
}
