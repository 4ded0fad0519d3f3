//! Containers while those who change them are killed, stopped and continued at random.
//!
//! Workers and parent move units between accounts of a dict (a transaction over two entries), count up, and use a list as a queue of
//! numbered jobs, with large values in between. After each death the parent looks: no unit is lost or made, each entry is whole, the
//! length is exact; and nobody waits.

use std::time::{Duration, Instant};

use mp::StartMethod;
use mp::manager::{Host, Hosted, Keeper, Service};
use mp::prelude::*;

use super::{Dice, PATIENCE, Watchdog, signal};

const ACCOUNTS: u64 = 64;
const EACH: u64 = 1000;

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Things {
    /// Under the lock: what is taken from one is given to another, in one step.
    accounts: Dict<u64, u64>,
    bank: Lock,
    texts: Dict<u64, (u64, String)>,
    jobs: List<(u64, String)>,
    seen: Set<u64>,
    counts: Namespace,
    hosted: Hosted<Adder>,
}

/// Adds up in a server, which is killed as well.
struct Adder(u64);

impl Service for Adder {
    type Setup = ();
    type Call = u64;
    type Reply = u64;
    type Snapshot = u64;

    fn start((): (), keeper: &Keeper<u64>) -> mp::Result<Adder> {
        Ok(Adder(keeper.last()?.unwrap_or(0)))
    }

    fn call(&mut self, more: u64, keeper: &Keeper<u64>) -> mp::Result<u64> {
        if more == u64::MAX {
            return Ok(u64::from(std::process::id()));
        }
        self.0 += more;
        keeper.save(&self.0)?;
        Ok(self.0)
    }
}

/// Small, middling, or so large that it is a message.
fn text(n: u64) -> String {
    match n % 5 {
        0 => "x".repeat(1200 + n as usize % 3000),
        1 => "y".repeat(n as usize % 100),
        _ => n.to_string(),
    }
}

impl Things {
    fn new(hosted: Hosted<Adder>) -> mp::Result<Things> {
        let accounts = Dict::new()?;
        accounts.update((0..ACCOUNTS).map(|n| (n, EACH)))?;
        Ok(Things {
            accounts,
            bank: Lock::new()?,
            texts: Dict::new()?,
            jobs: List::new()?,
            seen: Set::new()?,
            counts: Namespace::new()?,
            hosted,
        })
    }

    fn step(&self, dice: &mut Dice) -> mp::Result<()> {
        let n = dice.roll(200);
        match dice.roll(12) {
            0 | 1 => {
                let (from, to) = (dice.roll(ACCOUNTS), dice.roll(ACCOUNTS));
                let _bank = self.bank.lock()?;
                let has = self.accounts.get(&from)?.expect("accounts stay");
                if from != to && has > 0 {
                    let gets = self.accounts.get(&to)?.expect("accounts stay");
                    self.accounts.update([(from, has - 1), (to, gets + 1)])?;
                }
            }
            2 | 3 => self.texts.insert(&n, (n, text(n)))?,
            4 => {
                if let Some((key, value)) = self.texts.pop(&n)? {
                    assert!(key == n && value == text(n));
                }
            }
            5 => {
                if let Some((n, (key, value))) = self.texts.pop_item()? {
                    assert!(key == n && value == text(n));
                }
            }
            6 => self.jobs.append((n, text(n)))?,
            7 => {
                if let Some((n, job)) = self.jobs.pop_at(0)? {
                    assert_eq!(job, text(n));
                }
            }
            8 => {
                self.jobs.insert(dice.roll(20) as usize, (n, text(n)))?;
                self.jobs.splice(5..5 + dice.roll(3) as usize, [])?;
            }
            9 => {
                self.seen.add(&n)?;
                self.seen.remove(&dice.roll(200))?;
            }
            10 => self.counts.alter("steps", |n: Option<u64>| n.unwrap_or(0) + 1)?,
            _ => match self.hosted.call(1) {
                Ok(_) => {}
                Err(error) if error.is_death() => {}
                Err(error) => return Err(error),
            },
        }
        Ok(())
    }

    fn check(&self) -> mp::Result<()> {
        let accounts = self.accounts.values()?;
        assert_eq!((accounts.len() as u64, accounts.iter().sum::<u64>()), (ACCOUNTS, ACCOUNTS * EACH));
        for (key, (n, value)) in self.texts.items()? {
            assert!(key == n && value == text(n), "{key} {n}");
        }
        for (n, job) in self.jobs.to_vec()? {
            assert_eq!(job, text(n));
        }
        Ok(())
    }
}

fn work(things: Things, seed: u64) -> mp::Result<()> {
    let mut dice = Dice(seed | 1);
    loop {
        things.step(&mut dice)?;
    }
}

pub(super) fn containers(dice: &mut Dice, until: Instant, method: StartMethod) {
    let dog = Watchdog::start("containers");
    let (mut kills, mut stops, mut rounds) = (0, 0, 0);
    while Instant::now() < until {
        let host = Host::<Adder>::start(()).unwrap();
        let things = Things::new(host.handle()).unwrap();
        let start = |dice: &mut Dice| {
            let arguments = (things.clone(), dice.roll(u64::MAX));
            Process::builder().daemon(true).start_method(method).spawn(work, arguments).unwrap()
        };
        let mut workers: Vec<_> = (0..3).map(|_| start(dice)).collect();
        for _ in 0..20 {
            for _ in 0..dice.roll(60) {
                things.step(dice).unwrap();
            }
            let at = dice.roll(3) as usize;
            if !workers[at].is_alive() {
                workers[at].join().unwrap(); // only by an error that was not expected
            }
            match dice.roll(4) {
                0 if cfg!(unix) => {
                    signal(workers[at].pid(), "-STOP");
                    std::thread::sleep(Duration::from_micros(dice.roll(4000)));
                    signal(workers[at].pid(), "-CONT");
                    stops += 1;
                }
                1 => {
                    // The server: whoever waits for it is told, and the next one goes on with what was saved.
                    if let Ok(pid) = things.hosted.call(u64::MAX) {
                        super::kill(pid as u32);
                        kills += 1;
                    }
                }
                _ => {
                    workers[at].kill().unwrap();
                    workers[at].wait().unwrap();
                    workers[at] = start(dice);
                    kills += 1;
                }
            }
            let _bank = things.bank.lock_timeout(PATIENCE).unwrap().expect("the bank's lock passes on");
            things.check().unwrap();
            dog.feed();
        }
        for worker in &workers {
            worker.kill().unwrap();
        }
        for worker in &workers {
            worker.wait().unwrap();
        }
        things.check().unwrap();
        rounds += 1;
        dog.feed();
    }
    eprintln!("torture ({method}): {rounds} rounds of containers, {kills} killed, {stops} stopped");
}
