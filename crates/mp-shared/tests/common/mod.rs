//! Members that one process plays, and waiting.
#![allow(dead_code, unreachable_pub)] // shared by several test programs, each of which uses a part

use std::time::{Duration, Instant};

use mp_session::{Blueprint, Kind, Message, Object, Session, Shape, Taking};

/// A bound for what must happen, generous because tests share the machine.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Waits for a condition that another thread or process brings about.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "{what} did not happen");
        std::thread::yield_now();
    }
}

/// Two members of a session on the heap.
pub fn two_members() -> (Session, Session) {
    let heap = Session::on_heap(0).unwrap();
    (heap.member("a").unwrap(), heap.member("b").unwrap())
}

/// Carries a value to another member of a session on the heap, as a queue would.
pub fn try_carry<T: mp_wire::Message, U: mp_wire::Message>(
    value: &T,
    from: &Session,
    to: &Session,
) -> mp_wire::Result<U> {
    const CELL: u64 = 64;
    let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size: 64 + CELL };
    let ring = Object::create_zeroed(from, plan, "", |_, _| {})?;
    let cell = ring.ring_cell(0, CELL);
    let message = Message::encode(from, value)?;
    assert!(Object::put_into(from, cell, cell.state(), message.as_object())?);
    match Object::claim_for_take(to, cell, cell.state())? {
        Some(Taking::Message(object)) => Message::from_object(object)?.decode(),
        other => panic!("{other:?}"),
    }
}

/// The same where it arrives as what it is.
pub fn carry<T: mp_wire::Message>(value: &T, from: &Session, to: &Session) -> T {
    try_carry(value, from, to).unwrap()
}
