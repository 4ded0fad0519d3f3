//! Five workers wait for the boss, twice.

use std::time::Duration;

use mp::prelude::*;
use mp::sync::Event;

const WORKERS: usize = 5;

/// Prints a line, and puts it where the order of all lines can be seen.
fn say(lines: &Sender<String>, line: &str) -> mp::Result<()> {
    println!("{line}");
    lines.put(line.to_owned())
}

fn worker(over_time: Event, done: Event, lines: Sender<String>) -> mp::Result<()> {
    over_time.wait()?;
    say(&lines, "worker: oh, overtime...")?;
    done.wait()?;
    say(&lines, "worker: home at last!")
}

fn boss(over_time: Event, done: Event, lines: Sender<String>) -> mp::Result<()> {
    say(&lines, "boss: we all stay till ten tonight")?;
    over_time.set()?;
    std::thread::sleep(Duration::from_millis(200));
    say(&lines, "boss: that is enough for today")?;
    done.set()
}

#[mp::main]
fn main() -> mp::Result<()> {
    let (over_time, done) = (Event::new()?, Event::new()?);
    let (lines, heard) = queue::unbounded()?;
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| Process::spawn(worker, (over_time.clone(), done.clone(), lines.clone())))
        .collect::<mp::Result<_>>()?;
    let boss = Process::spawn(boss, (over_time, done, lines))?;
    boss.join()?;
    workers.iter().try_for_each(Process::join)?;
    let heard: Vec<String> = heard.iter().map_while(mp::Result::ok).collect();
    assert!(heard[0].starts_with("boss: we all stay"));
    assert!(heard[1..=WORKERS].iter().all(|line| line.starts_with("worker: oh")));
    assert!(heard[WORKERS + 1].starts_with("boss: that is enough"));
    assert!(heard[WORKERS + 2..].iter().all(|line| line.starts_with("worker: home")));
    assert_eq!(heard.len(), 2 * WORKERS + 2);
    Ok(())
}
