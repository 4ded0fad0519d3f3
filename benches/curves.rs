//! How do the figures grow: with the number of processes, the length of tasks, the memory of the parent, the objects that live?
//!
//! `cargo xtask bench curves` draws them into `docs/figures`.

#[cfg(target_os = "linux")]
fn main() {
    mp_process::init();
    if let Err(error) = linux::main() {
        println!("curves: {error}");
        std::process::exit(1);
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: curves (they are drawn on Linux)");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::path::PathBuf;
    use std::time::{Duration, Instant};

    use mp_benches::curve::{Curve, Line};
    use mp_benches::floors::{self, Touched};
    use mp_benches::{Failure, Placement};
    use mp_pool::Pool;
    use mp_process::{Process, StartMethod};
    use mp_queue::Queue;
    use mp_session::__private::HeapProbe;
    use mp_session::Session;
    use mp_sync::Event;

    /// The best of so many tries: others use the machine as well.
    const TRIES: usize = 5;

    pub(crate) fn main() -> Result<(), Failure> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/figures");
        std::fs::create_dir_all(&folder)?;
        Placement::TWO.pin()?;
        queue()?.draw(&folder.join("queue.svg"))?;
        pool()?.draw(&folder.join("pool.svg"))?;
        start()?.draw(&folder.join("start.svg"))?;
        heap()?.draw(&folder.join("heap.svg"))?;
        Ok(())
    }

    fn best(mut once: impl FnMut() -> Result<Duration, Failure>) -> Result<f64, Failure> {
        let mut times = (0..TRIES).map(|_| once()).collect::<Result<Vec<_>, _>>()?;
        times.sort_unstable();
        Ok(times[0].as_secs_f64())
    }

    fn produce(queue: Queue<u64>, go: Event, count: u64) -> mp_queue::Result<()> {
        go.wait()?;
        (0..count).try_for_each(|n| queue.put(n))
    }

    fn consume(queue: Queue<u64>, go: Event, count: u64) -> mp_queue::Result<()> {
        go.wait()?;
        (0..count).try_for_each(|_| {
            queue.get().map(|n| {
                std::hint::black_box(n);
            })
        })
    }

    /// Million messages in a second, by so many producers and as many consumers, each a process.
    fn queue() -> Result<Curve, Failure> {
        const MESSAGES: u64 = 400_000;
        let mut line = Line::new("mp Queue, 8 bytes");
        for pairs in 1..=8 {
            let each = MESSAGES / pairs;
            let took = best(|| {
                let (queue, go) = (Queue::bounded(1024)?, Event::new()?);
                let ends = (0..pairs)
                    .flat_map(|_| {
                        let arguments = || (queue.clone(), go.clone(), each);
                        [Process::spawn(produce, arguments()), Process::spawn(consume, arguments())]
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                let begin = Instant::now();
                go.set()?;
                ends.iter().try_for_each(|end| end.join())?;
                Ok(begin.elapsed())
            })?;
            line.point(pairs as f64, (each * pairs) as f64 / took / 1e6);
        }
        Ok(Curve::new(
            "Queue: messages by the number of processes",
            "producers, and as many consumers",
            "million messages/s",
        )
        .line(line))
    }

    fn work(micros: u64) -> u64 {
        let begin = Instant::now();
        let mut rounds = 0;
        while begin.elapsed() < Duration::from_micros(micros) {
            rounds = std::hint::black_box(rounds + 1);
        }
        rounds
    }

    /// How much of two workers' time is spent at work.
    fn pool() -> Result<Curve, Failure> {
        const TOTAL: Duration = Duration::from_millis(200);
        let pool = Pool::new(2)?;
        let mut line = Line::new("mp Pool, chunk 1");
        for micros in [1, 3, 10, 30, 100, 300, 1_000, 10_000] {
            let tasks = (TOTAL.as_micros() as u64 / micros).clamp(20, 20_000);
            let took = best(|| {
                let begin = Instant::now();
                pool.map_with_chunks(work, (0..tasks).map(|_| micros), 1)?;
                Ok(begin.elapsed())
            })?;
            line.point(micros as f64, 100.0 * (tasks * micros) as f64 / 1e6 / 2.0 / took);
        }
        Ok(Curve::new("Pool of 2: time at work", "length of a task, us", "% of ideal")
            .logarithmic()
            .line(line))
    }

    /// A way of starting a process, and how often it is taken.
    type Way = (&'static str, u32, Box<dyn Fn() -> Result<(), Failure>>);

    /// Start and join, by the parent's touched memory.
    fn start() -> Result<Curve, Failure> {
        const MIB: [usize; 4] = [10, 100, 1_000, 4_000];
        let mut curve =
            Curve::new("Start and join a process", "touched memory of the parent, MiB", "us").logarithmic();
        let ours = |method| {
            move || -> Result<(), Failure> {
                Ok(Process::builder().start_method(method).spawn(|| (), ())?.join()?)
            }
        };
        let forked = || -> Result<(), Failure> { Ok(floors::fork_and_wait()?) };
        let ways: [Way; 3] = [
            ("mp ForkServer", 100, Box::new(ours(StartMethod::ForkServer))),
            ("mp Spawn", 30, Box::new(ours(StartMethod::Spawn))),
            ("fork, _exit, waitpid", 3, Box::new(forked)),
        ];
        for (name, count, once) in ways {
            let mut line = Line::new(name);
            for mib in MIB {
                let memory = Touched::new(mib << 20)?;
                once()?;
                let took = best(|| {
                    let begin = Instant::now();
                    (0..count).try_for_each(|_| once())?;
                    Ok(begin.elapsed())
                })?;
                drop(memory);
                line.point(mib as f64, took * 1e6 / f64::from(count));
            }
            curve = curve.line(line);
        }
        Ok(curve)
    }

    /// Taking a block and giving it back, beside so many that live.
    fn heap() -> Result<Curve, Failure> {
        const BLOCK: u64 = 64;
        const OPERATIONS: u32 = 200_000;
        let probe = HeapProbe::new(&Session::current()?);
        let mut line = Line::new("64 bytes");
        let mut alive = Vec::new();
        for count in [10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000] {
            while alive.len() < count {
                alive.push(probe.take(BLOCK)?);
            }
            let took = best(|| {
                let begin = Instant::now();
                for _ in 0..OPERATIONS {
                    probe.give(std::hint::black_box(probe.take(BLOCK)?));
                }
                Ok(begin.elapsed())
            })?;
            line.point(count as f64, took * 1e9 / f64::from(OPERATIONS));
        }
        alive.into_iter().for_each(|block| probe.give(block));
        Ok(Curve::new("Heap: take and give back", "blocks that live", "ns").logarithmic().line(line))
    }
}
