//! The object table: creating, sharing, destroying.

use std::mem::forget;

use mp_session::{Object, Role};

use crate::scene::{Act, Scene};
use crate::stage::{Stage, block, give, plan};

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "session/table: create", play: create },
    Scene { name: "session/table: create with both roles", play: create_pair },
    Scene { name: "session/table: create in a chunk of one's own", play: create_again },
    Scene { name: "session/table: create in a chunk of the dead", play: create_in_orphan },
    Scene { name: "session/table: create where an object was", play: create_over },
    Scene { name: "session/table: retain", play: retain },
    Scene { name: "session/table: retain an object of two roles", play: retain_second },
    Scene { name: "session/table: release", play: release },
    Scene { name: "session/table: release the last", play: release_last },
    Scene { name: "session/table: release one of two roles", play: release_role },
    Scene { name: "session/table: adopt", play: adopt },
    Scene { name: "session/table: child", play: child },
    Scene { name: "session/table: destroy a chain", play: destroy_chain },
    Scene { name: "session/table: destroy a tree", play: destroy_tree },
    Scene { name: "session/table: release and create in turn", play: in_turn },
];

fn create(stage: &Stage) -> Act {
    let victim = stage.victim.clone();
    let other = stage.witness.clone();
    Act::new(move || forget(block(&victim, 100))).meanwhile("creates", move || drop(block(&other, 100)))
}

fn create_pair(stage: &Stage) -> Act {
    let victim = stage.victim.clone();
    Act::new(move || forget(Object::create_pair(&victim, plan(0), |_, _| {}).unwrap()))
}

fn create_again(stage: &Stage) -> Act {
    let victim = stage.victim.clone();
    forget(block(&victim, 10));
    Act::new(move || forget(block(&victim, 0)))
}

fn create_in_orphan(stage: &Stage) -> Act {
    stage.bygone(|session| forget(block(session, 100)));
    let (victim, other) = (stage.victim.clone(), stage.witness.clone());
    Act::new(move || forget(block(&victim, 100))).meanwhile("creates", move || drop(block(&other, 100)))
}

/// *last-name-lost*: the counts in the entry still name somebody's last change.
fn create_over(stage: &Stage) -> Act {
    let victim = stage.victim.clone();
    // The whole chunk was used before, by everybody.
    let all: Vec<Object> = (0..64).map(|_| block(&victim, 0)).collect();
    let theirs: Vec<Object> = all.iter().map(|object| give(&victim, &stage.witness, object)).collect();
    drop(all);
    drop(theirs);
    Act::new(move || forget(block(&victim, 0)))
}

fn retain(stage: &Stage) -> Act {
    let object = block(&stage.witness, 100);
    let theirs = give(&stage.witness, &stage.victim, &object);
    let other = object.try_clone_counted().unwrap();
    Act::new(move || {
        forget(theirs.try_clone_counted().unwrap());
        forget(theirs);
    })
    .meanwhile("retains and releases", move || drop(other.try_clone_counted().unwrap()))
    .check(move |_| assert_eq!(object.holders(Role::First), 1))
}

fn retain_second(stage: &Stage) -> Act {
    let (first, second) = Object::create_pair(&stage.witness, plan(10), |_, _| {}).unwrap();
    let theirs = give(&stage.witness, &stage.victim, &second);
    Act::new(move || {
        forget(theirs.try_clone_counted().unwrap());
        forget(theirs);
    })
    .check(move |_| {
        assert_eq!((first.holders(Role::First), first.holders(Role::Second)), (1, 1));
        drop(second);
    })
}

fn release(stage: &Stage) -> Act {
    let object = block(&stage.witness, 100);
    let theirs = give(&stage.witness, &stage.victim, &object);
    let other = object.try_clone_counted().unwrap();
    Act::new(move || drop(theirs))
        .meanwhile("releases, too", move || drop(other))
        .check(move |_| assert_eq!(object.holders(Role::First), 1))
}

fn release_last(stage: &Stage) -> Act {
    let object = block(&stage.victim, 5000);
    let other = stage.witness.clone();
    Act::new(move || drop(object)).meanwhile("creates", move || drop(block(&other, 5000)))
}

fn release_role(stage: &Stage) -> Act {
    let (first, second) = Object::create_pair(&stage.victim, plan(10), |_, _| {}).unwrap();
    let theirs = give(&stage.victim, &stage.witness, &second);
    drop(second);
    Act::new(move || drop(first)).meanwhile("releases the other role", move || drop(theirs)).check(|_| {})
}

fn adopt(stage: &Stage) -> Act {
    let parent = block(&stage.witness, 10);
    let child = block(&stage.witness, 10);
    let (theirs, its) = give(&stage.witness, &stage.victim, &(parent.clone(), child.clone()));
    Act::new(move || {
        theirs.adopt(&its).unwrap();
        forget((theirs, its));
    })
    .check(move |_| {
        let holders = child.holders(Role::First);
        assert_eq!(holders, if parent.child().is_ok() { 2 } else { 1 });
        drop(parent);
        assert_eq!(child.holders(Role::First), 1);
    })
}

fn child(stage: &Stage) -> Act {
    let parent = block(&stage.witness, 10);
    parent.adopt(&block(&stage.witness, 10)).unwrap();
    let theirs = give(&stage.witness, &stage.victim, &parent);
    Act::new(move || {
        forget(theirs.child().unwrap());
        forget(theirs);
    })
    .check(move |_| assert_eq!(parent.child().unwrap().holders(Role::First), 2))
}

fn destroy_chain(stage: &Stage) -> Act {
    let mut head = block(&stage.victim, 10);
    for _ in 0..3 {
        let next = block(&stage.victim, 10);
        next.adopt(&head).unwrap();
        head = next;
    }
    let other = stage.witness.clone();
    Act::new(move || drop(head)).meanwhile("creates", move || drop(block(&other, 10)))
}

fn destroy_tree(stage: &Stage) -> Act {
    let kept = block(&stage.witness, 10);
    let leaves: Vec<Object> =
        vec![block(&stage.victim, 0), give(&stage.witness, &stage.victim, &kept), block(&stage.victim, 200)];
    let inner = mp_session::Message::encode(&stage.victim, &leaves).unwrap();
    drop(leaves);
    let outer = mp_session::Message::encode(&stage.victim, &vec![inner.as_object().clone(); 2]).unwrap();
    drop(inner);
    Act::new(move || drop(outer)).check(move |_| assert_eq!(kept.holders(Role::First), 1))
}

fn in_turn(stage: &Stage) -> Act {
    let victim = stage.victim.clone();
    let (a, b) = (block(&victim, 10), block(&victim, 0));
    Act::new(move || {
        drop(a);
        let c = block(&victim, 10);
        drop(b);
        drop(c);
    })
}
