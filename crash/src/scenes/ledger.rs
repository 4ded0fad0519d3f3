//! The ledger: records in the member's place, and the chunks that follow.

use std::mem::forget;

use mp_session::{Object, Role};

use crate::scene::{Act, Scene};
use crate::stage::{Stage, block, give};

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "session/ledger: the first chunk", play: |stage| grow(stage, 64) },
    Scene { name: "session/ledger: the second chunk", play: |stage| grow(stage, 64 + 128) },
    Scene { name: "session/ledger: a record that was given back", play: record_again },
];

/// One record more than there is room for.
fn grow(stage: &Stage, room: usize) -> Act {
    let object = block(&stage.witness, 10);
    let theirs = give(&stage.witness, &stage.victim, &object);
    let all: Vec<Object> = (1..room).map(|_| theirs.try_clone_counted().unwrap()).collect();
    Act::new(move || {
        forget(theirs.try_clone_counted().unwrap());
        forget((theirs, all));
    })
    .check(move |_| assert_eq!(object.holders(Role::First), 1))
}

fn record_again(stage: &Stage) -> Act {
    let object = block(&stage.witness, 10);
    let theirs = give(&stage.witness, &stage.victim, &object);
    let second = theirs.try_clone_counted().unwrap();
    Act::new(move || {
        drop(second);
        forget(theirs.try_clone_counted().unwrap());
        forget(theirs);
    })
    .check(move |_| assert_eq!(object.holders(Role::First), 1))
}
