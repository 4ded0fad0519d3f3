//! The directory of published objects.

use mp_session::{Object, Role};

use crate::scene::{Act, Scene};
use crate::stage::{Stage, block, give};

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "session/directory: publish", play: publish },
    Scene { name: "session/directory: look up", play: look_up },
    Scene { name: "session/directory: withdraw", play: withdraw },
];

fn publish(stage: &Stage) -> Act {
    let object = block(&stage.witness, 10);
    let theirs = give(&stage.witness, &stage.victim, &object);
    let (victim, other) = (stage.victim.clone(), stage.witness.clone());
    Act::new(move || {
        victim.publish("name", &theirs).unwrap();
        std::mem::forget(theirs);
    })
    .meanwhile("looks it up", move || drop(other.lookup::<Object>("name").unwrap()))
    .check(move |stage| {
        let found = stage.witness.lookup::<Object>("name").unwrap();
        assert!(found.is_none_or(|found| found == object));
        if !stage.witness.unpublish("name").unwrap() {
            stage.witness.publish("name", &object).unwrap();
            assert!(stage.witness.unpublish("name").unwrap());
        }
        assert_eq!(object.holders(Role::First), 1);
    })
}

fn look_up(stage: &Stage) -> Act {
    let object = block(&stage.witness, 10);
    stage.witness.publish("name", &object).unwrap();
    let (victim, other) = (stage.victim.clone(), stage.witness.clone());
    Act::new(move || std::mem::forget(victim.lookup::<Object>("name").unwrap()))
        .meanwhile("withdraws it", move || assert!(other.unpublish("name").unwrap()))
        .check(move |stage| {
            let _ = stage.witness.unpublish("name").unwrap();
            // What nobody looks at any more is released by whoever tidies.
            let _ = stage.witness.published().unwrap();
            stage.witness.publish("name", &1_u64).unwrap();
            assert!(stage.witness.unpublish("name").unwrap());
            assert_eq!(object.holders(Role::First), 1);
        })
}

fn withdraw(stage: &Stage) -> Act {
    let object = block(&stage.witness, 10);
    stage.witness.publish("name", &object).unwrap();
    let (victim, other) = (stage.victim.clone(), stage.witness.clone());
    Act::new(move || assert!(victim.unpublish("name").unwrap()))
        .meanwhile("looks it up", move || drop(other.lookup::<Object>("name").unwrap()))
        .check(move |stage| {
            let _ = stage.witness.unpublish("name").unwrap();
            stage.witness.publish("name", &1_u64).unwrap();
            assert!(stage.witness.unpublish("name").unwrap());
            assert_eq!(object.holders(Role::First), 1);
        })
}
