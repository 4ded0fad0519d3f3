//! Operations that do not survive a death, to see that this is found. They are played only when asked for.

use std::mem::forget;
use std::sync::atomic::Ordering::*;

use crate::scene::{Act, Scene};
use crate::stage::{Stage, block, give};

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "broken: two words", play: two_words },
    Scene { name: "broken: a stranger's count", play: lost_count },
    Scene { name: "broken: waits for the dead", play: hangs },
];

/// Two stores, with nothing that says how far it came.
fn two_words(stage: &Stage) -> Act {
    let object = block(&stage.witness, 0);
    let theirs = give(&stage.witness, &stage.victim, &object);
    Act::new(move || {
        theirs.words().word(0).store(1, SeqCst);
        theirs.words().word(1).store(1, SeqCst);
        forget(theirs);
    })
    .check(move |_| {
        let [a, b] = [0, 1].map(|i| object.words().word(i).load(SeqCst));
        assert_eq!(a, b, "half done");
    })
}

/// A reference that nothing owns: forgotten by somebody who lives.
fn lost_count(stage: &Stage) -> Act {
    let object = block(&stage.witness, 0);
    let theirs = give(&stage.witness, &stage.victim, &object);
    Act::new(move || drop(theirs)).check(move |_| forget(object))
}

/// A survivor that waits for a word which only the victim would have written.
fn hangs(stage: &Stage) -> Act {
    let object = block(&stage.witness, 0);
    let theirs = give(&stage.witness, &stage.victim, &object);
    Act::new(move || {
        theirs.words().word(0).store(1, SeqCst);
        theirs.words().word(0).store(0, SeqCst);
        forget(theirs);
    })
    .check(move |_| {
        while object.words().word(0).load(SeqCst) != 0 {
            std::hint::spin_loop();
        }
    })
}
