//! Async tasks that wait for queues, locks and processes, on several runtimes.

use std::time::{Duration, Instant};

use futures_lite::future;
use mp::prelude::*;
use mp::{Error, ready};

mp::enable_in_tests!();

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn echo(from: Receiver<u64>, to: Sender<u64>) -> mp::Result<()> {
    for n in from.iter() {
        to.put(n? + 1)?;
    }
    Ok(())
}

/// A thousand round trips to another process, and a look at an end.
async fn converse() -> mp::Result<()> {
    let (to, from_us) = mp::queue::bounded(2)?;
    let (to_us, from) = mp::queue::bounded(2)?;
    let child = Process::spawn(echo, (from_us, to_us))?;
    for n in 0..1_000 {
        to.put_async(n).await?;
        assert_eq!(from.get_async().await?, n + 1);
    }
    drop(to);
    assert!(matches!(from.get_async().await, Err(Error::Disconnected { .. })));
    child.join_async().await
}

#[test]
fn any_runtime_will_do() {
    pollster::block_on(converse()).unwrap();
    future::block_on(converse()).unwrap();
    let one = tokio::runtime::Builder::new_current_thread().build().unwrap();
    one.block_on(converse()).unwrap();
    let many = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    many.block_on(async {
        let tasks: Vec<_> = (0..4).map(|_| tokio::spawn(converse())).collect();
        for task in tasks {
            tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap().unwrap();
        }
    });
}

#[test]
fn thousands_of_tasks_need_one_thread() {
    const TASKS: u64 = 2_000;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let queues: Vec<_> = (0..TASKS).map(|_| mp::queue::bounded::<u64>(1).unwrap()).collect();
    let tasks: Vec<_> = queues
        .iter()
        .map(|(_, receiver)| {
            let receiver = receiver.clone();
            runtime.spawn(async move { receiver.get_async().await })
        })
        .collect();
    let senders: Vec<Sender<u64>> = queues.iter().map(|(sender, _)| sender.clone()).collect();
    let putter = Process::spawn(
        |senders: Vec<Sender<u64>>| {
            senders.iter().enumerate().rev().try_for_each(|(n, sender)| sender.put(n as u64))
        },
        (senders,),
    )
    .unwrap();
    runtime.block_on(async {
        for (n, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap().unwrap(), n as u64);
        }
        putter.join_async().await.unwrap();
    });
}

/// A future that was dropped has taken nothing, and takes nobody's wake-up away.
#[test]
fn a_get_that_lost_a_race_leaves_its_message() {
    let (sender, receiver) = mp::queue::unbounded().unwrap();
    let (_other_sender, other) = mp::queue::unbounded::<u64>().unwrap();
    pollster::block_on(async {
        for n in 0..500_u64 {
            let raced = future::or(
                async {
                    future::yield_now().await;
                    None
                },
                async { Some(other.get_async().await) },
            );
            assert!(raced.await.is_none());
            let pending = receiver.get_async();
            let mut pending = std::pin::pin!(pending);
            assert!(future::poll_once(&mut pending).await.is_none());
            sender.put(n).unwrap();
            if n % 2 == 0 {
                assert_eq!(pending.await.unwrap(), n);
            } else {
                assert_eq!(receiver.try_get().unwrap(), n);
            }
        }
    });
}

#[test]
fn a_put_that_was_dropped_has_put_nothing() {
    let (sender, receiver) = mp::queue::bounded(1).unwrap();
    pollster::block_on(async {
        sender.put_async(1).await.unwrap();
        {
            let pending = sender.put_async(2);
            let mut pending = std::pin::pin!(pending);
            assert!(future::poll_once(&mut pending).await.is_none());
        }
        assert_eq!(receiver.get_async().await, Ok(1));
        assert_eq!(receiver.len(), 0);
        drop(receiver);
        assert!(matches!(sender.put_async(3).await, Err(Error::Disconnected { .. })));
    });
}

#[test]
fn locks_are_waited_for_by_tasks_of_one_thread() {
    let lock = Lock::new().unwrap();
    let count = Mutex::new(0_u64).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (lock, count) = (lock.clone(), count.clone());
                tokio::task::spawn_local(async move {
                    for _ in 0..20 {
                        let _guard = lock.lock_async().await.unwrap();
                        let before = *count.lock_async().await.unwrap();
                        tokio::task::yield_now().await;
                        *count.lock_async().await.unwrap() = before + 1;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(*count.lock().unwrap(), 400);
}

fn hold(lock: Lock, up: Sender<()>, stop: Receiver<()>) -> mp::Result<()> {
    let _guard = lock.lock()?;
    up.put(())?;
    stop.get()
}

#[test]
fn the_death_of_a_holder_wakes_a_task() {
    let lock = Lock::new().unwrap();
    let (up, is_up) = mp::queue::unbounded().unwrap();
    let (_keep, stop) = mp::queue::unbounded().unwrap();
    let holder = Process::spawn(hold, (lock.clone(), up, stop)).unwrap();
    is_up.get_timeout(PATIENCE).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(30)); // so that the task waits; it works all the same if it does not
            holder.kill().unwrap();
        });
        pollster::block_on(async {
            let begin = Instant::now();
            let guard = lock.lock_async().await.unwrap();
            assert!(guard.owner_died().is_some());
            drop(guard);
            assert!(holder.join_async().await.is_err());
            assert!(begin.elapsed() < PATIENCE);
        });
    });
}

/// The thread ends when nobody needs it any more, and comes back.
#[test]
fn what_is_waited_for_after_a_pause_is_told_of_as_well() {
    let (sender, receiver) = mp::queue::unbounded().unwrap();
    for pause in [0, 3_000] {
        std::thread::sleep(Duration::from_millis(pause));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                sender.put(pause).unwrap();
            });
            pollster::block_on(ready(&receiver)).unwrap();
            assert_eq!(receiver.try_get(), Ok(pause));
        });
    }
}
