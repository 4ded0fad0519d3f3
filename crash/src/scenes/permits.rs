//! Permits, by way of a semaphore: taken anonymously and by guards, given back, and returned from the dead once.

use std::mem::forget;

use mp_sync::Semaphore;

use crate::scene::{Act, Scene};
use crate::stage::{Stage, give};

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "sync/semaphore: take by a guard", play: |stage| guarded(stage, false) },
    Scene { name: "sync/semaphore: take by a guard, give back", play: |stage| guarded(stage, true) },
    Scene { name: "sync/semaphore: acquire and release", play: anonymous },
];

fn guarded(stage: &Stage, give_back: bool) -> Act {
    let semaphore = Semaphore::new_in(&stage.witness, 2).unwrap();
    let theirs = give(&stage.witness, &stage.victim, &semaphore);
    let other: Semaphore = give(&stage.witness, &stage.witness, &semaphore);
    Act::new(move || {
        let guard = theirs.acquire_guard().unwrap();
        if give_back {
            drop(guard);
        } else {
            forget(guard);
        }
        forget(theirs);
    })
    .meanwhile("takes one and gives it back", move || drop(other.try_acquire_guard().unwrap()))
    .check(move |_| assert_eq!(semaphore.get_value(), 2))
}

fn anonymous(stage: &Stage) -> Act {
    let semaphore = Semaphore::new_in(&stage.witness, 2).unwrap();
    let theirs = give(&stage.witness, &stage.victim, &semaphore);
    Act::new(move || {
        theirs.acquire().unwrap();
        theirs.release().unwrap();
        forget(theirs);
    })
    .check(move |_| assert!((1..=2).contains(&semaphore.get_value())))
}
