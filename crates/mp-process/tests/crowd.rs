//! Many processes in one session: they sleep soundly, and learn of each other's deaths all the same.
#![cfg(target_os = "linux")] // what sleeps is read from /proc

mod common;

use std::time::{Duration, Instant};

use common::{at_rest, block, is_as, rounds, soon};
use mp_process::{Process, StartMethod};
use mp_session::{Object, Role, Session, ThreadId};
use std::sync::atomic::Ordering::*;

mp_process::enable_in_tests!();

/// More than of which each sleeper watches all.
const MANY: u64 = 40;

/// Sleeps until the first word says so; counts itself in the second, and in the third whenever it has looked at the fourth.
fn sleeper(shared: Object) {
    let word = |i| shared.words().word(i);
    word(1).fetch_add(1, SeqCst);
    let seen = std::cell::Cell::new(0);
    let session = shared.session();
    let look = || {
        let deaths = session.deaths();
        if deaths > seen.replace(deaths) {
            word(2).fetch_add(1, SeqCst);
        }
        Ok((word(0).load(SeqCst) != 0).then_some(()))
    };
    session.wait(shared.words().waiters(Role::First), None, &|| ThreadId::NONE, look).unwrap();
}

/// How often the threads of a process went to sleep so far.
fn naps(pid: u32) -> u64 {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("status")).ok())
        .filter_map(|status| {
            status
                .lines()
                .find_map(|l| l.strip_prefix("voluntary_ctxt_switches:")?.trim().parse::<u64>().ok())
        })
        .sum()
}

#[test]
fn a_crowd_sleeps_and_hears_of_each_death() {
    let session = Session::current().unwrap();
    let shared = block(&session, 64);
    let word = |i| shared.words().word(i);
    Process::spawn(|| (), ()).unwrap().join().unwrap();
    let before = at_rest(&session);
    let start = || {
        Process::builder()
            .daemon(true)
            .start_method(StartMethod::available()[0])
            .spawn(sleeper, (shared.clone(),))
    };
    let mut crowd: Vec<_> = (0..MANY).map(|_| start().unwrap()).collect();
    assert!(soon(|| word(1).load(SeqCst) == MANY));

    // They sleep: once a second they look around, and not twenty times.
    std::thread::sleep(Duration::from_millis(200));
    let of_all = || crowd.iter().map(|child| naps(child.pid())).sum::<u64>();
    let (at_first, begin) = (of_all(), Instant::now());
    std::thread::sleep(Duration::from_secs(2));
    let (naps, seconds) = (of_all() - at_first, begin.elapsed().as_secs_f64());
    // Two threads each: what it was made for, and the one that watches the parent.
    let each = naps as f64 / seconds / (2 * MANY) as f64;
    assert!(each < 5.0, "each thread slept {each:.1} times a second");

    // Each death is heard of, also that of whoever watches for all: all are killed sooner or later.
    let mut slow = Vec::new();
    for round in 0..rounds(100).min(1000) {
        let heard = word(2).load(SeqCst);
        let victim = crowd.remove((round * 7 % MANY) as usize);
        let killed = Instant::now();
        victim.kill().unwrap();
        drop(victim); // nobody joins it
        assert!(soon(|| word(2).load(SeqCst) > heard), "round {round}: nobody has heard of it");
        slow.push(killed.elapsed());
        crowd.push(start().unwrap());
        assert!(soon(|| word(1).load(SeqCst) == MANY + round + 1));
    }
    slow.sort();
    // A busy machine may hold up some.
    assert!(slow[slow.len() / 2] < Duration::from_millis(100), "{slow:?}");

    word(0).store(1, SeqCst);
    session.wake_all(shared.words().waiters(Role::First));
    for child in crowd {
        child.join().unwrap();
    }
    assert!(is_as(&session, before), "{:?}, at first {before:?}", session.stats());
}
