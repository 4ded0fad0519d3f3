//! Waiting for many things: each wake-up is told, to each observer, and none is taken from those who wait for one thing.
#![cfg(mp_model)]

use std::time::Duration;

use mp_models::{Game, Victim, chance, check};
use mp_session::primitive::Ordering::SeqCst;
use mp_session::{Blueprint, Kind, Object, Role, Session, Shape, Sources, ThreadId, WaitSet, Waitable};

/// Tokens in word 0, waited for at the first wait word, as one member sees them.
#[derive(Clone)]
struct Tokens {
    object: Object,
    session: Session,
}

impl Tokens {
    fn new(game: &Game, session: &Session) -> Tokens {
        let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size: 0 };
        let object = game.quietly(|| Object::create(session, plan, |_, _| {}).unwrap());
        Tokens { object, session: session.clone() }
    }

    fn seen_by(&self, game: &Game, other: &Session) -> Tokens {
        Tokens { object: game.carry(&self.object, &self.session, other), session: other.clone() }
    }

    fn put(&self) {
        self.object.words().word(0).fetch_add(1, SeqCst);
        self.session.wake_one(self.object.words().waiters(Role::First));
    }

    fn try_take(&self) -> bool {
        self.object.words().word(0).fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok()
    }

    fn left(&self) -> u64 {
        self.object.words().word(0).load(SeqCst)
    }
}

impl Waitable for Tokens {
    fn sources<'a>(&'a self, to: &mut Sources<'a>) {
        to.word(self.object.words().waiters(Role::First));
    }
    fn is_ready(&self) -> bool {
        self.left() != 0
    }
}

/// Takes `count` tokens of those in the set.
fn take_some(set: &mut WaitSet<'_>, things: &[Tokens], count: usize) {
    let mut taken = 0;
    while taken < count {
        for token in set.wait(None).unwrap() {
            taken += usize::from(things[token as usize].try_take());
        }
    }
    assert_eq!(set.untold(), 0);
}

/// *seen-or-told*, *asleep-or-awake*, *again-from-anew*: puts by two others while the set is made, looked at and slept in.
#[test]
fn every_wake_up_is_told() {
    check(|game| {
        let consumer = game.member("consumer");
        let mine: Vec<Tokens> = (0..2).map(|_| Tokens::new(game, &consumer)).collect();
        let players: Vec<_> = (0..2)
            .map(|i| {
                let member = game.member(&format!("producer {i}"));
                let theirs: Vec<Tokens> = mine.iter().map(|t| t.seen_by(game, &member)).collect();
                game.player(move || (0..3).for_each(|n| theirs[(i + n) % 2].put()))
            })
            .collect();
        let mut set = WaitSet::new_in(&consumer);
        for (token, thing) in mine.iter().enumerate() {
            set.add(token as u64, thing).unwrap();
        }
        take_some(&mut set, &mine, 6);
        players.into_iter().for_each(|p| p.join());
        assert!(mine.iter().all(|t| t.left() == 0));
    });
}

/// *nobody-here*: observers come and go while wakers find the word observed by nobody, and an ordinary waiter gets every token.
#[test]
fn observers_come_and_go() {
    check(|game| {
        let maker = game.member("maker");
        let tokens = Tokens::new(game, &maker);
        let waiter = game.member("waiter");
        let theirs = tokens.seen_by(game, &waiter);
        let took = game.player(move || {
            for _ in 0..3 {
                let word = theirs.object.words().waiters(Role::First);
                let taken = waiter
                    .wait(word, None, &|| ThreadId::NONE, || Ok(theirs.try_take().then_some(())))
                    .unwrap();
                assert!(taken.is_some());
            }
        });
        let observers: Vec<_> = (0..2)
            .map(|i| {
                let member = game.member(&format!("observer {i}"));
                let theirs = tokens.seen_by(game, &member);
                game.player(move || {
                    for _ in 0..2 {
                        let mut set = WaitSet::new_in(&member);
                        set.add(1, &theirs).unwrap();
                        set.wait(Duration::ZERO).unwrap();
                    }
                })
            })
            .collect();
        (0..3).for_each(|_| tokens.put());
        took.join();
        observers.into_iter().for_each(|p| p.join());
        assert_eq!(tokens.left(), 0);
    });
}

/// A waker that is killed at any step is made up for.
#[test]
fn a_dead_waker_is_made_up_for() {
    check(|game| {
        let consumer = game.member("consumer");
        let mine = [Tokens::new(game, &consumer)];
        let victim = game.member("victim");
        let theirs = mine[0].seen_by(game, &victim);
        let doomed = game.victim(&victim, chance(40), move |_| theirs.put());
        drop(victim);
        let other = game.member("other");
        let theirs = mine[0].seen_by(game, &other);
        let player = game.player(move || theirs.put());
        let mut set = WaitSet::new_in(&consumer);
        set.add(0, &mine[0]).unwrap();
        take_some(&mut set, &mine, 1);
        let end = doomed.join();
        player.join();
        if end == Victim::Survived(()) {
            take_some(&mut set, &mine, 1);
        }
    });
}

/// An observer that is killed at any step takes nothing from another.
#[test]
fn a_dead_observer_takes_nothing_from_others() {
    check(|game| {
        let consumer = game.member("consumer");
        let mine = [Tokens::new(game, &consumer)];
        let victim = game.member("victim");
        let theirs = mine[0].seen_by(game, &victim);
        let doomed = game.victim(&victim, chance(80), move |member| {
            let mut set = WaitSet::new_in(member);
            set.add(7, theirs).unwrap();
            set.wait(None).unwrap();
        });
        drop(victim);
        let other = game.member("other");
        let theirs = mine[0].seen_by(game, &other);
        let player = game.player(move || (0..3).for_each(|_| theirs.put()));
        let mut set = WaitSet::new_in(&consumer);
        set.add(0, &mine[0]).unwrap();
        take_some(&mut set, &mine, 2);
        player.join();
        doomed.join();
        take_some(&mut set, &mine, 1);
    });
}
