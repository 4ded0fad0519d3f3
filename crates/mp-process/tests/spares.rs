//! Where starts come thick, the next child is forked ahead. What may happen to it, and that nobody can tell the difference.

#![cfg(target_os = "linux")] // elsewhere nobody forks

mod common;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use common::{alone, at_rest, children_of, is_as, runs, soon};
use mp_process::{Process, StartMethod};
use mp_session::Session;

mp_process::enable_in_tests!();

fn start() -> mp_process::Builder {
    Process::builder().start_method(StartMethod::ForkServer)
}

fn signal(pid: u32, signal: i32) {
    // SAFETY: a plain call about a child of ours.
    assert_eq!(unsafe { libc::kill(pid.cast_signed(), signal) }, 0);
}

/// Our children at rest: the fork server. `None` where there is none, or nothing is started ahead.
fn server_alone() -> Option<BTreeSet<u32>> {
    if !StartMethod::available().contains(&StartMethod::ForkServer) || mp_process::cpu_count() < 2 {
        return None;
    }
    start().spawn(|| (), ()).unwrap().join().unwrap();
    mp_process::__private::dismiss_spare().unwrap();
    Some(children_of(std::process::id()))
}

/// Starts children one after the other until there is one ahead, and says which.
fn spare_beside(others: &BTreeSet<u32>) -> u32 {
    let mut found = None;
    let there_is = soon(|| {
        // A loaded machine may take its time over some of them.
        (0..20).for_each(|_| start().spawn(|| (), ()).unwrap().join().unwrap());
        let now = children_of(std::process::id());
        found = now.difference(others).copied().find(|pid| runs(*pid));
        found.is_some()
    });
    assert!(there_is, "nothing was started ahead");
    found.unwrap()
}

#[test]
fn a_spare_becomes_the_next_child() {
    let _alone = alone();
    let Some(others) = server_alone() else { return };
    let used = soon(|| {
        let spare = spare_beside(&others);
        let child = start()
            .name("the-next")
            .env("FOR_THE_SPARE", "1")
            .current_dir("/")
            .spawn(
                || {
                    let here = std::env::current_dir().unwrap();
                    (std::env::var("FOR_THE_SPARE").unwrap(), here, mp_process::current_process().name)
                },
                (),
            )
            .unwrap();
        let what = child.join().unwrap();
        assert_eq!(what, ("1".to_owned(), "/".into(), "the-next".to_owned()));
        child.pid() == spare // it may have gone for want of starts
    });
    assert!(used);
}

#[test]
fn a_spare_that_was_killed_is_no_loss() {
    let _alone = alone();
    let Some(others) = server_alone() else { return };
    for _ in 0..20 {
        let spare = spare_beside(&others);
        signal(spare, libc::SIGKILL);
        // Before or after it is noticed: either the start sees it, or the child was killed.
        let joined = start().spawn(|| 7_u8, ()).unwrap();
        match joined.join() {
            Ok(value) => assert_eq!(value, 7),
            Err(e) => assert!(joined.pid() == spare, "{e}"),
        }
    }
}

#[test]
fn a_spare_that_nobody_needs_goes_and_gives_its_place_back() {
    let _alone = alone();
    let Some(others) = server_alone() else { return };
    let session = Session::current().unwrap();
    let before = at_rest(&session);
    let spare = spare_beside(&others);
    assert!(soon(|| !runs(spare)), "it waits for ever");
    let swept = soon(|| {
        let _ = session.notice_deaths();
        session.stats().members == before.2
    });
    assert!(swept, "{:?}", session.stats());
    // What remains in the process table is collected by the next start.
    start().spawn(|| (), ()).unwrap().join().unwrap();
    assert_eq!(children_of(std::process::id()), others);
    assert!(is_as(&session, before));
}

#[test]
fn a_stopped_spare_runs_when_it_is_continued() {
    let _alone = alone();
    let Some(others) = server_alone() else { return };
    let spare = spare_beside(&others);
    signal(spare, libc::SIGSTOP);
    let child = start().spawn(|| 8_u8, ()).unwrap();
    if child.pid() == spare {
        assert_eq!(child.join_timeout(Duration::from_millis(50)).unwrap(), None);
        signal(spare, libc::SIGCONT);
    }
    assert_eq!(child.join().unwrap(), 8);
}

/// A parent for [`a_spare_goes_with_its_parent`]: says whom it started ahead.
fn parent_of_a_spare(tell: mp_process::OsHandle<std::fs::File>) {
    use std::io::Write;
    let others = server_alone().unwrap();
    let spare = spare_beside(&others);
    let mut tell = tell.into_inner();
    writeln!(tell, "{spare}").unwrap();
    std::thread::sleep(Duration::from_secs(60)); // until it is killed
}

#[test]
fn a_spare_goes_with_its_parent() {
    use std::io::{BufRead, BufReader};
    let _alone = alone();
    if server_alone().is_none() {
        return;
    }
    let (reader, writer) = std::io::pipe().unwrap();
    let handle = mp_process::OsHandle(std::fs::File::from(std::os::fd::OwnedFd::from(writer)));
    let parent = start().spawn(parent_of_a_spare, (handle,)).unwrap();
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    let spare: u32 = line.trim().parse().unwrap();
    parent.kill().unwrap();
    let killed = Instant::now();
    assert!(soon(|| !runs(spare)));
    assert!(killed.elapsed() < Duration::from_secs(10));
}

/// A server that is stopped is replaced, and the start is done by the next.
#[test]
fn a_stopped_server_does_not_hold_starts_up() {
    let _alone = alone();
    let Some(others) = server_alone() else { return };
    let server = *others.iter().next().unwrap();
    signal(server, libc::SIGSTOP);
    let child = start().spawn(|| 9_u8, ()).unwrap();
    assert_eq!(child.join().unwrap(), 9);
    assert!(!runs(server));
}
