//! A daemon ends with its parent; any other process is waited for at the parent's end; and a daemon may start no children.

use std::time::{Duration, Instant};

use mp::prelude::*;

/// Plays the parent: starts a process that would run for a minute, and ends.
fn parent(daemon: bool, life: Duration, out: Sender<u32>) -> mp::Result<()> {
    let child = Process::builder().daemon(daemon).may_have_children(true).spawn(live, (life, out))?;
    println!("parent: started {} (daemon: {daemon}), and ends", child.name());
    Ok(())
}

fn live(life: Duration, out: Sender<u32>) -> mp::Result<()> {
    out.put(std::process::id())?;
    std::thread::sleep(life);
    out.put(0)
}

fn start_a_child() -> mp::Result<()> {
    Process::spawn(|| (), ())?.join()
}

#[mp::main]
fn main() -> mp::Result<()> {
    let started = Instant::now();
    let (tx, rx) = queue::unbounded()?;
    Process::spawn(parent, (true, Duration::from_secs(60), tx))?.join()?;
    // The daemon may have ended before it said anything: all that it could send to is gone with it.
    let said: Vec<u32> = rx.iter().map_while(Result::ok).collect();
    println!("the daemon went with its parent after {:.1?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(30) && !said.contains(&0));

    let (tx, rx) = queue::unbounded()?;
    Process::spawn(parent, (false, Duration::from_millis(300), tx))?.join()?;
    let said: Vec<u32> = rx.iter().map_while(Result::ok).collect();
    println!("the other was waited for");
    assert_eq!(said.last(), Some(&0), "it came to its end");

    let refused = Process::builder().daemon(true).spawn(start_a_child, ())?.join();
    println!("a daemon's child: {}", refused.as_ref().unwrap_err());
    assert!(refused.unwrap_err().to_string().contains("daemon"));
    Ok(())
}
