//! Ten tasks for three workers: never more than three at once, and the workers are used again.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mp::prelude::*;

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn task(number: u32) -> (u32, u32, Duration, Duration) {
    let begun = now();
    std::thread::sleep(Duration::from_millis(100));
    (number, std::process::id(), begun, now())
}

#[mp::main]
fn main() -> mp::Result<()> {
    let pool = Pool::new(3)?;
    let mut spans = Vec::new();
    let mut workers = HashSet::new();
    for done in pool.imap(task, 0..10) {
        let (number, pid, begun, ended) = done?;
        println!("task {number} was done by process {pid}");
        spans.push((begun, ended));
        workers.insert(pid);
    }
    let at_once = spans.iter().map(|(t, _)| spans.iter().filter(|(b, e)| b <= t && t < e).count()).max();
    println!("{} tasks, {} workers, at most {} at once", spans.len(), workers.len(), at_once.unwrap_or(0));
    assert_eq!((spans.len(), workers.len()), (10, 3));
    assert!(at_once <= Some(3));
    Ok(())
}
