//! Four processes of one function, each with its own delay. Their ends come in the order of the delays, for the parent
//! starts them all before it waits for any.

use std::thread::sleep;
use std::time::{Duration, Instant};

use mp::prelude::*;

fn worker(number: u64, delay: Duration) -> u64 {
    println!("worker {number}: starts");
    sleep(delay);
    println!("worker {number}: ends after {delay:?}");
    number
}

#[mp::main]
fn main() -> mp::Result<()> {
    let started = Instant::now();
    // As good as random: the address of a local differs from run to run.
    let seed = std::ptr::from_ref(&started) as u64 >> 4;
    let delay = |n: u64| Duration::from_millis(100 + (seed.wrapping_mul(2 * n + 1) >> 3) % 200);
    let workers: Vec<_> =
        (1..=4).map(|n| Process::spawn(worker, (n, delay(n)))).collect::<mp::Result<_>>()?;
    println!("parent: all four are started after {:.1?}", started.elapsed());
    assert!(workers.iter().filter(|w| w.is_alive()).count() >= 2, "they run beside each other");

    let numbers: Vec<u64> = workers.iter().map(|w| w.join()).collect::<mp::Result<_>>()?;
    assert_eq!(numbers, [1, 2, 3, 4]);
    println!("parent: all four have ended after {:.1?}", started.elapsed());
    Ok(())
}
