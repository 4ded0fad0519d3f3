//! Waiting for many things at once, across processes that come and go and are killed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mp::prelude::*;
use mp::{Error, WaitSet, wait};

mp::enable_in_tests!();

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Puts `(who, n)` for all `n`, round the queues from a place of its own.
fn produce(queues: Vec<Sender<(u64, u64)>>, who: u64, count: u64) -> mp::Result<()> {
    (0..count).try_for_each(|n| queues[((who * 37 + n * 11) % queues.len() as u64) as usize].put((who, n)))
}

/// Waits for all of them, and takes nothing, for ever.
fn observe(queues: Vec<Receiver<(u64, u64)>>, ready: Sender<()>) -> mp::Result<()> {
    let mut set = WaitSet::new()?;
    for (token, queue) in queues.iter().enumerate() {
        set.add(token as u64, queue)?;
    }
    ready.put(())?;
    loop {
        set.wait(None)?;
    }
}

/// A hundred queues, producers of which one is killed, and an observer that is killed, too.
#[test]
fn a_hundred_queues_and_who_fills_them_may_be_killed() {
    const COUNT: u64 = 3_000;
    const PRODUCERS: u64 = 4;
    let queues: Vec<_> = (0..100).map(|_| mp::queue::bounded::<(u64, u64)>(16).unwrap()).collect();
    let senders: Vec<_> = queues.iter().map(|(s, _)| s.clone()).collect();
    let receivers: Vec<_> = queues.iter().map(|(_, r)| r.clone()).collect();
    drop(queues);
    let (up, is_up) = mp::queue::unbounded().unwrap();
    let observer = Process::spawn(observe, (receivers.clone(), up)).unwrap();
    is_up.get_timeout(PATIENCE).unwrap();
    let producers: Vec<_> =
        (0..PRODUCERS).map(|who| Process::spawn(produce, (senders.clone(), who, COUNT)).unwrap()).collect();
    drop(senders);
    let mut set = WaitSet::new().unwrap();
    for (token, receiver) in receivers.iter().enumerate() {
        set.add(token as u64, receiver).unwrap();
    }
    let mut got: HashMap<u64, Vec<u64>> = HashMap::new();
    let mut taken = 0;
    while !set.is_empty() {
        let ready = set.wait(PATIENCE).unwrap();
        assert!(!ready.is_empty(), "{taken} were taken, and then nothing came");
        for token in ready {
            match receivers[token as usize].try_get() {
                Ok((who, n)) => {
                    got.entry(who).or_default().push(n);
                    taken += 1;
                }
                Err(Error::Empty) => panic!("only we take, and it said that there is something"),
                Err(Error::Disconnected { .. }) => assert!(set.remove(token)),
                Err(other) => panic!("{other}"),
            }
            if taken == 500 {
                producers[0].kill().unwrap();
            }
            if taken == 1_000 {
                observer.kill().unwrap();
            }
        }
    }
    for who in 0..PRODUCERS {
        let mut numbers = got.remove(&who).unwrap_or_default();
        numbers.sort_unstable();
        let all = numbers.len() as u64;
        assert!(numbers.into_iter().eq(0..all), "producer {who}: what it put is here, once");
        assert!(all == COUNT || who == 0, "producer {who}: {all}");
        assert_eq!(producers[who as usize].join().is_ok(), all == COUNT);
    }
    assert!(observer.join().is_err());
}

#[test]
fn the_end_of_a_process_is_seen_among_other_things() {
    let (_sender, receiver) = mp::queue::unbounded::<u8>().unwrap();
    let mut fastest = Duration::MAX;
    for round in 0..6 {
        let (_keep, stop) = mp::queue::unbounded::<u8>().unwrap();
        let children: Vec<_> = (0..3)
            .map(|_| {
                let stop = stop.clone();
                Process::spawn(|stop: Receiver<u8>| drop(stop.get()), (stop,)).unwrap()
            })
            .collect();
        let mut set = WaitSet::new().unwrap();
        set.add(9, &receiver).unwrap();
        for (token, child) in children.iter().enumerate() {
            set.add(token as u64, child).unwrap();
        }
        assert_eq!(set.wait(Duration::from_millis(30)).unwrap(), []);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let seen = set.wait(PATIENCE).unwrap();
                (seen, Instant::now())
            });
            std::thread::sleep(Duration::from_millis(20)); // so that it sleeps; it works all the same if it does not
            let begin = Instant::now();
            let victim = round % 3;
            if round < 5 {
                children[victim].kill().unwrap();
            } else {
                children[victim].terminate().unwrap();
            }
            let (seen, when) = waiter.join().unwrap();
            assert_eq!(seen, [victim as u64]);
            assert!(children[victim].join().is_err());
            fastest = fastest.min(when - begin);
        });
        drop(set);
        for child in children {
            child.kill().unwrap();
            let _ = child.join();
        }
    }
    assert!(fastest < Duration::from_millis(100), "{fastest:?} at best");
}

#[test]
fn children_are_joined_as_they_end() {
    let children: Vec<_> = (0..8_u64).map(|n| Process::spawn(|n: u64| n * n, (n,)).unwrap()).collect();
    let mut set = WaitSet::new().unwrap();
    for (token, child) in children.iter().enumerate() {
        set.add(token as u64, child).unwrap();
    }
    let mut joined = 0;
    while !set.is_empty() {
        for token in set.wait(PATIENCE).unwrap() {
            assert_eq!(children[token as usize].join().unwrap(), token * token);
            assert!(set.remove(token));
            joined += 1;
        }
    }
    assert_eq!(joined, 8);
}

/// Takes what it can get of the queue, by so many sets at once, until it is closed.
fn compete(queue: Receiver<u64>, results: Sender<Vec<u64>>, sets: usize) {
    std::thread::scope(|scope| {
        for _ in 0..sets {
            scope.spawn(|| {
                let mut mine = Vec::new();
                let mut set = WaitSet::new().unwrap();
                set.add(0, &queue).unwrap();
                'open: loop {
                    assert_eq!(set.wait(PATIENCE).unwrap(), [0]);
                    loop {
                        match queue.try_get() {
                            Ok(n) => mine.push(n),
                            Err(Error::Empty) => break,
                            Err(Error::Closed { .. }) => break 'open,
                            Err(other) => panic!("{other}"),
                        }
                    }
                }
                results.put(mine).unwrap();
            });
        }
    });
}

#[test]
fn twenty_sets_in_five_processes_wait_for_one_queue() {
    const COUNT: u64 = 4_000;
    let (sender, receiver) = mp::queue::unbounded().unwrap();
    let (results, all) = mp::queue::unbounded::<Vec<u64>>().unwrap();
    let processes: Vec<_> = (0..5)
        .map(|_| Process::spawn(compete, (receiver.clone(), results.clone(), 4_usize)).unwrap())
        .collect();
    (0..COUNT).for_each(|n| sender.put(n).unwrap());
    sender.close().unwrap();
    let mut got = Vec::new();
    for _ in 0..20 {
        got.extend(all.get_timeout(PATIENCE).unwrap());
    }
    got.sort_unstable();
    assert!(got.into_iter().eq(0..COUNT));
    processes.iter().for_each(|p| p.join().unwrap());
}

fn hold(lock: Lock, up: Sender<()>, stop: Receiver<()>) -> mp::Result<()> {
    let _guard = lock.lock()?;
    up.put(())?;
    stop.get()
}

#[test]
fn locks_room_and_ends_of_queues_are_waited_for_together() {
    let lock = Lock::new().unwrap();
    let (up, is_up) = mp::queue::unbounded().unwrap();
    let (_keep, stop) = mp::queue::unbounded().unwrap();
    let holder = Process::spawn(hold, (lock.clone(), up, stop)).unwrap();
    is_up.get_timeout(PATIENCE).unwrap();
    let (sender, receiver) = mp::queue::bounded::<u8>(1).unwrap();
    sender.put(1).unwrap();
    let (other_sender, other) = mp::queue::unbounded::<u8>().unwrap();
    let things: [&dyn mp::Waitable; 4] = [&lock, &sender, &other, &receiver];
    assert_eq!(wait(&things, PATIENCE).unwrap(), [3]);
    assert_eq!(wait(&things[..3], Duration::from_millis(20)).unwrap(), [] as [usize; 0]);
    drop(other_sender);
    assert_eq!(wait(&things[..3], PATIENCE).unwrap(), [2]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(20));
            receiver.get().unwrap();
        });
        assert_eq!(wait(&things[..2], PATIENCE).unwrap(), [1]);
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(20));
            holder.kill().unwrap();
        });
        assert_eq!(wait(&things[..1], PATIENCE).unwrap(), [0]);
    });
    assert!(lock.try_lock().unwrap().unwrap().owner_died().is_some());
    assert!(holder.join().is_err());
}

#[test]
fn a_cancelled_wait_ends() {
    let token = mp::CancelToken::new().unwrap();
    let (_sender, receiver) = mp::queue::unbounded::<u8>().unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| token.scope(|| wait(&[&receiver], None)));
        std::thread::sleep(Duration::from_millis(20));
        token.cancel();
        assert_eq!(waiter.join().unwrap(), Err(Error::Cancelled));
    });
}
