//! Ctrl-C in the foreground group, and SIGTERM to the parent: the parent decides, and all are gone soon.
//!
//! A process group of its own stands for what a terminal's foreground group is. Its leader plays the parent.
#![cfg(target_os = "linux")]

mod common;

use std::sync::atomic::{AtomicU32, Ordering::*};
use std::time::{Duration, Instant};

use common::{alone, block, runs, signal, soon, within};
use mp_process::{Builder, CancelToken, Departure, Error, OnInterrupt, Process, StartMethod};
use mp_session::{Object, Session};

mp_process::enable_in_tests!();

/// What is to be gone within a second is given some more on a machine that does other things as well.
const GONE: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(60);

fn methods() -> impl Iterator<Item = StartMethod> {
    StartMethod::available().iter().copied()
}

/// The leader of a group, whom a signal ends as it would any program.
fn leader() -> Builder {
    Process::builder()
        .start_method(StartMethod::Spawn)
        .process_group(0)
        .on_interrupt(OnInterrupt::End)
        .may_have_children(true)
}

fn tell(notes: &Object, i: usize) {
    notes.words().word(i).store(u64::from(std::process::id()), SeqCst);
}

fn pids(notes: &Object) -> Vec<u32> {
    (0..4).map(|i| notes.words().word(i).load(SeqCst) as u32).collect()
}

/// Waits; what it says afterwards shows that it came to its end.
fn work(notes: Object, i: usize, end: CancelToken) -> u32 {
    tell(&notes, i);
    assert!(end.wait_timeout(LONG).unwrap());
    7
}

/// Has a child that is no daemon, and waits for it.
fn middle(notes: Object, i: usize, end: CancelToken) -> u32 {
    let below = Process::spawn(work, (notes.clone(), i + 1, end)).unwrap();
    tell(&notes, i);
    below.join().unwrap()
}

/// A child that is no daemon, one that has one, and a daemon.
fn family(notes: Object, by: &str, end: &CancelToken) -> [Process<u32>; 3] {
    let b = || Process::builder().start_method(by.parse().unwrap());
    let family = [
        b().spawn(work, (notes.clone(), 0, end.clone())).unwrap(),
        b().spawn(middle, (notes.clone(), 1, end.clone())).unwrap(),
        b().daemon(true).spawn(work, (notes.clone(), 3, end.clone())).unwrap(),
    ];
    assert!(soon(|| pids(&notes).iter().all(|pid| *pid != 0)));
    family
}

/// Has no handler of its own, and joins.
fn plain(notes: Object, by: String, end: CancelToken) -> u32 {
    family(notes, &by, &end).map(|child| child.join().unwrap()).iter().sum()
}

fn interrupt_group(of: &Process<u32>) {
    // SAFETY: a plain call; the group is led by our child, which is not reaped.
    assert_eq!(unsafe { libc::kill(-of.pid().cast_signed(), libc::SIGINT) }, 0);
}

fn start(
    parent: fn(Object, String, CancelToken) -> u32,
    by: StartMethod,
) -> (Process<u32>, Object, CancelToken) {
    let notes = block(&Session::current().unwrap(), 0);
    let end = CancelToken::new().unwrap();
    // One closure for each parent: a target is a type, not a pointer.
    let b = leader();
    let args = (notes.clone(), by.to_string(), end.clone());
    let child = if std::ptr::fn_addr_eq(parent, plain as fn(Object, String, CancelToken) -> u32) {
        b.spawn(plain, args)
    } else if std::ptr::fn_addr_eq(parent, goes_on as fn(Object, String, CancelToken) -> u32) {
        b.spawn(goes_on, args)
    } else {
        b.spawn(exits, args)
    };
    let child = child.unwrap();
    assert!(soon(|| pids(&notes).iter().all(|pid| *pid != 0)), "{:?}", pids(&notes));
    (child, notes, end)
}

fn all_gone(notes: &Object) -> bool {
    let begun = Instant::now();
    let gone = within(GONE, || !pids(notes).into_iter().any(runs));
    eprintln!("all gone after {:?}", begun.elapsed());
    gone
}

#[test]
fn ctrl_c_ends_them_all() {
    let _alone = alone();
    for by in methods() {
        let (parent, notes, _end) = start(plain, by);
        interrupt_group(&parent);
        assert_eq!(parent.wait_timeout(GONE).unwrap(), Some(Departure::Signalled(libc::SIGINT)), "{by}");
        assert!(all_gone(&notes), "{by}: {:?}", pids(&notes));
    }
}

#[test]
fn sigterm_to_the_parent_ends_them_all() {
    let _alone = alone();
    for by in methods() {
        let (parent, notes, _end) = start(plain, by);
        signal(parent.pid(), libc::SIGTERM);
        assert_eq!(parent.wait_timeout(GONE).unwrap(), Some(Departure::Signalled(libc::SIGTERM)), "{by}");
        assert!(all_gone(&notes), "{by}: {:?}", pids(&notes));
    }
}

static HANDLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn note(_: libc::c_int) {
    HANDLED.fetch_add(1, SeqCst);
}

extern "C" fn leave(_: libc::c_int) {
    HANDLED.fetch_add(1, SeqCst);
    std::thread::spawn(|| std::process::exit(130)); // as a handler of the `ctrlc` kind: on a thread of its own
}

fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) {
    // SAFETY: the handlers do little; that one of them starts a thread is all right where nothing else runs but a wait.
    assert_ne!(unsafe { libc::signal(signal, handler as libc::sighandler_t) }, libc::SIG_ERR);
}

/// Handles both signals itself, one of them from before it had children, and goes on.
fn goes_on(notes: Object, by: String, end: CancelToken) -> u32 {
    handle(libc::SIGINT, note);
    Process::spawn(|| (), ()).unwrap().join().unwrap();
    handle(libc::SIGTERM, note);
    let family = family(notes, &by, &end);
    let sum: u32 = family.map(|child| child.join().unwrap()).iter().sum();
    sum + 100 * HANDLED.load(SeqCst)
}

#[test]
fn a_parent_that_handles_them_decides() {
    let _alone = alone();
    for by in methods() {
        let (parent, notes, end) = start(goes_on, by);
        interrupt_group(&parent);
        signal(parent.pid(), libc::SIGTERM);
        assert_eq!(parent.join_timeout(Duration::from_millis(300)).unwrap(), None);
        assert!(pids(&notes).into_iter().all(runs), "its children go on as it does");
        end.cancel();
        assert_eq!(parent.join(), Ok(221), "its handler ran twice, and all children came to their ends");
    }
}

/// Handles Ctrl-C and exits: those that are interrupted are not waited for, as daemons are not.
fn exits(notes: Object, by: String, end: CancelToken) -> u32 {
    handle(libc::SIGINT, leave);
    plain(notes, by, end)
}

#[test]
fn a_parent_that_exits_takes_the_interrupted_along() {
    let _alone = alone();
    for by in methods() {
        let (parent, notes, _end) = start(exits, by);
        interrupt_group(&parent);
        assert_eq!(parent.wait_timeout(GONE).unwrap(), Some(Departure::Exited(130)), "{by}");
        assert!(all_gone(&notes), "{by}: {:?}", pids(&notes));
    }
}

/// A child's own handler comes before what was asked for, an interrupt that the parent means ends a child, and one that was to
/// ignore it does.
#[test]
fn what_a_child_does_about_an_interrupt() {
    let _alone = alone();
    for by in methods() {
        let b = || Process::builder().start_method(by);
        let end = CancelToken::new().unwrap();
        let there = || CancelToken::new().unwrap();
        let waits = |there: CancelToken, end: CancelToken| {
            there.cancel();
            end.wait_timeout(LONG).map(|_| HANDLED.load(SeqCst))
        };
        let begin = |b: Builder| {
            let there = there();
            let child = b.spawn(waits, (there.clone(), end.clone())).unwrap();
            assert!(there.wait_timeout(LONG).unwrap());
            child
        };
        let with_parent = begin(b());
        signal(with_parent.pid(), libc::SIGINT); // somebody else's
        assert_eq!(with_parent.join_timeout(Duration::from_millis(50)).unwrap(), None);
        with_parent.interrupt().unwrap();
        assert_eq!(with_parent.wait_timeout(GONE).unwrap(), Some(Departure::Signalled(libc::SIGINT)));
        assert_eq!(with_parent.exitcode(), Some(-2));
        let ends = begin(b().on_interrupt(OnInterrupt::End));
        signal(ends.pid(), libc::SIGINT);
        assert_eq!(ends.wait_timeout(GONE).unwrap(), Some(Departure::Signalled(libc::SIGINT)));
        let ignores = begin(b().on_interrupt(OnInterrupt::Ignore));
        ignores.interrupt().unwrap();
        let there = there();
        let handles = b()
            .spawn(
                |there: CancelToken, end: CancelToken| {
                    handle(libc::SIGINT, note);
                    there.cancel();
                    while HANDLED.load(SeqCst) == 0 {
                        std::thread::yield_now();
                    }
                    end.wait_timeout(LONG).map(|_| HANDLED.load(SeqCst))
                },
                (there.clone(), end.clone()),
            )
            .unwrap();
        assert!(there.wait_timeout(LONG).unwrap());
        handles.interrupt().unwrap();
        end.cancel();
        assert_eq!((ignores.join(), handles.join()), (Ok(0), Ok(1)));
    }
}

/// A daemon that ends because its parent was killed takes its own children along, though they are no daemons.
#[test]
fn grandchildren_go_with_a_daemon() {
    let _alone = alone();
    let session = Session::current().unwrap();
    for by in methods() {
        let notes = block(&session, 0);
        let end = CancelToken::new().unwrap();
        let parent = leader()
            .spawn(
                |notes: Object, by: String, end: CancelToken| {
                    let b = Process::builder().start_method(by.parse().unwrap()).daemon(true);
                    let daemon = b.may_have_children(true).spawn(
                        |notes: Object, end: CancelToken| {
                            let b = Process::builder().daemon(false);
                            let below = b.spawn(work, (notes.clone(), 1, end)).unwrap();
                            tell(&notes, 0);
                            below.join().unwrap()
                        },
                        (notes, end),
                    )?;
                    daemon.join()
                },
                (notes.clone(), by.to_string(), end.clone()),
            )
            .unwrap();
        assert!(soon(|| pids(&notes)[..2].iter().all(|pid| *pid != 0)));
        parent.kill().unwrap();
        assert!(matches!(parent.join(), Err(Error::Died { .. })));
        assert!(within(GONE, || !pids(&notes)[..2].iter().any(|pid| runs(*pid))), "{by}: {:?}", pids(&notes));
    }
}
/// Ctrl-C right after the start, before the child could have said what it does then: it is as any other.
#[test]
fn an_interrupt_before_the_first_breath() {
    let _alone = alone();
    for by in methods() {
        for i in 0..40_u32 {
            let child = Process::builder().start_method(by).spawn(|i: u32| i, (i,)).unwrap();
            signal(child.pid(), libc::SIGINT);
            assert_eq!(child.join(), Ok(i), "{by}");
        }
    }
}
