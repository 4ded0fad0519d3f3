//! `kill -9` at any moment: nothing hangs, and nothing is left.
//!
//! `MP_TEST_ROUNDS` sets how often, `MP_TEST_SEED` repeats a run.
#![cfg(target_os = "linux")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering::*};
use std::time::{Duration, Instant};

use common::{
    Chance, alone, at_rest, block, children_of, descriptors, held, is_as, rounds, runs, shm, signal, soon,
};
use mp_process::{Builder, Error, Process, StartMethod};
use mp_session::{Message, Object, Role, Session, ThreadId};

mp_process::enable_in_tests!();

fn methods() -> impl Iterator<Item = Builder> {
    StartMethod::available().iter().map(|m| Process::builder().start_method(*m))
}

/// A child that is busy in the session in every way, for ever.
fn busy(shared: Object, seed: u64, kind: u8) -> u64 {
    let session = Session::current().unwrap();
    let mut chance = Chance::quiet(seed);
    let mut kept: Vec<Object> = Vec::new();
    loop {
        match if kind < 6 { kind } else { chance.below(6) as u8 } {
            0 => kept.push(block(&session, chance.below(5_000))),
            1 => {
                let sent = (shared.clone(), kept.last().cloned(), vec![7_u8; chance.below(100_000) as usize]);
                let message = Message::encode(&session, &sent).unwrap();
                let (a, b, _): (Object, Option<Object>, Vec<u8>) = message.decode().unwrap();
                kept.push(a);
                kept.extend(b);
            }
            2 => {
                let until = Instant::now() + Duration::from_micros(chance.below(500));
                let nobody = || ThreadId::NONE;
                session
                    .wait(shared.words().waiters(Role::First), Some(until), &nobody, || Ok(None::<()>))
                    .unwrap();
            }
            3 => {
                let threads: Vec<_> = (0..3)
                    .map(|_| {
                        let (session, shared) = (session.clone(), shared.clone());
                        std::thread::spawn(move || {
                            let own = block(&session, 100);
                            let nested = Message::encode(&session, &vec![own.clone(), shared, own]).unwrap();
                            drop(Message::encode(&session, &nested.as_object().clone()).unwrap());
                        })
                    })
                    .collect();
                threads.into_iter().for_each(|t| t.join().unwrap());
            }
            4 => session.wake_all(shared.words().waiters(Role::First)),
            _ => kept.extend(shared.try_clone_counted()),
        }
        if kept.len() > 40 {
            kept.truncate(chance.below(20) as usize);
        }
    }
}

/// A child that has children of its own, which it does not join.
fn parent(shared: Object, seed: u64) -> u64 {
    let spawn = |i: u64| Process::builder().daemon(true).spawn(busy, (shared.clone(), seed + i, 6)).unwrap();
    let children: Vec<_> = (1..3).map(spawn).collect();
    children[0].join().unwrap()
}

fn sleeper(shared: Object) {
    let session = Session::current().unwrap();
    session.wait(shared.words().waiters(Role::First), None, &|| ThreadId::NONE, || Ok(None::<()>)).unwrap();
}

#[test]
fn rounds_of_kills_leave_nothing() {
    let _alone = alone();
    let session = Session::current().unwrap();
    let mut chance = Chance::new("rounds of kills");
    let shared = block(&session, 1000);
    // Whatever is made once is made now: the fork server, the ledger's first chunks.
    methods().for_each(|b| b.spawn(|| (), ()).unwrap().join().unwrap());
    let before = at_rest(&session); // and no child is forked ahead
    let (files, memory, children) = (descriptors(), shm(), children_of(std::process::id()));
    let rounds = rounds(300);
    for round in 0..rounds {
        for b in methods() {
            let pause = Duration::from_micros(chance.below(3_000));
            let child = match chance.below(8) {
                0 => b.spawn(sleeper, (shared.clone(),)).unwrap().erase(),
                1 => b.spawn(parent, (shared.clone(), chance.below(1 << 40))).unwrap().erase(),
                kind => b.spawn(busy, (shared.clone(), chance.below(1 << 40), kind as u8)).unwrap().erase(),
            };
            if chance.below(10) != 0 {
                std::thread::sleep(pause);
            }
            child.kill().unwrap();
            if chance.below(4) == 0 {
                continue; // and drop the handle: somebody else notices
            }
            let asked = Instant::now();
            child.wait().unwrap();
            assert!(asked.elapsed() < Duration::from_secs(5), "round {round}");
        }
        if round % 50 == 49 || round == rounds - 1 {
            let clean = is_as(&session, before) && shared.holders(Role::First) == 1;
            assert!(
                clean,
                "round {round}: {:?}, at first {before:?}, {} hold it; {:?}",
                held(&session),
                shared.holders(Role::First),
                session.objects()
            );
        }
    }
    // Handles that were dropped are collected at some later start.
    let collected = soon(|| {
        methods().for_each(|b| b.spawn(|| (), ()).unwrap().join().unwrap());
        mp_process::__private::dismiss_spare().unwrap();
        children_of(std::process::id()) == children
    });
    assert!(collected, "{:?}, at first {children:?}", children_of(std::process::id()));
    assert_eq!((descriptors(), shm()), (files, memory));
}

#[test]
fn killing_the_fork_server_loses_and_doubles_no_start() {
    let _alone = alone();
    if !StartMethod::available().contains(&StartMethod::ForkServer) {
        return;
    }
    let session = Session::current().unwrap();
    let mut chance = Chance::new("kills of the fork server");
    let runs_of = block(&session, 8);
    let start = || Process::builder().start_method(StartMethod::ForkServer);
    start().spawn(|| (), ()).unwrap().join().unwrap();
    let own = std::process::id();
    let files = descriptors().len();
    let others = children_of(own).len();
    let before = at_rest(&session);
    let over = AtomicBool::new(false);
    let each = rounds(300) / 2;
    let kills = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for i in 0..each {
                        let child = start().spawn(
                            |o: Object, i: u64| {
                                o.words().word(0).fetch_add(1, SeqCst);
                                i * 2
                            },
                            (runs_of.clone(), i),
                        );
                        match child {
                            Ok(child) => assert_eq!(child.join().unwrap(), i * 2),
                            Err(e) => panic!("a start was lost: {e}"),
                        }
                    }
                })
            })
            .collect();
        let killer = scope.spawn(|| {
            let (mut kills, mut last) = (0, 0);
            while !over.load(Acquire) {
                std::thread::sleep(Duration::from_micros(chance.below(20_000)));
                // A start is given up when its servers die again and again: let each kill be followed by one that succeeds.
                let seen = runs_of.words().word(0).load(SeqCst);
                if seen == last {
                    continue;
                }
                last = seen;
                // It alone of our children leads a process group.
                let leads = |pid: &u32| {
                    // SAFETY: a plain call.
                    unsafe { libc::getpgid(pid.cast_signed()) == pid.cast_signed() }
                };
                for server in children_of(own).into_iter().filter(leads) {
                    signal(server, libc::SIGKILL);
                    kills += 1;
                }
            }
            kills
        });
        let ends: Vec<_> = workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        over.store(true, Release);
        assert!(ends.into_iter().all(|end| end.is_ok()));
        killer.join().unwrap()
    });
    eprintln!("{kills} kills of the server in {} starts", each * 4);
    assert!(kills > 0);
    assert_eq!(runs_of.words().word(0).load(SeqCst), each * 4, "each ran once");
    start().spawn(|| (), ()).unwrap().join().unwrap();
    assert!(is_as(&session, before), "{:?}, at first {before:?}", held(&session));
    // Fewer, where earlier tests dropped the handles of children that are collected by now.
    assert!(children_of(own).len() <= others);
    // A watch that an earlier test opened may be closed by now.
    assert!(descriptors().len() <= files);
}

/// Several members sleep and see each death at once; some of those that see it are killed for it.
#[test]
fn sweepers_are_killed_as_well() {
    let _alone = alone();
    let session = Session::current().unwrap();
    let mut chance = Chance::new("kills of sweepers");
    let shared = block(&session, 64);
    Process::spawn(|| (), ()).unwrap().join().unwrap();
    let before = at_rest(&session);
    for round in 0..rounds(300) / 10 {
        let children: Vec<_> = (0..6)
            .map(|i| match i {
                0 | 1 => Process::spawn(busy, (shared.clone(), chance.below(1 << 40), 6)).unwrap().erase(),
                _ => Process::spawn(sleeper, (shared.clone(),)).unwrap(),
            })
            .collect();
        let mut left: Vec<_> = children.iter().collect();
        std::thread::sleep(Duration::from_micros(chance.below(20_000)));
        while !left.is_empty() {
            let victim = left.swap_remove(chance.below(left.len() as u64) as usize);
            victim.kill().unwrap();
            // About as long as it takes to notice and to sweep: the next hits a sweeper.
            std::thread::sleep(Duration::from_micros(chance.below(600)));
        }
        for child in &children {
            assert!(!matches!(child.wait().unwrap(), mp_process::Departure::Exited(0)));
        }
        drop(children);
        let clean = is_as(&session, before) && shared.holders(Role::First) == 1;
        assert!(clean, "round {round}: {:?}, at first {before:?}; {:?}", held(&session), session.objects());
    }
}

#[test]
fn a_kill_is_told_to_whoever_joins() {
    let _alone = alone();
    for b in methods() {
        let child = b.spawn(sleeper, (block(&Session::current().unwrap(), 0),)).unwrap();
        let pid = child.pid();
        child.kill().unwrap();
        let error = child.join().unwrap_err();
        assert!(
            matches!(&error, Error::Died { who, how: mp_process::Departure::Signalled(9) } if who.pid == pid),
            "{error}"
        );
        assert!(!runs(pid));
    }
}

/// *lock-of-the-dying*: a place is given to the next while the kernel is not through with the last; the next begins all the
/// same.
#[test]
fn a_place_is_taken_over_from_the_dying() {
    let _alone = alone();
    let session = Session::current().unwrap();
    methods().for_each(|b| b.spawn(|| (), ()).unwrap().join().unwrap());
    let before = children_of(std::process::id());
    // Closing takes the longer the more there is.
    let bulky = || Process::builder().daemon(true).start_method(StartMethod::Spawn).spawn(hold_much, ());
    for round in 0..rounds(300) / 30 {
        let dying: Vec<_> = (0..4).map(|_| bulky().unwrap()).collect();
        assert!(soon(|| session.stats().members >= 5));
        std::thread::sleep(Duration::from_millis(20));
        for child in &dying {
            child.kill().unwrap();
        }
        drop(dying);
        for i in 0..20 {
            let _ = session.notice_deaths();
            let b = methods().nth(i % StartMethod::available().len()).unwrap();
            assert_eq!(b.spawn(|i: usize| i, (i,)).unwrap().join(), Ok(i), "round {round}");
        }
    }
    // The handles were dropped, so the dead are collected at later starts: the next tests count them. A child that the fork server made
    // in advance for these starts is none of them.
    assert!(soon(|| {
        methods().for_each(|b| b.spawn(|| (), ()).unwrap().join().unwrap());
        mp_process::__private::dismiss_spare().unwrap();
        children_of(std::process::id()).is_subset(&before)
    }));
}

fn hold_much() {
    let much = vec![1_u8; 64 << 20];
    std::thread::sleep(Duration::from_secs(60));
    drop(std::hint::black_box(much));
}
