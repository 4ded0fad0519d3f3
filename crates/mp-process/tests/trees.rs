//! Ending a child with all that is below it (D17), by the tree and by its process group.
#![cfg(target_os = "linux")]

mod common;

use std::time::Duration;

use common::{alone, block, runs, soon, within};
use mp_process::{Builder, CancelToken, Error, Process, StartMethod};
use mp_session::{Object, Session};
use std::sync::atomic::Ordering::*;

mp_process::enable_in_tests!();

const GONE: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(60);

fn methods() -> impl Iterator<Item = Builder> {
    StartMethod::available().iter().map(|m| Process::builder().start_method(*m))
}

fn pids(notes: &Object) -> Vec<u32> {
    (0..4).map(|i| notes.words().word(i).load(SeqCst) as u32).collect()
}

/// A child of mp, a child of that, and a foreign program below that.
fn grow(notes: Object, depth: usize, never: CancelToken) {
    notes.words().word(depth).store(u64::from(std::process::id()), SeqCst);
    if depth < 2 {
        let below = Process::spawn(grow, (notes.clone(), depth + 1, never.clone())).unwrap();
        below.join().unwrap();
    } else {
        let mut foreign = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        notes.words().word(3).store(u64::from(foreign.id()), SeqCst);
        foreign.wait().unwrap();
    }
    never.wait_timeout(LONG).unwrap();
}

fn grown(b: Builder) -> (Process, Object) {
    let notes = block(&Session::current().unwrap(), 0);
    let root = b.spawn(grow, (notes.clone(), 0, CancelToken::new().unwrap())).unwrap();
    assert!(soon(|| pids(&notes).iter().all(|pid| *pid != 0)));
    (root, notes)
}

fn gone(notes: &Object) -> bool {
    within(GONE, || !pids(notes).into_iter().any(runs))
}

#[test]
fn d17_a_tree_is_killed_with_foreign_programs_in_it() {
    let _alone = alone();
    for b in methods() {
        let (root, notes) = grown(b);
        root.kill_tree().unwrap();
        assert!(gone(&notes), "{:?}", pids(&notes));
        assert!(matches!(root.join(), Err(Error::Died { .. })));
        root.kill_tree().unwrap(); // has ended: nobody else is hit
    }
}

#[test]
fn d17_a_tree_is_asked_to_end() {
    let _alone = alone();
    for b in methods() {
        let (root, notes) = grown(b);
        root.terminate_tree().unwrap();
        assert!(gone(&notes), "{:?}", pids(&notes));
        assert_eq!(root.exitcode(), Some(-15));
    }
}

/// What was started by one who is dead and cleared up after is found by the session.
#[test]
fn d17_orphans_of_the_tree_are_found() {
    let _alone = alone();
    for b in methods() {
        let (root, notes) = grown(b);
        root.kill().unwrap();
        root.wait().unwrap();
        assert!(pids(&notes)[1..].iter().all(|pid| runs(*pid)), "no daemons: they stay");
        root.kill_tree().unwrap();
        assert!(within(GONE, || !pids(&notes)[..3].iter().any(|pid| runs(*pid))));
        // The foreign program is nobody's by now; the test clears it away itself.
        common::signal(pids(&notes)[3], libc::SIGKILL);
        assert!(gone(&notes));
    }
}

#[test]
fn d17_a_group_is_killed_as_a_whole() {
    let _alone = alone();
    for b in methods() {
        for own_session in [false, true] {
            let b = if own_session { b.clone().new_session() } else { b.clone().process_group(0) };
            let (root, notes) = grown(b);
            // SAFETY: plain calls.
            let (group, terminals) = unsafe {
                (libc::getpgid(pids(&notes)[2].cast_signed()), libc::getsid(root.pid().cast_signed()))
            };
            assert_eq!(group, root.pid().cast_signed(), "all below it are in its group");
            assert_eq!(terminals == root.pid().cast_signed(), own_session);
            root.terminate_group().unwrap();
            assert!(gone(&notes), "{:?}", pids(&notes));
            assert_eq!(root.exitcode(), Some(-15));
            root.kill_group().unwrap(); // has ended: nothing
        }
        let (root, notes) = grown(b.clone());
        assert!(matches!(root.kill_group(), Err(Error::InvalidArgument { .. })), "it would be our own group");
        root.kill_tree().unwrap();
        assert!(gone(&notes));
        // At once, perhaps before it leads anything.
        let early = b.process_group(0).spawn(|| std::thread::sleep(LONG), ()).unwrap();
        early.kill_group().unwrap();
        assert_eq!(early.wait_timeout(GONE).unwrap(), Some(mp_process::Departure::Signalled(9)));
    }
}
