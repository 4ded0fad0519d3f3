//! What every pool does: the same suite over processes and over threads.

use std::ops::Deref;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use mp_pool::{Builder, Error, OnError, Pool, as_completed};

use crate::common::PATIENCE;

/// How a pool is made.
type Make = fn(Builder) -> mp_pool::Result<Box<dyn Deref<Target = Pool>>>;

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        mod processes {
            $(#[test] fn $name() { super::$name(|builder| Ok(Box::new(Owned(builder.build()?)))); })*
            struct Owned(mp_pool::Pool);
            impl std::ops::Deref for Owned {
                type Target = mp_pool::Pool;
                fn deref(&self) -> &mp_pool::Pool { &self.0 }
            }
        }
        mod threads {
            $(#[test] fn $name() { super::$name(|builder| Ok(Box::new(builder.build_threads()?))); })*
        }
    };
}

suite!(
    maps_keep_order_and_apply_returns,
    each_task_has_its_own_error,
    handles_travel_in_arguments_and_results,
    large_arguments_and_results_travel,
    results_can_be_asked_for_later,
    callbacks_run_here_and_their_panics_are_their_own,
    results_come_as_they_are_completed,
    endless_input_is_read_as_it_is_needed,
    lazy_maps_know_their_length,
    a_straggler_holds_up_only_itself,
    neighbours_stay_together_in_chunks,
    initializers_run_and_failing_ones_break_the_pool,
    closing_terminating_and_dropping,
    queued_tasks_can_be_cancelled,
    a_running_task_is_told_that_it_is_cancelled,
    time_limits_are_for_one_task_alone,
    policies_for_the_rest,
    it_can_grow_and_shrink,
    numbers_are_exact,
    results_can_be_awaited,
    many_threads_use_one_pool,
    futures_wait_beside_each_other,
);

fn two(make: Make) -> Box<dyn Deref<Target = Pool>> {
    make(Pool::builder().processes(2)).unwrap()
}

fn maps_keep_order_and_apply_returns(make: Make) {
    let pool = two(make);
    for n in [0, 1, 2, 7, 10_000, 200_000] {
        let squares: Vec<u64> = pool.map(|x: u64| x.wrapping_mul(x), 0..n).unwrap();
        assert!(squares.iter().enumerate().all(|(i, s)| *s == (i * i) as u64) && squares.len() as u64 == n);
    }
    assert_eq!(pool.apply(|a: String, b: u8| format!("{a}{b}"), ("x".to_owned(), 3)).unwrap(), "x3");
    assert_eq!(pool.starmap(|a: u32, b: u32| a * b, (0..100).map(|i| (i, i + 1))).unwrap()[9], 90);
    assert_eq!(pool.map_with_chunks(|x: i32| x - 1, 0..7, 3).unwrap(), [-1, 0, 1, 2, 3, 4, 5]);
    assert!(matches!(pool.map_with_chunks(|x: i32| x, 0..7, 0), Err(Error::InvalidArgument { .. })));
    let texts = pool.map(|x: u32| "x".repeat(x as usize % 50), 0..5000).unwrap();
    assert!(texts.iter().enumerate().all(|(i, t)| t.len() == i % 50));
    pool.map(|_: u8| (), 0..100).unwrap();
    let lazy: Vec<u64> = pool.imap(|x: u64| x + 1, 0..10_000).map(Result::unwrap).collect();
    assert!(lazy.into_iter().eq(1..10_001));
    let mut any: Vec<u64> = pool.imap_unordered(|x: u64| x, 0..10_000).map(Result::unwrap).collect();
    any.sort_unstable();
    assert!(any.into_iter().eq(0..10_000));
    assert_eq!(pool.map_async(|x: u32| x + 1, 0..1000).unwrap().get().unwrap()[999], 1000);
    assert_eq!(pool.map_async(|x: u32| x, []).unwrap().get().unwrap(), []);
    assert_eq!(pool.starmap_async(|x: u8, y: u8| x + y, [(1, 2), (3, 4)]).unwrap().get().unwrap(), [3, 7]);
}

fn each_task_has_its_own_error(make: Make) {
    let pool = two(make);
    let f = |x: u32| if x % 10 == 3 { Err(format!("no {x}")) } else { Ok(x) };
    for (x, result) in pool.map_all(f, 0..400).unwrap().into_iter().enumerate() {
        match result {
            Ok(v) => assert!(v == x as u32 && x % 10 != 3),
            Err(Error::Failed(f)) => assert_eq!(f.message, format!("no {x}")),
            Err(other) => panic!("{other}"),
        }
    }
    assert!(matches!(pool.map(f, 0..400), Err(Error::Failed(_))));
    assert!(pool.map_async(f, 0..400).unwrap().get().is_err());
    let panicked = pool.apply(|x: u8| assert!(x > 5, "too small"), (1,)).unwrap_err();
    assert!(matches!(&panicked, Error::Panicked(p) if p.message == "too small"), "{panicked}");
    let lazy: Vec<_> = pool.imap(f, 0..10).collect();
    assert!(lazy.iter().enumerate().all(|(i, r)| r.is_err() == (i == 3)));
    assert_eq!(pool.apply(|x: u8| x, (1,)).unwrap(), 1, "the worker goes on");
}

fn handles_travel_in_arguments_and_results(make: Make) {
    let pool = two(make);
    let token = mp_process::CancelToken::new().unwrap();
    let back =
        pool.map(|(t, n): (mp_process::CancelToken, u32)| (t, n + 1), (0..50).map(|i| (token.clone(), i)));
    let back = back.unwrap();
    token.cancel();
    assert!(back.iter().enumerate().all(|(i, (t, n))| t.is_cancelled() && *n == i as u32 + 1));
}

fn large_arguments_and_results_travel(make: Make) {
    let pool = two(make);
    let big: Vec<f64> = (0..200_000).map(f64::from).collect();
    let double = |v: Vec<f64>| v.into_iter().map(|x| x * 2.0).collect::<Vec<_>>();
    for doubled in pool.imap(double, (0..40).map(|_| big.clone())) {
        assert_eq!(doubled.unwrap()[100], 200.0);
    }
    // More of them than there are places for, with nobody who takes them.
    let many: Vec<_> = (0..80).map(|_| pool.submit(double, (big[..30_000].to_vec(),)).unwrap()).collect();
    assert!(many.iter().all(|one| one.get().unwrap().len() == 30_000));
}

fn results_can_be_asked_for_later(make: Make) {
    let pool = two(make);
    let slow = pool.apply_async(|ms: u64| std::thread::sleep(Duration::from_millis(ms)), (300,)).unwrap();
    assert!(!slow.is_ready() && slow.is_successful().is_none());
    assert!(matches!(slow.get_timeout(Duration::from_millis(10)), Err(Error::TimedOut { .. })));
    assert!(!slow.wait_timeout(Duration::from_millis(10)).unwrap());
    let many: Vec<_> = (0..500_u64).map(|i| pool.submit(|i: u64| i * 2, (i,)).unwrap()).collect();
    for (i, result) in many.iter().enumerate().rev() {
        assert_eq!(result.get().unwrap(), i as u64 * 2);
        assert_eq!(result.get().unwrap(), i as u64 * 2);
    }
    slow.wait().unwrap();
    assert_eq!(slow.is_successful(), Some(true));
    assert!(!slow.cancel(), "it is done");
}

fn callbacks_run_here_and_their_panics_are_their_own(make: Make) {
    let pool = two(make);
    let (send, receive) = mpsc::channel();
    for i in 0..100_u32 {
        let send = send.clone();
        let done = move |result: mp_pool::Result<u32>| {
            send.send((result.unwrap(), std::process::id())).unwrap();
            assert!(i != 50, "this one panics");
        };
        pool.apply_with_callback(|i: u32| i, (i,), done).unwrap();
    }
    let (good, bad) = (send.clone(), send.clone());
    let f = |x: u32| if x == 0 { Err("zero") } else { Ok(x) };
    for x in [0, 7] {
        let (good, bad) = (good.clone(), bad.clone());
        let done = move |x| good.send((1000 + x, std::process::id())).unwrap();
        pool.apply_with_callbacks(f, (x,), done, move |_| bad.send((2000, std::process::id())).unwrap())
            .unwrap();
    }
    let later = pool.submit(|| 5_u32, ()).unwrap();
    later.wait().unwrap();
    let last = send.clone();
    later.add_done_callback(move |r| last.send((3000 + r.unwrap(), std::process::id())).unwrap());
    drop((send, good, bad, later));
    let mut got: Vec<_> = std::iter::from_fn(|| receive.recv_timeout(PATIENCE).ok()).collect();
    got.sort_unstable();
    assert!(got.iter().map(|(i, _)| *i).eq((0..100).chain([1007, 2000, 3005])));
    assert!(got.iter().all(|(_, pid)| *pid == std::process::id()));
}

fn results_come_as_they_are_completed(make: Make) {
    let pool = two(make);
    let sleepy = |ms: u64| {
        std::thread::sleep(Duration::from_millis(ms));
        ms
    };
    let results: Vec<_> = [400, 1].map(|ms| pool.submit(sleepy, (ms,)).unwrap()).into();
    let order: Vec<u64> = as_completed(results).map(|r| r.get().unwrap()).collect();
    assert_eq!(order, [1, 400]);
    let many = (0..200).map(|i| pool.submit(|i: u64| i, (i,)).unwrap());
    let mut all: Vec<u64> = as_completed(many).map(|r| r.get().unwrap()).collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..200));
}

fn endless_input_is_read_as_it_is_needed(make: Make) {
    let pool = two(make);
    let read = std::cell::Cell::new(0_u64);
    let endless = || (0_u64..).inspect(|i| read.set(*i));
    let first: Vec<u64> = pool.imap(|x: u64| x * 3, endless()).take(1000).map(Result::unwrap).collect();
    assert!(first.iter().enumerate().all(|(i, x)| *x == i as u64 * 3));
    assert!(read.get() < 1000 + 200, "{} were read", read.get());
    assert_eq!(pool.with_read_ahead(3).imap(|x: u64| x, endless()).take(10).count(), 10);
    assert!(read.get() <= 13, "{} were read", read.get());
    let big = endless().map(|i| vec![i; 1000]);
    assert_eq!(
        pool.with_read_ahead_bytes(20_000).imap_unordered(|v: Vec<u64>| v[0], big).take(10).count(),
        10
    );
    assert!(read.get() <= 14, "{} were read", read.get());
}

fn lazy_maps_know_their_length(make: Make) {
    let pool = two(make);
    let mut lazy = pool.imap(|x: u32| x, vec![1; 500]);
    for left in (0..500).rev() {
        assert_eq!(lazy.len(), left + 1);
        lazy.next().unwrap().unwrap();
    }
    assert_eq!((lazy.len(), lazy.next().is_none()), (0, true));
    let mut any = pool.imap_unordered(|x: u32| x, vec![1; 500]);
    any.next();
    assert_eq!(any.len(), 499);
    let endless = pool.imap(|x: u64| x, 0..);
    assert_eq!(endless.size_hint().1, None);
    let mut slow = pool.imap(|ms: u64| std::thread::sleep(Duration::from_millis(ms)), [400]);
    assert!(matches!(slow.next_timeout(Duration::from_millis(5)), Some(Err(Error::TimedOut { .. }))));
    assert!(matches!(slow.next_timeout(PATIENCE), Some(Ok(()))) && slow.next().is_none());
}

fn a_straggler_holds_up_only_itself(make: Make) {
    let pool = two(make);
    let work = |i: u64| std::thread::sleep(Duration::from_millis(if i == 0 { 600 } else { 4 }));
    let started = Instant::now();
    pool.map(work, 0..60).unwrap();
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    // Among tasks of no time at all, those behind it are done by the other.
    let work = |i: u64| std::thread::sleep(Duration::from_millis(if i % 1000 == 50 { 200 } else { 0 }));
    let started = Instant::now();
    pool.map(work, 0..4000).unwrap();
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
}

fn neighbours_stay_together_in_chunks(make: Make) {
    let pool = two(make);
    let who = |i: u64| {
        std::thread::sleep(Duration::from_micros(i % 7 * 100));
        format!("{:?}{}", std::thread::current().id(), std::process::id())
    };
    let who = pool.map_with_chunks(who, 0..300, 10).unwrap();
    assert!(who.chunks(10).all(|chunk| chunk.iter().all(|w| *w == chunk[0])));
}

fn initializers_run_and_failing_ones_break_the_pool(make: Make) {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    static BASE: AtomicU64 = AtomicU64::new(0);
    let set = |base: u64| BASE.store(base, SeqCst);
    let pool = make(Pool::builder().processes(2).initializer(set, (100,))).unwrap();
    let got = pool.map(|x: u64| x + BASE.load(SeqCst), 0..10).unwrap();
    assert!(got.into_iter().eq(100..110));

    let fail = || Err::<(), _>("no database".to_owned());
    let asked = Instant::now();
    let broken = make(Pool::builder().processes(2).initializer(fail, ())).unwrap();
    let error = broken.apply(|| 1_u8, ()).unwrap_err();
    assert!(matches!(&error, Error::PoolBroken { detail } if detail.contains("no database")), "{error}");
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert!(matches!(broken.map(|x: u8| x, 0..9), Err(Error::PoolBroken { .. })));
    assert!(broken.stats().restarts <= 8 && !broken.stats().is_open);
}

fn closing_terminating_and_dropping(make: Make) {
    let one = two(make);
    let result = one.apply_async(|x: u8| x, (9,)).unwrap();
    assert!(matches!(one.join(), Err(Error::InvalidArgument { .. })));
    one.close();
    assert!(matches!(one.apply(|| (), ()), Err(Error::Closed { .. })));
    one.join().unwrap();
    assert_eq!(result.get().unwrap(), 9);

    let two_ = two(make);
    let stuck = two_.apply_async(|| mp_pool::task_token().unwrap().wait(), ()).unwrap();
    let asked = Instant::now();
    two_.terminate();
    assert!(matches!(stuck.get(), Err(Error::Cancelled)));
    drop(two_);
    assert!(asked.elapsed() < PATIENCE);

    let (send, receive) = mpsc::channel();
    let three = two(make);
    for i in 0..20_u8 {
        let send = send.clone();
        three.apply_with_callback(|i: u8| i, (i,), move |r| send.send(r.unwrap()).unwrap()).unwrap();
    }
    drop(three); // lets them finish
    drop(send);
    assert_eq!(receive.iter().count(), 20);

    let four = two(make);
    let sleepy = |ms: u64| std::thread::sleep(Duration::from_millis(ms));
    let results: Vec<_> = (0..10).map(|_| four.submit(sleepy, (50,)).unwrap()).collect();
    four.shutdown(true).unwrap();
    let cancelled = results.iter().filter(|r| matches!(r.get(), Err(Error::Cancelled))).count();
    assert!((6..=10).contains(&cancelled), "{cancelled} of 10 were dropped");
    assert!(results.iter().all(|r| matches!(r.get(), Ok(()) | Err(Error::Cancelled))));
}

fn queued_tasks_can_be_cancelled(make: Make) {
    let pool = make(Pool::builder().processes(1)).unwrap();
    let gate = mp_process::CancelToken::new().unwrap();
    let first = pool.submit(|gate: mp_process::CancelToken| gate.wait(), (gate.clone(),)).unwrap();
    let (kept, dropped) = (pool.submit(|| 1_u8, ()).unwrap(), pool.submit(|| 2_u8, ()).unwrap());
    assert!(dropped.cancel() && !dropped.cancel());
    assert!(matches!(dropped.get(), Err(Error::Cancelled)));
    gate.cancel();
    first.get().unwrap();
    assert_eq!(kept.get().unwrap(), 1);
    assert!(pool.deaths().is_empty(), "nobody was at it");
}

fn a_running_task_is_told_that_it_is_cancelled(make: Make) {
    let pool = make(Pool::builder().processes(1)).unwrap();
    let (told, ever) = (mp_process::CancelToken::new().unwrap(), mp_process::CancelToken::new().unwrap());
    let listen = |told: mp_process::CancelToken, never: mp_process::CancelToken| {
        let error = never.wait().unwrap_err();
        assert!(mp_pool::task_token().unwrap().is_cancelled());
        told.cancel();
        Err::<(), _>(error)
    };
    let result = pool.submit(listen, (told.clone(), ever)).unwrap();
    crate::common::until("it runs", || pool.stats().running.len() == 1);
    assert!(result.cancel());
    assert!(matches!(result.get(), Err(Error::Cancelled)));
    assert!(told.wait_timeout(PATIENCE).unwrap(), "the task was told");
    assert_eq!(pool.apply(|| 1_u8, ()).unwrap(), 1);
    assert!(pool.deaths().is_empty(), "it ended by itself");
}

fn time_limits_are_for_one_task_alone(make: Make) {
    let pool = make(Pool::builder().processes(2).grace(Duration::from_millis(20))).unwrap();
    let work = |ms: u64| {
        std::thread::sleep(Duration::from_millis(ms));
        ms
    };
    let begun = Instant::now();
    let all = pool
        .with_timeout(Duration::from_millis(400))
        .map_all(work, (0..40).map(|i| if i == 7 { 5000 } else { 2 }));
    assert!(begun.elapsed() < Duration::from_millis(4500), "{:?}", begun.elapsed());
    for (i, result) in all.unwrap().into_iter().enumerate() {
        match result {
            Ok(ms) => assert!(ms == 2 && i != 7),
            Err(Error::TimedOut { what }) => assert!(i == 7 && what.contains("task 7"), "{what}"),
            Err(other) => panic!("{i}: {other}"),
        }
    }
    assert!(matches!(
        pool.with_timeout(Duration::from_millis(30)).apply(work, (5000,)),
        Err(Error::TimedOut { .. })
    ));
    assert_eq!(pool.apply(work, (1,)).unwrap(), 1);
}

fn policies_for_the_rest(make: Make) {
    let pool = make(Pool::builder().processes(2).grace(Duration::from_millis(20))).unwrap();
    let fails_first = |i: u64| {
        std::thread::sleep(Duration::from_millis(if i == 0 { 1 } else { 30 }));
        if i == 0 { Err("first") } else { Ok(i) }
    };
    let begun = Instant::now();
    assert!(matches!(pool.map(fails_first, 0..1000), Err(Error::Failed(_))));
    assert!(begun.elapsed() < Duration::from_secs(5), "it did not wait for the rest");
    let rest = pool.on_error(OnError::CancelRest).map_all(fails_first, 0..1000).unwrap();
    assert_eq!(rest.len(), 1000);
    let cancelled = rest.iter().filter(|r| matches!(r, Err(Error::Cancelled))).count();
    assert!(cancelled > 900, "{cancelled}: {:?}", rest.iter().find(|r| !matches!(r, Err(Error::Cancelled))));
    assert!(begun.elapsed() < Duration::from_secs(10));
    let begun = Instant::now();
    assert!(pool.on_error(OnError::Finish).map(fails_first, 0..20).is_err());
    assert!(begun.elapsed() > Duration::from_millis(200), "all were done");
}

fn it_can_grow_and_shrink(make: Make) {
    let pool = make(Pool::builder().processes(1)).unwrap();
    let who = |_: u32| {
        std::thread::sleep(Duration::from_millis(20));
        format!("{:?}{}", std::thread::current().id(), std::process::id())
    };
    let count = |pool: &Pool| {
        let all = pool.map(who, 0..24).unwrap();
        all.into_iter().collect::<std::collections::HashSet<_>>().len()
    };
    assert_eq!(count(&pool), 1);
    pool.resize(3).unwrap();
    assert_eq!((count(&pool), pool.processes()), (3, 3));
    pool.resize(1).unwrap();
    assert_eq!(count(&pool), 1);
    assert!(matches!(pool.resize(0), Err(Error::InvalidArgument { .. })));
    assert!(pool.deaths().is_empty());
}

fn numbers_are_exact(make: Make) {
    let pool = make(Pool::builder().processes(1)).unwrap();
    let gate = mp_process::CancelToken::new().unwrap();
    let wait = |gate: mp_process::CancelToken| gate.wait();
    let all: Vec<_> = (0..5).map(|_| pool.submit(wait, (gate.clone(),)).unwrap()).collect();
    crate::common::until("it runs", || pool.stats().running.len() == 1);
    std::thread::sleep(Duration::from_millis(20));
    let stats = pool.stats();
    assert_eq!((stats.queued, stats.done, stats.failed, stats.workers), (4, 0, 0, 1));
    let running = &stats.running[0];
    assert_eq!((running.call, running.task, &running.who), (0, 0, &pool.workers()[0]));
    assert!(running.running_for >= Duration::from_millis(15), "{running:?}");
    assert!(running.running_for < PATIENCE, "{running:?}");
    gate.cancel();
    all.iter().for_each(|r| r.get().unwrap());
    pool.map_all(|x: u32| if x < 3 { Err("no") } else { Ok(x) }, 0..10).unwrap();
    let stats = pool.stats();
    assert_eq!((stats.queued, stats.running.len(), stats.done, stats.failed), (0, 0, 12, 3));
    assert_eq!((stats.restarts, stats.retried, stats.is_open), (0, 0, true));
}

fn results_can_be_awaited(make: Make) {
    let pool = two(make);
    let results: Vec<_> = (0..50_u64).map(|i| pool.submit(|i: u64| i * i, (i,)).unwrap()).collect();
    let sum = pollster::block_on(async {
        let mut sum = 0;
        for result in results {
            sum += result.await.unwrap();
        }
        sum
    });
    assert_eq!(sum, (0..50).map(|i| i * i).sum());
}

fn many_threads_use_one_pool(make: Make) {
    let owner = two(make);
    let pool: &Pool = &owner;
    std::thread::scope(|scope| {
        for t in 0..6_u64 {
            scope.spawn(move || {
                for round in 0..20 {
                    let got = pool.map(|x: u64| x + 1, t * 1000..t * 1000 + 300).unwrap();
                    assert!(got.into_iter().eq(t * 1000 + 1..t * 1000 + 301));
                    assert_eq!(pool.apply(|x: u64| x, (round,)).unwrap(), round);
                    assert_eq!(pool.imap(|x: u64| x, 0..50).map(Result::unwrap).sum::<u64>(), 1225);
                }
            });
        }
    });
}

/// Ready when a token is cancelled, which a thread waits for.
fn told(token: mp_process::CancelToken) -> impl Future<Output = mp_pool::Result<()>> + 'static {
    let (send, receive) = mpsc::channel();
    let receive = std::sync::Mutex::new(receive);
    let mut waiter = None;
    std::future::poll_fn(move |context| {
        if let Ok(done) = receive.lock().unwrap().try_recv() {
            return std::task::Poll::Ready(done);
        }
        waiter.get_or_insert_with(|| {
            let (send, token, waker) = (send.clone(), token.clone(), context.waker().clone());
            std::thread::spawn(move || {
                send.send(token.wait()).unwrap();
                waker.wake();
            })
        });
        std::task::Poll::Pending
    })
}

fn futures_wait_beside_each_other(make: Make) {
    // One worker, and each waits for the next: only side by side they come to an end.
    let pool = make(Pool::builder().processes(1)).unwrap();
    let tokens: Vec<_> = (0..11).map(|_| mp_process::CancelToken::new().unwrap()).collect();
    let f = |(mine, next, n): (mp_process::CancelToken, mp_process::CancelToken, u32)| async move {
        if n < 9 {
            told(next).await?;
        }
        mine.cancel();
        if n == 4 { Err(Error::Empty) } else { Ok(n) }
    };
    let items = (0..10_u32).map(|n| (tokens[n as usize].clone(), tokens[n as usize + 1].clone(), n));
    let all = pool.map_futures(f, items, 10).unwrap();
    assert!(
        all.iter().enumerate().all(|(n, r)| if n == 4 { r.is_err() } else { *r == Ok(n as u32) }),
        "{all:?}"
    );
    let many = pool.map_futures(|x: u64| async move { x + 1 }, 0..5000, 16).unwrap();
    assert!(many.into_iter().map(Result::unwrap).eq(1..5001));
    let panics = |x: u32| async move { assert!(x != 3, "three") };
    let results = pool.map_futures(panics, 0..6, 4).unwrap();
    assert!(results.iter().enumerate().all(|(x, r)| r.is_err() == (x == 3)));
}
