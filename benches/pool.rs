//! What does a task cost, on its own, in a map, and the pool itself?
#![allow(
    clippy::unit_arg,
    clippy::type_complexity,
    reason = "a measured closure is one expression, a list of them one type"
)]

#[cfg(target_os = "linux")]
fn main() {
    mp_benches::floors::play();
    mp_process::init();
    procspawn::init();
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: pool (it measures beside Linux's own calls)");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::cell::RefCell;
    use std::hint::black_box;
    use std::rc::Rc;
    use std::time::{Duration, Instant};

    use mp_benches::floors::{Burner, FutexEcho};
    use mp_benches::table::{Unit, timed, timed_with_cpu};
    use mp_benches::{Failure, Goal, Placement, Python, Spent, Table};
    use mp_pool::Pool;
    use rayon::prelude::*;

    const ITEMS: u32 = 100_000;
    /// Longer than anybody spins.
    const PAUSE: Duration = Duration::from_micros(300);

    type Interpreter = Option<Rc<RefCell<Python>>>;

    pub(crate) fn main() {
        mp_benches::placed(&[Placement::TWO, Placement::ONE], tables);
    }

    /// A table's name, and what measures it.
    type Question<'a> = (&'static str, &'a dyn Fn() -> Result<(), Failure>);

    fn tables(placement: Placement) {
        // Forked while there is one thread.
        let echo = FutexEcho::start();
        let asleep = || asleep(placement, echo.as_ref().map_err(ToString::to_string)?);
        let two: [Question<'_>; 6] = [
            ("apply", &|| apply(None)),
            ("apply, busy", &|| apply(Some(Burner::start()?))),
            ("apply, asleep", &asleep),
            ("map", &map),
            ("work", &work),
            ("whole", &whole),
        ];
        let one: [Question<'_>; 1] = [("apply, asleep", &asleep)];
        let these: &[Question<'_>] = if placement == Placement::TWO { &two } else { &one };
        for (name, table) in these {
            if let Err(error) = table() {
                println!("{name}: {error}");
            }
        }
    }

    fn python(table: &mut Table<'_>) -> Interpreter {
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

    fn rows(table: &mut Table<'_>, python: &Interpreter, rows: &[(&'static str, &'static str, u32)]) {
        let Some(python) = python else { return };
        for (name, what, count) in rows.iter().copied() {
            let python = python.clone();
            table.row(name, count, &[], move |n| python.borrow_mut().run(what, n));
        }
    }

    fn times(count: u32, mut one: impl FnMut() -> Result<(), Failure>) -> Result<(), Failure> {
        (0..count).try_for_each(|_| one())
    }

    fn threads() -> Result<rayon::ThreadPool, Failure> {
        Ok(rayon::ThreadPoolBuilder::new().num_threads(2).build()?)
    }

    /// Only the operations count, each after a pause.
    fn rested(count: u32, mut one: impl FnMut() -> Result<(), Failure>) -> Result<Spent, Failure> {
        let mut wall = Duration::ZERO;
        for _ in 0..count {
            std::thread::sleep(PAUSE);
            let begin = Instant::now();
            one()?;
            wall += begin.elapsed();
        }
        Ok(Spent { wall, cpu: None })
    }

    fn square(x: u64) -> u64 {
        x.wrapping_mul(x)
    }

    fn one_of(pool: &Pool) -> Result<(), Failure> {
        black_box(pool.apply(square, (3_u64,))?);
        Ok(())
    }

    fn pids(pool: &Pool) -> Vec<u32> {
        pool.workers().iter().map(|ident| ident.pid).collect()
    }

    fn apply(burner: Option<Burner>) -> Result<(), Failure> {
        let pool = Pool::new(2)?;
        let threads = threads()?;
        let others = procspawn::Pool::new(2)?;
        let title = match burner {
            None => "apply, one after the other",
            Some(_) => "apply, one after the other, beside a process that keeps a core busy",
        };
        let mut table = Table::new(title, Unit::Micros, Placement::TWO);
        let goals = match burner {
            // 3 of rayon's 13 where the goal was set.
            None => &[Goal::AtMost(3.0), Goal::Times(0.23, "rayon, threads")][..],
            Some(_) => &[],
        };
        table.row("mp Pool", 5_000, goals, |n| timed_with_cpu(&pids(&pool), || times(n, || one_of(&pool))));
        table.row("rayon, threads", 2_000, &[], |n| {
            timed_with_cpu(&[], || {
                times(n, || {
                    black_box(threads.install(|| square(black_box(3))));
                    Ok(())
                })
            })
        });
        table.row("procspawn Pool", 500, &[], |n| {
            timed(|| {
                times(n, || {
                    black_box(others.spawn(3_u64, square).join()?);
                    Ok(())
                })
            })
        });
        let python = python(&mut table);
        rows(
            &mut table,
            &python,
            &[("CPython Pool", "apply", 200), ("CPython ProcessPoolExecutor", "submit", 200)],
        );
        table.measure();
        Ok(())
    }

    fn asleep(placement: Placement, echo: &FutexEcho) -> Result<(), Failure> {
        let pool = Pool::new(2)?;
        let mut table = Table::new("apply, workers asleep", Unit::Micros, placement);
        table.row("mp Pool", 500, &[Goal::Times(1.2, "futex floor")], |n| rested(n, || one_of(&pool)));
        table.row("futex floor", 500, &[], |n| {
            rested(n, || {
                echo.round_trip();
                Ok(())
            })
        });
        table.measure();
        Ok(())
    }

    fn map() -> Result<(), Failure> {
        let pool = Pool::new(2)?;
        let threads = threads()?;
        let others = procspawn::Pool::new(2)?;
        let mut table = Table::new("map of 100,000 squares", Unit::Nanos, Placement::TWO);
        table.row("mp map", ITEMS, &[Goal::AtMost(12.5), Goal::Times(0.059, "CPython map")], |n| {
            timed_with_cpu(&pids(&pool), || Ok(drop(black_box(pool.map(square, 0..u64::from(n))?))))
        });
        table.row(
            "mp map, chunk 1",
            ITEMS,
            &[Goal::AtMost(333.0), Goal::Times(0.0167, "CPython map, chunk 1")],
            |n| {
                timed_with_cpu(&pids(&pool), || {
                    Ok(drop(black_box(pool.map_with_chunks(square, 0..u64::from(n), 1)?)))
                })
            },
        );
        table.row(
            "mp unordered",
            ITEMS,
            &[Goal::AtMost(500.0), Goal::Times(0.0175, "CPython unordered")],
            |n| {
                timed_with_cpu(&pids(&pool), || {
                    pool.imap_unordered(square, 0..u64::from(n)).try_for_each(|r| {
                        r.map(|x| {
                            black_box(x);
                        })
                    })?;
                    Ok(())
                })
            },
        );
        table.row("rayon map, threads", ITEMS, &[], |n| {
            timed(|| {
                let squares: Vec<u64> =
                    threads.install(|| (0..u64::from(n)).into_par_iter().map(square).collect());
                drop(black_box(squares));
                Ok(())
            })
        });
        table.row("rayon map, chunk 1, threads", ITEMS, &[], |n| {
            timed(|| {
                let squares: Vec<u64> = threads.install(|| {
                    (0..n as usize).into_par_iter().with_max_len(1).map(|x| square(x as u64)).collect()
                });
                drop(black_box(squares));
                Ok(())
            })
        });
        table.row("procspawn, chunk 1", 2_000, &[], |n| {
            timed(|| {
                let all: Vec<_> = (0..u64::from(n)).map(|x| others.spawn(x, square)).collect();
                for one in all {
                    black_box(one.join()?);
                }
                Ok(())
            })
        });
        let python = python(&mut table);
        let peers = [
            ("CPython map", "map", ITEMS),
            ("CPython map, chunk 1", "map1", ITEMS / 10),
            ("CPython unordered", "unordered", ITEMS / 10),
            ("CPython executor map, 8 chunks", "executor_map", ITEMS),
            ("CPython executor map, chunk 1", "executor_map1", ITEMS / 50),
        ];
        rows(&mut table, &python, &peers);
        table.measure();
        Ok(())
    }

    /// Some arithmetic that cannot be left out, about a nanosecond a round.
    fn grind(rounds: u64) -> u64 {
        (0..rounds).fold(rounds | 1, |x, i| black_box(x.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ i))
    }

    /// The fastest of many short probes: others may use the cores as well.
    fn rounds_in(time: Duration) -> u64 {
        let probe = 20_000;
        let fastest = (0..500).map(|_| {
            let begin = Instant::now();
            black_box(grind(probe));
            begin.elapsed()
        });
        let fastest = fastest.min().unwrap_or(time);
        (probe as f64 * time.as_secs_f64() / fastest.as_secs_f64()) as u64
    }

    fn work() -> Result<(), Failure> {
        let pool = Pool::new(2)?;
        let mut table =
            Table::new("tasks of real work, chunk 1, for 2 workers", Unit::Micros, Placement::TWO);
        for (alone, ours, micros, part, count) in [
            ("10 us, in this process", "10 us, mp map", 10, 0.90, 10_000),
            ("100 us, in this process", "100 us, mp map", 100, 0.97, 1_000),
        ] {
            let rounds = rounds_in(Duration::from_micros(micros));
            table.row(alone, count, &[], move |n| {
                timed(|| {
                    times(n, || {
                        black_box(grind(black_box(rounds)));
                        Ok(())
                    })
                })
            });
            let pool = &pool;
            table.row(ours, count, &[Goal::Times(0.5 / part, alone)], move |n| {
                timed_with_cpu(&pids(pool), || {
                    Ok(drop(pool.map_with_chunks(grind, (0..n).map(|_| rounds), 1)?))
                })
            });
        }
        table.measure();
        Ok(())
    }

    fn whole() -> Result<(), Failure> {
        let mut table = Table::new("start of a pool of 2, one task, shutdown", Unit::Micros, Placement::TWO);
        table.row("mp Pool", 30, &[Goal::AtMost(800.0), Goal::Times(0.085, "CPython Pool")], |n| {
            timed_with_cpu(&[], || {
                times(n, || {
                    let pool = Pool::new(2)?;
                    one_of(&pool)?;
                    pool.close();
                    Ok(pool.join()?)
                })
            })
        });
        table.row("rayon, threads", 100, &[], |n| {
            timed(|| {
                times(n, || {
                    black_box(threads()?.install(|| square(black_box(3))));
                    Ok(())
                })
            })
        });
        table.row("procspawn Pool", 20, &[], |n| {
            timed(|| {
                times(n, || {
                    let pool = procspawn::Pool::new(2)?;
                    black_box(pool.spawn(3_u64, square).join()?);
                    pool.shutdown();
                    Ok(())
                })
            })
        });
        let python = python(&mut table);
        rows(
            &mut table,
            &python,
            &[("CPython Pool", "whole_pool", 5), ("CPython ProcessPoolExecutor", "whole_executor", 5)],
        );
        table.measure();
        Ok(())
    }
}
