//! Locks: taking, giving back, waiting, taking over from the dead, going hungry.

use std::mem::forget;
use std::time::Duration;

use mp_sync::{Lock, LockError, Mutex};

use crate::scene::{Act, Scene};
use crate::stage::{Stage, give};

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "sync/lock: acquire and release", play: acquire },
    Scene { name: "sync/lock: lock and unlock", play: lock },
    Scene { name: "sync/lock: wait for it, in vain", play: wait },
    Scene { name: "sync/lock: wait for it, and go hungry", play: hungry },
    Scene { name: "sync/lock: take over from the dead", play: take_over },
    Scene { name: "sync/mutex: make", play: make },
    Scene { name: "sync/mutex: lock, change, unlock", play: change },
    Scene { name: "sync/mutex: take over, repair, unlock", play: repair },
    Scene { name: "sync/mutex: leave it locked", play: leave_locked },
];

/// The lock can be had, whoever had it.
fn works(lock: &Lock) {
    let guard = lock.lock_timeout(PATIENCE).unwrap();
    assert!(guard.is_some(), "nobody holds it, and it is not to be had");
    drop(guard);
    assert!(lock.try_acquire().unwrap());
    lock.release().unwrap();
}

const PATIENCE: Duration = Duration::from_secs(20);

fn acquire(stage: &Stage) -> Act {
    let lock = Lock::new_in(&stage.witness).unwrap();
    let (theirs, other) =
        (give(&stage.witness, &stage.victim, &lock), give(&stage.witness, &stage.witness, &lock));
    Act::new(move || {
        theirs.acquire().unwrap();
        theirs.release().unwrap();
        forget(theirs);
    })
    .meanwhile("tries, too", move || {
        if other.try_acquire().unwrap() {
            other.release().unwrap();
        }
    })
    .check(move |_| {
        // Anonymous: nobody's death gives it back, anybody may.
        if lock.locked() {
            lock.release().unwrap();
        }
        works(&lock);
    })
}

fn lock(stage: &Stage) -> Act {
    let lock = Lock::new_in(&stage.witness).unwrap();
    let (theirs, other) =
        (give(&stage.witness, &stage.victim, &lock), give(&stage.witness, &stage.witness, &lock));
    Act::new(move || {
        drop(theirs.lock().unwrap());
        forget(theirs);
    })
    .meanwhile("tries, too", move || drop(other.try_lock().unwrap()))
    .check(move |_| works(&lock))
}

fn wait(stage: &Stage) -> Act {
    let lock = Lock::new_in(&stage.witness).unwrap();
    let theirs = give(&stage.witness, &stage.victim, &lock);
    let other: Lock = give(&stage.witness, &stage.witness, &lock);
    lock.acquire().unwrap();
    Act::new(move || {
        assert!(theirs.lock_timeout(Duration::from_millis(20)).unwrap().is_none());
        forget(theirs);
    })
    .meanwhile("releases", move || {
        other.release().unwrap();
        assert!(other.try_acquire().unwrap());
    })
    .check(move |_| {
        lock.release().unwrap();
        works(&lock);
    })
}

/// Where nothing tells of deaths, as here, a sleep is a slice of 50 ms; four in vain make hungry.
fn hungry(stage: &Stage) -> Act {
    let lock = Lock::new_in(&stage.witness).unwrap();
    let theirs = give(&stage.witness, &stage.victim, &lock);
    lock.acquire().unwrap();
    Act::new(move || {
        assert!(theirs.lock_timeout(Duration::from_millis(600)).unwrap().is_none());
        forget(theirs);
    })
    .check(move |_| {
        lock.release().unwrap();
        works(&lock);
    })
}

fn take_over(stage: &Stage) -> Act {
    let lock = Lock::new_in(&stage.witness).unwrap();
    let theirs = give(&stage.witness, &stage.victim, &lock);
    let dead = stage.heap.member("dead").unwrap();
    let its: Lock = give(&stage.witness, &dead, &lock);
    forget(its.lock().unwrap());
    forget(its);
    dead.abandon();
    Act::new(move || {
        let guard = theirs.lock().unwrap();
        assert!(guard.owner_died().is_some());
        drop(guard);
        forget(theirs);
    })
    .check(move |_| works(&lock))
}

fn make(stage: &Stage) -> Act {
    let victim = stage.victim.clone();
    Act::new(move || forget(Mutex::new_in(&victim, [1_u64; 4]).unwrap()))
}

/// Two words that are equal unless somebody died in between.
type Pair = [u64; 2];

fn look(mutex: &Mutex<Pair>) {
    match mutex.lock_timeout(PATIENCE) {
        Ok(Some(guard)) => assert_eq!(guard[0], guard[1], "half changed, and nobody says so"),
        Err(LockError::OwnerDied(died)) => {
            let mut guard = died.mark_consistent();
            *guard = [7, 7];
        }
        Ok(None) => panic!("nobody holds it, and it is not to be had"),
        Err(LockError::Failed(e)) => panic!("{e}"),
    }
    let mut guard = mutex.lock().unwrap();
    assert_eq!(guard[0], guard[1]);
    guard[0] += 1;
    guard[1] += 1;
}

fn change(stage: &Stage) -> Act {
    let mutex = Mutex::new_in(&stage.witness, [1, 1]).unwrap();
    let (theirs, other): (Mutex<Pair>, Mutex<Pair>) =
        (give(&stage.witness, &stage.victim, &mutex), give(&stage.witness, &stage.witness, &mutex));
    Act::new(move || {
        let mut guard = theirs.lock().unwrap();
        guard[0] += 1;
        std::hint::black_box(&mut *guard);
        guard[1] += 1;
        drop(guard);
        forget(theirs);
    })
    .meanwhile("tries, too", move || {
        if let Ok(Some(guard)) = other.try_lock() {
            assert_eq!(guard[0], guard[1]);
        }
    })
    .check(move |_| look(&mutex))
}

fn repair(stage: &Stage) -> Act {
    let mutex = Mutex::new_in(&stage.witness, [1, 1]).unwrap();
    let theirs: Mutex<Pair> = give(&stage.witness, &stage.victim, &mutex);
    let dead = stage.heap.member("dead").unwrap();
    let its: Mutex<Pair> = give(&stage.witness, &dead, &mutex);
    let mut guard = its.lock().unwrap();
    guard[0] = 5;
    forget(guard);
    forget(its);
    dead.abandon();
    Act::new(move || {
        let guard = theirs.lock().or_else(|e| e.repair(|pair| *pair = [9, 9])).unwrap();
        drop(guard);
        forget(theirs);
    })
    .check(move |_| look(&mutex))
}

fn leave_locked(stage: &Stage) -> Act {
    let mutex = Mutex::new_in(&stage.witness, [1, 1]).unwrap();
    let theirs: Mutex<Pair> = give(&stage.witness, &stage.victim, &mutex);
    Act::new(move || {
        forget(theirs.lock().unwrap());
        forget(theirs);
    })
    .check(move |_| look(&mutex))
}
