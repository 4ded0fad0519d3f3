//! A thousand processes, and for comparison a thousand threads: how long it takes to start and join them all. Each adds its
//! number to a sum in the session's memory, so that it shows if one is lost.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use mp::prelude::*;

/// Runs them all and returns the sum of what they returned.
type Run = fn(&Mutex<u64>) -> mp::Result<u64>;

const COUNT: u64 = 1000;
/// So many live at once. A process of this program takes about a megabyte of memory of its own, and systems limit how many a user has.
const AT_ONCE: usize = 100;

fn add(sum: Mutex<u64>, number: u64) -> mp::Result<u64> {
    *sum.lock()? += number;
    Ok(number)
}

fn processes(sum: &Mutex<u64>) -> mp::Result<u64> {
    let mut living = VecDeque::new();
    let mut returned = 0;
    for number in 1..=COUNT {
        if living.len() == AT_ONCE {
            returned += living.pop_front().map_or(Ok(0), |child: Process<u64>| child.join())?;
        }
        living.push_back(Process::spawn(add, (sum.clone(), number))?);
    }
    for child in living {
        returned += child.join()?;
    }
    Ok(returned)
}

fn threads(sum: &Mutex<u64>) -> mp::Result<u64> {
    let threads: Vec<_> = (1..=COUNT)
        .map(|number| {
            let sum = sum.clone();
            std::thread::spawn(move || add(sum, number))
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
}

#[mp::main]
fn main() -> mp::Result<()> {
    let expected = COUNT * (COUNT + 1) / 2;
    let runs: [(&str, Run); 2] = [("processes", processes), ("threads", threads)];
    for (what, run) in runs {
        let sum = Mutex::new(0)?;
        let begun = Instant::now();
        let returned = run(&sum)?;
        let took = begun.elapsed();
        println!("{COUNT} {what}: {took:.2?}, {:.0?} each", took / COUNT as u32);
        assert_eq!((returned, *sum.lock()?), (expected, expected), "none was lost");
        assert!(took < Duration::from_secs(60));
    }
    Ok(())
}
