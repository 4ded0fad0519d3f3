//! Parking: entering and leaving a wait word, waking one and all, what a wake-up leaves behind.
//!
//! The survivors that wait here have entered the word and do not sleep; they go on in the end, and must be found by the next wake-up.

use std::mem::forget;
use std::time::{Duration, Instant};

use mp_session::{Object, Role, Session, ThreadId};

use crate::scene::{Act, Scene};
use crate::stage::{Stage, block, give};
use crate::watch::aside;

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "session/wait: enter and leave", play: |stage| enter_and_leave(stage, 0) },
    Scene { name: "session/wait: enter and leave behind two", play: |stage| enter_and_leave(stage, 2) },
    Scene { name: "session/wait: enter and leave behind four", play: |stage| enter_and_leave(stage, 4) },
    Scene { name: "session/wait: sleep", play: sleep },
    Scene { name: "session/wait: be woken", play: |stage| woken(stage, true) },
    Scene { name: "session/wait: be woken and served already", play: |stage| woken(stage, false) },
    Scene { name: "session/wait: wake one of one", play: |stage| wake_one(stage, 1) },
    Scene { name: "session/wait: wake one of three", play: |stage| wake_one(stage, 3) },
    Scene { name: "session/wait: wake one of five", play: |stage| wake_one(stage, 5) },
    Scene { name: "session/wait: wake all of five", play: wake_all },
];

/// Members that wait at the first wait word of an object, and their handles to it.
struct Waiters(Vec<(Session, Object)>);

impl Waiters {
    fn new(stage: &Stage, object: &Object, count: usize) -> Waiters {
        let member = |_| {
            let session = stage.extra("waiter");
            let theirs = give(&stage.witness, &session, object);
            session.start_waiting(theirs.words().waiters(Role::First)).unwrap();
            (session, theirs)
        };
        Waiters((0..count).map(member).collect())
    }

    /// Each can be woken: it is in the word, or has its wake-up already.
    fn go_on(self, stage: &Stage, object: &Object) {
        let word = object.words().waiters(Role::First);
        let waker = object.session();
        for (session, theirs) in &self.0 {
            let soon = Some(Instant::now() + Duration::from_secs(5));
            let mut looks = 0;
            let woken = session.go_on_waiting(theirs.words().waiters(Role::First), soon, || {
                looks += 1;
                if looks == 2 {
                    // *chosen-not-woken*: by now it has looked after itself.
                    assert_eq!(stage.heap.verify(), Vec::<String>::new());
                    waker.wake_all(word);
                }
                Ok((looks > 2).then_some(()))
            });
            assert_eq!(woken, Ok(Some(())), "a waiter that no wake-up finds");
        }
    }
}

fn wait(object: &Object, deadline: Instant, ready: impl FnMut() -> mp_session::Result<Option<()>>) {
    let word = object.words().waiters(Role::First);
    let _ = object.session().wait(word, Some(deadline), &|| ThreadId::NONE, ready).unwrap();
}

fn enter_and_leave(stage: &Stage, before: usize) -> Act {
    let object = block(&stage.witness, 0);
    let theirs = give(&stage.witness, &stage.victim, &object);
    let waiters = Waiters::new(stage, &object, before);
    let other = object.try_clone_counted().unwrap();
    Act::new(move || {
        wait(&theirs, Instant::now(), || Ok(None));
        forget(theirs);
    })
    .meanwhile("wakes one", move || {
        other.session().wake_one(other.words().waiters(Role::First));
        drop(other);
    })
    .check(move |stage| waiters.go_on(stage, &object))
}

fn sleep(stage: &Stage) -> Act {
    let object = block(&stage.witness, 0);
    let theirs = give(&stage.witness, &stage.victim, &object);
    let other = object.try_clone_counted().unwrap();
    Act::new(move || {
        wait(&theirs, Instant::now() + Duration::from_millis(30), || Ok(None));
        forget(theirs);
    })
    .meanwhile("wakes one", move || {
        other.session().wake_one(other.words().waiters(Role::First));
        drop(other);
    })
    .check(|_| drop(object))
}

/// The victim waits behind another, and is woken as soon as it has entered. Whether it wants the wake-up is told by `wants`.
fn woken(stage: &Stage, wants: bool) -> Act {
    let object = block(&stage.witness, 0);
    let theirs = give(&stage.witness, &stage.victim, &object);
    let (waker, waiters) = (stage.witness.clone(), Waiters::new(stage, &object, 1));
    Act::new(move || {
        let mut wake_ups = 0;
        wait(&theirs, Instant::now() + Duration::from_secs(10), || {
            let word = theirs.words().waiters(Role::First);
            let before = wake_ups;
            if wake_ups < 2 && aside(|| waker.wake_one(word)) {
                // The first was for the one before us, the second is ours.
                wake_ups += 1;
            }
            let served = if wants { before == 2 } else { wake_ups == 2 };
            Ok(served.then_some(()))
        });
        forget(theirs);
    })
    .check(move |stage| waiters.go_on(stage, &object))
}

fn wake_one(stage: &Stage, count: usize) -> Act {
    let object = block(&stage.witness, 0);
    let theirs = give(&stage.witness, &stage.victim, &object);
    let waiters = Waiters::new(stage, &object, count);
    let other = object.try_clone_counted().unwrap();
    Act::new(move || {
        assert!(theirs.session().wake_one(theirs.words().waiters(Role::First)));
        forget(theirs);
    })
    .meanwhile("wakes one, too", move || {
        other.session().wake_one(other.words().waiters(Role::First));
        drop(other);
    })
    .check(move |stage| waiters.go_on(stage, &object))
}

fn wake_all(stage: &Stage) -> Act {
    let object = block(&stage.witness, 0);
    let theirs = give(&stage.witness, &stage.victim, &object);
    let waiters = Waiters::new(stage, &object, 5);
    Act::new(move || {
        theirs.session().wake_all(theirs.words().waiters(Role::First));
        forget(theirs);
    })
    .check(move |stage| waiters.go_on(stage, &object))
}
