//! Cells: filling, emptying, stepping over the dead, closing.

use std::mem::forget;

use mp_session::{Blueprint, CellState, Kind, Message, Object, Role, Session, Shape, Status, Taking};

use crate::scene::{Act, Scene};
use crate::stage::{Stage, block, give};

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "session/cell: put a message", play: put },
    Scene { name: "session/cell: put bytes", play: put_inline },
    Scene { name: "session/cell: put in vain", play: put_in_vain },
    Scene { name: "session/cell: take a message", play: take },
    Scene { name: "session/cell: take bytes", play: take_inline },
    Scene { name: "session/cell: take in vain", play: take_in_vain },
    Scene { name: "session/cell: step over the dead", play: bury },
    Scene { name: "session/cell: close", play: close },
    Scene { name: "session/cell: destroy a ring", play: destroy },
];

const STRIDE: u64 = 64;

/// A ring of two cells, and the victim's handle to it.
fn ring(stage: &Stage) -> (Object, Object) {
    let plan = Blueprint { kind: Kind(301), fingerprint: 0, shape: Shape::Ring, size: 256 };
    let ring = Object::create(&stage.witness, plan, |_, bytes| {
        // SAFETY: 256 bytes, aligned to 64, ours alone until `create` returns.
        unsafe {
            let words = bytes.unwrap().cast::<u64>();
            words.write_bytes(0, 32);
            words.write(2 | STRIDE << 32);
        }
    })
    .unwrap();
    let theirs = give(&stage.witness, &stage.victim, &ring);
    (ring, theirs)
}

fn state(ring: &Object) -> CellState {
    ring.ring_cell(0, STRIDE).state()
}

fn message(session: &Session) -> Message {
    Message::encode(session, &"a text that is a message".to_owned()).unwrap()
}

/// As everybody who puts, it looks first.
fn put_message(ring: &Object) -> bool {
    let cell = ring.ring_cell(0, STRIDE);
    let seen = cell.state();
    seen.status == Status::Free
        && Object::put_into(ring.session(), cell, seen, message(ring.session()).as_object()).unwrap()
}

fn put_bytes(ring: &Object) -> bool {
    let cell = ring.ring_cell(0, STRIDE);
    let seen = cell.state();
    if seen.status != Status::Free {
        return false;
    }
    let filling = ring.claim_for_put(cell, seen).unwrap();
    let claimed = filling.is_some();
    if let Some(filling) = filling {
        filling.finish(7);
    }
    claimed
}

/// Takes what is there now, if anything is.
fn take_now(ring: &Object) -> bool {
    let cell = ring.ring_cell(0, STRIDE);
    let seen = cell.state();
    if seen.status != Status::Full {
        return false;
    }
    match Object::claim_for_take(ring.session(), cell, seen).unwrap() {
        Some(Taking::Inline(emptying)) => {
            assert_eq!(emptying.header(), 7);
            emptying.finish();
            true
        }
        Some(Taking::Message(object)) => {
            let text: String = Message::from_object(object).unwrap().decode().unwrap();
            assert_eq!(text, "a text that is a message");
            true
        }
        Some(Taking::Nothing) => panic!("a full cell with nothing in it"),
        None => false,
    }
}

/// The cell is full, or empty; and works.
fn works(ring: &Object) {
    let cell = ring.ring_cell(0, STRIDE);
    let seen = cell.state();
    match seen.status {
        Status::Full => assert!(take_now(ring)),
        Status::Dead => assert!(cell.bury(seen)),
        Status::Free => {}
        Status::Claimed | Status::Taken | Status::Moved | Status::Bytes => panic!("{seen:?}"),
    }
    assert!(put_message(ring) && take_now(ring) && put_bytes(ring) && take_now(ring));
}

fn put(stage: &Stage) -> Act {
    let (ring, theirs) = ring(stage);
    let (other, taker) = (ring.try_clone_counted().unwrap(), ring.try_clone_counted().unwrap());
    Act::new(move || {
        assert!(put_message(&theirs));
        forget(theirs);
    })
    .meanwhile("puts, too", move || drop((put_bytes(&other), other)))
    .meanwhile("takes", move || drop((take_now(&taker), taker)))
    .check(move |_| works(&ring))
}

fn put_inline(stage: &Stage) -> Act {
    let (ring, theirs) = ring(stage);
    let (other, taker) = (ring.try_clone_counted().unwrap(), ring.try_clone_counted().unwrap());
    Act::new(move || {
        assert!(put_bytes(&theirs));
        forget(theirs);
    })
    .meanwhile("puts, too", move || drop((put_message(&other), other)))
    .meanwhile("takes", move || drop((take_now(&taker), taker)))
    .check(move |_| works(&ring))
}

fn put_in_vain(stage: &Stage) -> Act {
    let (ring, theirs) = ring(stage);
    let seen = state(&ring);
    assert!(put_bytes(&ring));
    Act::new(move || {
        let cell = theirs.ring_cell(0, STRIDE);
        let message = message(theirs.session());
        assert!(!Object::put_into(theirs.session(), cell, seen, message.as_object()).unwrap());
        forget(theirs);
    })
    .check(move |_| {
        assert_eq!(state(&ring).status, Status::Full);
        works(&ring);
    })
}

fn take(stage: &Stage) -> Act {
    let (ring, theirs) = ring(stage);
    assert!(put_message(&ring));
    let (other, putter) = (ring.try_clone_counted().unwrap(), ring.try_clone_counted().unwrap());
    Act::new(move || {
        assert!(take_now(&theirs));
        forget(theirs);
    })
    .meanwhile("takes, too", move || drop((take_now(&other), other)))
    .meanwhile("puts", move || drop((put_bytes(&putter), putter)))
    .check(move |_| works(&ring))
}

fn take_inline(stage: &Stage) -> Act {
    let (ring, theirs) = ring(stage);
    assert!(put_bytes(&ring));
    let (other, putter) = (ring.try_clone_counted().unwrap(), ring.try_clone_counted().unwrap());
    Act::new(move || {
        assert!(take_now(&theirs));
        forget(theirs);
    })
    .meanwhile("takes, too", move || drop((take_now(&other), other)))
    .meanwhile("puts", move || drop((put_message(&putter), putter)))
    .check(move |_| works(&ring))
}

fn take_in_vain(stage: &Stage) -> Act {
    let (ring, theirs) = ring(stage);
    assert!(put_message(&ring));
    let seen = state(&ring);
    assert!(take_now(&ring) && put_message(&ring));
    Act::new(move || {
        let cell = theirs.ring_cell(0, STRIDE);
        assert!(Object::claim_for_take(theirs.session(), cell, seen).unwrap().is_none());
        forget(theirs);
    })
    .check(move |_| {
        assert_eq!(state(&ring).status, Status::Full);
        works(&ring);
    })
}

fn bury(stage: &Stage) -> Act {
    let (ring, theirs) = ring(stage);
    stage.bygone(|session| {
        let its = give(&stage.witness, session, &ring);
        let cell = its.ring_cell(0, STRIDE);
        assert!(its.claim_for_put(cell, cell.state()).unwrap().is_some());
        forget(its);
    });
    assert_eq!(state(&ring).status, Status::Dead);
    let other = ring.try_clone_counted().unwrap();
    Act::new(move || {
        assert!(theirs.ring_cell(0, STRIDE).bury(state(&theirs)));
        forget(theirs);
    })
    .meanwhile("steps over it, too", move || {
        other.ring_cell(0, STRIDE).bury(state(&other));
        drop(other);
    })
    .check(move |_| works(&ring))
}

fn close(stage: &Stage) -> Act {
    let (ring, theirs) = ring(stage);
    Act::new(move || {
        assert!(theirs.ring_cell(0, STRIDE).mark_moved(state(&theirs)));
        forget(theirs);
    })
    .check(move |_| assert!(matches!(state(&ring).status, Status::Free | Status::Moved)))
}

fn destroy(stage: &Stage) -> Act {
    let (ring, theirs) = ring(stage);
    let kept = block(&stage.witness, 10);
    let carrier = Message::encode(&stage.witness, &kept).unwrap();
    for cell in [ring.ring_cell(0, STRIDE), ring.ring_cell(1, STRIDE)] {
        assert!(Object::put_into(&stage.witness, cell, cell.state(), carrier.as_object()).unwrap());
    }
    drop((carrier, ring));
    Act::new(move || drop(theirs)).check(move |_| assert_eq!(kept.holders(Role::First), 1))
}
