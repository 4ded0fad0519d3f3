//! Recovering from an image: a survivor sweeps, the session is checked, the operation is judged, the session is used, and all is
//! given back.

use mp_session::{Message, Object, Session};

use crate::scene::Act;
use crate::stage::{Stage, block, give};

/// Who died.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dead {
    Victim,
    /// And the sweeper, in the middle of clearing up.
    Both,
}

/// Takes out what another member does before the sweep.
pub(crate) fn take_other(act: &mut Act, other: Option<usize>) -> Option<Box<dyn FnOnce()>> {
    other.and_then(|i| act.others.get_mut(i)?.1.take())
}

/// The whole of it.
pub(crate) fn recover(stage: &Stage, act: &mut Act, dead: Dead) {
    if let Some(bury) = act.burial.take() {
        bury(stage);
    }
    stage.victim.clone().abandon();
    if dead == Dead::Victim {
        assert!(stage.sweeper.notice_deaths().unwrap(), "the sweeper swept nobody");
    } else {
        stage.sweeper.clone().abandon();
        assert!(stage.witness.notice_deaths().unwrap(), "the witness swept nobody");
    }
    whole(stage, "after the sweep");
    // What the others would have done with their handles they do no more.
    act.others.clear();
    if let Some(check) = act.check.take() {
        check(stage);
    }
    whole(stage, "after the check");
    use_it(stage, act.is_cramped);
    whole(stage, "after its use");
    let stats = stage.witness.stats();
    let survivors = stage.survivors(if dead == Dead::Victim { 1 } else { 2 });
    assert_eq!(stats.objects, 0, "objects are left: {:?}", stage.witness.objects());
    assert_eq!(stats.members, survivors, "members");
    assert_eq!(stats.threads, survivors, "threads");
}

#[track_caller]
fn whole(stage: &Stage, when: &str) {
    let found = stage.heap.verify();
    assert!(found.is_empty(), "{when}:\n        {}", found.join("\n        "));
}

/// Everything that sessions are used for, by the witness and by a newcomer, who likely gets the victim's place, and then dies.
fn use_it(stage: &Stage, is_cramped: bool) {
    let (witness, next) = (&stage.witness, stage.heap.member("next").unwrap());
    let sizes = [0, 1, 64, 100, 700, 5000, 40_000, 150_000];
    for size in sizes.into_iter().take(if is_cramped { 7 } else { 8 }) {
        let theirs = block(&next, size);
        let ours = give(&next, witness, &theirs);
        assert_eq!(ours, theirs);
        drop(block(witness, size));
    }
    let child = witness.reserve("child").unwrap();
    let sent = vec![block(witness, 10), block(witness, 100)];
    child.put_arguments(&Message::encode(witness, &sent).unwrap()).unwrap();
    let played = stage.heap.enter(child.id()).unwrap();
    let got: Vec<Object> = played.take_arguments().unwrap().unwrap().decode().unwrap();
    assert_eq!(got, sent);
    played.leave_result(&Message::encode(&played, &got[0]).unwrap()).unwrap();
    let back: Object = child.take_result().unwrap().unwrap().decode().unwrap();
    assert_eq!(back, sent[0]);
    std::mem::forget(got);
    played.abandon();
    sleep_and_wake(witness, &next, &sent[1]);
    // More than the records in its place, so that there is a ledger's chunk to be cleared.
    let many: Vec<Object> = (0..70).map(|_| block(&next, 10)).collect();
    std::mem::forget(many);
    next.abandon();
    assert!(witness.notice_deaths().unwrap());
}

/// A thread of the witness's sleeps until a handle of `next`'s is used to wake it.
fn sleep_and_wake(witness: &Session, next: &Session, object: &Object) {
    let theirs = give(witness, next, object);
    let word = object.words().waiters(mp_session::Role::First);
    let mut looks = 0;
    let none = || mp_session::ThreadId::NONE;
    let woken = witness.wait(word, None, &none, || {
        looks += 1;
        // Entered by now: a wake-up that comes before the sleep keeps it from sleeping.
        if looks > 1 && next.wake_one(theirs.words().waiters(mp_session::Role::First)) {
            return Ok(Some(()));
        }
        assert!(looks < 1_000_000, "nobody can be woken");
        Ok(None)
    });
    assert_eq!(woken, Ok(Some(())));
}
