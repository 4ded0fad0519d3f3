//! Everything at once, while children are killed at random: pools map, producers and consumers talk over queues, buyers share a
//! mutex, and all locks and signals are used. Nothing may hang, nothing may be wrong, nothing may be left.
//!
//! `MP_TORTURE_SECONDS` (3) and `MP_TORTURE_SEED` (of the clock) choose how long and which; `MP_TORTURE_ONLY` names suites
//! (`pool`, `queue`, `pipe`, `sync`, `manager`, with commas in between). `cargo xtask torture` runs it for longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mp::prelude::*;
use mp::{Error, StartMethod};

#[path = "torture/queue.rs"]
mod lines;
#[path = "torture/manager.rs"]
mod manager;
#[path = "torture/pipe.rs"]
mod pipe;
#[path = "torture/sync.rs"]
mod sync;

mp::enable_in_tests!();

/// An operation that takes longer has hung.
const PATIENCE: Duration = Duration::from_secs(30);

/// A small generator, so that a seed repeats the choices (not the interleavings).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides.max(1)
    }
}

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Ends the whole test with a word about where, if it is not fed in time.
struct Watchdog(Arc<(AtomicU64, AtomicBool)>);

impl Watchdog {
    fn start(what: &'static str) -> Watchdog {
        let state = Arc::new((AtomicU64::new(0), AtomicBool::new(false)));
        let seen = state.clone();
        std::thread::spawn(move || {
            let (mut last, mut since) = (u64::MAX, Instant::now());
            while !seen.1.load(SeqCst) {
                std::thread::sleep(Duration::from_millis(100));
                let now = seen.0.load(SeqCst);
                if now != last {
                    (last, since) = (now, Instant::now());
                } else if since.elapsed() > PATIENCE {
                    eprintln!("torture: {what} has hung after {now} rounds");
                    std::process::abort();
                }
            }
        });
        Watchdog(state)
    }

    fn feed(&self) {
        self.0.0.fetch_add(1, SeqCst);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.1.store(true, SeqCst);
    }
}

fn produce(out: Sender<(u32, u64)>, me: u32, big: Sender<Vec<u64>>) -> mp::Result<()> {
    for n in 0.. {
        out.put((me, n))?;
        if n % 50 == 0 {
            big.put(vec![n; 2000])?;
        }
    }
    Ok(())
}

fn sell(stock: Mutex<[u64; 2]>) -> mp::Result<()> {
    loop {
        let mut both = match stock.lock() {
            Ok(guard) => guard,
            // Its owner was killed in the middle: make the two agree again.
            Err(mp::sync::LockError::OwnerDied(died)) => {
                let mut guard = died.into_guard();
                guard[1] = guard[0];
                guard.mark_consistent();
                guard
            }
            Err(mp::sync::LockError::Failed(error)) => return Err(error),
        };
        assert_eq!(both[0], both[1], "changed by two at once");
        both[0] += 1;
        std::hint::spin_loop();
        both[1] += 1;
    }
}

fn pools(dice: &mut Dice, until: Instant) {
    let dog = Watchdog::start("the pool");
    let (mut rounds, mut lost, mut deaths) = (0_u64, 0_u64, 0_usize);
    let mut killer = Dice(dice.roll(u64::MAX) | 1);
    while Instant::now() < until {
        let pool = Pool::new(3).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    let workers = pool.workers();
                    if let Some(victim) = workers.get(killer.roll(workers.len() as u64) as usize) {
                        kill(victim.pid);
                    }
                    std::thread::sleep(Duration::from_micros(killer.roll(8000)));
                }
            });
            for _ in 0..20 {
                let n = 1 + dice.roll(400);
                let mapped = pool.map_all(|x: u64| (x, vec![x as u8; 300]), 0..n).unwrap();
                assert_eq!(mapped.len() as u64, n);
                for (i, result) in mapped.into_iter().enumerate() {
                    match result {
                        Ok((x, bytes)) => assert!(x == i as u64 && bytes == vec![i as u8; 300]),
                        Err(error) => lost += died(&error),
                    }
                }
                for (i, result) in pool.imap(|x: u64| x + 1, 0..n).enumerate() {
                    match result {
                        Ok(x) => assert_eq!(x, i as u64 + 1),
                        Err(error) => lost += died(&error),
                    }
                }
                rounds += 1;
                dog.feed();
            }
            done.store(true, SeqCst);
        });
        deaths += pool.deaths().len();
        drop(pool);
        dog.feed();
    }
    assert!(lost <= deaths as u64, "a death costs one task at most: {lost} lost, {deaths} deaths");
    eprintln!("torture: {rounds} rounds of maps, {deaths} workers killed, {lost} of them at a task");
}

/// One, for a task that died with its worker; anything else is wrong.
fn died(error: &Error) -> u64 {
    assert!(matches!(error, Error::Died { .. }), "{error}");
    1
}

fn talkers(dice: &mut Dice, until: Instant, method: StartMethod) {
    let dog = Watchdog::start("the queues");
    let stock = Mutex::new([0_u64; 2]).unwrap();
    let mut kills = 0;
    while Instant::now() < until {
        let (tx, rx) = queue::bounded(64).unwrap();
        let (big_tx, big_rx) = queue::unbounded().unwrap();
        let start = || Process::builder().daemon(true).start_method(method);
        let producers: Vec<_> =
            (0..2_u32).map(|me| start().spawn(produce, (tx.clone(), me, big_tx.clone())).unwrap()).collect();
        drop((tx, big_tx));
        let sellers: Vec<_> = (0..2).map(|_| start().spawn(sell, (stock.clone(),)).unwrap()).collect();
        let mut next = [0_u64; 2];
        let patience = 200 + dice.roll(2000);
        for _ in 0..patience {
            let (who, n) = rx.get().unwrap();
            assert_eq!(n, next[who as usize], "in order, none lost, none twice");
            next[who as usize] += 1;
        }
        while let Ok(big) = big_rx.try_get() {
            assert!(big.len() == 2000 && big.iter().all(|n| *n == big[0]));
        }
        for child in producers.iter().chain(&sellers) {
            child.kill().unwrap();
            kills += 1;
        }
        // Whole messages that were in the queue come; then the end is told.
        let told = loop {
            match rx.get() {
                Ok((who, n)) => {
                    assert_eq!(n, next[who as usize]);
                    next[who as usize] += 1;
                }
                Err(error) => break error,
            }
        };
        assert!(matches!(told, Error::Disconnected { .. }), "{told}");
        for child in producers.iter().chain(&sellers) {
            child.wait().unwrap();
        }
        dog.feed();
    }
    eprintln!("torture ({method}): {kills} talkers killed");
}

fn kill(pid: u32) {
    let command = if cfg!(windows) { "taskkill" } else { "kill" };
    let pid = pid.to_string();
    let args: &[&str] = if cfg!(windows) { &["/F", "/PID", &pid] } else { &["-9", &pid] };
    // It may have gone by itself.
    let _ = std::process::Command::new(command).args(args).output().unwrap();
}

/// Stops a process, or lets it go on.
fn signal(pid: u32, how: &str) {
    // It may have gone by itself.
    let _ = std::process::Command::new("kill").args([how, &pid.to_string()]).output().unwrap();
}

/// Whether a suite was asked for.
fn is_asked_for(suite: &str) -> bool {
    std::env::var("MP_TORTURE_ONLY").map_or(true, |only| only.split(',').any(|name| name == suite))
}

#[test]
fn everything_at_once_while_children_are_killed() {
    let seed = env("MP_TORTURE_SEED")
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64))
        | 1;
    let seconds = env("MP_TORTURE_SECONDS").unwrap_or(3);
    eprintln!("torture: MP_TORTURE_SEED={seed} MP_TORTURE_SECONDS={seconds}");
    let session = mp::session::Session::current().unwrap();
    // The first of everything, so that what is made once is there.
    Pool::new(1).unwrap().apply(|| (), ()).unwrap();
    let before = session.stats();
    let until = Instant::now() + Duration::from_secs(seconds);
    std::thread::scope(|scope| {
        if is_asked_for("pool") {
            scope.spawn(|| pools(&mut Dice(seed), until));
        }
        for (i, method) in StartMethod::available().iter().enumerate() {
            let dice = move |by: u32| Dice(seed.rotate_left(by + i as u32));
            if is_asked_for("queue") {
                scope.spawn(move || talkers(&mut dice(17), until, *method));
                scope.spawn(move || lines::lines(&mut dice(27), until, *method));
            }
            if is_asked_for("pipe") {
                scope.spawn(move || pipe::pipes(&mut dice(29), until, *method));
            }
            if is_asked_for("sync") {
                scope.spawn(move || sync::locks(&mut dice(37), until, *method));
            }
            if is_asked_for("manager") {
                scope.spawn(move || manager::containers(&mut dice(23), until, *method));
            }
        }
    });
    // One child may have been forked ahead for a start that does not come.
    mp::process::__private::dismiss_spare().unwrap();
    // The threads' own slots go as they end; look until then.
    let mut after = session.stats();
    for _ in 0..100 {
        if after.threads <= before.threads
            && after.members <= before.members
            && after.objects <= before.objects
        {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        after = session.stats();
    }
    eprintln!("torture: before {before:?}, after {after:?}");
    assert_eq!(
        (after.objects, after.members),
        (before.objects, before.members),
        "left: {:?}",
        session.objects()
    );
    assert!(
        after.bytes_in_use <= before.bytes_in_use + 64 * 1024,
        "this process's ledger may have grown, nothing else"
    );
}
