//! Rounds of {start a child that creates, clones, sends, holds locks, blocks and queues; `kill -9` it at any moment}, with a sweeper
//! that is killed, too: the session, the descriptors, the process table and `/dev/shm` end where they began.
//!
//! `MP_TEST_ROUNDS` sets how many (150; the long form is 10000), `MP_TEST_SEED` repeats the choices.
#![cfg(target_os = "linux")] // looks at `/proc` and `/dev/shm`

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mp::prelude::*;
use mp::session::Session;
use mp::sync::LockError;
use mp::{StartMethod, sync};

mp::enable_in_tests!();

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % sides
    }
}

/// What the children share, and may be killed holding.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Common {
    stock: Mutex<u64>,
    lock: sync::Lock,
    numbers: (Sender<Vec<u64>>, Receiver<Vec<u64>>),
    /// Handles, in messages that may never be taken.
    handles: (Sender<Parcel>, Receiver<Parcel>),
}

type Parcel = (Mutex<u64>, Sender<u64>, Receiver<u64>);

impl Common {
    fn new() -> Common {
        Common {
            stock: Mutex::new(0).unwrap(),
            lock: sync::Lock::new().unwrap(),
            numbers: queue::bounded(8).unwrap(),
            handles: queue::bounded(8).unwrap(),
        }
    }

    /// Takes out what children left, and makes the mutex consistent.
    fn drain(&self) {
        while self.numbers.1.try_get().is_ok() {}
        while self.handles.1.try_get().is_ok() {}
        match self.stock.lock() {
            Ok(_) => {}
            Err(LockError::OwnerDied(died)) => died.into_guard().mark_consistent(),
            Err(LockError::Failed(error)) => panic!("{error}"),
        }
    }
}

fn victim(common: Common, seed: u64) -> mp::Result<()> {
    let mut dice = Dice(seed | 1);
    let mut kept: Vec<Parcel> = Vec::new();
    loop {
        match dice.roll(8) {
            0 => {
                let (tx, rx) = queue::bounded(4)?;
                tx.put(dice.roll(100))?;
                kept.push((Mutex::new(7)?, tx, rx));
            }
            1 => kept.extend(kept.last().cloned()),
            2 => {
                if let Some(parcel) = kept.pop() {
                    common.handles.0.put(parcel)?; // may block for ever, and be killed blocked
                }
            }
            3 => kept.push(common.handles.1.get()?),
            4 => common.numbers.0.put(vec![dice.roll(9); dice.roll(2_000) as usize])?,
            5 => drop(common.numbers.1.get()?),
            6 => match common.stock.lock() {
                Ok(mut guard) => *guard += 1,
                Err(LockError::OwnerDied(died)) => died.into_guard().mark_consistent(),
                Err(LockError::Failed(error)) => return Err(error),
            },
            _ => {
                // Whoever died holding it has given it back.
                let _held = common.lock.lock();
                std::thread::yield_now();
            }
        }
        if kept.len() > 20 {
            kept.truncate(dice.roll(10) as usize);
        }
    }
}

fn sweeper() -> mp::Result<()> {
    let session = Session::current()?;
    loop {
        session.notice_deaths()?;
    }
}

fn names(directory: &str) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return BTreeSet::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

/// How many processes have us as their parent, zombies included.
fn children() -> usize {
    let me = std::process::id().to_string();
    let parent = |pid: &String| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat[stat.rfind(')')? + 1..].split_ascii_whitespace().nth(1).map(str::to_owned)
    };
    names("/proc").iter().filter(|name| parent(name).as_ref() == Some(&me)).count()
}

#[derive(Debug, PartialEq)]
struct Held {
    bytes: u64,
    objects: u64,
    members: u32,
    threads: u32,
    descriptors: usize,
    processes: usize,
    shm: BTreeSet<String>,
}

fn held(session: &Session) -> Held {
    let now = session.stats();
    Held {
        bytes: now.bytes_in_use,
        objects: now.objects,
        members: now.members,
        threads: now.threads,
        descriptors: names("/proc/self/fd").len(),
        processes: children(),
        shm: names("/dev/shm").into_iter().filter(|name| name.contains("mp")).collect(),
    }
}

/// Clears away who died, and the child that a fork server may have started ahead.
fn rest(session: &Session) {
    mp::process::__private::dismiss_spare().unwrap();
    session.notice_deaths().unwrap();
}

fn rests_as(session: &Session, common: &Common, before: &Held) -> bool {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        rest(session);
        common.drain();
        if held(session) == *before {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn rounds_of_kills_end_where_they_began() {
    let rounds = env("MP_TEST_ROUNDS").unwrap_or(150);
    let clock = || std::time::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_nanos() as u64);
    let seed = env("MP_TEST_SEED").unwrap_or_else(clock) | 1;
    eprintln!("rounds: MP_TEST_SEED={seed} MP_TEST_ROUNDS={rounds}");
    let mut dice = Dice(seed);
    let session = Session::current().unwrap();
    let common = Common::new();
    let methods = StartMethod::available();
    let mut swept = 0;
    let mut round = |dice: &mut Dice, method: StartMethod| {
        let start = || Process::builder().start_method(method);
        let sweeps = dice.roll(4) == 0;
        let sweeping = sweeps.then(|| start().spawn(sweeper, ()).unwrap());
        let child = start().spawn(victim, (common.clone(), dice.roll(1 << 60))).unwrap();
        std::thread::sleep(Duration::from_micros(dice.roll(4_000)));
        let sweeper_first = dice.roll(2) == 0;
        if sweeper_first && let Some(sweeping) = &sweeping {
            sweeping.kill().unwrap();
        }
        child.kill().unwrap();
        if !sweeper_first && let Some(sweeping) = &sweeping {
            // In the middle of its work, if it was fast.
            std::thread::sleep(Duration::from_micros(dice.roll(150)));
            sweeping.kill().unwrap();
        }
        swept += u64::from(sweeps);
        for ended in sweeping.map(|s| s.erase()).into_iter().chain([child.erase()]) {
            ended.wait().unwrap();
        }
        common.drain();
    };
    // What is made once is made now: fork servers, first chunks of the ledger, rings.
    (0..20).for_each(|i| round(&mut dice, methods[i % methods.len()]));
    let settled = || {
        rest(&session);
        session.stats().members == 1
    };
    let until = Instant::now() + Duration::from_secs(20);
    while !settled() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let before = held(&session);
    let begun = Instant::now();
    for i in 0..rounds {
        round(&mut dice, methods[i as usize % methods.len()]);
        if i % 50 == 49 || i + 1 == rounds {
            assert!(
                rests_as(&session, &common, &before),
                "after {i} rounds: {:?}, at first {before:?}",
                held(&session)
            );
        }
    }
    eprintln!(
        "{rounds} rounds in {:?}, {swept} with a sweeper that was killed; {} deaths; touched {} KiB",
        begun.elapsed(),
        session.stats().deaths,
        session.stats().bytes_touched >> 10
    );
}
