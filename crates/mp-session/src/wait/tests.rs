//! Deaths of waiters and wakers, stage by stage.

use std::time::Duration;

use super::*;
use crate::ids::{Kind, Role};
use crate::object::{Blueprint, Object};
use crate::session::Session;
use crate::table::Shape;

fn three() -> (Session, Session, Session, Object) {
    let heap = Session::on_heap(0).unwrap();
    let [a, b, c] = ["survivor", "waiter", "victim"].map(|name| heap.member(name).unwrap());
    let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size: 0 };
    let object = Object::create(&a, plan, |_, _| {}).unwrap();
    (a, b, c, object)
}

/// *chosen-not-woken*: the victim took the waiter off the word, and died before it woke it. The next wake-up finds it.
#[test]
fn a_waiter_that_was_chosen_and_not_woken_enters_again() {
    let (survivor, waiter, victim, object) = three();
    let word = object.words().waiters(Role::First);
    waiter.start_waiting(word).unwrap();
    word.store(0, SeqCst);
    victim.abandon();
    assert!(survivor.notice_deaths().unwrap());
    let mut looks = 0;
    let late = Some(Instant::now() + Duration::from_secs(20));
    let woken = waiter.go_on_waiting(word, late, || {
        looks += 1;
        if looks == 2 {
            assert!(survivor.wake_one(word), "nobody can be woken");
        }
        Ok((looks > 2).then_some(()))
    });
    assert_eq!((woken, word.load(SeqCst) & LANES), (Ok(Some(())), 0));
}

/// The same, and the waker was only slow: the waiter is in the word once more when it is woken, and must not stay.
#[test]
fn a_waiter_that_entered_again_is_not_left_in_the_word() {
    let (survivor, waiter, _victim, object) = three();
    let word = object.words().waiters(Role::First);
    waiter.start_waiting(word).unwrap();
    let me = waiter.me().unwrap();
    word.store(0, SeqCst);
    let mut looks = 0;
    let woken = waiter.go_on_waiting(word, Some(Instant::now() + Duration::from_secs(20)), || {
        looks += 1;
        match looks {
            1 => survivor.0.ring(me.index),
            2 => assert!(survivor.0.rouse(me.index, survivor.0.ground.offset_of(word))),
            _ => {}
        }
        Ok((looks > 2).then_some(()))
    });
    assert_eq!((woken, word.load(SeqCst) & LANES), (Ok(Some(())), 0));
}

/// *lane-of-the-dead*.
#[test]
fn the_dead_are_taken_off_the_word() {
    let (survivor, waiter, victim, object) = three();
    let word = object.words().waiters(Role::First);
    victim.start_waiting(word).unwrap();
    waiter.start_waiting(word).unwrap();
    let of = |session: &Session| u64::from(session.me().unwrap().index + 1);
    assert_eq!(word.load(SeqCst) & LANES, of(&victim) | of(&waiter) << 16);
    victim.abandon();
    assert!(survivor.notice_deaths().unwrap());
    assert_eq!(word.load(SeqCst) & LANES, of(&waiter));
}
