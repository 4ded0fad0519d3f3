//! The stage of a scene: a session in which this process plays all members, and what a scene makes of it.

use std::cell::Cell;

use mp_session::{Blueprint, HeapSession, Kind, Object, Session, Shape, Taking};
use mp_wire::Message;

use crate::memory::{LEN, Memory};

/// A session and three of its members.
///
/// | member | part |
/// |---|---|
/// | victim | does the operation, and dies in it |
/// | sweeper | clears up after the victim, and dies of that in turn |
/// | witness | stays: whatever is to be looked at in the end is the witness's |
#[derive(Debug)]
pub struct Stage {
    /// The session.
    pub heap: HeapSession,
    /// Does the operation, and dies in it.
    pub victim: Session,
    /// The first to clear up after it.
    pub sweeper: Session,
    /// Survives.
    pub witness: Session,
    /// How many members there are besides.
    extras: Cell<u32>,
}

impl Stage {
    pub(crate) fn new(memory: &Memory) -> Stage {
        // SAFETY: `Memory` maps so many bytes, all zero, and this process ends without unmapping them.
        let heap = unsafe { HeapSession::over(memory.base(), LEN as u64) }.unwrap();
        let member = |name| heap.member(name).unwrap();
        let (victim, sweeper, witness) = (member("victim"), member("sweeper"), member("witness"));
        Stage { heap, victim, sweeper, witness, extras: Cell::new(0) }
    }

    /// One more member, that survives like the witness.
    pub fn extra(&self, name: &str) -> Session {
        self.extras.set(self.extras.get() + 1);
        self.heap.member(name).unwrap()
    }

    /// A member that is no more when the operation begins, and was cleared up after: what it had is anybody's.
    pub fn bygone(&self, life: impl FnOnce(&Session)) {
        let member = self.heap.member("bygone").unwrap();
        life(&member);
        member.abandon();
        assert!(self.witness.notice_deaths().unwrap());
    }

    pub(crate) fn survivors(&self, dead: u32) -> u32 {
        3 + self.extras.get() - dead
    }
}

/// A plain object of so many bytes.
pub fn block(session: &Session, size: u64) -> Object {
    Object::create(session, plan(size), |_, _| {}).unwrap()
}

/// What [`block`] makes.
pub fn plan(size: u64) -> Blueprint {
    Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size }
}

/// The value as it arrives at another member, with handles of that one's own.
pub fn give<T: Message>(from: &Session, to: &Session, value: &T) -> T {
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
    let message = mp_session::Message::encode(from, value).unwrap();
    assert!(Object::put_into(from, cell, cell.state(), message.as_object()).unwrap());
    drop(message);
    match Object::claim_for_take(to, cell, cell.state()).unwrap() {
        Some(Taking::Message(object)) => mp_session::Message::from_object(object).unwrap().decode().unwrap(),
        other => panic!("no message but {other:?}"),
    }
}
