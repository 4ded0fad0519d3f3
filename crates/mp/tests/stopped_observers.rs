//! Processes that are stopped while they wait for many things. For Linux: only there is a process stopped so easily, and from the outside.
#![cfg(target_os = "linux")]

use std::time::Duration;

use mp::prelude::*;
use mp::{Error, WaitSet};

mp::enable_in_tests!();

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn observe(queue: Receiver<u32>, other: Receiver<u32>, said: Sender<u64>) -> mp::Result<()> {
    let mut set = WaitSet::new()?;
    set.add(1, &queue)?;
    set.add(2, &other)?;
    said.put(0)?;
    loop {
        for token in set.wait(None)? {
            if token == 1 {
                // Somebody else takes these: it looks on, and not so often that it would keep a core busy.
                std::thread::sleep(Duration::from_millis(1));
            } else {
                other.get()?;
                said.put(2)?;
                return Ok(());
            }
        }
    }
}

fn signal(process: &Process, name: &str) {
    let pid = process.pid().to_string();
    assert!(std::process::Command::new("kill").args([name, &pid]).status().unwrap().success());
}

#[test]
fn a_stopped_observer_holds_up_nobody_and_sees_everything_later() {
    let (sender, receiver) = mp::queue::bounded(4).unwrap();
    let (other_sender, other) = mp::queue::unbounded().unwrap();
    let (said, saying) = mp::queue::unbounded().unwrap();
    let observer = Process::spawn(observe, (receiver.clone(), other, said)).unwrap();
    assert_eq!(saying.get_timeout(PATIENCE), Ok(0));
    signal(&observer.erase(), "-STOP");
    std::thread::scope(|scope| {
        scope.spawn(|| (0..5_000).for_each(|n| sender.put(n).unwrap()));
        let mut set = WaitSet::new().unwrap();
        set.add(0, &receiver).unwrap();
        let mut next = 0;
        while next < 5_000 {
            assert_eq!(set.wait(PATIENCE).unwrap(), [0]);
            while let Ok(n) = receiver.try_get() {
                assert_eq!(n, next);
                next += 1;
            }
        }
    });
    other_sender.put(7).unwrap();
    assert_eq!(saying.get_timeout(Duration::from_millis(50)), Err(Error::TimedOut { what: "get".into() }));
    signal(&observer.erase(), "-CONT");
    assert_eq!(saying.get_timeout(PATIENCE), Ok(2));
    observer.join().unwrap();
}
