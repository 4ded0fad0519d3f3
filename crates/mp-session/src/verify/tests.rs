//! Each kind of damage is seen, and a session in use is not called damaged.

use super::*;
use crate::ids::{Kind, Role};
use crate::message::Message;
use crate::object::{Blueprint, Object};
use crate::session::Session;
use crate::slots::IntentSlot;
use crate::table::Shape;

fn plan(size: u64) -> Blueprint {
    Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size }
}

#[test]
fn a_session_in_use_keeps_its_rules() {
    let heap = Session::on_heap(0).unwrap();
    assert_eq!(heap.verify(), Findings::new());
    let (a, b) = (heap.member("a").unwrap(), heap.member("b").unwrap());
    let held: Vec<Object> = [0, 1, 100, 5000, 40_000, 200_000]
        .iter()
        .map(|s| Object::create(&a, plan(*s), |_, _| {}).unwrap())
        .collect();
    let parent = Object::create(&b, plan(10), |_, _| {}).unwrap();
    parent.adopt(&Object::create(&b, plan(10), |_, _| {}).unwrap()).unwrap();
    let carried = Message::encode(&a, &held).unwrap();
    let again: Vec<Object> = carried.decode().unwrap();
    let many: Vec<Object> = (0..200).map(|_| held[0].try_clone_counted().unwrap()).collect();
    let place = a.reserve("child").unwrap();
    place.put_arguments(&carried).unwrap();
    assert_eq!(heap.verify(), Findings::new());
    drop((held, again, many, place, parent));
    assert_eq!(heap.verify(), Findings::new());
    std::mem::forget(carried);
    a.abandon();
    assert!(!heap.verify().is_empty());
    assert!(b.notice_deaths().unwrap());
    assert_eq!(heap.verify(), Findings::new());
}

/// Damages the session and looks whether that is found, in words that contain `what`.
#[track_caller]
fn damaged(what: &str, damage: impl FnOnce(&Ground, &Session, &Object)) {
    let heap = Session::on_heap(0).unwrap();
    let member = heap.member("a").unwrap();
    let object = Object::create(&member, plan(100), |_, _| {}).unwrap();
    assert_eq!(heap.verify(), Findings::new());
    damage(&heap.region, &member, &object);
    let found = heap.verify();
    assert!(found.iter().any(|line| line.contains(what)), "{what}: {found:?}");
    std::mem::forget(object);
}

#[test]
fn damage_is_found() {
    let entry = |g: &Ground, o: &Object| -> u64 { g.layout.entry(o.id().0) };
    damaged("references in role", |g, _, o| {
        g.entry(o.id().0).refs[Role::First as usize].fetch_add(1 << 44, Relaxed);
    });
    damaged("does not exist", |g, _, o| g.entry(o.id().0).state.store(0, Relaxed));
    damaged("half made", |g, _, o| {
        g.word(entry(g, o)).fetch_or(1 << 16, Relaxed);
    });
    damaged("has tag", |g, _, o| {
        let at = g.entry(o.id().0).offset.load(Relaxed);
        g.free(at, crate::heap::Tag::entry(o.id().0));
    });
    damaged("in the middle of", |g, m, _| {
        let slot: &IntentSlot = &g.thread(m.me().unwrap().index).intent;
        slot.begin(crate::intent::Op::Retain, 0, 0, 0, 0);
    });
    damaged("does not wait there", |g, m, o| {
        let lane = u64::from(m.me().unwrap().index) + 1;
        g.entry(o.id().0).words[WAIT_WORDS[0]].store(lane, Relaxed);
    });
    damaged("whose word", |g, m, o| {
        let slot = g.thread(m.me().unwrap().index);
        slot.wait_key.store(g.offset_of(&g.entry(o.id().0).words[WAIT_WORDS[0]]), Relaxed);
        slot.wait.store(wait::WAITING, Relaxed);
    });
    damaged("no owner", |g, _, _| g.span_owner(0).store(0, Relaxed));
    damaged("takes no part", |g, m, _| {
        let state = &g.member(m.member().index).state;
        state.store(state.load(Relaxed) & !0xFFFF, Relaxed);
    });
}
