//! The pool's interface, by every start method.

use std::time::{Duration, Instant};

use mp_pool::{Error, Pool};

mp_pool::enable_in_tests!();

fn pool(n: usize) -> Pool {
    Pool::new(n).unwrap()
}

#[test]
fn map_keeps_order_and_apply_returns() {
    let pool = pool(2);
    let squares: Vec<u64> = pool.map(|x: u64| x * x, 0..10_000).unwrap();
    assert!(squares.iter().enumerate().all(|(i, s)| *s == (i * i) as u64) && squares.len() == 10_000);
    assert_eq!(pool.map(|x: u64| x, Vec::new()).unwrap(), Vec::<u64>::new());
    assert_eq!(pool.apply(|a: String, b: u8| format!("{a}{b}"), ("x".to_owned(), 3)).unwrap(), "x3");
    assert_eq!(pool.starmap(|a: u32, b: u32| a * b, (0..100).map(|i| (i, i + 1))).unwrap()[9], 90);
    assert_eq!(pool.map_with_chunks(|x: i32| x - 1, 0..7, 3).unwrap(), [-1, 0, 1, 2, 3, 4, 5]);
    assert!(matches!(pool.map_with_chunks(|x: i32| x, 0..7, 0), Err(Error::InvalidArgument { .. })));
}

#[test]
fn large_arguments_and_results_travel() {
    let pool = pool(2);
    let big: Vec<f64> = (0..200_000).map(f64::from).collect();
    let sums = pool
        .imap(|v: Vec<f64>| v.into_iter().map(|x| x * 2.0).collect::<Vec<_>>(), (0..20).map(|_| big.clone()));
    for doubled in sums {
        assert_eq!(doubled.unwrap()[100], 200.0);
    }
}

#[test]
fn each_task_has_its_own_error() {
    let pool = pool(2);
    let f = |x: u32| if x % 10 == 3 { Err(format!("no {x}")) } else { Ok(x) };
    let all = pool.map_all(f, 0..40).unwrap();
    for (x, result) in all.into_iter().enumerate() {
        match result {
            Ok(v) => assert!(v == x as u32 && x % 10 != 3),
            Err(Error::Failed(f)) => assert_eq!(f.message, format!("no {x}")),
            Err(other) => panic!("{other}"),
        }
    }
    let panicked = pool.apply(|x: u8| assert!(x > 5, "too small"), (1,)).unwrap_err();
    assert!(matches!(&panicked, Error::Panicked(p) if p.message == "too small"), "{panicked}");
    assert_eq!(pool.apply(|x: u8| x, (1,)).unwrap(), 1, "the worker goes on");
}

fn die_at(victim: u64) -> impl Fn(u64) -> u64 + Copy + Send + 'static {
    let _ = victim;
    |x| {
        if x == 57 {
            std::process::abort();
        }
        x + 1
    }
}

#[test]
fn a_killed_worker_costs_one_task() {
    let pool = pool(4);
    let all = pool.map_all(die_at(57), 0..100).unwrap();
    for (x, result) in all.into_iter().enumerate() {
        if x == 57 {
            assert!(matches!(result, Err(Error::Died { .. })), "{result:?}");
        } else {
            assert_eq!(result.unwrap(), x as u64 + 1);
        }
    }
    let lazy: Vec<_> = pool.imap(die_at(57), 0..100).collect();
    assert_eq!(lazy.iter().filter(|r| r.is_err()).count(), 1);
    assert!(matches!(lazy[57], Err(Error::Died { .. })));
    assert_eq!(pool.workers().len(), 4);
    assert_eq!(pool.deaths().len(), 2);
}

#[test]
fn exits_and_aborts_in_tasks_are_errors() {
    let pool = pool(2);
    let exit: Result<(), _> = pool.apply(
        |code: i32| {
            if code > 0 {
                std::process::exit(code)
            }
        },
        (3,),
    );
    assert!(matches!(exit, Err(Error::Died { how: mp_process::Departure::Exited(3), .. })), "{exit:?}");
    assert_eq!(pool.apply(|x: u8| x, (1,)).unwrap(), 1);
}

#[test]
fn an_idle_worker_may_be_killed_at_any_time() {
    let pool = pool(2);
    for round in 0..30_u32 {
        let victim = pool.workers()[round as usize % 2].pid;
        kill(victim);
        let asked = Instant::now();
        // The victim may have begun it in its last moment: then it says so.
        match pool.apply(|x: u32| x, (round,)) {
            Ok(x) => assert_eq!(x, round),
            Err(error) => assert!(matches!(error, Error::Died { .. }), "{error}"),
        }
        assert!(asked.elapsed() < Duration::from_secs(2));
    }
}

fn kill(pid: u32) {
    #[cfg(unix)]
    let (program, args) = ("kill", vec!["-9".to_owned(), pid.to_string()]);
    #[cfg(windows)]
    let (program, args) = ("taskkill", vec!["/F".to_owned(), "/PID".to_owned(), pid.to_string()]);
    // It may have been replaced in the meantime: then there is nobody to kill.
    let _ = std::process::Command::new(program).args(args).output().unwrap();
}

#[test]
fn results_can_be_asked_for_later() {
    let pool = pool(2);
    let slow = pool.apply_async(|ms: u64| std::thread::sleep(Duration::from_millis(ms)), (200,)).unwrap();
    assert!(!slow.ready() && slow.successful().is_none());
    assert!(matches!(slow.get_timeout(Duration::from_millis(10)), Err(Error::TimedOut { .. })));
    let many: Vec<_> = (0..500_u64).map(|i| pool.apply_async(|i: u64| i * 2, (i,)).unwrap()).collect();
    for (i, result) in many.iter().enumerate().rev() {
        assert_eq!(result.get().unwrap(), i as u64 * 2);
        assert_eq!(result.get().unwrap(), i as u64 * 2);
    }
    slow.get().unwrap();
    assert_eq!(slow.successful(), Some(true));
}

#[test]
fn callbacks_run_here_and_their_panics_are_their_own() {
    let pool = pool(2);
    let (send, receive) = std::sync::mpsc::channel();
    for i in 0..100_u32 {
        let send = send.clone();
        pool.apply_with_callback(
            |i: u32| (i, std::process::id()),
            (i,),
            move |result| {
                let (i, pid) = result.unwrap();
                assert_ne!(pid, std::process::id());
                send.send((i, std::process::id())).unwrap();
                assert!(i != 50, "this one panics");
            },
        )
        .unwrap();
    }
    drop(send);
    let mut got: Vec<_> = receive.iter().collect();
    got.sort_unstable();
    assert_eq!(got.len(), 100);
    assert!(got.iter().all(|(_, pid)| *pid == std::process::id()));
}

#[test]
fn an_endless_input_is_read_as_it_is_needed() {
    let pool = pool(2);
    let read = std::cell::Cell::new(0_u64);
    let endless = (0_u64..).inspect(|i| read.set(*i));
    let first: Vec<u64> = pool.imap(|x: u64| x * 3, endless).take(1000).map(Result::unwrap).collect();
    assert!(first.iter().enumerate().all(|(i, x)| *x == i as u64 * 3));
    assert!(read.get() < 1000 + 200, "{} were read", read.get());
    let mut unordered: Vec<u64> = pool.imap_unordered(|x: u64| x, 0..1000).map(Result::unwrap).collect();
    unordered.sort_unstable();
    assert!(unordered.into_iter().eq(0..1000));
}

#[test]
fn one_straggler_holds_up_only_itself() {
    let pool = pool(2);
    let work = |i: u64| {
        std::thread::sleep(Duration::from_millis(if i == 0 { 600 } else { 4 }));
        std::process::id()
    };
    let started = Instant::now();
    let results: Vec<_> = (0..60).map(|i| pool.apply_async(work, (i,)).unwrap()).collect();
    assert!(results.iter().all(|r| r.get().is_ok()));
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
}

#[test]
fn initializers_run_and_failing_ones_break_the_pool() {
    static BASE: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let set = |base: u64| BASE.store(base, std::sync::atomic::Ordering::SeqCst);
    let pool = Pool::builder().processes(2).initializer(set, (100,)).build().unwrap();
    let got = pool.map(|x: u64| x + BASE.load(std::sync::atomic::Ordering::SeqCst), 0..10).unwrap();
    assert!(got.into_iter().eq(100..110));

    let fail = || Err::<(), _>("no database".to_owned());
    let asked = Instant::now();
    let broken = Pool::builder().processes(2).initializer(fail, ()).build().unwrap();
    let error = broken.apply(|| 1_u8, ()).unwrap_err();
    assert!(matches!(&error, Error::PoolBroken { detail } if detail.contains("no database")), "{error}");
    assert!(asked.elapsed() < Duration::from_secs(5));
}

#[test]
fn workers_retire_after_their_tasks() {
    let pool = Pool::builder().processes(2).max_tasks_per_child(5).build().unwrap();
    let pids: std::collections::HashSet<u32> =
        pool.imap(|_: u32| std::process::id(), 0..100).map(Result::unwrap).collect();
    assert!(pids.len() >= 20, "{} workers", pids.len());
    assert!(pool.deaths().is_empty(), "retiring is no death");
}

#[test]
fn closing_terminating_and_dropping() {
    let one = pool(2);
    let result = one.apply_async(|x: u8| x, (9,)).unwrap();
    assert!(matches!(one.join(), Err(Error::InvalidArgument { .. })));
    one.close();
    assert!(matches!(one.apply(|| (), ()), Err(Error::Closed { .. })));
    one.join().unwrap();
    assert_eq!(result.get().unwrap(), 9);

    let two = pool(2);
    let stuck = two.apply_async(|| std::thread::sleep(Duration::from_secs(60)), ()).unwrap();
    let asked = Instant::now();
    two.terminate();
    assert!(matches!(stuck.get(), Err(Error::Cancelled)));
    drop(two);
    assert!(asked.elapsed() < Duration::from_secs(5));

    let (send, receive) = std::sync::mpsc::channel();
    let three = pool(2);
    for i in 0..20_u8 {
        let send = send.clone();
        three.apply_with_callback(|i: u8| i, (i,), move |r| send.send(r.unwrap()).unwrap()).unwrap();
    }
    drop(three); // lets them finish
    drop(send);
    assert_eq!(receive.iter().count(), 20);
}

#[test]
fn a_pool_leaves_nothing_behind() {
    let session = mp_session::Session::current().unwrap();
    let alone = pool(1);
    alone.apply(|| (), ()).unwrap();
    drop(alone);
    let big = vec![0_u8; 100_000];
    let one = pool(2);
    one.map_all(|v: Vec<u8>| if v.len() > 1 { Ok(v) } else { Err("short") }, vec![big; 10]).unwrap();
    drop(one);
    // Other tests of this file run in this process at the same time: look until they are quiet or long enough.
    let quiet = (0..600).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        session.objects().is_empty()
    });
    assert!(quiet, "left behind: {:?}", session.objects());
}
