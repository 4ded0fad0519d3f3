//! Every lock and signal at once, in processes that are killed, stopped and continued at random.
//!
//! Each worker does one thing after the other and checks, each time, what must be so whoever died. The parent does the same, with bounds
//! on how long it may take; when all workers are dead it checks that nothing is missing.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use mp::prelude::*;
use mp::sync::{LockError, OnceLock};
use mp::{Error, StartMethod};

use super::{Dice, PATIENCE, Watchdog, signal};

const SEATS: u64 = 2;
const BRIEF: Duration = Duration::from_millis(2);

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Things {
    lock: Lock,
    rlock: RLock,
    pair: Mutex<[u64; 2]>,
    rates: RwLock<[u64; 2]>,
    seats: Semaphore,
    event: Event,
    basket: Condition<Mutex<[u64; 2]>>,
    meet: Barrier,
    /// Who is inside of `lock`, and of `rlock`.
    inside: OnceLock<[AtomicU64; 2]>,
}

impl Things {
    fn new() -> mp::Result<Things> {
        Ok(Things {
            lock: Lock::named("lock")?,
            rlock: RLock::new()?,
            pair: Mutex::new([0; 2])?,
            rates: RwLock::new([0; 2])?,
            seats: Semaphore::new(SEATS)?,
            event: Event::new()?,
            basket: Condition::on(Mutex::new([0; 2])?)?,
            meet: Barrier::new(3)?,
            inside: OnceLock::new()?,
        })
    }

    fn inside(&self, i: usize) -> &AtomicU64 {
        &self.inside.get_or_init(Default::default).expect("nobody panics over it")[i]
    }

    /// The calling process is inside alone, or the last one died there and we were told.
    fn alone(&self, i: usize, told: bool) {
        let before = self.inside(i).swap(u64::from(std::process::id()), SeqCst);
        assert!(before == 0 || told, "{before} is inside, too");
        std::hint::spin_loop();
        assert_eq!(self.inside(i).swap(0, SeqCst), u64::from(std::process::id()));
    }

    /// One thing, which must not take longer than `patience` when that is to be had at all.
    fn step(&self, dice: &mut Dice, patience: Duration) -> mp::Result<()> {
        let late = |what: &str| Error::TimedOut { what: what.into() };
        match dice.roll(9) {
            0 => {
                let guard = self.lock.lock_timeout(patience)?.ok_or_else(|| late("Lock"))?;
                self.alone(0, guard.owner_died().is_some());
            }
            1 => {
                let guard = self.rlock.lock_timeout(patience)?.ok_or_else(|| late("RLock"))?;
                let again = self.rlock.lock()?;
                assert!(again.owner_died().is_none() && self.rlock.depth()? == 2);
                self.alone(1, guard.owner_died().is_some());
            }
            2 => {
                let repair = |e: LockError<_>| e.repair(|v: &mut [u64; 2]| v[1] = v[0]).map(Some);
                let guard = self.pair.lock_timeout(patience).or_else(repair)?;
                change(&mut *guard.ok_or_else(|| late("Mutex"))?);
            }
            3 => match self.rates.read_timeout(patience) {
                Ok(guard) => {
                    let rates = guard.ok_or_else(|| late("reading"))?;
                    assert_eq!(rates[0], rates[1]);
                }
                Err(LockError::OwnerDied(_)) => {}
                Err(LockError::Failed(error)) => return Err(error),
            },
            4 => {
                let repair = |e: LockError<_>| e.repair(|v: &mut [u64; 2]| v[1] = v[0]).map(Some);
                let guard = self.rates.write_timeout(patience).or_else(repair)?;
                change(&mut *guard.ok_or_else(|| late("writing"))?);
            }
            5 => {
                let seat = self.seats.acquire_guard_timeout(patience)?.ok_or_else(|| late("a seat"))?;
                assert!(self.seats.get_value() < SEATS, "ours is taken");
                drop(seat);
            }
            6 => match dice.roll(4) {
                0 => self.event.set()?,
                1 => self.event.clear()?,
                _ => drop(self.event.wait_timeout(BRIEF / 4)?),
            },
            7 => {
                let repair = |e: LockError<_>| e.repair(|_: &mut [u64; 2]| ());
                let mut basket = self.basket.lock().or_else(repair)?;
                if dice.roll(2) == 0 {
                    basket[0] += 1;
                    self.basket.notify(1 + dice.roll(2) as usize)?;
                } else if basket[0] > 0 {
                    basket[0] -= 1;
                } else {
                    let waited = self.basket.wait_for_timeout(basket, BRIEF, |b| b[0] > 0);
                    match waited {
                        Ok((mut basket, true)) => basket[0] -= 1,
                        Ok(_) | Err(LockError::OwnerDied(_)) => {}
                        Err(LockError::Failed(error)) => return Err(error),
                    }
                }
            }
            _ => match self.meet.wait_timeout(BRIEF) {
                Ok(place) => assert!(place < 3),
                Err(Error::Broken { .. }) => self.meet.reset()?,
                Err(Error::TimedOut { .. }) => {}
                Err(error) => return Err(error),
            },
        }
        Ok(())
    }
}

/// What a death may leave half done.
fn change(both: &mut [u64; 2]) {
    assert_eq!(both[0], both[1], "changed by two at once");
    both[0] += 1;
    std::hint::spin_loop();
    both[1] += 1;
}

fn work(things: Things, seed: u64) -> mp::Result<()> {
    let mut dice = Dice(seed | 1);
    loop {
        things.step(&mut dice, PATIENCE)?;
    }
}

pub(super) fn locks(dice: &mut Dice, until: Instant, method: StartMethod) {
    let dog = Watchdog::start("locks and signals");
    let (mut kills, mut stops, mut rounds) = (0, 0, 0);
    while Instant::now() < until {
        let things = Things::new().unwrap();
        let start = |dice: &mut Dice| {
            let arguments = (things.clone(), dice.roll(u64::MAX));
            Process::builder().daemon(true).start_method(method).spawn(work, arguments).unwrap()
        };
        let mut workers: Vec<_> = (0..3).map(|_| start(dice)).collect();
        for _ in 0..30 {
            for _ in 0..dice.roll(60) {
                things.step(dice, PATIENCE).unwrap();
            }
            let at = dice.roll(3) as usize;
            if !workers[at].is_alive() {
                workers[at].join().unwrap(); // only by an error that was not expected
            }
            if dice.roll(3) == 0 && cfg!(unix) {
                signal(workers[at].pid(), "-STOP");
                std::thread::sleep(Duration::from_micros(dice.roll(4000)));
                signal(workers[at].pid(), "-CONT");
                stops += 1;
            } else {
                workers[at].kill().unwrap();
                workers[at].wait().unwrap();
                workers[at] = start(dice);
                kills += 1;
            }
            dog.feed();
        }
        for worker in &workers {
            worker.kill().unwrap();
        }
        for worker in &workers {
            worker.wait().unwrap();
        }
        check(&things);
        rounds += 1;
        dog.feed();
    }
    eprintln!("torture ({method}): {rounds} rounds of locks and signals, {kills} killed, {stops} stopped");
}

/// All others are dead: everything is to be had, and nothing more.
fn check(things: &Things) {
    let permits: Vec<_> = (0..SEATS)
        .map(|_| things.seats.acquire_guard_timeout(PATIENCE).unwrap().expect("a permit"))
        .collect();
    assert!(things.seats.try_acquire_guard().unwrap().is_none(), "each permit returned once");
    drop(permits);
    assert_eq!(things.seats.get_value(), SEATS);
    let mut dice = Dice(1);
    for _ in 0..200 {
        things.step(&mut dice, PATIENCE).unwrap();
    }
    assert!(!things.lock.locked() && !things.rlock.locked() && !things.rates.locked());
}
