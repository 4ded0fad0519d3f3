//! Three processes sleep for 0, 1 and 2 units of time. Joining them all takes as long as the longest, not the sum.

use std::time::{Duration, Instant};

use mp::prelude::*;

const UNIT: Duration = Duration::from_millis(300);

fn sleeper(units: u32) -> u32 {
    std::thread::sleep(UNIT * units);
    units
}

#[mp::main]
fn main() -> mp::Result<()> {
    let started = Instant::now();
    let sleepers: Vec<_> = (0..3).map(|n| Process::spawn(sleeper, (n,))).collect::<mp::Result<_>>()?;
    for child in &sleepers {
        let units = child.join()?;
        println!("{} slept {units} units; {:.1?} since the start", child.name(), started.elapsed());
    }
    let total = started.elapsed();
    assert!(total >= UNIT * 2);
    assert!(total < UNIT * 3, "in turn it would have been {:?}", UNIT * 3);
    Ok(())
}
