//! A function with a name and a delay runs in a child process, while the parent goes on.

use std::thread::sleep;
use std::time::{Duration, Instant};

use mp::prelude::*;

fn worker(name: String, delay: Duration) -> u32 {
    println!("child: {name} starts in process {}", std::process::id());
    sleep(delay);
    println!("child: {name} has finished");
    std::process::id()
}

#[mp::main]
fn main() -> mp::Result<()> {
    let started = Instant::now();
    let delay = Duration::from_millis(300);
    let child = Process::spawn(worker, ("Bob".to_owned(), delay))?;
    println!("parent: started process {}, and goes on", child.pid());
    assert!(started.elapsed() < delay, "starting a process does not wait for it");

    let pid = child.join()?;
    println!("parent: process {pid} returned after {:.1?}", started.elapsed());
    assert!(pid == child.pid() && pid != std::process::id());
    assert!(started.elapsed() >= delay);
    Ok(())
}
