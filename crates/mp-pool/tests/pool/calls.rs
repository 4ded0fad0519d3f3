//! What only pools of processes have.

use std::collections::HashSet;
use std::time::Duration;

use mp_pool::{Error, Pool};

use crate::common::{pool, until};

#[test]
fn workers_retire_after_their_tasks() {
    let pool = Pool::builder().processes(2).max_tasks_per_child(5).build().unwrap();
    let pids: HashSet<u32> = pool.imap(|_: u32| std::process::id(), 0..100).map(Result::unwrap).collect();
    assert!(pids.len() >= 20, "{} workers", pids.len());
    assert_eq!(pool.map(|x: u32| x, 0..50).unwrap().len(), 50);
    assert!(pool.deaths().is_empty(), "retiring is no death");
    assert!(pool.stats().restarts >= 19);
}

#[test]
fn workers_come_as_they_are_needed_and_leave_when_they_are_not() {
    let pool = Pool::builder().processes(4).idle_timeout(Duration::from_millis(50)).build().unwrap();
    (0..10_u32).for_each(|i| assert_eq!(pool.apply(|i: u32| i, (i,)).unwrap(), i));
    assert!(pool.workers().len() <= 1, "one is enough for that");
    let first: HashSet<u32> = pool.map(|_: u32| std::process::id(), 0..10).unwrap().into_iter().collect();
    until("they leave", || {
        let _ = pool.apply_async(|| (), ());
        std::thread::sleep(Duration::from_millis(120));
        !pool.workers().iter().any(|w| first.contains(&w.pid))
    });
    assert_eq!(pool.map(|x: u32| x, 0..10).unwrap().len(), 10);
    assert!(pool.deaths().is_empty());
}

/// In a process of its own, for the other tests here use the same session.
#[test]
fn a_pool_leaves_nothing_behind() {
    let this = std::env::current_exe().unwrap();
    let alone = ["--exact", "calls::a_pool_that_is_alone", "--ignored", "--test-threads", "1"];
    let run = std::process::Command::new(this).args(alone).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&run.stderr)
    );
}

#[test]
#[ignore = "run by another, alone"]
fn a_pool_that_is_alone() {
    let session = mp_session::Session::current().unwrap();
    let big = vec![0_u8; 100_000];
    let one = pool(2);
    one.map_all(|v: Vec<u8>| if v.len() > 1 { Ok(v) } else { Err("short") }, vec![big; 10]).unwrap();
    let kept = one.submit(|x: u8| vec![x; 50_000], (1,)).unwrap();
    drop(one.imap(|x: u64| x, 0..));
    drop(one);
    assert_eq!(kept.get().unwrap().len(), 50_000);
    drop(kept);
    until("nothing is left", || session.objects().is_empty());
}

#[test]
fn scopes_end_their_pools() {
    let (cubes, pids) = Pool::scope(2, |pool| {
        let cubes = pool.map(|x: u64| x * x * x, 0..10).unwrap();
        (cubes, pool.workers())
    })
    .unwrap();
    assert_eq!(cubes[3], 27);
    assert!(pids.iter().all(|w| !cfg!(target_os = "linux") || crate::common::is_gone(w.pid)));
}

#[test]
fn broken_builders_say_so() {
    assert!(matches!(Pool::new(0), Err(Error::InvalidArgument { .. })));
    let none = Pool::builder().processes(1).max_tasks_per_child(0).build();
    assert!(matches!(none, Err(Error::InvalidArgument { .. })));
}
