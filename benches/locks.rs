//! What do locks cost: alone, between two processes, asleep; and how many can there be?

#[cfg(target_os = "linux")]
fn main() {
    mp_benches::floors::play();
    mp_process::init();
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: locks (it measures beside Linux's own calls)");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::cell::RefCell;
    use std::rc::Rc;

    use mp_benches::floors::FutexEcho;
    use mp_benches::locks::{Bare, BareLocks};
    use mp_benches::table::{Unit, timed};
    use mp_benches::{Failure, Goal, Placement, Python, Spent, Table};
    use mp_process::Process;
    use mp_queue::{Receiver, Sender};
    use mp_sync::{Event, Lock, Mutex, RLock, RwLock, Semaphore};

    const FLOOR: &str = "floor: bare futex mutex";
    const MANY: usize = 1_000_000;

    pub(crate) fn main() {
        mp_benches::placed(&[Placement::TWO, Placement::ONE], |placement| {
            let tables = [alone(placement), together(placement), asleep(placement), made(placement)];
            for error in tables.into_iter().filter_map(Result::err) {
                println!("locks: {error}");
            }
        });
    }

    fn times<R, E: Into<Failure>>(
        count: u32,
        mut one: impl FnMut() -> Result<R, E>,
    ) -> Result<Spent, Failure> {
        timed(|| {
            for _ in 0..count {
                std::hint::black_box(one().map_err(Into::into)?);
            }
            Ok(())
        })
    }

    type Mp = mp_sync::Error;

    fn alone(placement: Placement) -> Result<(), Failure> {
        let bare = BareLocks::start()?;
        let python = Python::start();
        let (std, parking_lot) = (std::sync::Mutex::new(()), parking_lot::Mutex::new(()));
        let (lock, mutex) = (Lock::new()?, Mutex::new(0_u64)?);
        let rlock = RLock::new()?;
        let held = RLock::new()?;
        let _held = held.lock()?;
        let semaphore = Semaphore::new(1)?;
        let rwlock = RwLock::new(0_u64)?;
        let mut table = Table::new("Take a free lock and give it back", Unit::Nanos, placement);
        let n = 2_000_000;
        for (name, kind) in [
            (FLOOR, Bare::Futex),
            ("pthread_mutex", Bare::Plain),
            ("pthread_mutex, shared", Bare::Shared),
            ("pthread_mutex, shared and robust", Bare::Robust),
            ("sem_t, shared", Bare::Semaphore),
        ] {
            let bare = &bare;
            table.row(name, n, &[], move |n| {
                timed(|| {
                    (0..n).for_each(|_| bare.once(kind));
                    Ok(())
                })
            });
        }
        table.row("std, threads", n, &[], |n| times(n, || std.lock().map(drop).map_err(|e| e.to_string())));
        table.row("parking_lot, threads", n, &[], |n| {
            times(n, || {
                drop(parking_lot.lock());
                Ok::<(), Mp>(())
            })
        });
        table.row("mp Mutex", n, &[Goal::Times(1.3, FLOOR)], |n| {
            times(n, || mutex.lock().map(|mut v| *v += 1).map_err(Mp::from))
        });
        table.row("mp Lock, guard", n, &[Goal::Times(1.3, FLOOR)], |n| times(n, || lock.lock().map(drop)));
        table.row("mp Lock, acquire", n, &[], |n| times(n, || lock.acquire().and_then(|()| lock.release())));
        table.row("mp RLock", n, &[Goal::Times(2.0, FLOOR)], |n| times(n, || rlock.lock().map(drop)));
        table.row("mp RLock, again", n, &[Goal::Times(2.0, FLOOR)], |n| times(n, || held.lock().map(drop)));
        table.row("mp Semaphore", n, &[Goal::Times(2.0, FLOOR)], |n| {
            times(n, || semaphore.acquire().and_then(|()| semaphore.release()))
        });
        table.row("mp Semaphore, guard", n / 4, &[], |n| times(n, || semaphore.acquire_guard().map(drop)));
        table.row("mp RwLock, read", n, &[Goal::Times(2.0, FLOOR)], |n| {
            times(n, || rwlock.read().map(|v| *v).map_err(Mp::from))
        });
        table.row("mp RwLock, write", n / 4, &[], |n| {
            times(n, || rwlock.write().map(|mut v| *v += 1).map_err(Mp::from))
        });
        match python {
            Err(reason) => table.note(reason.to_string()),
            Ok(python) => {
                let python = Rc::new(RefCell::new(python));
                let bare = python.clone();
                table.row("CPython Lock", 200_000, &[], move |n| bare.borrow_mut().run("lock", n));
                table.row("CPython Lock, with", 200_000, &[], move |n| {
                    python.borrow_mut().run("with_lock", n)
                });
            }
        }
        table.measure();
        Ok(())
    }

    /// Does it as often as it is told, for ever.
    fn other(mutex: Mutex<u64>, work: Receiver<u32>, done: Sender<()>) -> Result<(), Mp> {
        loop {
            let count = work.get()?;
            for _ in 0..count {
                *mutex.lock()? += 1;
            }
            done.put(())?;
        }
    }

    fn together(placement: Placement) -> Result<(), Failure> {
        let bare = BareLocks::start()?;
        let mutex = Mutex::new(0_u64)?;
        let (work, todo) = mp_queue::unbounded()?;
        let (done, is_done) = mp_queue::unbounded()?;
        let child = Process::builder().daemon(true).spawn(other, (mutex.clone(), todo, done))?;
        let mut table = Table::new("Two processes take one lock, each so often", Unit::Nanos, placement);
        let n = 500_000;
        for (name, kind) in [
            (FLOOR, Bare::Futex),
            ("pthread_mutex, shared", Bare::Shared),
            ("pthread_mutex, shared and robust", Bare::Robust),
            ("sem_t, shared", Bare::Semaphore),
        ] {
            let bare = &bare;
            table.row(name, n, &[], move |n| {
                timed(|| {
                    bare.together(kind, n);
                    Ok(())
                })
            });
        }
        table.row("mp Mutex", n, &[Goal::Times(1.0 / 0.7, FLOOR)], |n| {
            timed(|| {
                work.put(n)?;
                for _ in 0..n {
                    *mutex.lock().map_err(Mp::from)? += 1;
                }
                Ok(is_done.get()?)
            })
        });
        table.measure();
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    fn echo(ping: Event, pong: Event) -> Result<(), Mp> {
        loop {
            ping.wait()?;
            ping.clear()?;
            pong.set()?;
        }
    }

    fn asleep(placement: Placement) -> Result<(), Failure> {
        let floor = FutexEcho::start()?;
        let (ping, pong) = (Event::new()?, Event::new()?);
        let child = Process::builder().daemon(true).spawn(echo, (ping.clone(), pong.clone()))?;
        let mut table = Table::new("Wake a sleeper, and be woken by it", Unit::Micros, placement);
        const ECHO: &str = "floor: futex, both asleep";
        table.row(ECHO, 5_000, &[], |n| {
            timed(|| {
                (0..n).for_each(|_| floor.round_trip());
                Ok(())
            })
        });
        table.row("mp Event", 5_000, &[Goal::Times(1.2, ECHO)], |n| {
            times(n, || {
                ping.set()?;
                pong.wait()?;
                pong.clear()
            })
        });
        table.measure();
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    fn made(placement: Placement) -> Result<(), Failure> {
        let mut table = Table::new("Make a lock, and drop it", Unit::Nanos, placement);
        table.row("mp Lock", 100_000, &[Goal::AtMost(100.0)], |n| times(n, Lock::new));
        table.row("mp Lock, many alive", 100_000, &[], |n| {
            let mut kept = Vec::with_capacity(n as usize);
            timed(|| {
                for _ in 0..n {
                    kept.push(Lock::new()?);
                }
                Ok(())
            })
        });
        let many: Vec<Lock> = (0..MANY).map(|_| Lock::new()).collect::<Result<_, _>>()?;
        let descriptors = std::fs::read_dir("/proc/self/fd")?.count();
        table.note(format!("{} locks at once, {descriptors} descriptors open in this process", many.len()));
        drop(many);
        table.measure();
        Ok(())
    }
}
