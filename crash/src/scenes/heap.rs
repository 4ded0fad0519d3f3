//! The heap, by way of the objects whose blocks it gives: blocks from a magazine, from spans of one's own and of the dead, runs that
//! are new, hinted at or searched for.
//!
//! A region this small has no runs so long that their pages are given back to the kernel.

use std::mem::forget;

use mp_session::Object;

use crate::scene::{Act, Scene};
use crate::stage::{Stage, block, give};

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "session/heap: allocate from the magazine", play: from_magazine },
    Scene { name: "session/heap: allocate from a span that others freed in", play: from_own_span },
    Scene { name: "session/heap: allocate from a span of the dead", play: from_orphan },
    Scene { name: "session/heap: cut a span that was a run", play: cut_freed_run },
    Scene { name: "session/heap: allocate a run of one span", play: run_of_one },
    Scene { name: "session/heap: allocate a run of many spans", play: run_of_many },
    Scene { name: "session/heap: allocate a run that was freed", play: hinted_run },
    Scene { name: "session/heap: allocate a run that no hint knows", play: searched_run },
    Scene { name: "session/heap: no room", play: no_room },
    Scene { name: "session/heap: free a run", play: free_run },
];

const HALF: u64 = 32_768;
const SPAN: u64 = 65_536;

fn make(stage: &Stage, size: u64) -> Act {
    let (victim, other) = (stage.victim.clone(), stage.witness.clone());
    Act::new(move || forget(block(&victim, size)))
        .meanwhile("allocates the same", move || drop(block(&other, size)))
}

fn from_magazine(stage: &Stage) -> Act {
    forget(block(&stage.victim, 700));
    make(stage, 700)
}

fn from_own_span(stage: &Stage) -> Act {
    let both = [block(&stage.victim, HALF), block(&stage.victim, HALF)];
    let theirs: Vec<Object> = both.iter().map(|object| give(&stage.victim, &stage.witness, object)).collect();
    drop(both);
    drop(theirs);
    make(stage, HALF)
}

fn from_orphan(stage: &Stage) -> Act {
    stage.bygone(|session| forget(block(session, HALF)));
    stage.bygone(|session| forget(block(session, HALF)));
    make(stage, HALF)
}

fn cut_freed_run(stage: &Stage) -> Act {
    drop(block(&stage.witness, SPAN));
    make(stage, HALF)
}

fn run_of_one(stage: &Stage) -> Act {
    make(stage, SPAN)
}

fn run_of_many(stage: &Stage) -> Act {
    make(stage, 11 * SPAN)
}

fn hinted_run(stage: &Stage) -> Act {
    drop(block(&stage.witness, 3 * SPAN));
    make(stage, 3 * SPAN)
}

/// Takes all ground that is left, in runs of one span.
fn fill(stage: &Stage) -> Vec<Object> {
    let plan = crate::stage::plan(SPAN);
    std::iter::from_fn(|| Object::create(&stage.witness, plan, |_, _| {}).ok()).collect()
}

fn searched_run(stage: &Stage) -> Act {
    let mut all = fill(stage);
    // A class has eight hints: two of the ten are not known, and after the eight no other is.
    all.truncate(all.len() - 10);
    all.extend((0..8).map(|_| block(&stage.witness, SPAN)));
    make(stage, SPAN).cramped().check(move |_| drop(all))
}

fn no_room(stage: &Stage) -> Act {
    let all = fill(stage);
    let victim = stage.victim.clone();
    Act::new(move || {
        let error = Object::create(&victim, crate::stage::plan(2 * SPAN), |_, _| {}).unwrap_err();
        assert!(error.to_string().contains("size of the session"), "{error}");
    })
    .cramped()
    .check(move |_| drop(all))
}

fn free_run(stage: &Stage) -> Act {
    let object = block(&stage.victim, 2 * SPAN);
    let other = stage.witness.clone();
    Act::new(move || drop(object)).meanwhile("allocates the same", move || drop(block(&other, 2 * SPAN)))
}
