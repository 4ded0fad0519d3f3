//! Sweeps cut short, raced and mistaken.

use super::*;
use crate::object::{Blueprint, Object};
use crate::session::Session;
use crate::table::Shape;

fn block(session: &Session) -> Object {
    let plan = Blueprint { kind: crate::ids::Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size: 100 };
    Object::create(session, plan, |_, _| {}).unwrap()
}

fn state(session: &Session, of: u32) -> SlotState {
    SlotState::load(&session.0.ground.member(of).state)
}

/// A sweeper that is stopped in the middle delays the news of that one death. Everything else goes on, other sweeps included; and when it
/// is killed, somebody else finishes.
#[test]
fn a_stopped_sweeper_delays_one_death_only() {
    let heap = Session::on_heap(0).unwrap();
    let [survivor, stopped, victim, other] =
        ["survivor", "stopped", "victim", "other"].map(|name| heap.member(name).unwrap());
    let before = survivor.stats();
    let (s, v) = (stopped.0.member.index, victim.0.member.index);
    std::mem::forget((block(&victim), block(&other)));
    let seen = state(&survivor, v);
    victim.abandon();
    let sweeping = SlotState { partner: s as u16 + 1, status: SWEEPING, ..seen };
    assert!(seen.swap(&survivor.0.ground.member(v).state, sweeping));
    // Nobody takes it from a sweeper that lives.
    assert!(!survivor.notice_deaths().unwrap());
    assert_eq!(survivor.stats().objects, before.objects + 2);
    // All else goes on: making, sending, waiting to a deadline, coming and going.
    let kept: Vec<Object> = (0..200).map(|_| block(&survivor)).collect();
    let message = crate::Message::encode(&survivor, &kept).unwrap();
    assert_eq!(message.decode::<Vec<Object>>().unwrap().len(), 200);
    let soon = Some(std::time::Instant::now() + std::time::Duration::from_millis(20));
    let word = kept[0].words().waiters(Role::First);
    assert_eq!(survivor.wait(word, soon, &|| crate::ThreadId::NONE, || Ok(None::<()>)), Ok(None));
    drop((message, kept));
    other.abandon();
    assert!(survivor.notice_deaths().unwrap(), "another death is swept");
    assert_eq!(survivor.stats().objects, before.objects + 1);
    let newcomer = heap.member("newcomer").unwrap();
    drop(block(&newcomer));
    // It goes on, or is killed.
    stopped.abandon();
    while survivor.notice_deaths().unwrap() {}
    assert_eq!(state(&survivor, v).status, FREE);
    assert_eq!(survivor.stats().objects, before.objects);
    newcomer.abandon();
    survivor.notice_deaths().unwrap();
    assert_eq!(heap.verify(), Vec::<String>::new());
}

/// *sweeper's-namesake*: a sweeper dies, its own place is cleared and taken by another process before anybody looks at
/// its victim. The victim is swept all the same.
#[test]
fn a_victim_outlives_its_sweeper_and_is_swept() {
    let heap = Session::on_heap(0).unwrap();
    let (survivor, sweeper, victim) =
        (heap.member("survivor").unwrap(), heap.member("sweeper").unwrap(), heap.member("victim").unwrap());
    let before = survivor.stats();
    let (s, v) = (sweeper.0.member.index, victim.0.member.index);
    std::mem::forget(block(&victim)); // as a kill does
    let seen = state(&survivor, v);
    victim.abandon();
    let sweeping = SlotState { partner: s as u16 + 1, status: SWEEPING, ..seen };
    assert!(seen.swap(&survivor.0.ground.member(v).state, sweeping));
    sweeper.abandon();
    let me = survivor.me().unwrap();
    assert!(survivor.0.sweep_if_dead(&me, s));
    let namesake = heap.member("namesake").unwrap();
    assert_eq!(namesake.0.member.index, s);
    survivor.notice_deaths().unwrap();
    assert_eq!(state(&survivor, v).status, FREE);
    assert_eq!(survivor.stats().objects, before.objects);
    assert_eq!(survivor.stats().members, before.members - 1);
}

/// *swept-on-the-way*: the sweep of a dead sweeper does its victim's as well, and whoever asked for the victim is told so.
#[test]
fn a_victim_swept_with_its_sweeper_counts_as_swept() {
    let heap = Session::on_heap(0).unwrap();
    let (victim, sweeper, survivor) =
        (heap.member("victim").unwrap(), heap.member("sweeper").unwrap(), heap.member("survivor").unwrap());
    let (v, owner) = (victim.0.member.index, victim.thread_id().unwrap());
    let sweeping =
        SlotState { partner: sweeper.0.member.index as u16 + 1, status: SWEEPING, ..state(&survivor, v) };
    victim.abandon();
    survivor.0.ground.member(v).state.store(sweeping.pack(), Release);
    sweeper.abandon();
    assert!(survivor.clear_up_after(owner).unwrap());
    assert_eq!(state(&survivor, v).status, FREE);
}

/// A chain: each was sweeping the next when it died.
#[test]
fn sweepers_of_sweepers_are_swept() {
    let heap = Session::on_heap(0).unwrap();
    let survivor = heap.member("survivor").unwrap();
    let before = survivor.stats();
    let chain: Vec<Session> = (0..5).map(|_| heap.member("one of a chain").unwrap()).collect();
    let places: Vec<u32> = chain.iter().map(|s| s.0.member.index).collect();
    for pair in places.windows(2) {
        let seen = state(&survivor, pair[1]);
        let sweeping = SlotState { partner: pair[0] as u16 + 1, status: SWEEPING, ..seen };
        assert!(seen.swap(&survivor.0.ground.member(pair[1]).state, sweeping));
    }
    for session in chain {
        std::mem::forget(block(&session));
        session.abandon();
    }
    survivor.notice_deaths().unwrap();
    assert!(places.iter().all(|m| state(&survivor, *m).status == FREE));
    let now = survivor.stats();
    assert_eq!((now.objects, now.members, now.threads), (before.objects, before.members, before.threads));
}

/// What was found out about one occupant of a place is not held against the next.
#[test]
fn the_next_occupant_is_not_swept_for_the_last() {
    let heap = Session::on_heap(0).unwrap();
    let (survivor, victim) = (heap.member("survivor").unwrap(), heap.member("victim").unwrap());
    let id = victim.0.member;
    victim.abandon();
    assert!(survivor.notice_deaths().unwrap());
    let next = heap.member("next").unwrap();
    assert_eq!(next.0.member.index, id.index);
    let kept = block(&next);
    let me = survivor.me().unwrap();
    survivor.0.sweep_reaped(&me, id, &Departure::Signalled(9));
    assert_eq!(state(&survivor, id.index).status, LIVE);
    assert_eq!(kept.holders(Role::First), 1);
}

/// A parent dies between claiming a place and writing its name there, where the last occupant's parent still stands.
#[test]
fn a_place_that_was_claimed_and_no_more_is_given_back() {
    let heap = Session::on_heap(0).unwrap();
    let (survivor, parent) = (heap.member("survivor").unwrap(), heap.member("parent").unwrap());
    let before = survivor.stats().members;
    let index = survivor.0.ground.members_used();
    let slot = survivor.0.ground.member(index);
    slot.parent.store(survivor.0.member.to_bits(), Relaxed);
    let seen = SlotState::load(&slot.state);
    survivor.0.ground.header().members_used.fetch_max(index + 1, AcqRel);
    let claimed = SlotState { partner: parent.0.member.index as u16 + 1, status: RESERVED, ..seen };
    assert!(seen.swap(&slot.state, claimed));
    parent.abandon();
    assert!(survivor.notice_deaths().unwrap());
    assert_eq!(state(&survivor, index).status, FREE);
    assert_eq!(survivor.stats().members, before - 1);
}

/// A place that was just claimed shows the pid of its last occupant, who is dead. It is not swept for that.
#[test]
fn a_newly_claimed_place_is_not_taken_for_its_last_occupant() {
    let heap = Session::on_heap(0).unwrap();
    let survivor = heap.member("survivor").unwrap();
    let place = survivor.reserve("child").unwrap();
    let slot = survivor.0.ground.member(place.id().index);
    slot.pid.store(u32::MAX, Relaxed);
    assert!(!survivor.0.may_die(place.id().index));
    slot.end.fetch_or(end::STARTED, AcqRel);
    assert!(survivor.0.may_die(place.id().index));
    drop(place);
}

/// A sweeper that dies before its last step leaves a place that nobody asks about; the next sweep frees it.
#[test]
fn the_last_step_of_a_sweep_is_made_up_for() {
    let heap = Session::on_heap(0).unwrap();
    let (survivor, sweeper) = (heap.member("survivor").unwrap(), heap.member("sweeper").unwrap());
    let place = survivor.reserve("child").unwrap();
    let (id, slot) = (place.id(), survivor.0.ground.member(place.id().index));
    let seen = state(&survivor, id.index);
    drop(place); // while it is not GONE
    assert!(seen.swap(&slot.state, SlotState { partner: 0, status: GONE, ..seen }));
    sweeper.abandon();
    assert!(survivor.notice_deaths().unwrap());
    assert_eq!(state(&survivor, id.index).status, FREE);
}

/// *asked-no-more*: the parent gives a child up while a third process sweeps it.
#[test]
fn a_child_given_up_during_its_sweep_leaves_no_place() {
    let heap = Session::on_heap(0).unwrap();
    let (parent, sweeper) = (heap.member("parent").unwrap(), heap.member("sweeper").unwrap());
    let before = parent.stats();
    for late in [false, true] {
        let place = parent.reserve("child").unwrap();
        let id = place.id();
        place.put_arguments(&crate::message::Message::encode(&parent, &vec![7_u8; 50]).unwrap()).unwrap();
        let slot = parent.0.ground.member(id.index);
        let seen = state(&parent, id.index);
        let sweeping = SlotState { partner: sweeper.0.member.index as u16 + 1, status: SWEEPING, ..seen };
        assert!(seen.swap(&slot.state, sweeping));
        let me = sweeper.me().unwrap();
        if late {
            sweeper.0.sweep(&me, id.index, id.generation, &Departure::Signalled(9));
            assert_eq!(state(&parent, id.index).status, GONE);
            drop(place);
        } else {
            drop(place);
            assert_eq!(state(&parent, id.index).status, SWEEPING);
            sweeper.0.sweep(&me, id.index, id.generation, &Departure::Signalled(9));
        }
        assert_eq!(state(&parent, id.index).status, FREE);
    }
    let now = parent.stats();
    assert_eq!((now.objects, now.members), (before.objects, before.members));
}
