//! Queues of every kind while producers and consumers are killed: it is proved which messages may be missing, and that no other is.
//!
//! Each message names its producer and its number, and has a checksum. A producer reports each put that returned; a consumer reports
//! each message that it got, and if it had it by a lease, before it deals with it. Then, when all is over:
//!
//! | | got, or sorted | leased |
//! |---|---|---|
//! | a message that was got is whole | always | always |
//! | a put that returned, and nobody reported | one for each killed consumer at most | none |
//! | a message that was reported twice | none | one for each killed consumer at most |
//! | a gap in the numbers of a producer | as the first line | none |

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use mp::prelude::*;
use mp::{Error, StartMethod};
use serde::{Deserialize, Serialize};

use super::{Dice, Watchdog};

#[derive(Serialize, Deserialize)]
struct Numbered {
    producer: u32,
    number: u64,
    filler: Vec<u8>,
    sum: u64,
}

impl Numbered {
    fn of(producer: u32, number: u64) -> Numbered {
        // In a cell, in a message of its own, and now and then in many pages.
        let len = if number.is_multiple_of(97) { 20_000 } else { number * 13 % 300 };
        let filler: Vec<u8> = (0..len).map(|i| (i * 7 + number) as u8).collect();
        let sum = Numbered::sum(producer, number, &filler);
        Numbered { producer, number, filler, sum }
    }

    fn sum(producer: u32, number: u64, filler: &[u8]) -> u64 {
        let start = u64::from(producer) << 40 ^ number;
        filler.iter().fold(start, |sum, byte| sum.rotate_left(5) ^ u64::from(*byte))
    }

    fn check(&self) -> (u32, u64) {
        assert_eq!(self.sum, Numbered::sum(self.producer, self.number, &self.filler), "a torn message");
        (self.producer, self.number)
    }
}

#[derive(Clone, Serialize, Deserialize)]
enum Line {
    Plain(Queue<Numbered>),
    Leased(Queue<Numbered>),
    Sorted(PriorityQueue<u32, Numbered>),
}

type Report = Sender<(u32, u64)>;

fn produce(line: Line, me: u32, put: Report) -> mp::Result<()> {
    for n in 0.. {
        let message = Numbered::of(me, n);
        let done = match &line {
            Line::Plain(queue) | Line::Leased(queue) => queue.put(message),
            Line::Sorted(queue) => queue.put(n as u32 % 7, message),
        };
        match done {
            Ok(()) => put.put((me, n))?,
            Err(Error::Closed { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn consume(line: Line, got: Report) -> mp::Result<()> {
    loop {
        let ended = match &line {
            Line::Plain(queue) => queue.get().map(|message| got.put(message.check())),
            Line::Sorted(queue) => queue.get().map(|(_, message)| got.put(message.check())),
            Line::Leased(queue) => queue.get_leased().map(|lease| got.put(lease.check())),
        };
        match ended {
            Ok(told) => told?,
            Err(Error::Closed { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// All that was reported, now that nobody reports any more.
fn all(from: &Receiver<(u32, u64)>) -> Vec<(u32, u64)> {
    let mut all = Vec::new();
    loop {
        match from.get() {
            Ok(report) => all.push(report),
            Err(Error::Disconnected { .. }) => return all,
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn lines(dice: &mut Dice, until: Instant, method: StartMethod) {
    let dog = Watchdog::start("the lines");
    let (mut rounds, mut messages, mut kills, mut missing) = (0, 0, 0, 0);
    while Instant::now() < until {
        let line = match rounds % 4 {
            0 => Line::Plain(Queue::bounded(1 + dice.roll(40) as usize).unwrap()),
            1 => Line::Leased(Queue::bounded(1 + dice.roll(40) as usize).unwrap()),
            2 => Line::Sorted(PriorityQueue::bounded(1 + dice.roll(200) as usize).unwrap()),
            _ => Line::Leased(Queue::new().unwrap()),
        };
        let (put_tx, put_rx) = queue::unbounded().unwrap();
        let (got_tx, got_rx) = queue::unbounded().unwrap();
        let start = || Process::builder().daemon(true).start_method(method);
        let mut named = 0;
        let mut producer = || {
            named += 1;
            start().spawn(produce, (line.clone(), named, put_tx.clone())).unwrap()
        };
        let consumer = || start().spawn(consume, (line.clone(), got_tx.clone())).unwrap();
        let (mut producers, mut consumers) = ([producer(), producer()], [consumer(), consumer()]);
        let mut dead_consumers = 0;
        for _ in 0..2 + dice.roll(6) {
            std::thread::sleep(Duration::from_micros(dice.roll(8000)));
            let victim = dice.roll(2) as usize;
            if dice.roll(2) == 0 {
                producers[victim].kill().unwrap();
                producers[victim].wait().unwrap();
                producers[victim] = producer();
            } else {
                consumers[victim].kill().unwrap();
                consumers[victim].wait().unwrap();
                consumers[victim] = consumer();
                dead_consumers += 1;
            }
            kills += 1;
            dog.feed();
        }
        for producer in &producers {
            producer.kill().unwrap();
            producer.wait().unwrap();
        }
        // The consumers get what is left, and are told that there is no more.
        match &line {
            Line::Plain(queue) | Line::Leased(queue) => queue.close().unwrap(),
            Line::Sorted(queue) => queue.close().unwrap(),
        }
        for consumer in consumers {
            consumer.join().unwrap();
        }
        drop((put_tx, got_tx));
        let (put, got) = (all(&put_rx), all(&got_rx));
        let seen: HashSet<_> = got.iter().copied().collect();
        let mut last = HashMap::new();
        for (producer, number) in put.iter().chain(&got) {
            let last = last.entry(*producer).or_insert(0);
            *last = (*last).max(number + 1);
        }
        // Numbers up to the last that anybody knows of, and not reported.
        let lost = last.values().sum::<u64>() - seen.len() as u64;
        let doubled = got.len() - seen.len();
        let leased = matches!(line, Line::Leased(_));
        assert!(
            lost <= if leased { 0 } else { dead_consumers },
            "{lost} lost, {dead_consumers} consumers killed"
        );
        assert!(doubled as u64 <= if leased { dead_consumers } else { 0 }, "{doubled} came twice");
        messages += seen.len();
        missing += lost;
        rounds += 1;
        dog.feed();
    }
    eprintln!(
        "torture ({method}): {rounds} lines, {messages} messages, {kills} killed, {missing} lost with them"
    );
}
