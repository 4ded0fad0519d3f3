//! News of a death is prompt: within a tenth of a second, on every platform.

use std::time::{Duration, Instant, SystemTime};

use mp_process::{Builder, Departure, Error, Process, StartMethod};
use mp_session::{Blueprint, Kind, Object, Role, Session, Shape, ThreadId};

mp_process::enable_in_tests!();

const PROMPT: Duration = Duration::from_millis(100);
const ROUNDS: usize = 5;
/// Longer than anything here takes; a wait that long has failed.
const LONG: Duration = Duration::from_secs(30);

fn methods() -> impl Iterator<Item = Builder> {
    StartMethod::available().iter().map(|m| Process::builder().start_method(*m))
}

fn objects() -> (Object, Object) {
    let session = Session::current().unwrap();
    let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size: 64 };
    Object::create_pair(&session, plan, |_, _| {}).unwrap()
}

/// Waits at the object until `done`, with nobody in particular to wait for.
fn wait_until(what: &str, object: &Object, done: impl Fn() -> bool) -> Result<(), Error> {
    let waiters = object.words().waiters(Role::Second);
    let nobody = || ThreadId::NONE;
    let deadline = Some(Instant::now() + LONG);
    let found = object.session().wait(waiters, deadline, &nobody, || Ok(done().then_some(())))?;
    found.ok_or_else(|| Error::TimedOut { what: what.into() })
}

/// Says in the object's first word that it is there, and keeps it.
fn holder(object: Object) {
    arrive(&object);
    std::thread::sleep(Duration::from_secs(60));
}

fn arrive(object: &Object) {
    object.words().word(0).fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    object.session().wake_all(object.words().waiters(Role::Second));
}

fn arrived(object: &Object) -> u64 {
    object.words().word(0).load(std::sync::atomic::Ordering::SeqCst)
}

fn since(before: SystemTime, after: SystemTime) -> Duration {
    after.duration_since(before).unwrap_or_default()
}

/// A busy machine may hold up most of a few, but not all, and none for long.
fn assert_prompt(mut took: Vec<Duration>) {
    took.sort();
    assert!(took[took.len() / 4] < PROMPT && took[took.len() - 1] < 10 * PROMPT, "{took:?}");
}

#[test]
fn a_joiner_is_told() {
    for b in methods() {
        let mut took = Vec::new();
        for _ in 0..ROUNDS {
            let (first, second) = objects();
            let victim = b.clone().spawn(holder, (first,)).unwrap();
            wait_until("the arrival", &second, || arrived(&second) == 1).unwrap();
            let joiner = {
                let victim = victim.clone();
                std::thread::spawn(move || (victim.join().unwrap_err(), SystemTime::now()))
            };
            std::thread::sleep(Duration::from_millis(30));
            let killed = SystemTime::now();
            victim.kill().unwrap();
            let (error, told) = joiner.join().unwrap();
            assert!(matches!(error, Error::Died { how: Departure::Signalled(9), .. }), "{error}");
            took.push(since(killed, told));
        }
        assert_prompt(took);
    }
}

/// Waits until nobody holds the first role any more, and says when that was.
fn witness(object: Object) -> Result<SystemTime, Error> {
    arrive(&object);
    wait_until("the news", &object, || object.holders(Role::First) == 0)?;
    Ok(SystemTime::now())
}

#[test]
fn siblings_are_told_though_nobody_joins() {
    for b in methods() {
        let mut took = Vec::new();
        for _ in 0..ROUNDS {
            let (first, second) = objects();
            let victim = b.clone().spawn(holder, (first,)).unwrap();
            wait_until("the arrival", &second, || arrived(&second) == 1).unwrap();
            let witnesses = [0, 1].map(|_| b.clone().spawn(witness, (second.clone(),)).unwrap());
            wait_until("the arrival", &second, || arrived(&second) == 3).unwrap();
            std::thread::sleep(Duration::from_millis(30));
            let killed = SystemTime::now();
            victim.kill().unwrap();
            took.extend(witnesses.iter().map(|w| since(killed, w.join().unwrap())));
        }
        assert_prompt(took);
    }
}

#[test]
fn a_parent_that_waits_for_something_else_is_told() {
    for b in methods() {
        let mut took = Vec::new();
        for _ in 0..ROUNDS {
            let (first, second) = objects();
            let victim = b.clone().spawn(holder, (first,)).unwrap();
            wait_until("the arrival", &second, || arrived(&second) == 1).unwrap();
            let waiter = std::thread::spawn(move || {
                wait_until("the news", &second, || second.holders(Role::First) == 0)
                    .map(|()| SystemTime::now())
            });
            std::thread::sleep(Duration::from_millis(30));
            let killed = SystemTime::now();
            victim.kill().unwrap();
            took.push(since(killed, waiter.join().unwrap().unwrap()));
        }
        assert_prompt(took);
    }
}

#[test]
fn daemons_go_with_a_parent_that_is_killed() {
    fn parent(first: Object, second: Object) -> Result<(), Error> {
        Process::builder().daemon(true).spawn(holder, (first,))?;
        wait_until("the arrival", &second, || arrived(&second) == 1)?;
        std::thread::sleep(Duration::from_secs(60));
        Ok(())
    }
    for b in methods() {
        let mut took = Vec::new();
        for _ in 0..ROUNDS {
            let (first, second) = objects();
            let victim = b.clone().spawn(parent, (first, second.clone())).unwrap();
            wait_until("the arrival", &second, || arrived(&second) == 1).unwrap();
            std::thread::sleep(Duration::from_millis(30));
            let killed = SystemTime::now();
            victim.kill().unwrap();
            wait_until("the news", &second, || second.holders(Role::First) == 0).unwrap();
            took.push(since(killed, SystemTime::now()));
        }
        assert_prompt(took);
    }
}

/// As [`holder`], and wakes nobody.
fn silent_holder(object: Object) {
    object.words().word(0).fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    std::thread::sleep(Duration::from_secs(60));
}

/// *asleep-before*: who slept when the victim came is told as well, though nobody else sleeps.
#[test]
fn who_slept_before_the_victim_came_is_told() {
    for b in methods() {
        let mut took = Vec::new();
        for _ in 0..ROUNDS {
            let (first, second) = objects();
            let waiter = {
                let second = second.clone();
                let gone = move |o: &Object| arrived(o) == 1 && o.holders(Role::First) == 0;
                std::thread::spawn(move || {
                    wait_until("the news", &second, || gone(&second)).map(|()| SystemTime::now())
                })
            };
            std::thread::sleep(Duration::from_millis(20)); // so that it sleeps
            let victim = b.clone().spawn(silent_holder, (first,)).unwrap();
            while arrived(&second) != 1 {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(60));
            let killed = SystemTime::now();
            victim.kill().unwrap();
            took.push(since(killed, waiter.join().unwrap().unwrap()));
        }
        assert_prompt(took);
    }
}
