//! The defects of Python's pools, by their names in the issues (D1 to D14), and what must hold in their place.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use mp_pool::{Error, Pool};

use crate::common::{PATIENCE, kill, pool};

/// D1, acceptance 1: a worker is killed over a task: exactly that task says so, and the pool goes on.
#[test]
fn d1_acceptance_1_a_killed_worker_costs_one_task() {
    let pool = pool(4);
    let f = |x: u64| {
        if x == 57 {
            kill(std::process::id());
            std::thread::sleep(PATIENCE);
        }
        x + 1
    };
    let all = pool.map_all(f, 0..100).unwrap();
    assert_eq!(all.iter().filter(|r| r.is_ok()).count(), 99);
    let Err(Error::Died { who, how }) = &all[57] else { panic!("{:?}", all[57]) };
    assert!(who.name.starts_with("PoolWorker-"), "{who}");
    assert!(cfg!(windows) || *how == mp_process::Departure::Signalled(9), "{how}");
    assert_eq!(pool.with_retries(0).map(|x: u64| x, 0..100).unwrap().len(), 100);
}

/// D2, acceptance 2: idle workers are killed, over and over: the next task is done, or says that its worker died, at once.
#[test]
fn d2_acceptance_2_idle_workers_may_be_killed() {
    let mut pool = Pool::builder().processes(2).prestart(true).build().unwrap();
    let mut slowest = Duration::ZERO;
    for round in 0..100_u32 {
        let workers = pool.workers();
        if let Some(victim) = workers.get(round as usize % workers.len().max(1)) {
            kill(victim.pid);
        }
        let asked = Instant::now();
        match pool.apply(|x: u32| x, (round,)) {
            Ok(x) => assert_eq!(x, round),
            Err(error) => assert!(matches!(error, Error::Died { .. }), "{error}"),
        }
        slowest = slowest.max(asked.elapsed());
        if round % 20 == 10 {
            // Ending it must not need anybody who is dead.
            kill(pool.workers()[0].pid);
            let asked = Instant::now();
            if round % 40 == 10 {
                pool.terminate()
            } else {
                pool.shutdown(false).unwrap()
            }
            slowest = slowest.max(asked.elapsed());
            pool = Pool::builder().processes(2).prestart(true).build().unwrap();
        }
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
}

/// Acceptance 3: a worker is stopped: the time limit of its task goes on, and it is replaced.
#[cfg(unix)]
#[test]
fn acceptance_3_a_stopped_worker_runs_out_of_time() {
    let pool = Pool::builder().processes(2).grace(Duration::from_millis(50)).build().unwrap();
    let f = |x: u64| {
        if x == 5 {
            crate::common::signal("STOP", std::process::id());
        }
        x
    };
    let all = pool.with_timeout(Duration::from_secs(1)).map_all(f, 0..50).unwrap();
    for (x, result) in all.into_iter().enumerate() {
        match result {
            Ok(v) => assert!(v == x as u64 && x != 5),
            Err(error) => assert!(x == 5 && error.is_timeout(), "{x}: {error}"),
        }
    }
    crate::common::until("it is killed", || {
        // Somebody has to look: a call does.
        assert_eq!(pool.apply(|| 1_u8, ()).unwrap(), 1);
        pool.deaths().len() == 1
    });
}

// D1 (`exit` in a task), acceptance 4: in `deaths`. D3, acceptance 6: `deaths::values_that_cannot_travel_are_their_own_tasks_errors`.

/// D4, acceptance 5: an initializer that always fails: an error soon, after few attempts; also if it kills its process.
#[test]
fn d4_acceptance_5_no_storm_of_starts() {
    let asked = Instant::now();
    let builder = || Pool::builder().processes(8);
    for broken in [
        builder()
            .initializer(
                |x: u8| {
                    if x > 0 {
                        std::process::abort()
                    }
                },
                (1,),
            )
            .build()
            .unwrap(),
        builder().initializer(|x: u8| assert!(x > 5), (1,)).build().unwrap(),
    ] {
        let error = broken.map(|x: u8| x, 0..100).unwrap_err();
        assert!(matches!(error, Error::PoolBroken { .. }), "{error}");
        assert!(broken.deaths().len() <= 16, "{} attempts", broken.deaths().len());
    }
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
}

/// D5, acceptance 7: callbacks that panic, or end the pool.
#[test]
fn d5_acceptance_7_callbacks_may_panic_and_end_the_pool() {
    let pool = std::sync::Arc::new(pool(2));
    let (send, receive) = mpsc::channel();
    pool.apply_with_callback(|| (), (), |_| panic!("in a callback")).unwrap();
    let (theirs, done) = (pool.clone(), send.clone());
    pool.apply_with_callback(
        || Err::<(), _>("an error"),
        (),
        move |result| {
            theirs.terminate();
            done.send(result.is_err()).unwrap();
        },
    )
    .unwrap();
    assert!(receive.recv_timeout(PATIENCE).unwrap());
    assert!(matches!(pool.apply(|| 1_u8, ()), Err(Error::Closed { .. })));
    // The last one drops it, on its own thread.
    let last = Pool::new(1).unwrap();
    let last = std::sync::Arc::new(last);
    let theirs = last.clone();
    let hold = last.submit(|| (), ()).unwrap();
    hold.add_done_callback(move |_| {
        drop(theirs);
        send.send(true).unwrap();
    });
    drop((hold, last));
    assert!(receive.recv_timeout(PATIENCE).unwrap());
}

/// D6, acceptance 8: endless input keeps memory flat; a lazy map that is dropped half way stops; closing then does not hang.
#[test]
fn d6_acceptance_8_endless_input_and_half_used_maps() {
    let pool = pool(2);
    let memory = || {
        let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
    };
    let mut lazy = pool.imap(|v: Vec<u8>| v, (0_u64..).map(|i| vec![i as u8; 1000]));
    (0..2000).for_each(|_| drop(lazy.next().unwrap().unwrap()));
    let before = memory();
    (0..20_000).for_each(|_| drop(lazy.next().unwrap().unwrap()));
    // Other tests run in this process at the same time; 20,000 items are 20 MB, read ahead without a bound.
    assert!(memory() < before + (16 << 20) || cfg!(not(target_os = "linux")), "{} more", memory() - before);
    drop(lazy);
    let slow = |i: u64| std::thread::sleep(Duration::from_millis(if i < 2 { 1 } else { 60 }));
    let mut half = pool.imap(slow, 0..);
    half.next().unwrap().unwrap();
    drop(half);
    let asked = Instant::now();
    pool.close();
    pool.join().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    let second = Pool::new(2).unwrap();
    let mut open = second.imap(|x: u64| x, 0..);
    open.next().unwrap().unwrap();
    second.shutdown(false).unwrap();
    // What was under way is there, then it says that the pool takes no more.
    let last = open.find(Result::is_err).unwrap();
    assert!(matches!(last, Err(Error::Closed { .. })), "{last:?}");
}

/// D7: the first error is told at once, not when everything else is done.
#[test]
fn d7_the_first_error_comes_first() {
    let pool = pool(2);
    let f = |i: u64| {
        std::thread::sleep(Duration::from_millis(if i == 3 { 0 } else { 100 }));
        if i == 3 { Err("three") } else { Ok(()) }
    };
    let asked = Instant::now();
    assert!(pool.map(f, 0..200).is_err());
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
}

fn spin() {
    loop {
        std::hint::spin_loop();
    }
}

/// D8: a running task that is not wanted any more ends.
#[test]
fn d8_running_tasks_can_be_ended() {
    let pool = Pool::builder().processes(1).grace(Duration::from_millis(20)).build().unwrap();
    let result = pool.submit(spin, ()).unwrap();
    crate::common::until("it runs", || pool.stats().running.len() == 1);
    result.cancel();
    assert!(matches!(result.get(), Err(Error::Cancelled)));
    let asked = Instant::now();
    assert_eq!(pool.apply(|| 5_u8, ()).unwrap(), 5);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

/// D9: Ctrl-C goes to the process that owns the pool alone: its workers are no part of the terminal's group.
#[cfg(unix)]
#[test]
fn d9_interrupts_are_the_parents_affair() {
    let pool = pool(2);
    let f = |x: u64| {
        crate::common::signal("INT", std::process::id());
        x
    };
    assert_eq!(pool.map(f, 0..6).unwrap(), [0, 1, 2, 3, 4, 5]);
    assert!(pool.deaths().is_empty());
}

/// D10: a pool that is forgotten ends in order; one whose owner panics ends at once.
#[test]
fn d10_dropping_is_enough() {
    let (send, receive) = mpsc::channel();
    {
        let pool = pool(2);
        pool.apply_with_callback(|| 7_u8, (), move |r| send.send(r.unwrap()).unwrap()).unwrap();
    }
    assert_eq!(receive.recv().unwrap(), 7);
    let asked = Instant::now();
    let panicked = std::panic::catch_unwind(|| {
        let pool = pool(1);
        let _stuck = pool.submit(|| std::thread::sleep(PATIENCE), ()).unwrap();
        panic!("on purpose");
    });
    assert!(panicked.is_err() && asked.elapsed() < Duration::from_secs(10));
}

/// D11: workers are replaced while other threads work and lock, and after the pool was closed; large data does not get stuck.
#[test]
fn d11_replacements_among_threads_and_after_closing() {
    let pool = Pool::builder().processes(2).max_tasks_per_child(3).build().unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                drop(std::hint::black_box(vec![0_u8; 10_000]));
            }
        });
        let results: Vec<_> =
            (0..60_u64).map(|i| pool.submit(|i: u64| vec![i; 5000], (i,)).unwrap()).collect();
        pool.close();
        pool.join().unwrap();
        for (i, result) in results.iter().enumerate() {
            assert_eq!(result.get().unwrap(), vec![i as u64; 5000]);
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
    });
}

/// D12, acceptance 19: more workers than a wait can have handles elsewhere.
#[test]
fn d12_acceptance_19_hundreds_of_workers() {
    // A minute of starting and ending in a debug build, so seldom all of them.
    let count = if std::env::var_os("MP_TEST_ROUNDS").is_some() { 300 } else { 80 };
    let pool = Pool::builder().processes(count).prestart(true).build().unwrap();
    assert_eq!(pool.workers().len(), count);
    let sleepy = |x: u64| {
        std::thread::sleep(Duration::from_millis(1));
        x
    };
    assert_eq!(pool.map(sleepy, 0..2000).unwrap(), (0..2000).collect::<Vec<_>>());
    kill(pool.workers()[count - 1].pid);
    assert_eq!(pool.imap_unordered(sleepy, 0..500).filter(Result::is_ok).count(), 500);
    drop(pool);
}

// D13 (stragglers): `conformance::a_straggler_holds_up_only_itself`. D14 (one dispatcher) is a matter of speed: `benches/pool.rs`.

/// Acceptance 20: a pool in a worker works, down to a depth.
#[test]
fn acceptance_20_pools_in_workers_have_a_depth() {
    fn nested(depth: u32) -> mp_pool::Result<u32> {
        if depth == 0 {
            return Ok(0);
        }
        let pool = Pool::builder().processes(1).max_depth(3).build()?;
        pool.apply(nested, (depth - 1,)).map(|d: u32| d + 1)
    }
    assert_eq!(nested(3), Ok(3));
    let error = nested(4).unwrap_err();
    assert!(error.to_string().contains("3 deep already"), "{error}");
}
