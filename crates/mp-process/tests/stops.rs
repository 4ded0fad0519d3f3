//! Children that are stopped, copies that a foreign `fork` made, and foreigners that reap our children.
#![cfg(target_os = "linux")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering::*};
use std::time::{Duration, Instant};

use common::{alone, at_rest, block, held, is_as, runs, signal, soon, state_of};
use mp_process::{Builder, Departure, Error, Process, StartMethod};
use mp_session::{Message, Object, Role, Session, ThreadId};

mp_process::enable_in_tests!();

const LONG: Duration = Duration::from_secs(20);

fn methods() -> impl Iterator<Item = Builder> {
    StartMethod::available().iter().map(|m| Process::builder().start_method(*m))
}

fn nobody() -> ThreadId {
    ThreadId::NONE
}

/// Waits at the object's first wait word until its first word is at least `value`, or for ever.
fn wait_for(object: &Object, value: u64) -> bool {
    let session = Session::current().unwrap();
    let until = Some(Instant::now() + LONG);
    let ready = || Ok((object.words().word(0).load(SeqCst) >= value).then_some(()));
    session.wait(object.words().waiters(Role::First), until, &nobody, ready).unwrap().is_some()
}

fn raise(object: &Object) {
    object.words().word(0).fetch_add(1, SeqCst);
    object.session().wake_all(object.words().waiters(Role::First));
}

/// Busy with all that others do as well, until told to end.
fn work(stop: Object) -> u32 {
    let session = Session::current().unwrap();
    let mut rounds = 0;
    while stop.words().word(0).load(SeqCst) == 0 {
        let kept: Vec<Object> = (0..20).map(|i| block(&session, i * 100)).collect();
        let message = Message::encode(&session, &kept).unwrap();
        drop(kept);
        drop(message.decode::<Vec<Object>>().unwrap());
        let soon = Some(Instant::now() + Duration::from_micros(50));
        session.wait(stop.words().waiters(Role::First), soon, &nobody, || Ok(None::<()>)).unwrap();
        rounds += 1;
    }
    rounds
}

/// Stops and goes on, many times, wherever it is: the others never notice.
#[test]
fn a_stopped_child_stops_nobody_else() {
    let _alone = alone();
    let session = Session::current().unwrap();
    let before = at_rest(&session);
    for b in methods() {
        let stop = block(&session, 0);
        let child = b.clone().spawn(work, (stop.clone(),)).unwrap();
        let sibling = b.clone().spawn(work, (stop.clone(),)).unwrap();
        for round in 0..40 {
            std::thread::sleep(Duration::from_micros(round * 37));
            signal(child.pid(), libc::SIGSTOP);
            assert!(soon(|| state_of(child.pid()).is_some_and(|(s, _)| s == 'T')));
            let begun = Instant::now();
            let kept: Vec<Object> = (0..100).map(|i| block(&session, i * 50)).collect();
            let message = Message::encode(&session, &kept).unwrap();
            assert_eq!(message.decode::<Vec<Object>>().unwrap().len(), 100);
            drop((kept, message));
            assert!(begun.elapsed() < Duration::from_secs(2));
            if round % 8 == 0 {
                let begun = Instant::now();
                assert!(child.join_timeout(Duration::from_millis(30)).unwrap().is_none() && child.is_alive());
                assert!((30..1000).contains(&begun.elapsed().as_millis()));
                assert_eq!(b.clone().spawn(|x: u8| x + 1, (1,)).unwrap().join().unwrap(), 2);
            }
            signal(child.pid(), libc::SIGCONT);
        }
        raise(&stop);
        assert!(sibling.join().unwrap() > 0 && child.join().unwrap() > 0);
    }
    assert!(is_as(&session, before), "{:?}, at first {before:?}", held(&session));
}

fn wait_in_session(object: Object) -> bool {
    object.words().word(1).fetch_add(1, SeqCst);
    wait_for(&object, 1)
}

/// The kernel tells one watcher of a death. Those that are stopped are not asked, and the others hear of it.
#[test]
fn a_stopped_watcher_does_not_swallow_the_news_of_a_death() {
    let _alone = alone();
    let session = Session::current().unwrap();
    let before = at_rest(&session);
    let object = block(&session, 0);
    for _ in 0..5 {
        object.words().word(0).store(0, SeqCst);
        object.words().word(1).store(0, SeqCst);
        let victim = Process::spawn(wait_in_session, (object.clone(),)).unwrap();
        let watchers: Vec<_> =
            (0..3).map(|_| Process::spawn(wait_in_session, (object.clone(),)).unwrap()).collect();
        assert!(soon(|| object.words().word(1).load(SeqCst) == 4));
        std::thread::sleep(Duration::from_millis(30)); // they sleep by now, before us in the kernel's queue
        watchers.iter().for_each(|w| signal(w.pid(), libc::SIGSTOP));
        assert!(soon(|| watchers.iter().all(|w| state_of(w.pid()).is_some_and(|(s, _)| s == 'T'))));
        let deaths = session.stats().deaths;
        let pid = victim.pid();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            signal(pid, libc::SIGKILL);
            Instant::now()
        });
        let until = Some(Instant::now() + LONG);
        let seen = session
            .wait(object.words().waiters(Role::Second), until, &nobody, || {
                Ok((session.stats().deaths > deaths).then(Instant::now))
            })
            .unwrap();
        let took = seen.expect("noticed").saturating_duration_since(killer.join().unwrap());
        assert!(took < Duration::from_secs(2), "{took:?}");
        watchers.iter().for_each(|w| signal(w.pid(), libc::SIGCONT));
        raise(&object);
        assert!(watchers.iter().all(|w| w.join().unwrap()));
        assert_eq!(victim.wait().unwrap(), Departure::Signalled(9));
    }
    drop(object);
    assert!(is_as(&session, before), "{:?}, at first {before:?}", held(&session));
}

/// A child that dies before it came to its place holds its arguments; who waits for them to go is told.
#[test]
fn a_child_that_never_arrived_is_missed() {
    let _alone = alone();
    let session = Session::current().unwrap();
    Process::spawn(|| (), ()).unwrap().join().unwrap();
    let before = at_rest(&session);
    for keeps_handle in [true, false] {
        let object = block(&session, 0);
        // Killed while the dynamic linker is at work.
        let child = Process::builder()
            .start_method(StartMethod::Spawn)
            .spawn(|_: Object| std::thread::sleep(LONG), (object.clone(),))
            .unwrap();
        child.kill().unwrap();
        let handle = keeps_handle.then_some(child);
        let until = Some(Instant::now() + LONG);
        let begun = Instant::now();
        let alone_again = || Ok((object.holders(Role::First) == 1).then_some(()));
        assert!(
            session.wait(object.words().waiters(Role::First), until, &nobody, alone_again).unwrap().is_some()
        );
        assert!(begun.elapsed() < Duration::from_secs(2));
        if let Some(child) = handle {
            assert_eq!(child.wait().unwrap(), Departure::Signalled(9));
        }
        drop(object);
    }
    assert!(is_as(&session, before), "{:?}, at first {before:?}", held(&session));
}

/// In a child that somebody else's `fork` made, calls are errors and drops do nothing.
#[test]
fn a_foreign_fork_is_no_member() {
    let _alone = alone();
    let session = Session::current().unwrap();
    let before = at_rest(&session);
    let object = block(&session, 100);
    let child = Process::spawn(wait_in_session, (object.clone(),)).unwrap();
    let daemon = Process::builder().daemon(true).spawn(wait_in_session, (object.clone(),)).unwrap();
    assert!(soon(|| object.words().word(1).load(SeqCst) == 2));
    let held_by = object.holders(Role::First);
    // SAFETY: the copy has this thread alone; it uses nothing that another thread may have locked save malloc, which glibc
    // makes usable in it, and leaves by `_exit`.
    let copy = unsafe { libc::fork() };
    if copy == 0 {
        let foreign = |what: Result<(), Error>| matches!(what, Err(Error::ForeignFork));
        let code = if !foreign(session.thread_id().map(drop)) {
            1
        } else if !foreign(Process::spawn(|| (), ()).map(drop)) {
            2
        } else if !foreign(child.join().map(drop)) {
            3
        } else if !foreign(Message::encode(&session, &1_u8).map(drop)) {
            4
        } else if !foreign(object.try_clone_counted().map(drop)) {
            5
        } else if child.kill().is_err() || daemon.terminate().is_err() {
            6
        } else {
            0
        };
        drop((object, child, daemon));
        // SAFETY: ends the copy.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: our child, reaped once.
    assert_eq!(unsafe { libc::waitpid(copy, &mut status, 0) }, copy);
    assert_eq!((libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (true, 0));
    assert!(runs(child.pid()) && runs(daemon.pid()), "no signal of the copy's reached them");
    assert_eq!(object.holders(Role::First), held_by);
    // Another copy ends by `exit`, with all exit handlers, while a thread here is busy starting children.
    let busy = AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while busy.load(Acquire) {
                Process::spawn(|| (), ()).unwrap().join().unwrap();
            }
        });
        for _ in 0..20 {
            // SAFETY: as above; `exit` runs exit handlers, ours among them, which is what is tested.
            let copy = unsafe { libc::fork() };
            if copy == 0 {
                // SAFETY: ends the copy.
                unsafe { libc::exit(0) };
            }
            let reaped = || {
                // SAFETY: as above.
                unsafe { libc::waitpid(copy, &mut 0, libc::WNOHANG) == copy }
            };
            let ended = soon(reaped);
            if !ended {
                signal(copy.cast_unsigned(), libc::SIGKILL);
                busy.store(false, Release);
            }
            assert!(ended, "the copy hangs in its exit handlers");
        }
        busy.store(false, Release);
    });
    assert!(runs(child.pid()) && runs(daemon.pid()));
    raise(&object);
    assert!(child.join().unwrap() && daemon.join().unwrap());
    drop((object, child, daemon));
    assert!(is_as(&session, before), "{:?}, at first {before:?}", held(&session));
}

/// A foreign library reaps every child that it finds.
#[test]
fn a_foreign_reaper_loses_codes_and_no_values() {
    let _alone = alone();
    // In a process of its own, whose children alone it reaps.
    let child = Process::builder().start_method(StartMethod::Spawn).spawn(
        || {
            let over = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !over.load(Acquire) {
                        // SAFETY: what is tested: it takes from under us whatever ends.
                        unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) };
                    }
                });
                let mut lost = 0;
                for b in methods() {
                    for i in 0..60_u32 {
                        let child = b.clone().spawn(|i: u32| i + 1, (i,)).unwrap();
                        if i % 3 == 0 {
                            std::thread::sleep(Duration::from_millis(3));
                        }
                        assert_eq!(child.join().unwrap(), i + 1);
                        // The code, too: the child said what it was going to exit with.
                        assert_eq!(child.exitcode(), Some(0));
                        let failed = b.clone().spawn(|| Err::<(), _>("no"), ()).unwrap();
                        assert!(matches!(failed.join(), Err(Error::Failed(_))));
                        assert_eq!(failed.exitcode(), Some(1));
                        let killed = b.clone().spawn(|| std::thread::sleep(LONG), ()).unwrap();
                        killed.kill().unwrap();
                        match killed.join_timeout(LONG) {
                            Err(Error::Died { how: Departure::Lost, .. }) => {
                                assert_eq!(killed.exitcode(), Some(255));
                                lost += 1;
                            }
                            Err(Error::Died { how: Departure::Signalled(9), .. }) => {}
                            other => panic!("{other:?}"),
                        }
                    }
                }
                over.store(true, Release);
                lost
            })
        },
        (),
    );
    let child = child.unwrap();
    let lost = child.join_timeout(Duration::from_secs(60)).unwrap();
    if lost.is_none() {
        child.kill().unwrap();
    }
    assert!(lost.expect("a join hangs") > 0, "the reaper was never faster");
}

/// Takes tokens until there is an end, with several threads.
fn take_tokens(object: Object) {
    let session = Session::current().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                let (tokens, end) = (object.words().word(0), object.words().word(1));
                let ready = || {
                    let one = tokens.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok();
                    Ok(if one { Some(true) } else { (end.load(SeqCst) == 1).then_some(false) })
                };
                while session.wait(object.words().waiters(Role::First), None, &nobody, ready).unwrap()
                    == Some(true)
                {}
            });
        }
    });
}

/// Twenty waiters in four processes, of which two are killed while tokens are handed out one by one: what a dead waiter was
/// woken for is handed on.
#[test]
fn wake_ups_survive_the_waiters() {
    let _alone = alone();
    let session = Session::current().unwrap();
    let before = at_rest(&session);
    for round in 0..6_u64 {
        let object = block(&session, 0);
        let children: Vec<_> =
            (0..4).map(|_| Process::spawn(take_tokens, (object.clone(),)).unwrap()).collect();
        let tokens = object.words().word(0);
        let mut slow = 0;
        for i in 0..400 {
            if i == 100 + round * 7 || i == 200 + round * 11 {
                signal(children[usize::from(i >= 200)].pid(), libc::SIGKILL);
            }
            tokens.fetch_add(1, SeqCst);
            session.wake_one(object.words().waiters(Role::First));
            let begun = Instant::now();
            assert!(soon(|| tokens.load(SeqCst) == 0), "round {round}: token {i} is left lying");
            // A look around every so often finds a token as well: that must not be how they are found.
            slow += u32::from(begun.elapsed() > Duration::from_millis(45));
        }
        assert!(slow < 40, "{slow} of 400 wake-ups came late");
        object.words().word(1).store(1, SeqCst);
        session.wake_all(object.words().waiters(Role::First));
        for (i, child) in children.iter().enumerate() {
            let end = child.wait_timeout(LONG).unwrap();
            assert_eq!(end, Some(if i < 2 { Departure::Signalled(9) } else { Departure::Exited(0) }));
        }
    }
    assert!(is_as(&session, before), "{:?}, at first {before:?}", held(&session));
}

/// How long it takes until somebody knows, from the kill on.
#[test]
fn news_of_a_kill_travels_fast() {
    let _alone = alone();
    let session = Session::current().unwrap();
    let object = block(&session, 0);
    let (mut joins, mut waits) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        object.words().word(1).store(0, SeqCst);
        object.words().word(2).store(0, SeqCst);
        let victim = Process::spawn(own_and_sleep, (object.clone(),)).unwrap();
        assert!(soon(|| object.words().word(1).load(SeqCst) != 0));
        let sibling = Process::spawn(wait_for_owner, (object.clone(),)).unwrap();
        assert!(soon(|| object.words().word(2).load(SeqCst) != 0));
        std::thread::sleep(Duration::from_micros(500)); // past its spinning
        let joiner = {
            let victim = victim.clone();
            std::thread::spawn(move || (victim.wait().unwrap(), monotonic()))
        };
        std::thread::sleep(Duration::from_micros(500));
        let killed = monotonic();
        signal(victim.pid(), libc::SIGKILL);
        let (how, joined) = joiner.join().unwrap();
        assert_eq!(how, Departure::Signalled(9));
        joins.push(joined - killed);
        waits.push(sibling.join().unwrap() - killed);
    }
    for (who, times) in [("joiner", &mut joins), ("sibling in Session::wait", &mut waits)] {
        times.sort_unstable();
        let (median, worst) = (times[50] / 1000, times[99] / 1000);
        eprintln!("from the kill to the {who}: median {median} us, worst {worst} us");
        assert!(median < 20_000 && worst < 1_000_000, "{times:?}");
    }
}

fn own_and_sleep(object: Object) {
    let session = Session::current().unwrap();
    object.words().word(1).store(session.thread_id().unwrap().to_bits(), SeqCst);
    session.wait(object.words().waiters(Role::Second), None, &nobody, || Ok(None::<()>)).unwrap();
}

fn wait_for_owner(object: Object) -> u64 {
    let session = Session::current().unwrap();
    let owner = ThreadId::from_bits(object.words().word(1).load(SeqCst));
    object.words().word(2).store(1, SeqCst);
    session
        .wait(object.words().waiters(Role::First), None, &|| owner, || {
            Ok(session.is_gone(owner).then_some(()))
        })
        .unwrap();
    monotonic()
}

/// Nanoseconds of a clock that all processes share.
fn monotonic() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a writable struct.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}
