//! Workers that die over tasks: each way of dying is one task's error, and the others are done.

use std::time::Duration;
#[cfg(target_os = "linux")]
use std::time::Instant;

use mp_pool::{Error, Pool};
use mp_process::Departure;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::common::{kill, pool};

/// Runs the tasks 0 to 39, of which number 17 is the one to die, in every kind of map; only that one may be missing.
fn one_dies(pool: &Pool, f: impl Fn(u64) -> u64 + Copy + Send + 'static, check: impl Fn(&Error)) {
    let all = pool.map_all(f, 0..40).unwrap();
    let lazy: Vec<_> = pool.imap(f, 0..40).collect();
    for results in [all, lazy] {
        assert_eq!(results.len(), 40);
        for (x, result) in results.into_iter().enumerate() {
            match result {
                Ok(value) => assert!(value == x as u64 + 1 && x != 17),
                Err(error) => {
                    assert_eq!(x, 17, "{error}");
                    check(&error);
                }
            }
        }
    }
    let unordered = pool.imap_unordered(f, 0..40).filter(Result::is_err).count();
    assert_eq!(unordered, 1);
}

fn died(how: impl Fn(Departure) -> bool) -> impl Fn(&Error) {
    move |error| match error {
        Error::Died { who, how: seen } => assert!(how(*seen) && who.pid != 0, "{error}"),
        other => panic!("{other}"),
    }
}

#[test]
fn an_exit() {
    let f = |x: u64| if x == 17 { std::process::exit(3) } else { x + 1 };
    one_dies(&pool(2), f, died(|how| how == Departure::Exited(3)));
    let f = |x: u64| if x == 17 { std::process::exit(0) } else { x + 1 };
    one_dies(&pool(2), f, died(|how| how == Departure::Exited(0)));
}

#[test]
fn an_abort() {
    let f = |x: u64| if x == 17 { std::process::abort() } else { x + 1 };
    one_dies(&pool(2), f, died(|how| cfg!(windows) || how == Departure::Signalled(6)));
}

#[cfg(unix)]
#[test]
fn a_bad_address() {
    let f = |x: u64| {
        if x == 17 {
            // SAFETY: none; dying of it is the purpose, and nobody else is there to be hurt.
            unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
        }
        x + 1
    };
    one_dies(&pool(2), f, died(|how| matches!(how, Departure::Signalled(11 | 7 | 10))));
}

#[cfg(unix)]
#[test]
fn the_end_of_the_stack() {
    fn deep(x: u64) -> u64 {
        let room = std::hint::black_box([x; 100]);
        if x == u64::MAX { 0 } else { deep(x + 1) + std::hint::black_box(room[50]) }
    }
    let f = |x: u64| if x == 17 { deep(x) } else { x + 1 };
    one_dies(&pool(2), f, died(|how| matches!(how, Departure::Signalled(6 | 11))));
}

#[cfg(target_os = "linux")]
#[test]
fn the_end_of_memory() {
    let pool = Pool::builder().processes(2).memory_limit(256 << 20).build().unwrap();
    let f = |x: u64| {
        if x == 17 {
            let much = std::hint::black_box(vec![1_u8; 1 << 30]);
            return much.len() as u64;
        }
        x + 1
    };
    one_dies(&pool, f, died(|how| how == Departure::Signalled(6)));
}

#[test]
fn a_panic_is_no_death() {
    let pool = pool(2);
    let f = |x: u64| {
        assert!(x != 17, "seventeen");
        x + 1
    };
    one_dies(&pool, f, |error| {
        assert!(matches!(error, Error::Panicked(p) if p.message == "seventeen"), "{error}");
    });
    assert!(pool.deaths().is_empty());
}

/// A value that does as it is told when it is written or read.
#[derive(Debug, PartialEq, Clone, Copy)]
struct Tricky(u8);

const REFUSES_TO_BE_WRITTEN: u8 = 1;
const REFUSES_TO_BE_READ: u8 = 2;
const PANICS_WHEN_WRITTEN: u8 = 3;
const PANICS_WHEN_READ_BY_A_WORKER: u8 = 4;
const EXITS_WHEN_WRITTEN_BY_A_WORKER: u8 = 5;

fn in_worker() -> bool {
    mp_pool::task_token().is_some()
}

impl Serialize for Tricky {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            REFUSES_TO_BE_WRITTEN => Err(serde::ser::Error::custom("I will not be written")),
            PANICS_WHEN_WRITTEN if in_worker() => panic!("written"),
            EXITS_WHEN_WRITTEN_BY_A_WORKER if in_worker() => std::process::exit(9),
            // As much as debug builds do not read back.
            other => (other, vec![other; 5000]).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Tricky {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (what, _) = <(u8, Vec<u8>)>::deserialize(deserializer)?;
        match what {
            REFUSES_TO_BE_READ => Err(serde::de::Error::custom("I will not be read")),
            PANICS_WHEN_READ_BY_A_WORKER if in_worker() => panic!("read"),
            other => Ok(Tricky(other)),
        }
    }
}

impl mp_wire::Output for Tricky {
    type Value = Tricky;

    fn into_result(self) -> Result<Tricky, mp_wire::Failure> {
        Ok(self)
    }
}

#[test]
fn values_that_cannot_travel_are_their_own_tasks_errors() {
    let pool = pool(2);
    for what in 0..=5 {
        // As an argument.
        let argument = |t: Tricky| u32::from(t.0);
        let items = || (0..9).map(|i| Tricky(if i == 4 { what } else { 0 }));
        let all = pool.map_all(argument, items()).unwrap();
        let lazy: Vec<_> = pool.imap(argument, items()).collect();
        // As a result.
        let result = |what: u8| Tricky(what);
        let items = || (0..9).map(|i| if i == 4 { what } else { 0 });
        let of_all = pool.map_all(result, items()).unwrap();
        let of_lazy: Vec<_> = pool.imap(result, items()).collect();
        let hits =
            [all.iter().map(Result::is_err).collect::<Vec<_>>(), lazy.iter().map(Result::is_err).collect()];
        for errs in hits {
            let bad =
                matches!(what, REFUSES_TO_BE_WRITTEN | REFUSES_TO_BE_READ | PANICS_WHEN_READ_BY_A_WORKER);
            assert_eq!(errs, (0..9).map(|i| i == 4 && bad).collect::<Vec<_>>(), "argument {what}");
        }
        for results in [of_all, of_lazy] {
            let bad = matches!(what, 1 | 2 | 3 | 5);
            let errs: Vec<_> = results.iter().map(Result::is_err).collect();
            assert_eq!(errs, (0..9).map(|i| i == 4 && bad).collect::<Vec<_>>(), "result {what}: {results:?}");
            let as_told = match (what, &results[4]) {
                (REFUSES_TO_BE_READ, Err(error)) => matches!(error, Error::Decode { .. }),
                (PANICS_WHEN_WRITTEN, Err(error)) => matches!(error, Error::Panicked(_)),
                (EXITS_WHEN_WRITTEN_BY_A_WORKER, Err(error)) => {
                    matches!(error, Error::Died { how: Departure::Exited(9), .. })
                }
                (REFUSES_TO_BE_WRITTEN, Err(error)) => matches!(error, Error::Failed(_)),
                (_, result) => result.is_ok(),
            };
            assert!(as_told, "{what}: {:?}", results[4]);
        }
    }
    assert_eq!(pool.deaths().len(), 2);
}

#[test]
fn what_may_be_done_twice_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let pool = pool(2);
    // Dies over 17 until it has died twice.
    let f = |(x, dir): (u64, std::path::PathBuf)| {
        if x == 17 {
            for n in 0..2 {
                if std::fs::File::create_new(dir.join(n.to_string())).is_ok() {
                    std::process::abort();
                }
            }
        }
        x
    };
    let items = || (0..40).map(|i| (i, dir.path().to_owned()));
    assert_eq!(pool.with_retries(2).map(f, items()).unwrap(), (0..40).collect::<Vec<_>>());
    assert_eq!((pool.deaths().len(), pool.stats().retried), (2, 2));
    for n in 0..2 {
        std::fs::remove_file(dir.path().join(n.to_string())).unwrap();
    }
    let once = pool.with_retries(1).map_all(f, items()).unwrap();
    assert!(once.iter().enumerate().all(|(i, r)| r.is_err() == (i == 17)));
}

/// Whatever happens to others, no task is begun twice that is not said to bear it.
#[test]
fn nothing_is_done_twice() {
    let dir = tempfile::tempdir().unwrap();
    let pool = pool(3);
    let f =
        |(x, dir): (u64, std::path::PathBuf)| std::fs::File::create_new(dir.join(x.to_string())).map(|_| x);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                if let Some(victim) = pool.workers().first() {
                    kill(victim.pid);
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let all = pool.map_all(f, (0..3000).map(|i| (i, dir.path().to_owned()))).unwrap();
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        for (x, result) in all.into_iter().enumerate() {
            match result {
                Ok(v) => assert_eq!(v, x as u64),
                Err(error) => assert!(matches!(error, Error::Died { .. }), "{x}: {error}"),
            }
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_cancelled_task_started_ends_with_it() {
    let pool = Pool::builder().processes(1).grace(Duration::from_millis(50)).build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let f = |dir: std::path::PathBuf| {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        std::fs::write(dir.join("pid.new"), child.id().to_string()).unwrap();
        std::fs::rename(dir.join("pid.new"), dir.join("pid")).unwrap();
        child.wait().map(|_| ())
    };
    let result = pool.submit(f, (dir.path().to_owned(),)).unwrap();
    crate::common::until("it runs", || dir.path().join("pid").exists());
    let pid: u32 = std::fs::read_to_string(dir.path().join("pid")).unwrap().parse().unwrap();
    let asked = Instant::now();
    assert!(result.cancel());
    assert!(matches!(result.get(), Err(Error::Cancelled)));
    crate::common::until("the sleep is gone", || crate::common::is_gone(pid));
    assert!(asked.elapsed() < Duration::from_secs(10));
}

/// The owner of a pool: starts workers that are busy, idle, and with a foreign program below, and says who they are.
#[cfg(target_os = "linux")]
fn own_a_pool(dir: std::path::PathBuf) {
    let pool = Pool::builder().processes(3).prestart(true).build().unwrap();
    let f = |dir: std::path::PathBuf| {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        std::fs::write(dir.join("sleep"), child.id().to_string()).unwrap();
        child.wait().map(|_| ())
    };
    let _below = pool.submit(f, (dir.clone(),)).unwrap();
    crate::common::until("it runs", || std::fs::read(dir.join("sleep")).is_ok_and(|pid| !pid.is_empty()));
    let pids: Vec<String> = pool.workers().iter().map(|w| w.pid.to_string()).collect();
    std::fs::write(dir.join("workers.new"), pids.join(" ")).unwrap();
    std::fs::rename(dir.join("workers.new"), dir.join("workers")).unwrap();
    let _ = pool.apply(|| std::thread::sleep(crate::common::PATIENCE), ());
}

#[cfg(target_os = "linux")]
#[test]
fn workers_go_with_their_parent_and_so_does_what_they_started() {
    let dir = tempfile::tempdir().unwrap();
    let owner = mp_process::Process::spawn(own_a_pool, (dir.path().to_owned(),)).unwrap();
    crate::common::until("they run", || dir.path().join("workers").exists());
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let pids: Vec<u32> =
        format!("{} {}", read("workers"), read("sleep")).split(' ').map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 4);
    owner.kill().unwrap();
    let killed = Instant::now();
    crate::common::until("all are gone", || pids.iter().all(|pid| crate::common::is_gone(*pid)));
    assert!(killed.elapsed() < Duration::from_secs(5), "{:?}", killed.elapsed());
}
