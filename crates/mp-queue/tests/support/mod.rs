//! What the tests share: sessions in this process's own memory, and values on their way from one member to another.
#![allow(dead_code, reason = "each test program uses its part")]

use std::time::{Duration, Instant};

use mp_queue::Queue;
use mp_session::{Blueprint, Kind, Message, Object, Session, Shape, Taking};

/// Longer than anything here takes; what needs it has hung.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A session of its own with one member.
pub(crate) fn alone() -> Session {
    Session::on_heap(16 << 20).unwrap().member("alone").unwrap()
}

/// The value as it arrives at another member: it goes through a cell in the memory that both share.
pub(crate) fn hand_over<T: mp_wire::Message>(from: &Session, to: &Session, value: &T) -> T {
    let plan = Blueprint { kind: Kind(300), fingerprint: 0, shape: Shape::Ring, size: 128 };
    let ring = Object::create(from, plan, |_, bytes| {
        // SAFETY: 128 bytes, aligned to 64, ours alone until `create` returns.
        unsafe {
            let words = bytes.unwrap().cast::<u64>();
            words.write_bytes(0, 16);
            words.write(1 | 64 << 32);
        }
    })
    .unwrap();
    let cell = ring.ring_cell(0, 64);
    let message = Message::encode(from, value).unwrap();
    assert!(Object::put_into(from, cell, cell.state(), message.as_object()).unwrap());
    drop(message);
    match Object::claim_for_take(to, cell, cell.state()).unwrap() {
        Some(Taking::Message(object)) => Message::from_object(object).unwrap().decode().unwrap(),
        other => panic!("no message but {other:?}"),
    }
}

/// A queue in a session on the heap.
pub(crate) fn queue<T: mp_wire::Message>(session: &Session, capacity: Option<usize>) -> Queue<T> {
    Queue::make(session, capacity).unwrap()
}

/// Waits until `it` holds, for what another thread does without telling.
pub(crate) fn until(what: &str, mut it: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !it() {
        assert!(Instant::now() < give_up, "in vain: {what}");
        std::thread::yield_now();
    }
}
