//! What does a message through a queue cost: small and large, one to one and many to many, awake and asleep?

#[cfg(target_os = "linux")]
fn main() {
    mp_benches::floors::play();
    mp_process::init();
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: queue (it measures beside Linux's own calls)");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::cell::RefCell;
    use std::hint::black_box;
    use std::thread;
    use std::time::{Duration, Instant};

    use mp_benches::floors::{Burner, FutexEcho};
    use mp_benches::ring::RingPeer;
    use mp_benches::table::{Unit, timed, timed_with_cpu};
    use mp_benches::{Failure, Goal, Placement, Python, Spent, Table};
    use mp_process::Process;
    use mp_queue::{PriorityQueue, Queue, QueueOptions, Receiver, Sender};
    use serde::{Deserialize, Serialize};

    /// Longer than anybody spins.
    const PAUSE: Duration = Duration::from_micros(300);
    const ROOM: usize = 1024;
    const BATCH: u32 = 100;
    const FLOOR: &str = "floor: bare ring, 1P1C";
    const CROSSBEAM: &str = "crossbeam bounded(1024), threads";
    const FUTEX: &str = "floor: futex sleep and wake";

    pub(crate) fn main() {
        mp_benches::placed(&[Placement::TWO, Placement::ONE], |placement| {
            // Forked while there is one thread.
            let floors = RingPeer::start().and_then(|ring| Ok((ring, FutexEcho::start()?)));
            if let Err(error) = all(placement, floors) {
                println!("queue: {error}");
            }
        });
    }

    /// What a worker is to do.
    #[derive(Clone, Serialize, Deserialize)]
    enum Order {
        Put(u32),
        PutBatches(u32),
        PutBytes(usize, u32),
        Get(u32),
        Echo(u32),
    }

    /// The queues that are measured.
    #[derive(Clone, Serialize, Deserialize)]
    struct Lines {
        numbers: Queue<u64>,
        bytes: Queue<Vec<u8>>,
        there: Queue<u64>,
        back: Queue<u64>,
        done: Queue<()>,
    }

    fn worker(orders: Receiver<Order>, lines: Lines) -> mp_queue::Result<()> {
        for order in &orders {
            match order? {
                Order::Put(n) => (0..n).try_for_each(|i| lines.numbers.put(u64::from(i)))?,
                Order::PutBatches(n) => {
                    (0..n / BATCH).try_for_each(|_| lines.numbers.put_many(0..u64::from(BATCH)))?;
                }
                Order::PutBytes(size, n) => {
                    let message = vec![7; size];
                    (0..n).try_for_each(|_| lines.bytes.put(message.clone()))?;
                }
                Order::Get(n) => {
                    for _ in 0..n {
                        black_box(lines.numbers.get()?);
                    }
                    lines.done.put(())?;
                }
                Order::Echo(n) => (0..n).try_for_each(|_| lines.back.put(lines.there.get()?))?,
            }
        }
        Ok(())
    }

    /// Workers that wait for orders, until this is dropped.
    struct Crew {
        lines: Lines,
        orders: Vec<Sender<Order>>,
        workers: Vec<Process>,
    }

    impl Crew {
        fn start(count: usize) -> Result<Crew, Failure> {
            let lines = Lines {
                numbers: Queue::bounded(ROOM)?,
                bytes: QueueOptions::new().capacity(ROOM).message_size(1024).create()?,
                there: Queue::bounded(16)?,
                back: Queue::bounded(16)?,
                done: Queue::new()?,
            };
            let (mut orders, mut workers) = (Vec::new(), Vec::new());
            for _ in 0..count {
                let (order, from) = mp_queue::unbounded()?;
                workers.push(Process::builder().daemon(true).spawn(worker, (from, lines.clone()))?);
                orders.push(order);
            }
            Ok(Crew { lines, orders, workers })
        }

        fn pids(&self) -> Vec<u32> {
            self.workers.iter().map(Process::pid).collect()
        }

        /// `n` numbers from the first `producers` to the others and this process.
        fn many(&self, producers: usize, n: u32) -> Result<(), Failure> {
            let each = n / producers as u32;
            let consumers = &self.orders[producers..producers * 2 - 1];
            consumers.iter().try_for_each(|to| to.put(Order::Get(each)))?;
            self.orders[..producers].iter().try_for_each(|to| to.put(Order::Put(each)))?;
            for _ in 0..each {
                black_box(self.lines.numbers.get()?);
            }
            Ok(consumers.iter().try_for_each(|_| self.lines.done.get())?)
        }

        fn bytes(&self, size: usize, n: u32) -> Result<Spent, Failure> {
            timed_with_cpu(&self.pids(), || {
                self.orders[0].put(Order::PutBytes(size, n))?;
                for _ in 0..n {
                    black_box(self.lines.bytes.get()?);
                }
                Ok(())
            })
        }

        fn round_trips(&self, n: u32, mut between: impl FnMut()) -> Result<(), Failure> {
            self.orders[0].put(Order::Echo(n))?;
            for i in 0..n {
                self.lines.there.put(u64::from(i))?;
                black_box(self.lines.back.get()?);
                between();
            }
            Ok(())
        }
    }

    /// The same between threads.
    fn crossbeam<T: Send + Clone>(pairs: usize, n: u32, message: &T) -> Result<Spent, Failure> {
        timed_with_cpu(&[], || {
            let (to, from) = crossbeam_channel::bounded(ROOM);
            let each = n / pairs as u32;
            thread::scope(|scope| {
                for _ in 0..pairs {
                    let (to, message) = (to.clone(), message.clone());
                    scope.spawn(move || (0..each).all(|_| to.send(message.clone()).is_ok()));
                }
                for _ in 1..pairs {
                    let from = from.clone();
                    scope.spawn(move || (0..each).all(|_| from.recv().is_ok()));
                }
                (0..each).all(|_| from.recv().map(black_box).is_ok())
            });
            Ok(())
        })
    }

    /// Without the pauses.
    fn rested(work: impl FnOnce(&mut dyn FnMut()) -> Result<(), Failure>) -> Result<Spent, Failure> {
        let mut paused = Duration::ZERO;
        let begin = Instant::now();
        work(&mut || {
            let begin = Instant::now();
            thread::sleep(PAUSE);
            paused += begin.elapsed();
        })?;
        Ok(Spent { wall: begin.elapsed().saturating_sub(paused), cpu: None })
    }

    fn all(placement: Placement, floors: std::io::Result<(RingPeer, FutexEcho)>) -> Result<(), Failure> {
        let (ring, futex) = floors?;
        let ring = RefCell::new(ring);
        let crew = Crew::start(3)?;
        let python = Python::start().inspect_err(|reason| println!("queue: {reason}")).ok();
        let has_python = python.is_some();
        let python = RefCell::new(python);
        let ask = |what: &str, n: u32| match python.borrow_mut().as_mut() {
            Some(python) => python.run(what, n),
            None => Err("no CPython".into()),
        };
        // The goals are of two cores; on one they say nothing.
        let goals = |goals: &'static [Goal]| if placement == Placement::TWO { goals } else { &[] };
        let floor = |size: usize| {
            let ring = &ring;
            move |n: u32| timed(|| Ok(ring.borrow_mut().one_way(n, size)?))
        };

        let mut table = Table::new("queue: 8 bytes, one to one", Unit::Nanos, placement);
        table.row("mp queue", 500_000, goals(&[Goal::Times(1.0, CROSSBEAM)]), |n| {
            timed_with_cpu(&crew.pids(), || crew.many(1, n))
        });
        table.row("mp queue, batches of 100", 500_000, goals(&[Goal::AtMost(16.7)]), |n| {
            timed_with_cpu(&crew.pids(), || {
                crew.orders[0].put(Order::PutBatches(n))?;
                let mut left = (n / BATCH * BATCH) as usize;
                while left > 0 {
                    left -= crew.lines.numbers.get_many(left.min(BATCH as usize))?.len();
                }
                Ok(())
            })
        });
        table.row("mp queue, a third process runs, too", 200_000, &[], |n| {
            let _burner = Burner::start()?;
            timed(|| crew.many(1, n))
        });
        table.row(CROSSBEAM, 500_000, &[], |n| crossbeam(1, n, &7_u64));
        table.note("not measured: iceoryx2 (its build takes longer than all the rest), ipc-channel");
        table.row(FLOOR, 500_000, &[], floor(8));
        if has_python {
            table.row("CPython Queue", 5_000, &[], |n| ask("queue_8", n));
        }
        table.measure();

        for (title, size, what) in
            [("queue: 64 bytes, one to one", 64, "queue_64"), ("queue: 1 KiB, one to one", 1024, "queue_1k")]
        {
            let mut table = Table::new(title, Unit::Nanos, placement);
            // 0.85 of its rate.
            table.row("mp queue", 200_000, goals(&[Goal::Times(1.18, FLOOR)]), |n| crew.bytes(size, n));
            let message = vec![7_u8; size];
            table.row(CROSSBEAM, 200_000, &[], move |n| crossbeam(1, n, &message));
            table.row(FLOOR, 200_000, &[], floor(size));
            if has_python {
                table.row("CPython Queue", 5_000, &[], |n| ask(what, n));
            }
            table.measure();
        }

        let crowd = Crew::start(15)?;
        let mut table = Table::new("queue: 8 bytes, many to many", Unit::Nanos, placement);
        table.row("mp queue, 2P2C", 400_000, goals(&[Goal::Times(1.25, CROSSBEAM)]), |n| {
            timed_with_cpu(&crew.pids(), || crew.many(2, n))
        });
        table.row("mp queue, 8P8C", 400_000, &[Goal::Times(2.0, "mp queue, 2P2C")], |n| {
            timed_with_cpu(&crowd.pids(), || crowd.many(8, n))
        });
        table.row(CROSSBEAM, 400_000, &[], |n| crossbeam(2, n, &7_u64));
        table.measure();

        let mut table = Table::new("queue: 8 bytes, there and back", Unit::Micros, placement);
        table.row("mp queue", 10_000, goals(&[Goal::AtMost(0.4)]), |n| timed(|| crew.round_trips(n, || {})));
        table.row("mp queue, asleep", 300, &[Goal::Times(1.15, FUTEX)], |n| {
            rested(|pause| crew.round_trips(n, pause))
        });
        table.row(FUTEX, 300, &[], |n| {
            rested(|pause| {
                for _ in 0..n {
                    futex.round_trip();
                    pause();
                }
                Ok(())
            })
        });
        if has_python {
            table.row("CPython Queue", 1_000, &[], |n| ask("queue_rtt", n));
        }
        table.measure();

        let sorted = PriorityQueue::<u64, u64>::new()?;
        let mut seed = 1_u64;
        let mut next = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        for _ in 0..10_000 {
            sorted.put(next(), 7)?;
        }
        let mut table = Table::new("queue: by priority, 10,000 queued, one process", Unit::Nanos, placement);
        table.row("mp PriorityQueue, a put and a get", 200_000, &[Goal::AtMost(333.0)], |n| {
            timed(|| {
                for _ in 0..n {
                    sorted.put(next(), 7)?;
                    black_box(sorted.get()?);
                }
                Ok(())
            })
        });
        table.measure();
        Ok(())
    }
}
