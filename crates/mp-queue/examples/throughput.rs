//! Messages a second through a queue, from one process to another and between several, and the time of a round trip.
//!
//! `cargo run --release -p mp-queue --example throughput [SECONDS]`. The children are this program again.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use mp_queue::{Queue, Receiver, Sender};
use mp_session::{Message, Place, Session};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

const CHILD: &str = "MP_QUEUE_EXAMPLE_CHILD";

#[derive(Serialize, Deserialize)]
enum Work {
    Put8(Sender<u64>),
    Put64(Sender<Vec<u8>>, usize),
    Get8(Receiver<u64>),
    PutMany8(Sender<u64>),
    Echo(Receiver<u64>, Sender<u64>),
}

fn child() -> mp_queue::Result<()> {
    let Some(session) = Session::attach()? else { return Ok(()) };
    let Some(message) = session.take_arguments()? else { return Ok(()) };
    let work = message.decode()?;
    drop(message); // or the roles in it count as long as we live
    match work {
        Work::Put8(out) => while out.put(7).is_ok() {},
        Work::Put64(out, size) => {
            let message = vec![7; size];
            while out.put(message.clone()).is_ok() {}
        }
        Work::Get8(from) => while from.get().is_ok() {},
        Work::PutMany8(out) => while out.put_many(0..100).is_ok() {},
        Work::Echo(from, to) => {
            for value in &from {
                to.put(value?)?;
            }
        }
    }
    Ok(())
}

fn start(work: &Work) -> mp_queue::Result<(Child, Place)> {
    let session = Session::current()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.env(CHILD, "1");
    let place = mp_session::inherit(&mut command, "bench")?;
    place.put_arguments(&Message::encode(&session, work)?)?;
    Ok((command.spawn()?, place))
}

/// Gets for a while, counting.
fn measure<T: Serialize + DeserializeOwned + 'static>(
    from: &Receiver<T>,
    time: Duration,
    batch: bool,
) -> mp_queue::Result<f64> {
    for _ in 0..1000 {
        from.get()?;
    }
    let begin = Instant::now();
    let mut count = 0_u64;
    while begin.elapsed() < time {
        if batch {
            for _ in 0..50 {
                count += from.get_many(100)?.len() as u64;
            }
        } else {
            for _ in 0..1000 {
                from.get()?;
            }
            count += 1000;
        }
    }
    Ok(count as f64 / begin.elapsed().as_secs_f64() / 1e6)
}

fn report(what: &str, rate: f64) {
    println!("{what:<40} {rate:>8.2} M msg/s");
}

fn main() -> mp_queue::Result<()> {
    if std::env::var_os(CHILD).is_some() {
        return child();
    }
    let seconds = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(1.0);
    let time = Duration::from_secs_f64(seconds);
    let run = |what: &str, workers: Vec<Work>, queue: Queue<u64>, batch: bool| -> mp_queue::Result<()> {
        let mut started = workers.iter().map(start).collect::<Result<Vec<_>, _>>()?;
        drop(workers);
        let rate = measure(&queue.receiver(), time, batch)?;
        queue.close()?;
        for (child, _) in &mut started {
            child.wait()?;
        }
        report(what, rate);
        Ok(())
    };
    let one = |q: &Queue<u64>| vec![Work::Put8(q.sender())];
    let q = Queue::bounded(1024)?;
    run("8 B, 1 to 1, bounded(1024)", one(&q), q, false)?;
    let q = Queue::bounded(1024)?;
    run("8 B, 1 to 1, bounded(1024), batches", vec![Work::PutMany8(q.sender())], q, true)?;
    for size in [40, 64, 1024] {
        let q = Queue::bounded(1024)?;
        let (mut child, _place) = start(&Work::Put64(q.sender(), size))?;
        let rate = measure(&q.receiver(), time, false)?;
        q.close()?;
        child.wait()?;
        report(&format!("{size} B, 1 to 1, bounded(1024)"), rate);
    }
    // With two more processes on the other side the rate seen here is about half of all.
    let q = Queue::bounded(1024)?;
    run(
        "8 B, 2 to 2 (seen by one)",
        vec![Work::Put8(q.sender()), Work::Put8(q.sender()), Work::Get8(q.receiver())],
        q,
        false,
    )?;
    let (there, back) = (Queue::bounded(16)?, Queue::bounded(16)?);
    let (mut child, _place) = start(&Work::Echo(there.receiver(), back.sender()))?;
    let rounds = 20_000;
    let mut times = Vec::with_capacity(rounds);
    for i in 0..rounds as u64 {
        let begin = Instant::now();
        there.put(i)?;
        back.get()?;
        times.push(begin.elapsed());
    }
    there.close()?;
    child.wait()?;
    times.sort_unstable();
    println!("{:<40} {:>8.2} us", "8 B, there and back, median", times[rounds / 2].as_secs_f64() * 1e6);
    // Nobody at the other end: what the instructions cost.
    let q = Queue::bounded(1024)?;
    let begin = Instant::now();
    let alone = 2_000_000_u64;
    for i in 0..alone {
        q.put(i)?;
        q.get()?;
    }
    println!(
        "{:<40} {:>8.1} ns",
        "8 B, put and get in one thread",
        begin.elapsed().as_secs_f64() * 1e9 / alone as f64
    );
    Ok(())
}
