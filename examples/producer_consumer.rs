//! A fast producer and a slow consumer over a queue for five: the producer waits when it is full.

use std::thread::sleep;
use std::time::{Duration, Instant};

use mp::prelude::*;

const ITEMS: u32 = 20;
const ROOM: usize = 5;
const WORK: Duration = Duration::from_millis(10);

/// What it put, and how often it found the queue full.
fn produce(out: Sender<u32>) -> mp::Result<u32> {
    let mut waits = 0;
    for item in 0..ITEMS {
        if let Err(refused) = out.try_put(item) {
            waits += 1;
            out.put(refused.value)?; // now with patience
        }
    }
    Ok(waits)
}

fn consume(from: Receiver<u32>) -> mp::Result<Vec<u32>> {
    let mut got = Vec::new();
    for item in &from {
        sleep(WORK); // it takes its time
        got.push(item?);
    }
    Ok(got)
}

#[mp::main]
fn main() -> mp::Result<()> {
    let (tx, rx) = queue::bounded(ROOM)?;
    let begin = Instant::now();
    let producer = Process::spawn(produce, (tx,))?;
    let consumer = Process::spawn(consume, (rx,))?;
    let waits = producer.join()?;
    println!("the producer was done after {} ms, and waited {waits} times", begin.elapsed().as_millis());
    // The producer has left, so the consumer's loop ends when the queue is empty.
    let got = consumer.join()?;
    println!("the consumer was done after {} ms", begin.elapsed().as_millis());
    assert!(waits > 0, "five fit, the others had to wait");
    assert!(got.iter().copied().eq(0..ITEMS), "all came, in order");
    Ok(())
}
