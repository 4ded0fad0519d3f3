//! Members: places that are reserved, taken, left and given back; arguments and results; sweeps.

use std::mem::forget;

use mp_session::{Message, Object, Role, Session};
use mp_wire::Departure;

use crate::scene::{Act, Scene};
use crate::stage::{Stage, block, give};

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "session/member: reserve a place", play: reserve },
    Scene { name: "session/member: reserve a place, send arguments", play: arguments },
    Scene { name: "session/member: give up a place", play: give_up },
    Scene { name: "session/member: drop a place", play: drop_place },
    Scene { name: "session/member: claim a place and enter", play: enter },
    Scene { name: "session/member: take the arguments", play: take_arguments },
    Scene { name: "session/member: leave a result", play: leave_result },
    Scene { name: "session/member: take a result and settle", play: take_result },
    Scene { name: "session/member: settle a child that died", play: settle_dead_child },
    Scene { name: "session/member: sweep", play: sweep },
    Scene { name: "session/member: sweep a parent", play: sweep_parent },
    Scene { name: "session/member: sweep a sweeper", play: sweep_sweeper },
];

const KILLED: Departure = Departure::Signalled(9);

fn reserve(stage: &Stage) -> Act {
    let (victim, other) = (stage.victim.clone(), stage.witness.clone());
    Act::new(move || forget(victim.reserve("child").unwrap())).meanwhile("reserves one, too", move || {
        drop((other.reserve("another").unwrap().give_up().unwrap(), other))
    })
}

fn arguments(stage: &Stage) -> Act {
    let victim = stage.victim.clone();
    let kept = block(&stage.witness, 10);
    let theirs = give(&stage.witness, &stage.victim, &kept);
    Act::new(move || {
        let place = victim.reserve("child").unwrap();
        place.put_arguments(&Message::encode(&victim, &theirs).unwrap()).unwrap();
        forget((place, theirs));
    })
    .check(move |_| assert_eq!(kept.holders(Role::First), 1))
}

/// A place of the victim's, with arguments in it.
fn furnished(stage: &Stage) -> (mp_session::Place, Object) {
    let kept = block(&stage.witness, 10);
    let theirs = give(&stage.witness, &stage.victim, &kept);
    let place = stage.victim.reserve("child").unwrap();
    place.put_arguments(&Message::encode(&stage.victim, &theirs).unwrap()).unwrap();
    (place, kept)
}

fn give_up(stage: &Stage) -> Act {
    let (place, kept) = furnished(stage);
    Act::new(move || {
        assert!(place.give_up().unwrap());
        forget(place);
    })
    .check(move |_| assert_eq!(kept.holders(Role::First), 1))
}

fn drop_place(stage: &Stage) -> Act {
    let (place, kept) = furnished(stage);
    let child = stage.heap.enter(place.id()).unwrap();
    child.clone().abandon();
    assert!(stage.witness.notice_deaths().unwrap());
    Act::new(move || drop(place)).check(move |_| assert_eq!(kept.holders(Role::First), 1))
}

/// It is no member yet when it dies: its parent, who has reaped it, settles.
fn enter(stage: &Stage) -> Act {
    let place = stage.witness.reserve("child").unwrap();
    let kept = block(&stage.witness, 10);
    place.put_arguments(&Message::encode(&stage.witness, &kept).unwrap()).unwrap();
    // As the child does: it has the memory, and no session in it.
    let (heap, id) = (stage.heap.alias(), place.id());
    Act::new(move || {
        let session = heap.enter(id).unwrap();
        forget(session.take_arguments().unwrap().unwrap().decode::<Object>().unwrap());
        forget(session);
    })
    .buried_by(move |_| {
        place.settle(&KILLED).unwrap();
        drop(place);
        assert_eq!(kept.holders(Role::First), 1);
    })
}

/// A child of the witness's, with arguments; and what those carry.
fn child(stage: &Stage) -> (mp_session::Place, Session, Object) {
    let place = stage.witness.reserve("child").unwrap();
    let kept = block(&stage.witness, 10);
    place.put_arguments(&Message::encode(&stage.witness, &kept).unwrap()).unwrap();
    let child = stage.heap.enter(place.id()).unwrap();
    (place, child, kept)
}

fn take_arguments(stage: &Stage) -> Act {
    let (place, child, kept) = child(stage);
    let dying = child.clone();
    Act::new(move || forget(child.take_arguments().unwrap().unwrap().decode::<Object>().unwrap())).buried_by(
        move |_| {
            dying.abandon();
            place.settle(&KILLED).unwrap();
            drop(place);
            assert_eq!(kept.holders(Role::First), 1);
        },
    )
}

fn leave_result(stage: &Stage) -> Act {
    let (place, child, kept) = child(stage);
    let got: Object = child.take_arguments().unwrap().unwrap().decode().unwrap();
    let dying = child.clone();
    Act::new(move || {
        child.leave_result(&Message::encode(&child, &got).unwrap()).unwrap();
        forget(got);
    })
    .buried_by(move |_| {
        dying.abandon();
        place.settle(&KILLED).unwrap();
        if let Some(result) = place.take_result().unwrap() {
            assert_eq!(result.decode::<Object>().unwrap(), kept);
        }
        drop(place);
        assert_eq!(kept.holders(Role::First), 1);
    })
}

fn take_result(stage: &Stage) -> Act {
    let (place, kept) = furnished(stage);
    let child = stage.heap.enter(place.id()).unwrap();
    let got: Object = child.take_arguments().unwrap().unwrap().decode().unwrap();
    child.leave_result(&Message::encode(&child, &got).unwrap()).unwrap();
    forget(got);
    child.abandon();
    assert!(stage.witness.notice_deaths().unwrap());
    Act::new(move || {
        forget(place.take_result().unwrap().unwrap().decode::<Object>().unwrap());
        place.settle(&KILLED).unwrap();
        drop(place);
    })
    .check(move |_| assert_eq!(kept.holders(Role::First), 1))
}

fn settle_dead_child(stage: &Stage) -> Act {
    let (place, kept) = furnished(stage);
    let child = stage.heap.enter(place.id()).unwrap();
    forget(child.take_arguments().unwrap().unwrap().decode::<Object>().unwrap());
    child.abandon();
    Act::new(move || {
        place.settle(&KILLED).unwrap();
        drop(place);
    })
    .check(move |_| assert_eq!(kept.holders(Role::First), 1))
}

/// A member with everything that a sweep has to clear, dead.
fn dead(stage: &Stage, kept: &Object) -> Session {
    let member = stage.heap.member("dead").unwrap();
    let theirs = give(&stage.witness, &member, kept);
    let head = block(&member, 100);
    head.adopt(&theirs).unwrap();
    let many: Vec<Object> = (0..65).map(|_| head.try_clone_counted().unwrap()).collect();
    forget((theirs, head, many, block(&member, HALF_A_SPAN)));
    member
}

const HALF_A_SPAN: u64 = 32_768;

fn sweep(stage: &Stage) -> Act {
    let kept = block(&stage.witness, 10);
    dead(stage, &kept).abandon();
    let (victim, other) = (stage.victim.clone(), stage.witness.clone());
    Act::new(move || assert!(victim.notice_deaths().unwrap()))
        .meanwhile("looks for deaths, too", move || {
            let _ = other.notice_deaths().unwrap();
        })
        .check(move |_| assert_eq!(kept.holders(Role::First), 1))
}

fn sweep_parent(stage: &Stage) -> Act {
    let kept = block(&stage.witness, 10);
    let parent = dead(stage, &kept);
    // A child that never came, with arguments; one that is gone, with a result; one that lives.
    let [never, gone, lives] = [0, 1, 2].map(|_| parent.reserve("child").unwrap());
    never.put_arguments(&Message::encode(&parent, &block(&parent, 5)).unwrap()).unwrap();
    let child = stage.heap.enter(gone.id()).unwrap();
    child.leave_result(&Message::encode(&child, &block(&child, 5)).unwrap()).unwrap();
    child.abandon();
    assert!(stage.witness.notice_deaths().unwrap());
    let child = stage.heap.enter(lives.id()).unwrap();
    forget((never, gone, lives));
    parent.abandon();
    let victim = stage.victim.clone();
    Act::new(move || assert!(victim.notice_deaths().unwrap())).check(move |stage| {
        assert_eq!(kept.holders(Role::First), 1);
        assert!(child.parent().is_some_and(|(_, lives)| !lives));
        child.abandon();
        assert!(stage.witness.notice_deaths().unwrap());
    })
}

/// The dead one had claimed a cell of its parent's; a sweeper of its was cut off as well, long ago.
fn sweep_sweeper(stage: &Stage) -> Act {
    let kept = block(&stage.witness, 10);
    let (first, second) = (dead(stage, &kept), dead(stage, &kept));
    let place = first.reserve("child").unwrap();
    place.put_arguments(&Message::encode(&first, &kept_by(&first, &kept, stage)).unwrap()).unwrap();
    forget(place);
    first.abandon();
    second.abandon();
    let victim = stage.victim.clone();
    Act::new(move || assert!(victim.notice_deaths().unwrap()))
        .check(move |_| assert_eq!(kept.holders(Role::First), 1))
}

fn kept_by(member: &Session, kept: &Object, stage: &Stage) -> Object {
    let object = give(&stage.witness, member, kept);
    let copy = object.try_clone_counted().unwrap();
    forget(object);
    copy
}
