//! Six workers, and room for two at a time; and a worker that is killed inside.

use std::time::Duration;

use mp::prelude::*;
use mp::sync::Semaphore;

/// How many are inside, and the most that ever were.
type Inside = Mutex<[u32; 2]>;

fn work(room: Semaphore, inside: Inside, worker: u32) -> mp::Result<()> {
    println!("worker {worker} waits");
    let _permit = room.acquire_guard()?;
    {
        let mut inside = inside.lock()?;
        inside[0] += 1;
        inside[1] = inside[1].max(inside[0]);
        println!("worker {worker} is in, {} inside", inside[0]);
    }
    std::thread::sleep(Duration::from_millis(100));
    inside.lock()?[0] -= 1;
    println!("worker {worker} goes");
    Ok(())
}

fn stay(room: Semaphore, entered: Sender<()>) -> mp::Result<()> {
    let _permit = room.acquire_guard()?;
    entered.put(())?;
    loop {
        std::thread::park();
    }
}

#[mp::main]
fn main() -> mp::Result<()> {
    let room = Semaphore::new(2)?;
    let inside = Mutex::new([0, 0])?;
    let workers: Vec<_> = (1..=6)
        .map(|n| Process::spawn(work, (room.clone(), inside.clone(), n)))
        .collect::<mp::Result<_>>()?;
    workers.iter().try_for_each(Process::join)?;
    let [left, most] = *inside.lock()?;
    println!("{most} at a time");
    assert!(left == 0 && (1..=2).contains(&most), "never more than two");

    // A guard owns its permit: the permit of a worker that is killed inside comes back.
    let (entered, is_in) = queue::unbounded()?;
    let victim = Process::spawn(stay, (room.clone(), entered))?;
    is_in.get()?;
    assert_eq!(room.get_value(), 1);
    victim.kill()?;
    println!("the victim: {}", victim.join().unwrap_err());
    let both = (room.acquire_guard()?, room.acquire_guard()?);
    println!("both permits are there");
    drop(both);
    Ok(())
}
