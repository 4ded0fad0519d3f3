//! What do access to shared data, blocks of memory and their handles cost? (GOALS.md, P6.)

#[cfg(target_os = "linux")]
fn main() {
    mp_benches::floors::play();
    mp_process::init();
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: shared (it measures beside Linux's own calls)");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::cell::RefCell;
    use std::hint::black_box;
    use std::rc::Rc;
    use std::sync::atomic::{AtomicU64, Ordering::*};
    use std::time::{Duration, Instant};

    use mp_benches::mapped::Mapped;
    use mp_benches::table::{Unit, timed};
    use mp_benches::{Failure, Goal, Placement, Python, Spent, Table};
    use mp_process::Process;
    use mp_queue::Queue;
    use mp_session::__private::HeapProbe;
    use mp_session::{Blueprint, Kind, Object, Session, Shape};
    use mp_shared::{Array, Error, SharedMemory};

    const FLOATS: usize = 10_000_000;
    const MIB: usize = 1 << 20;
    const BLOCK: u64 = 64;

    type Interpreter = Rc<RefCell<Python>>;

    pub(crate) fn main() {
        mp_benches::placed(&[Placement::TWO], |placement| {
            for (name, table) in [
                ("access", access as fn(Placement) -> Result<(), Failure>),
                ("blocks", blocks),
                ("heap", heap),
                ("live", live),
            ] {
                if let Err(error) = table(placement) {
                    println!("{name}: {error}");
                }
            }
        });
    }

    fn python(table: &mut Table<'_>) -> Option<Interpreter> {
        match Python::start() {
            Err(reason) => {
                table.note(reason.to_string());
                None
            }
            Ok(python) => {
                table.note(format!("CPython {}", python.version));
                Some(Rc::new(RefCell::new(python)))
            }
        }
    }

    fn has_numpy(python: &Interpreter) -> bool {
        python.borrow_mut().run("numpy", 1).is_ok_and(|spent| spent.wall < Duration::from_millis(500))
    }

    /// The same code for each row: what differs is how the slice was come by.
    #[inline(never)]
    fn fill(all: &mut [f64]) {
        black_box(all).fill(0.5);
    }

    #[inline(never)]
    fn sum(all: &[f64]) -> f64 {
        let (parts, rest) = black_box(all).as_chunks::<8>();
        let mut sums = [0.0; 8];
        for part in parts {
            for (sum, x) in sums.iter_mut().zip(part) {
                *sum += x;
            }
        }
        sums.iter().chain(rest).sum()
    }

    fn access(placement: Placement) -> Result<(), Failure> {
        let floor = Rc::new(RefCell::new(Mapped::new(FLOATS * 8)?));
        let open = Array::<f64>::new(FLOATS)?;
        let frozen = Array::<f64>::from_fn(FLOATS, |_| 0.5)?.freeze()?;
        let mut table = Table::new("10 M f64 filled, summed", Unit::Micros, placement);
        let peer = python(&mut table);
        let slice = floor.clone();
        table.row("fill, a slice over mmap", 10, &[], move |n| {
            timed(|| {
                (0..n).for_each(|_| fill(slice.borrow_mut().floats()));
                Ok(())
            })
        });
        let goal = || Goal::Times(1.02, "fill, a slice over mmap");
        table.row("fill, mp guard", 10, &[goal()], |n| {
            timed(|| {
                for _ in 0..n {
                    fill(&mut open.lock().map_err(Error::from)?);
                }
                Ok(())
            })
        });
        table.row("fill, mp lease", 10, &[goal()], |n| {
            timed(|| {
                for _ in 0..n {
                    fill(&mut open.lease(..)?);
                }
                Ok(())
            })
        });
        table.row("sum, a slice over mmap", 10, &[], move |n| {
            timed(|| {
                (0..n).for_each(|_| assert!(sum(floor.borrow_mut().floats()) >= 0.0));
                Ok(())
            })
        });
        let goal = || Goal::Times(1.02, "sum, a slice over mmap");
        table.row("sum, mp guard", 10, &[goal()], |n| {
            timed(|| {
                for _ in 0..n {
                    assert!(sum(&open.lock().map_err(Error::from)?) >= 0.0);
                }
                Ok(())
            })
        });
        table.row("sum, mp lease", 10, &[goal()], |n| {
            timed(|| {
                for _ in 0..n {
                    assert!(sum(&open.lease(..).map_err(Error::from)?) >= 0.0);
                }
                Ok(())
            })
        });
        table.row("sum, mp frozen", 10, &[goal()], |n| {
            timed(|| {
                (0..n).for_each(|_| assert!(sum(&frozen) > 0.0));
                Ok(())
            })
        });
        if let Some(peer) = peer {
            let rows: &[(&str, &str, u32)] = if has_numpy(&peer) {
                &[
                    ("fill, CPython", "fill", 1),
                    ("sum, CPython", "sum", 1),
                    ("fill, numpy", "fill_numpy", 10),
                    ("sum, numpy", "sum_numpy", 10),
                ]
            } else {
                table.note("skipped: numpy (pip install numpy)");
                &[("fill, CPython", "fill", 1), ("sum, CPython", "sum", 1)]
            };
            for (name, what, operations) in rows {
                let peer = peer.clone();
                table.row(name, *operations, &[], move |n| peer.borrow_mut().run(what, n));
            }
        }
        table.measure();
        Ok(())
    }

    fn message(session: &Session, size: u64) -> Result<Object, Failure> {
        let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size };
        Ok(Object::create(session, plan, |_, _| {})?)
    }

    fn write(memory: &SharedMemory) {
        // SAFETY: this handle's maker has told nobody of it.
        unsafe { black_box(memory.as_mut_slice()).fill(1) };
    }

    fn blocks(placement: Placement) -> Result<(), Failure> {
        let session = Session::current()?;
        let mut table = Table::new("A block of 1 MiB", Unit::Micros, placement);
        let peer = python(&mut table);
        let mut floor = Mapped::new(MIB)?;
        table.row("memset", 500, &[], move |n| {
            timed(|| {
                (0..n).for_each(|_| black_box(floor.bytes()).fill(0));
                Ok(())
            })
        });
        table.row("mp message buffer, recycled", 1000, &[Goal::AtMost(1.0)], |n| {
            timed(|| {
                for _ in 0..n {
                    drop(black_box(message(&session, MIB as u64)?));
                }
                Ok(())
            })
        });
        table.row("mp public block, recycled", 500, &[Goal::Times(1.1, "memset")], |n| {
            timed(|| {
                for _ in 0..n {
                    drop(black_box(SharedMemory::new(MIB)?));
                }
                Ok(())
            })
        });
        table.row("memfd, map, unmap", 500, &[], |n| {
            timed(|| {
                for _ in 0..n {
                    black_box(Mapped::new(MIB)?);
                }
                Ok(())
            })
        });
        table.row("memfd, map, write, unmap", 30, &[], |n| {
            timed(|| {
                for _ in 0..n {
                    black_box(Mapped::new(MIB)?.bytes()).fill(1);
                }
                Ok(())
            })
        });
        // They are kept: what is given back is no fresh block for the next one.
        let mut kept = Vec::new();
        let goal = Goal::Times(1.2, "memfd, map, write, unmap");
        table.row("mp public block, fresh, write", 30, &[goal], move |n| {
            timed(|| {
                for _ in 0..n {
                    let memory = SharedMemory::new(MIB)?;
                    write(&memory);
                    kept.push(memory);
                }
                Ok(())
            })
        });
        if let Some(peer) = peer {
            table.row("CPython, create, close, unlink", 500, &[], move |n| peer.borrow_mut().run("block", n));
        }
        table.measure();
        Ok(())
    }

    /// So many operations, a few at a time: what counts is the median few, which nobody interrupted.
    fn steady(count: u32, mut one: impl FnMut() -> Result<(), Failure>) -> Result<Spent, Failure> {
        const FEW: u32 = 500;
        let mut times = (0..count.div_ceil(FEW))
            .map(|_| Ok(timed(|| (0..FEW).try_for_each(|_| one()))?.wall))
            .collect::<Result<Vec<Duration>, Failure>>()?;
        times.sort_unstable();
        Ok(Spent { wall: times[times.len() / 2] * count / FEW, cpu: None })
    }

    /// Gives blocks back in another process; how long it took there.
    fn give_back(blocks: Vec<u64>) -> Result<f64, mp_session::Error> {
        let probe = HeapProbe::new(&Session::current()?);
        let begin = Instant::now();
        blocks.into_iter().for_each(|block| probe.give(block));
        Ok(begin.elapsed().as_secs_f64())
    }

    fn heap(placement: Placement) -> Result<(), Failure> {
        let session = Session::current()?;
        let probe = HeapProbe::new(&session);
        let mut table = Table::new("Blocks of 64 bytes, objects, handles", Unit::Nanos, placement);
        let word = AtomicU64::new(0);
        table.row("a bare lock and unlock", 50_000, &[], move |n| {
            steady(n, || {
                while black_box(&word).compare_exchange(0, 1, Acquire, Relaxed).is_err() {}
                black_box(&word).swap(0, Release);
                Ok(())
            })
        });
        table.row("heap, take and give back", 50_000, &[Goal::AtMost(60.0)], |n| {
            steady(n, || {
                probe.give(black_box(probe.take(BLOCK)?));
                Ok(())
            })
        });
        table.row("heap, given back by another process", 50_000, &[Goal::AtMost(150.0)], |n| {
            let blocks = (0..n).map(|_| probe.take(BLOCK)).collect::<Result<Vec<_>, _>>()?;
            let there = Process::spawn(give_back, (blocks,))?.join()?;
            let begin = Instant::now();
            let again = (0..n).map(|_| probe.take(BLOCK)).collect::<Result<Vec<_>, _>>()?;
            let here = begin.elapsed();
            again.into_iter().for_each(|block| probe.give(block));
            Ok(Spent { wall: here + Duration::from_secs_f64(there), cpu: None })
        });
        table.row("an object of 64 bytes, made and gone", 20_000, &[], |n| {
            steady(n, || {
                drop(black_box(message(&session, BLOCK)?));
                Ok(())
            })
        });
        table.row("an array of 8 f64, made and gone", 20_000, &[], |n| {
            steady(n, || {
                drop(black_box(Array::<f64>::new(8)?));
                Ok(())
            })
        });
        let (queue, array) = (Queue::new()?, Array::<f64>::new(8)?);
        table.row("an array's handle through a queue", 20_000, &[Goal::AtMost(1000.0)], move |n| {
            steady(n, || {
                queue.put(array.clone())?;
                black_box(queue.get()?);
                Ok(())
            })
        });
        let value = mp_shared::Value::new(0_u64)?;
        table.row("*value.lock()? += 1", 50_000, &[], move |n| {
            steady(n, || {
                *value.lock().map_err(Error::from)? += 1;
                Ok(())
            })
        });
        table.measure();
        Ok(())
    }

    /// Taking and giving back, with so many others alive.
    fn live(placement: Placement) -> Result<(), Failure> {
        let session = Session::current()?;
        let probe = HeapProbe::new(&session);
        let names = ["1 k live", "100 k live", "1 M live", "10 M live"];
        let mut held = Vec::new();
        println!(
            "\n64 bytes of the heap, by how many are live [{placement}; medians of 9 runs, not interleaved]"
        );
        let mut first = None;
        for (name, count) in names.into_iter().zip([1_000, 100_000, 1_000_000, 10_000_000]) {
            let grow = Instant::now();
            let more = count - held.len();
            for _ in 0..more {
                held.push(probe.take(BLOCK)?);
            }
            let growing = grow.elapsed().as_secs_f64() * 1e9 / more as f64;
            // A batch at a time, so that the magazine runs out and has to look for more.
            let mut rounds: Vec<f64> = (0..9)
                .map(|_| -> Result<f64, Failure> {
                    let begin = Instant::now();
                    for _ in 0..50 {
                        let batch = (0..2000).map(|_| probe.take(BLOCK)).collect::<Result<Vec<_>, _>>()?;
                        batch.into_iter().for_each(|block| probe.give(block));
                    }
                    Ok(begin.elapsed().as_secs_f64() * 1e9 / 100_000.0)
                })
                .collect::<Result<_, _>>()?;
            rounds.sort_by(f64::total_cmp);
            let ratio = rounds[4] / *first.get_or_insert(rounds[4]);
            println!(
                "{name:>10}: {:>6.1} ns a block, taken and given back 2000 at a time ({ratio:.2} x the first); {growing:>6.1} ns while \
                 growing there",
                rounds[4]
            );
        }
        held.into_iter().for_each(|block| probe.give(block));
        Ok(())
    }
}
