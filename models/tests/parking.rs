//! Sleeping and waking: no wake-up is lost, none is eaten by who leaves.
#![cfg(mp_model)]

use std::rc::Rc;
use std::time::{Duration, Instant};

use mp_models::{Game, Victim, chance, check, finds};
use mp_session::primitive::Bug;
use mp_session::primitive::Ordering::SeqCst;
use mp_session::{Blueprint, Kind, Object, Role, Session, Shape, ThreadId};

/// Tokens in word 0, waited for at the first wait word: a semaphore as small as can be.
#[derive(Clone)]
struct Tokens(Object);

impl Tokens {
    fn new(session: &Session) -> Tokens {
        let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size: 0 };
        Tokens(Object::create(session, plan, |_, _| {}).unwrap())
    }

    fn put(&self, session: &Session, count: u64) {
        self.0.words().word(0).fetch_add(count, SeqCst);
        for _ in 0..count {
            session.wake_one(self.0.words().waiters(Role::First));
        }
    }

    fn try_take(&self) -> bool {
        let word = self.0.words().word(0);
        word.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok()
    }

    /// Waits for one; `false`: the deadline came first.
    fn take(&self, session: &Session, deadline: Option<Instant>) -> bool {
        let took = session.wait(self.0.words().waiters(Role::First), deadline, &|| ThreadId::NONE, || {
            Ok(self.try_take().then_some(()))
        });
        took.unwrap().is_some()
    }

    fn left(&self) -> u64 {
        self.0.words().word(0).load(SeqCst)
    }
}

fn far() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(1_000_000))
}

/// Tokens, seen by the maker and by each of `n` members.
fn table(game: &Game, n: usize) -> (Session, Tokens, Vec<(Session, Tokens)>) {
    let maker = game.member("maker");
    let tokens = game.quietly(|| Tokens::new(&maker));
    let others = (0..n)
        .map(|i| {
            let member = game.member(&format!("waiter {i}"));
            let own = Tokens(game.carry(&tokens.0, &maker, &member));
            (member, own)
        })
        .collect();
    (maker, tokens, others)
}

/// *wake-before-sleep*, *ready-after-enter*: with as many tokens as waiters everybody gets one, five waiters needing more
/// than the three places of the wait word.
#[test]
fn everybody_is_woken_once() {
    check(everybody_is_woken_once_game);
}

#[test]
fn everybody_is_woken_once_can_fail() {
    finds(Bug::NoLookAfterEntering, everybody_is_woken_once_game);
}

fn everybody_is_woken_once_game(game: &Game) {
    let (maker, tokens, waiters) = table(game, 5);
    let players: Vec<_> = waiters
        .into_iter()
        .map(|(member, own)| game.player(move || assert!(own.take(&member, None))))
        .collect();
    for _ in 0..5 {
        tokens.put(&maker, 1);
    }
    players.into_iter().for_each(|p| p.join());
    assert_eq!(tokens.left(), 0);
}

/// Both sides come and go, so that waiters enter while others are being taken off the word.
#[test]
fn tokens_go_round() {
    check(tokens_go_round_game);
}

#[test]
#[ignore = "needs so rare an interleaving that finding it may take minutes"]
fn tokens_go_round_can_fail() {
    finds(Bug::ArrivalsUncounted, tokens_go_round_game);
}

fn tokens_go_round_game(game: &Game) {
    let (maker, tokens, waiters) = table(game, 4);
    let players: Vec<_> = waiters
        .into_iter()
        .map(|(member, own)| {
            game.player(move || {
                for _ in 0..2 {
                    assert!(own.take(&member, None));
                    own.put(&member, 1);
                }
            })
        })
        .collect();
    tokens.put(&maker, 1);
    players.into_iter().for_each(|p| p.join());
    assert_eq!(tokens.left(), 1);
}

/// *woken-but-served*: whoever gives up while somebody wakes it passes the wake-up on, so that a waiter without a deadline
/// gets what is there.
#[test]
fn who_gives_up_passes_its_wake_up_on() {
    check(|game| who_gives_up_passes_its_wake_up_on_game(game, 3));
}

#[test]
fn who_gives_up_passes_its_wake_up_on_can_fail() {
    finds(Bug::LeaverKeepsWakeUp, |game| who_gives_up_passes_its_wake_up_on_game(game, 1));
}

fn who_gives_up_passes_its_wake_up_on_game(game: &Game, impatient: usize) {
    let (maker, tokens, waiters) = table(game, impatient + 1);
    let mut players: Vec<_> = waiters
        .into_iter()
        .enumerate()
        .map(|(i, (member, own))| {
            // The last waits for as long as it takes.
            let deadline = if i < impatient { far() } else { None };
            game.player(move || own.take(&member, deadline))
        })
        .collect();
    let clock = game.player(Game::time_passes);
    tokens.put(&maker, 1);
    clock.join();
    let patient = players.pop().unwrap();
    let gone = players.into_iter().map(|p| p.join()).filter(|took| *took).count();
    assert!(gone <= 1);
    // One of them may have had it; else it is the patient one's, who was woken for it by the one that left.
    tokens.put(&maker, gone as u64);
    assert!(patient.join());
    assert_eq!(tokens.left(), 0);
}

/// One wake-up for all, while waiters come and give up.
#[test]
fn all_are_woken_at_once() {
    check(|game| {
        let (maker, flag, waiters) = table(game, 5);
        let players: Vec<_> = waiters
            .into_iter()
            .enumerate()
            .map(|(i, (member, own))| {
                let deadline = if i % 2 == 0 { far() } else { None };
                game.player(move || {
                    let words = own.0.words();
                    let set = member.wait(words.waiters(Role::First), deadline, &|| ThreadId::NONE, || {
                        Ok((words.word(0).load(SeqCst) != 0).then_some(()))
                    });
                    assert!(set.unwrap().is_some() || deadline.is_some());
                })
            })
            .collect();
        let clock = game.player(Game::time_passes);
        flag.0.words().word(0).store(1, SeqCst);
        maker.wake_all(flag.0.words().waiters(Role::First));
        players.into_iter().for_each(|p| p.join());
        clock.join();
    });
}

/// A waiter that is killed at any step takes no wake-up with it: with the maker's three tokens and what the dead one took,
/// those who live get theirs.
#[test]
fn a_dead_waiter_takes_no_wake_up_with_it() {
    check(a_dead_waiter_takes_no_wake_up_with_it_game);
}

fn a_dead_waiter_takes_no_wake_up_with_it_game(game: &Game) {
    let (maker, tokens, mut waiters) = table(game, 5);
    let (victim, own) = waiters.remove(chance(5) as usize);
    let took = Rc::new(std::cell::Cell::new(false));
    let mark = took.clone();
    let doomed = game.victim(&victim, chance(60), move |member| {
        let word = own.0.words().waiters(Role::First);
        let done = member.wait(word, None, &|| ThreadId::NONE, || {
            let got = own.try_take();
            // No step lies between the two.
            mark.set(mark.get() || got);
            Ok(got.then_some(()))
        });
        assert!(done.unwrap().is_some());
    });
    let players: Vec<_> = waiters
        .into_iter()
        .map(|(member, own)| game.player(move || assert!(own.take(&member, None))))
        .collect();
    tokens.put(&maker, 5);
    drop(victim);
    let end = doomed.join();
    players.into_iter().for_each(|p| p.join());
    assert!(end == Victim::Killed || took.get());
    assert_eq!(tokens.left(), u64::from(!took.get()));
}

/// A waker that is killed between taking a waiter off the word and waking it (*chosen-not-woken*): whoever comes next wakes that one
/// all the same, even if the token of the dead one is gone by the time its death is known.
#[test]
fn a_dead_waker_leaves_nobody_behind() {
    check(a_dead_waker_leaves_nobody_behind_game);
}

#[test]
fn a_dead_waker_leaves_nobody_behind_can_fail() {
    finds(Bug::StaysOffTheWord, a_dead_waker_leaves_nobody_behind_game);
}

fn a_dead_waker_leaves_nobody_behind_game(game: &Game) {
    let (maker, tokens, mut others) = table(game, 3);
    let (waker, own) = others.remove(0);
    let doomed = game.victim(&waker, chance(25), move |member| own.put(member, 1));
    let (waiter, own) = others.remove(0);
    let waiting = game.player(move || assert!(own.take(&waiter, None)));
    let (thief, own) = others.remove(0);
    let stealing = game.player(move || {
        let stolen = own.try_take();
        drop((own, thief));
        stolen
    });
    drop(waker);
    doomed.join();
    stealing.join();
    tokens.put(&maker, 1);
    waiting.join();
}
