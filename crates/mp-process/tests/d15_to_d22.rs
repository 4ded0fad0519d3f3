//! The defects of CPython's process control that `PYTHON.md` numbers D15 to D22, none of which is one here. D17 (descendants) is in
//! `trees.rs`.
#![cfg(target_os = "linux")] // looks at the process table

mod common;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::time::{Duration, Instant};

use common::{Chance, alone, at_rest, block, children_of, held, is_as, runs, signal, soon, state_of, within};
use mp_process::{Builder, CancelToken, Departure, Error, Process, StartMethod, Stream};
use mp_session::{Message, Object, Session};

mp_process::enable_in_tests!();

const LONG: Duration = Duration::from_secs(60);

fn methods() -> impl Iterator<Item = Builder> {
    StartMethod::available().iter().map(|m| Process::builder().start_method(*m))
}

static BUSY: Mutex<Option<HashMap<u64, String>>> = Mutex::new(None);

/// Children of a process whose threads hold locks and are in the middle of the allocator, at every moment.
#[test]
fn d15_threads_of_the_parent_do_not_matter() {
    let _alone = alone();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for t in 0..3_u64 {
            let over = &over;
            scope.spawn(move || {
                for i in t.. {
                    let mut map = BUSY.lock().unwrap();
                    let map = map.get_or_insert_with(HashMap::new);
                    map.insert(i % 500, "x".repeat((i % 3000) as usize));
                    if over.load(Acquire) {
                        break;
                    }
                }
            });
        }
        for b in methods() {
            for i in 0..30_u64 {
                let child = b.clone().spawn(
                    |i: u64| {
                        // As in the parent: would never be had again if it had been copied while it was held.
                        let mut map = BUSY.lock().unwrap();
                        map.get_or_insert_with(HashMap::new).insert(i, "y".repeat(2000)).is_none()
                    },
                    (i,),
                );
                assert_eq!(child.unwrap().join_timeout(LONG), Ok(Some(true)), "start {i}");
            }
        }
        over.store(true, Release);
    });
}

fn churn(object: Object) {
    let session = Session::current().unwrap();
    loop {
        let kept: Vec<Object> = (0..10).map(|i| block(&session, i * 300)).collect();
        let message = Message::encode(&session, &(kept, object.clone(), vec![7_u8; 5000])).unwrap();
        drop(message.decode::<(Vec<Object>, Object, Vec<u8>)>().unwrap());
    }
}

/// `terminate` in the middle of everything: what is shared is whole, and nothing of the victims' is left.
#[test]
fn d16_terminate_corrupts_nothing() {
    let _alone = alone();
    let session = Session::current().unwrap();
    let before = at_rest(&session);
    let mut chance = Chance::new("d16");
    {
        let object = block(&session, 100);
        for b in methods() {
            for _ in 0..10 {
                let victims: Vec<_> =
                    (0..2).map(|_| b.clone().spawn(churn, (object.clone(),)).unwrap()).collect();
                for victim in &victims {
                    let pause = Duration::from_micros(chance.below(4000));
                    assert_eq!(victim.wait_timeout(pause).unwrap(), None);
                    victim.terminate().unwrap();
                }
                for victim in victims {
                    assert_eq!(victim.wait().unwrap(), Departure::Signalled(15));
                }
                let message = Message::encode(&session, &object).unwrap();
                assert!(message.decode::<Object>().unwrap() == object);
            }
        }
        // Another process may be the one that clears up after a victim.
        assert!(soon(|| object.holders(mp_session::Role::First) == 1));
    }
    assert!(is_as(&session, before), "{:?}, at first {before:?}", held(&session));
}

fn spin(notes: Object) {
    notes.words().word(0).store(u64::from(std::process::id()), SeqCst);
    loop {
        std::hint::spin_loop();
    }
}

fn has_daemons(notes: Object, by: String) {
    let daemon = move || {
        let b = Process::builder().start_method(by.parse().unwrap()).daemon(true);
        // In the middle of work, so that it looks at nothing by itself.
        b.spawn(spin, (notes,)).unwrap()
    };
    // The thread that starts it is gone long before the process is.
    let daemon: Process = std::thread::spawn(daemon).join().unwrap();
    daemon.join().unwrap();
}

/// A parent that is killed leaves no daemons and no helpers, whichever thread started them.
#[test]
fn d18_no_orphans_of_a_killed_parent() {
    let _alone = alone();
    let session = Session::current().unwrap();
    for by in StartMethod::available() {
        let notes = block(&session, 0);
        let parent = Process::builder()
            .start_method(StartMethod::Spawn)
            .spawn(has_daemons, (notes.clone(), by.to_string()))
            .unwrap();
        assert!(soon(|| notes.words().word(0).load(SeqCst) != 0));
        let below = children_of(parent.pid());
        assert!(below.contains(&(notes.words().word(0).load(SeqCst) as u32)));
        parent.kill().unwrap();
        assert!(within(Duration::from_secs(5), || !below.iter().any(|pid| runs(*pid))), "{by}: {below:?}");
        assert_eq!(parent.wait().unwrap(), Departure::Signalled(9));
    }
}

/// Whoever asks after the death is told so, also while another thread waits, and a pid that was reaped is never signalled.
#[test]
fn d19_dead_is_dead_for_everybody() {
    let _alone = alone();
    for b in methods() {
        for _ in 0..10 {
            let child = b.clone().spawn(|| std::thread::sleep(LONG), ()).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| child.wait().unwrap());
                scope.spawn(|| child.wait_timeout(LONG).unwrap());
                signal(child.pid(), libc::SIGKILL);
                // A zombie, or reaped: dead as far as the system is concerned.
                assert!(soon(|| !runs(child.pid())));
                assert!(!child.is_alive());
                assert_eq!(child.exitcode(), Some(-9));
            });
            assert_eq!(state_of(child.pid()), None, "reaped");
            for tell in [Process::terminate, Process::kill, Process::interrupt] {
                tell(&child).unwrap();
            }
        }
    }
}

fn nest(depth: u32) -> Result<u32, Error> {
    match Process::spawn(nest, (depth + 1,)) {
        Ok(child) => child.join(),
        Err(Error::LimitReached { limit, .. }) if limit.contains("depth") => Ok(depth),
        Err(other) => Err(other),
    }
}

/// Daemons have children if they may, which are daemons as they are; and nesting ends in an error, not in a bomb.
#[test]
fn d20_daemons_may_have_children_and_nesting_has_a_limit() {
    let _alone = alone();
    for b in methods() {
        let child = b.clone().daemon(true).may_have_children(true).spawn(
            || {
                let inherited = Process::spawn(|| mp_process::current_process().daemon, ())?;
                let free =
                    Process::builder().daemon(false).spawn(|| mp_process::current_process().daemon, ())?;
                Ok::<_, Error>((inherited.join()?, free.join()?))
            },
            (),
        );
        assert_eq!(child.unwrap().join(), Ok((true, false)));
        let depth = b.spawn(nest, (1,)).unwrap().join().unwrap();
        assert!((8..=64).contains(&depth), "{depth}");
    }
}

fn talk(there: CancelToken) {
    // SAFETY: a plain call.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
    there.cancel();
    loop {
        println!("nobody reads this");
    }
}

/// Ends with daemons that ignore what they are told, and with output that nobody reads.
fn ends_all_the_same() {
    for _ in 0..3 {
        let there = CancelToken::new().unwrap();
        let b = Process::builder().daemon(true).stdout(Stream::Piped);
        let daemon = b.spawn(talk, (there.clone(),));
        there.wait().unwrap();
        std::mem::forget(daemon.unwrap()); // whoever forgets it does not keep the end from coming
    }
}

#[test]
fn d21_the_end_is_not_held_up() {
    let _alone = alone();
    for b in methods() {
        let begun = Instant::now();
        let child = b.may_have_children(true).spawn(ends_all_the_same, ()).unwrap();
        assert_eq!(child.join_timeout(Duration::from_secs(20)), Ok(Some(())));
        eprintln!("ended with three stubborn daemons after {:?}", begun.elapsed());
        // Standard input is not closed but at its end, and exit handlers run: `exits.rs`, `streams.rs`.
    }
}

/// As many processors as this process may use, not as many as there are.
#[test]
fn d22_cpu_count_is_what_we_may_use() {
    let ours = mp_process::cpu_count();
    assert!(ours >= 1 && ours <= std::thread::available_parallelism().unwrap().get());
    let allowed = mp_sys::affinity().unwrap();
    for b in methods() {
        let one = b.affinity([allowed[0]]).spawn(mp_process::cpu_count, ()).unwrap();
        assert_eq!(one.join(), Ok(1));
    }
}
