//! What does it cost to wait for many things at once, beside `poll` and `epoll` over as many eventfds?

#[cfg(target_os = "linux")]
fn main() {
    mp_benches::floors::play();
    mp_process::init();
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: wait (it measures beside Linux's own calls)");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::sync::Arc;
    use std::sync::mpsc;

    use mp_benches::events::{Events, Poll};
    use mp_benches::table::{Unit, timed};
    use mp_benches::{Failure, Goal, Placement, Spent, Table};
    use mp_queue::{Receiver, Sender};
    use mp_session::{WaitSet, Waitable, wait};

    const MANY: usize = 1_000;
    const FEW: usize = 4;
    /// A step through all of them that is none of their neighbours.
    const STEP: usize = 389;

    pub(crate) fn main() {
        mp_benches::placed(&[Placement::TWO, Placement::ONE], |placement| {
            awake(placement);
            asleep(placement);
        });
    }

    type Ends = (Vec<Sender<u64>>, Vec<Receiver<u64>>);

    fn queues(count: usize) -> Result<Ends, Failure> {
        let made: Result<Vec<_>, _> = (0..count).map(|_| mp_queue::unbounded()).collect();
        Ok(made?.into_iter().unzip())
    }

    fn set_of(receivers: &[Receiver<u64>]) -> Result<WaitSet<'_>, Failure> {
        let mut set = WaitSet::new()?;
        for (token, receiver) in receivers.iter().enumerate() {
            set.add(token as u64, receiver)?;
        }
        set.wait(std::time::Duration::ZERO)?;
        Ok(set)
    }

    /// One thread puts, waits and gets.
    fn set_awake(rounds: u32, count: usize) -> Result<Spent, Failure> {
        let (senders, receivers) = queues(count)?;
        let mut set = set_of(&receivers)?;
        timed(|| {
            for n in 0..rounds as usize {
                senders[n * STEP % count].put(n as u64)?;
                for token in set.wait(None)? {
                    receivers[token as usize].get()?;
                }
            }
            Ok(())
        })
    }

    fn call_awake(rounds: u32) -> Result<Spent, Failure> {
        let (senders, receivers) = queues(FEW)?;
        let things: Vec<&dyn Waitable> = receivers.iter().map(|r| r as &dyn Waitable).collect();
        timed(|| {
            for n in 0..rounds as usize {
                senders[n * STEP % FEW].put(n as u64)?;
                for index in wait(&things, None)? {
                    receivers[index].get()?;
                }
            }
            Ok(())
        })
    }

    fn events_awake(rounds: u32, count: usize, poll: Poll) -> Result<Spent, Failure> {
        let events = Events::new(count, poll)?;
        timed(|| {
            for n in 0..rounds as usize {
                events.raise(n * STEP % count)?;
                for index in events.wait()? {
                    events.take(index)?;
                }
            }
            Ok(())
        })
    }

    fn awake(placement: Placement) {
        let mut table = Table::new("Put, wait for one of many, get: one thread", Unit::Nanos, placement);
        table.row("epoll, 1,000 eventfds", 20_000, &[], |n| events_awake(n, MANY, Poll::Epoll));
        let goal = Goal::Times(1.5, "epoll, 1,000 eventfds");
        table.row("mp WaitSet, 1,000 queues", 20_000, &[goal], |n| set_awake(n, MANY));
        table.row("poll, 4 eventfds", 20_000, &[], |n| events_awake(n, FEW, Poll::Poll));
        let goal = Goal::Times(1.5, "poll, 4 eventfds");
        table.row("mp wait, 4 queues", 20_000, &[goal], call_awake);
        table.measure();
    }

    /// Another thread puts into one of many when it is told; it is told when that has arrived.
    fn other_thread(put: impl Fn(usize) -> Result<(), String> + Send + 'static) -> mpsc::Sender<usize> {
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            while let Ok(at) = told.recv() {
                // So that the other one sleeps, which is the question.
                std::thread::sleep(std::time::Duration::from_micros(100));
                if put(at).is_err() {
                    return;
                }
            }
        });
        tell
    }

    fn set_asleep(rounds: u32) -> Result<Spent, Failure> {
        let (senders, receivers) = queues(MANY)?;
        let mut set = set_of(&receivers)?;
        let tell = other_thread(move |at| senders[at].put(1).map_err(|e| e.to_string()));
        timed(|| {
            for n in 0..rounds as usize {
                tell.send(n * STEP % MANY)?;
                for token in set.wait(None)? {
                    receivers[token as usize].get()?;
                }
            }
            Ok(())
        })
    }

    fn call_asleep(rounds: u32) -> Result<Spent, Failure> {
        let (senders, receivers) = queues(FEW)?;
        let things: Vec<&dyn Waitable> = receivers.iter().map(|r| r as &dyn Waitable).collect();
        let tell = other_thread(move |at| senders[at].put(1).map_err(|e| e.to_string()));
        timed(|| {
            for n in 0..rounds as usize {
                tell.send(n * STEP % FEW)?;
                for index in wait(&things, None)? {
                    receivers[index].get()?;
                }
            }
            Ok(())
        })
    }

    fn events_asleep(rounds: u32, count: usize, poll: Poll) -> Result<Spent, Failure> {
        let events = Arc::new(Events::new(count, poll)?);
        let theirs = events.clone();
        let tell = other_thread(move |at| theirs.raise(at).map_err(|e| e.to_string()));
        timed(|| {
            for n in 0..rounds as usize {
                tell.send(n * STEP % count)?;
                for index in events.wait()? {
                    events.take(index)?;
                }
            }
            Ok(())
        })
    }

    fn asleep(placement: Placement) {
        let title = "Sleep until one of many is ready, 100 us later: two threads";
        let mut table = Table::new(title, Unit::Micros, placement);
        table.row("epoll, 1,000 eventfds", 1_000, &[], |n| events_asleep(n, MANY, Poll::Epoll));
        let goal = Goal::Times(1.5, "epoll, 1,000 eventfds");
        table.row("mp WaitSet, 1,000 queues", 1_000, &[goal], set_asleep);
        table.row("poll, 4 eventfds", 1_000, &[], |n| events_asleep(n, FEW, Poll::Poll));
        let goal = Goal::Times(1.5, "poll, 4 eventfds");
        table.row("mp wait, 4 queues", 1_000, &[goal], call_asleep);
        table.measure();
    }
}
