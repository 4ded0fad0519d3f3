use std::mem::forget;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use std::thread;
use std::time::{Duration, Instant};

use mp_sync::{Error, LockError, RwLock, ValueGuardMut};

use crate::SHORT;
use crate::common::{Actor, Board, LIMIT, PROMPT, arguments, carry, until};

#[test]
fn many_read_or_one_writes() {
    let lock = RwLock::new([0_u64; 4]).unwrap();
    let most = AtomicU64::new(0);
    let reading = AtomicU64::new(0);
    thread::scope(|s| {
        for t in 0..4 {
            let (lock, most, reading) = (&lock, &most, &reading);
            s.spawn(move || {
                for i in 0..5000 {
                    if (i + t) % 4 == 0 {
                        let mut guard = lock.write().unwrap();
                        assert_eq!(reading.load(SeqCst), 0);
                        guard.iter_mut().for_each(|n| *n += 1);
                    } else {
                        let guard = lock.read().unwrap();
                        most.fetch_max(reading.fetch_add(1, SeqCst) + 1, SeqCst);
                        assert!(guard.iter().all(|n| *n == guard[0]));
                        if i % 100 == 0 {
                            thread::yield_now();
                        }
                        reading.fetch_sub(1, SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!(*lock.read().unwrap(), [5000; 4]);
    assert!(!lock.locked());
}

#[test]
fn readers_are_let_in_together_and_writers_alone() {
    let lock = RwLock::new(1_u8).unwrap();
    let one = lock.read().unwrap();
    thread::scope(|s| {
        s.spawn(|| {
            let two = lock.try_read().unwrap().unwrap();
            assert_eq!(*two, 1);
            assert!(lock.locked());
            drop(two);
            let start = Instant::now();
            assert!(lock.try_write().unwrap().is_none());
            assert!(lock.write_timeout(SHORT).unwrap().is_none());
            assert!(start.elapsed() >= SHORT);
            assert!(lock.try_read().unwrap().is_some(), "a writer that gave up is in nobody's way");
        });
    });
    drop(one);
    let writer = lock.write().unwrap();
    thread::scope(|s| {
        s.spawn(|| {
            assert!(lock.try_read().unwrap().is_none() && lock.read_timeout(SHORT).unwrap().is_none());
            assert!(lock.try_write().unwrap().is_none());
        });
    });
    drop(writer);
    assert!(lock.write_timeout(Duration::MAX).unwrap().is_some());
}

#[test]
fn a_thread_reads_again_whoever_waits_and_cannot_write_meanwhile() {
    let lock = RwLock::new(7_u32).unwrap();
    let first = lock.read().unwrap();
    assert!(matches!(lock.write(), Err(LockError::Failed(Error::InvalidArgument { .. }))));
    thread::scope(|s| {
        s.spawn(|| *lock.write().unwrap() += 1);
        until("the writer", || lock.raw_is_taken());
        let second = lock.read().unwrap(); // the writer waits for us, and not we for it
        assert_eq!((*first, *second), (7, 7));
        drop((first, second));
    });
    assert_eq!(*lock.read().unwrap(), 8);
    let _writes = lock.write().unwrap();
    assert!(matches!(lock.read(), Err(LockError::Failed(Error::InvalidArgument { .. }))));
    assert!(matches!(lock.write_timeout(LIMIT), Err(LockError::Failed(Error::InvalidArgument { .. }))));
}

/// Whether a writer has the lock word, be it that it waits for readers.
trait Raw {
    fn raw_is_taken(&self) -> bool;
}

impl Raw for RwLock<u32> {
    fn raw_is_taken(&self) -> bool {
        !format!("{self:?}").contains("free")
    }
}

#[test]
fn more_readers_at_once_than_the_first_table_has_places() {
    let (lock, reading, go) = (RwLock::new(3_u32).unwrap(), AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|s| {
        for _ in 0..90 {
            s.spawn(|| {
                let first = lock.read().unwrap();
                let again = lock.read().unwrap();
                assert_eq!(*first + *again, 6);
                reading.fetch_add(1, SeqCst);
                until("the others", || go.load(SeqCst));
            });
        }
        until("all at once", || reading.load(SeqCst) == 90);
        assert!(lock.try_write().unwrap().is_none());
        go.store(true, SeqCst);
        *lock.write().unwrap() += 1;
    });
    assert_eq!(*lock.read().unwrap(), 4);
}

#[test]
fn writers_do_not_starve() {
    let (lock, stop) = (RwLock::new(0_u64).unwrap(), AtomicBool::new(false));
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                // One or the other reads at every moment.
                while !stop.load(Relaxed) {
                    let _guard = lock.read().unwrap();
                    let since = Instant::now();
                    while since.elapsed() < Duration::from_micros(200) {}
                }
            });
        }
        let start = Instant::now();
        for _ in 0..50 {
            *lock.write_timeout(LIMIT).unwrap().expect("a turn") += 2;
        }
        stop.store(true, Relaxed);
        assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    });
}

#[test]
fn readers_do_not_starve_under_two_hogs() {
    let (lock, done) = (RwLock::new(0_u64).unwrap(), AtomicBool::new(false));
    thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                while !done.load(Relaxed) {
                    *lock.write().unwrap() += 1;
                }
            });
        }
        let mut worst = Duration::ZERO;
        for _ in 0..50 {
            let start = Instant::now();
            drop(lock.read_timeout(LIMIT).unwrap().expect("a turn"));
            worst = worst.max(start.elapsed());
        }
        done.store(true, Relaxed);
        assert!(worst < LIMIT / 4, "{worst:?}");
    });
}

#[test]
fn a_dead_reader_is_in_nobody_s_way_and_a_dead_writer_is_told_of() {
    let heap = mp_session::Session::on_heap(0).unwrap();
    let a = heap.member("a").unwrap();
    let lock = RwLock::new_in(&a, [1, 1]).unwrap();
    let b = heap.member("b").unwrap();
    let reader = carry(&lock, &a, &b);
    forget(reader.read().unwrap());
    forget(reader.read().unwrap());
    forget(reader);
    b.abandon();
    assert_eq!(*lock.try_write().unwrap().unwrap(), [1, 1], "no news: it changed nothing");

    let c = heap.member("c").unwrap();
    let writer = carry(&lock, &a, &c);
    let mut guard = writer.write().unwrap();
    guard[0] = 2;
    forget(guard);
    forget(writer);
    c.abandon();
    for name in [Some("c"), None] {
        match lock.read() {
            Err(LockError::OwnerDied(died)) => {
                if name.is_some() {
                    assert_eq!(died.who().map(|who| who.name.as_str()), name);
                }
                let guard = died.into_guard();
                assert_eq!((*guard, guard.is_consistent()), ([2, 1], false));
            }
            other => panic!("{other:?}"),
        }
    }
    let error = Error::from(lock.write().map(|_| ()).unwrap_err());
    assert!(matches!(&error, Error::OwnerDied { what, .. } if what == "RwLock"), "{error}");
    drop(lock.write().or_else(|e| e.repair(|value| value[1] = 2)).unwrap());
    assert_eq!(*lock.read().unwrap(), [2, 2]);
}

#[test]
fn a_leaked_guard_holds_as_long_as_the_process() {
    let lock: &'static RwLock<u32> = Box::leak(Box::new(RwLock::new(7_u32).unwrap()));
    let leaked: &'static u32 = thread::spawn(|| &**Box::leak(Box::new(lock.read().unwrap()))).join().unwrap();
    assert!(lock.write_timeout(SHORT).unwrap().is_none(), "or it would change under the reference");
    assert_eq!(*leaked, 7);
    assert!(lock.read().is_ok());
}

#[derive(serde::Serialize, serde::Deserialize)]
enum Part {
    Read,
    Write,
    /// Both, again and again.
    Work,
}

type Pair = RwLock<[u64; 2]>;

#[test]
#[ignore = "a part that other tests start in a process of its own"]
fn actor() {
    let Some((part, lock, board)) = arguments::<(Part, Pair, Board)>() else { return };
    match part {
        Part::Read => {
            let _guard = lock.read().unwrap();
            board.add(0);
            loop {
                thread::park();
            }
        }
        Part::Write => {
            let mut guard = lock.write().unwrap();
            guard[0] += 1;
            board.add(0);
            loop {
                thread::park();
            }
        }
        Part::Work => loop {
            for _ in 0..3 {
                match lock.read() {
                    Ok(guard) => assert_eq!(guard[0], guard[1]),
                    Err(LockError::OwnerDied(_)) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            let mut guard = lock.write().or_else(|e| e.repair(|value| value[1] = value[0])).unwrap();
            assert_eq!(guard[0], guard[1]);
            guard[0] += 1;
            guard[1] += 1;
            board.add(1);
        },
    }
}

fn start(name: &str, part: Part, lock: &Pair, board: &Board) -> Actor {
    Actor::start("rwlock::actor", name, &(part, lock.clone(), board.clone()))
}

#[test]
fn a_killed_reader_frees_it_also_for_a_writer_that_sleeps() {
    let (lock, board) = (Pair::new([0; 2]).unwrap(), Board::new());
    let mut reader = start("reader", Part::Read, &lock, &board);
    until("the reader", || board.get(0) == 1);
    thread::scope(|s| {
        let writer = s.spawn(|| {
            let guard = lock.write_timeout(LIMIT).unwrap().expect("in time");
            (Instant::now(), guard.is_consistent())
        });
        thread::sleep(Duration::from_millis(50));
        let killed = Instant::now();
        reader.kill();
        let (got, consistent) = writer.join().unwrap();
        assert!(consistent && got.duration_since(killed) < PROMPT * 10);
    });
}

#[test]
fn a_killed_writer_s_readers_are_told() {
    let (lock, board) = (Pair::new([0; 2]).unwrap(), Board::new());
    let mut writer = start("writer", Part::Write, &lock, &board);
    until("the writer", || board.get(0) == 1);
    thread::scope(|s| {
        let reader = s.spawn(|| matches!(lock.read_timeout(LIMIT), Err(LockError::OwnerDied(_))));
        thread::sleep(Duration::from_millis(50));
        writer.kill();
        assert!(reader.join().unwrap());
    });
    let mut guard = match lock.write() {
        Err(LockError::OwnerDied(died)) => died.into_guard(),
        other => panic!("{other:?}"),
    };
    assert_eq!(*guard, [1, 0]);
    ValueGuardMut::mark_consistent(&mut guard);
    drop(guard);
    assert!(lock.read().is_ok());
}

#[test]
fn it_stays_right_while_readers_and_writers_are_killed() {
    let (lock, board) = (Pair::new([0; 2]).unwrap(), Board::new());
    let mut actors: Vec<_> = (0..3).map(|i| start(&format!("w{i}"), Part::Work, &lock, &board)).collect();
    for i in 0..15_u64 {
        let before = board.get(1);
        until("work", || board.get(1) > before + 50);
        thread::sleep(Duration::from_micros(i * 131 % 900));
        let at = (i % 3) as usize;
        actors[at].kill();
        actors[at].wait();
        actors[at] = start(&format!("w{}", i + 3), Part::Work, &lock, &board);
    }
    drop(actors);
    let guard = lock.write_timeout(LIMIT).or_else(|e| e.repair(|v| v[1] = v[0]).map(Some)).unwrap().unwrap();
    assert_eq!(guard[0], guard[1]);
    assert!(guard[0] - board.get(1) <= 15 && guard[0] >= board.get(1));
}
