//! What becomes of children when their parent ends, in order or by `kill -9`.
//!
//! A child started by `spawn` plays the parent here; it leaves the pids of those below it in an object's words.
#![cfg(target_os = "linux")]

mod common;

use std::sync::atomic::Ordering::*;
use std::time::Duration;

use common::{alone, at_rest, block, children_of, held, is_as, runs, shm, signal, soon, within};
use mp_process::{Builder, Process, StartMethod, Stream};
use mp_session::{Object, Role, Session, ThreadId};

mp_process::enable_in_tests!();

const SECOND: Duration = Duration::from_secs(1);

/// Above a pid's bits, in the first word: what the tests tell each other besides.
const SAID: u32 = 32;

fn said(notes: &Object) -> u64 {
    notes.words().word(0).load(SeqCst) >> SAID
}

fn say(notes: &Object, what: u64) {
    let change = |word: u64| Some(word & ((1 << SAID) - 1) | what << SAID);
    notes.words().word(0).fetch_update(SeqCst, SeqCst, change).unwrap();
    notes.session().wake_all(notes.words().waiters(Role::First));
}

fn methods() -> impl Iterator<Item = StartMethod> {
    StartMethod::available().iter().copied()
}

fn actor() -> Builder {
    Process::builder().start_method(StartMethod::Spawn).may_have_children(true)
}

fn pids(of: &Object) -> [u32; 4] {
    [0, 1, 2, 3].map(|i| of.words().word(i).load(SeqCst) as u32)
}

fn tell(notes: &Object, i: usize) {
    notes.words().word(i).fetch_or(u64::from(std::process::id()), SeqCst);
}

fn sleep(notes: Object, i: usize) {
    tell(&notes, i);
    let session = Session::current().unwrap();
    session.wait(notes.words().waiters(Role::Second), None, &|| ThreadId::NONE, || Ok(None::<()>)).unwrap();
}

fn spin(notes: Object, i: usize) {
    tell(&notes, i);
    loop {
        std::hint::spin_loop();
    }
}

/// A daemon that has a daemon.
fn middle(notes: Object, i: usize) {
    let below = Process::builder().daemon(true).spawn(spin, (notes.clone(), i + 1)).unwrap();
    tell(&notes, i);
    below.join().unwrap();
}

/// Starts a daemon that sleeps, a daemon with a daemon, and a child that is none; then waits to be killed.
fn family(notes: Object, by: String, in_a_thread: bool) {
    let by: StartMethod = by.parse().unwrap();
    let copy = notes.clone();
    let start = move || {
        let b = || Process::builder().start_method(by);
        vec![
            b().daemon(true).spawn(sleep, (copy.clone(), 0)).unwrap(),
            b().daemon(true).may_have_children(true).spawn(middle, (copy.clone(), 1)).unwrap(),
            b().spawn(outlive, (copy, 3)).unwrap(),
        ]
    };
    let children = if in_a_thread { std::thread::spawn(start).join().unwrap() } else { start() };
    children[2].join().unwrap();
}

/// Sees its parent go, and uses the session on.
fn outlive(notes: Object, i: usize) {
    tell(&notes, i);
    mp_process::parent_process().unwrap().join().unwrap();
    let session = Session::current().unwrap();
    let message = mp_session::Message::encode(&session, &(notes.clone(), "still here".to_owned())).unwrap();
    let (back, text): (Object, String) = message.decode().unwrap();
    let child = Process::spawn(|s: String| s.len() as u64, (text,)).unwrap();
    say(&back, child.join().unwrap());
    session
        .wait(back.words().waiters(Role::First), None, &|| ThreadId::NONE, || {
            Ok((said(&back) == 99).then_some(()))
        })
        .unwrap();
}

#[test]
fn daemons_and_servers_go_with_a_killed_parent_and_others_stay() {
    let _alone = alone();
    let session = Session::current().unwrap();
    let memory = shm();
    actor().spawn(|| (), ()).unwrap().join().unwrap();
    let before = at_rest(&session);
    for by in methods() {
        for in_a_thread in [false, true] {
            let notes = block(&session, 0);
            let parent = actor().spawn(family, (notes.clone(), by.to_string(), in_a_thread)).unwrap();
            assert!(soon(|| pids(&notes).iter().all(|pid| *pid != 0)), "{:?}", pids(&notes));
            let [sleeper, middle, spinner, other] = pids(&notes);
            // The fork servers of the parent and of the one in the middle are children of theirs, too.
            let below: Vec<u32> = children_of(parent.pid())
                .into_iter()
                .chain(children_of(middle))
                .filter(|p| *p != other)
                .collect();
            assert!(below.len() >= 3);
            parent.kill().unwrap();
            assert!(matches!(parent.wait().unwrap(), mp_process::Departure::Signalled(9)));
            assert!(
                within(SECOND, || !below.iter().any(|pid| runs(*pid))),
                "{by}: {below:?} of which sleeps {sleeper}, in the middle {middle}, spins {spinner}; living: {:?}",
                below.iter().filter(|pid| runs(**pid)).collect::<Vec<_>>(),
            );
            assert!(soon(|| said(&notes) == 10) && runs(other), "the one that is no daemon works on");
            say(&notes, 99);
            assert!(soon(|| !runs(other)));
            drop((notes, parent));
            let clean = is_as(&session, before);
            assert!(clean, "{:?}, at first {before:?}; {:?}", held(&session), session.objects());
            assert_eq!(shm(), memory);
        }
    }
}

/// Ends in order with children of both kinds running.
fn ends(notes: Object, by: String, code: i32) {
    let by: StartMethod = by.parse().unwrap();
    let b = || Process::builder().start_method(by);
    let _daemon = b().daemon(true).spawn(sleep, (notes.clone(), 0)).unwrap();
    let _other = b().spawn(last_word, (notes.clone(), 1)).unwrap();
    let handle = b().daemon(true).stderr(Stream::Null).spawn(stubborn, (notes.clone(), 2)).unwrap();
    drop(handle);
    tell(&notes, 3);
    assert!(soon(|| pids(&notes).iter().all(|pid| *pid != 0)));
    if code != 0 {
        std::process::exit(code);
    }
}

/// Ignores SIGTERM.
fn stubborn(notes: Object, i: usize) {
    // SAFETY: a plain call; SIG_IGN runs no code.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
    spin(notes, i);
}

fn last_word(notes: Object, i: usize) {
    tell(&notes, i);
    std::thread::sleep(Duration::from_millis(300));
    say(&notes, 1);
}

#[test]
fn an_orderly_end_joins_children_and_terminates_daemons() {
    let _alone = alone();
    let session = Session::current().unwrap();
    for by in methods() {
        for code in [0, 3] {
            let notes = block(&session, 0);
            let parent = actor().spawn(ends, (notes.clone(), by.to_string(), code)).unwrap();
            assert!(soon(|| !parent.is_alive()), "a parent that does not end");
            assert_eq!(parent.exitcode(), Some(code));
            assert_eq!(said(&notes), 1, "it waited for the child that is no daemon");
            let left: Vec<u32> = pids(&notes).into_iter().filter(|pid| runs(*pid)).collect();
            assert!(left.is_empty(), "{by}: {left:?} of {:?}", pids(&notes));
        }
    }
}

#[test]
fn a_stopped_daemon_does_not_hold_up_the_end() {
    let _alone = alone();
    let session = Session::current().unwrap();
    let notes = block(&session, 0);
    let parent = actor()
        .spawn(
            |notes: Object| {
                let daemon = Process::builder().daemon(true).spawn(sleep, (notes.clone(), 0)).unwrap();
                assert!(soon(|| pids(&notes)[0] != 0));
                signal(daemon.pid(), libc::SIGSTOP);
            },
            (notes.clone(),),
        )
        .unwrap();
    assert!(soon(|| !parent.is_alive()));
    parent.join().unwrap();
    assert!(!runs(pids(&notes)[0]));
}
