//! Threads: a slot is taken at first need, and given back when the thread ends.
//!
//! Beacons hang on the kernel's list of a thread only where the memory is shared between processes, which it is not here: how a process's
//! beacon is handed over is tested in `thread.rs` of mp-session.

use std::mem::forget;

use crate::scene::{Act, Scene};
use crate::stage::{Stage, block};

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "session/thread: register and leave", play: register },
    Scene { name: "session/thread: create and leave", play: create },
    Scene { name: "session/thread: leave owning something", play: owning },
];

fn register(stage: &Stage) -> Act {
    let (victim, other) = (stage.victim.clone(), stage.witness.clone());
    Act::new(move || assert!(!victim.thread_id().unwrap().is_none())).on_thread().meanwhile(
        "registers one, too",
        move || {
            std::thread::scope(|scope| drop(scope.spawn(|| other.thread_id().unwrap()).join()));
        },
    )
}

fn create(stage: &Stage) -> Act {
    let victim = stage.victim.clone();
    Act::new(move || {
        drop(block(&victim, 10));
        forget(block(&victim, 10));
    })
    .on_thread()
}

fn owning(stage: &Stage) -> Act {
    let victim = stage.victim.clone();
    Act::new(move || assert!(!victim.begin_owning().unwrap().is_none())).on_thread()
}
