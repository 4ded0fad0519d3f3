//! Queues between real processes, which are killed. The children are this test program again, at [`child_entry`].

mod support;

use std::collections::{HashMap, HashSet};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mp_queue::{Error, Queue, Receiver, Sender};
use mp_session::{Message, Place, Session, StartedProcess};
use mp_sys::{Child, Signal};
use mp_wire::Departure;
use serde::{Deserialize, Serialize};
use support::PATIENCE;

const CHILD: &str = "MP_QUEUE_TEST_CHILD";

/// What a child is to do.
#[derive(Serialize, Deserialize)]
enum Work {
    /// Put numbers, each with this name, until somebody stops it.
    Count(u64, Sender<(u64, u64)>),
    /// The same with messages that do not fit into a cell.
    CountLarge(u64, Sender<(u64, u64, Vec<u8>)>),
    /// Pass on all that comes.
    Forward(Receiver<u64>, Sender<u64>),
    /// Get one message and wait for ever after.
    Idle(Receiver<u64>),
    /// Put this many and leave in good order.
    PutAndGo(u64, Queue<u64>),
    /// Put this many large ones and leave.
    PutLargeAndGo(u64, Queue<Vec<u8>>),
    /// Lease messages and deal with each, for ever.
    Lease(Receiver<u64>, Sender<u64>),
}

#[test]
fn child_entry() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let session = Session::attach().unwrap().expect("started with a place in the session");
    let work = session.take_arguments().unwrap().expect("arguments").decode().unwrap();
    match work {
        Work::Count(name, out) => {
            for i in 0.. {
                out.put((name, i)).unwrap();
            }
        }
        Work::CountLarge(name, out) => {
            for i in 0.. {
                out.put((name, i, vec![i as u8; 100 + i as usize % 3000])).unwrap();
            }
        }
        Work::Forward(from, to) => {
            for message in &from {
                to.put(message.unwrap()).unwrap();
            }
        }
        Work::Idle(from) => {
            from.get().unwrap();
            loop {
                std::thread::park();
            }
        }
        Work::PutAndGo(count, queue) => queue.put_many(0..count).unwrap(),
        Work::PutLargeAndGo(count, queue) => {
            queue.put_many((0..count).map(|n| vec![n as u8; 20_000])).unwrap();
            std::process::exit(0);
        }
        Work::Lease(from, to) => loop {
            let lease = from.get_leased().unwrap();
            to.put(*lease).unwrap();
            drop(lease);
        },
    }
}

/// A child that is killed at the latest when this is dropped.
struct Worker {
    place: Place,
    process: Arc<StartedProcess>,
}

impl Worker {
    #[expect(clippy::zombie_processes, reason = "`StartedProcess` reaps it")]
    fn start(name: &str, work: &Work) -> Worker {
        let session = Session::current().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child_entry", "--nocapture"]).env(CHILD, "1").stdout(Stdio::null());
        let place = mp_session::inherit(&mut command, name).unwrap();
        place.put_arguments(&Message::encode(&session, work).unwrap()).unwrap();
        let child = command.spawn().unwrap();
        // SAFETY: our own child, just started; the standard library's handle is dropped, which does not reap.
        let process = Arc::new(StartedProcess::new(unsafe { Child::from_pid(child.id()) }));
        place.started(process.clone());
        Worker { place, process }
    }

    fn kill(&self) {
        self.process.signal(Signal::Kill).unwrap();
    }

    fn join(&self) -> Departure {
        let how = self.process.wait(Some(Instant::now() + PATIENCE)).unwrap().expect("it ends");
        self.place.settle(&how).unwrap();
        how
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
        if !std::thread::panicking() {
            self.join();
        }
    }
}

#[test]
fn a_killed_sender_is_news() {
    let (sender, receiver) = mp_queue::unbounded().unwrap();
    let worker = Worker::start("counter", &Work::Count(1, sender));
    for i in 0..1000 {
        assert_eq!(receiver.get_timeout(PATIENCE), Ok((1, i)));
    }
    worker.kill();
    let mut next = 1000;
    let end = loop {
        match receiver.get_timeout(PATIENCE) {
            Ok((_, i)) => assert_eq!(i, next),
            Err(e) => break e,
        }
        next += 1;
    };
    match end {
        Error::Disconnected { who: Some(who), how: Some(how), .. } => {
            assert_eq!((who.pid, &*who.name), (worker.process.pid(), "counter"));
            assert_eq!(how, worker.join());
            assert!(!cfg!(unix) || how == Departure::Signalled(9));
        }
        other => panic!("{other:?}"),
    }
}

/// Whatever moment the kill hits: what was put is there, in order, nothing twice and nothing torn.
#[test]
fn killed_senders_leave_whole_messages() {
    for round in 0..8 {
        let (sender, receiver) =
            if round % 2 == 0 { mp_queue::unbounded() } else { mp_queue::bounded(10) }.unwrap();
        let workers: Vec<_> =
            (0..3).map(|name| Worker::start("large", &Work::CountLarge(name, sender.clone()))).collect();
        drop(sender);
        let mut next = HashMap::new();
        let mut killed = 0;
        for step in 1.. {
            match receiver.get_timeout(PATIENCE) {
                Ok((name, i, bytes)) => {
                    assert_eq!(std::mem::replace(next.entry(name).or_insert(0), i + 1), i);
                    assert!(bytes.len() == 100 + i as usize % 3000 && bytes.iter().all(|b| *b == i as u8));
                }
                Err(Error::Disconnected { .. }) => break,
                Err(e) => panic!("{e}"),
            }
            if step % (200 + round * 13) == 0 && killed < workers.len() {
                workers[killed].kill();
                killed += 1;
            }
        }
        assert_eq!(killed, workers.len());
    }
}

#[test]
fn killed_receivers_take_one_message_each_at_most() {
    const COUNT: u64 = 30_000;
    for round in 0..3 {
        let (work, todo) = mp_queue::bounded(50).unwrap();
        let (done, results) = mp_queue::unbounded().unwrap();
        let workers: Vec<_> =
            (0..4).map(|_| Worker::start("forwarder", &Work::Forward(todo.clone(), done.clone()))).collect();
        drop((todo, done));
        for i in 0..COUNT {
            work.put_timeout(i, PATIENCE).unwrap();
            if i % 7000 == 6000 + round * 37 && i / 7000 < 3 {
                workers[i as usize / 7000].kill();
            }
        }
        work.close().unwrap();
        let mut seen = HashSet::new();
        loop {
            match results.get_timeout(PATIENCE) {
                Ok(i) => assert!(seen.insert(i), "{i} came twice"),
                Err(Error::Disconnected { .. }) => break,
                Err(e) => panic!("{e}"),
            }
        }
        assert_eq!(workers[3].join(), Departure::Exited(0));
        let lost = COUNT as usize - seen.len();
        assert!(lost <= 3, "{lost} messages were lost with 3 processes");
    }
}

#[test]
fn a_killed_receiver_is_news_for_who_waits_for_room() {
    let (sender, receiver) = mp_queue::bounded(1).unwrap();
    let worker = Worker::start("idler", &Work::Idle(receiver));
    sender.put(0).unwrap();
    sender.put_timeout(1, PATIENCE).unwrap();
    let killer = {
        let process = worker.process.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100)); // so that the put below sleeps
            process.signal(Signal::Kill).unwrap();
            Instant::now()
        })
    };
    let refused = sender.put_timeout(2, PATIENCE).unwrap_err();
    let late = killer.join().unwrap().elapsed();
    assert!(matches!(refused.error, Error::Disconnected { who: Some(_), .. }), "{refused}");
    assert!(late < Duration::from_millis(500), "told after {late:?}");
}

#[test]
fn a_process_that_leaves_in_good_order_leaves_its_messages() {
    let queue = Queue::new().unwrap();
    let worker = Worker::start("giver", &Work::PutAndGo(5000, queue.clone()));
    assert_eq!(worker.join(), Departure::Exited(0));
    assert_eq!(queue.len(), 5000);
    assert_eq!(queue.get_many(10_000).unwrap(), (0..5000).collect::<Vec<u64>>());
    let (sender, receiver) = queue.split();
    drop(sender);
    assert!(receiver.iter().next().is_none());
}

/// CPython's classic: a child that has put a lot does not end before somebody gets it, and whoever joins it first waits for ever.
#[test]
fn d23_join_before_drain() {
    let queue = Queue::new().unwrap();
    let worker = Worker::start("giver", &Work::PutLargeAndGo(500, queue.clone()));
    assert_eq!(worker.join(), Departure::Exited(0));
    assert_eq!((queue.len(), queue.is_empty()), (500, false));
    for n in 0..500 {
        assert!(queue.try_get().unwrap() == vec![n as u8; 20_000]);
    }
}

/// Consumers with leases are killed at any moment: every message is dealt with, some perhaps twice.
#[test]
fn killed_consumers_lose_nothing_that_they_had_leased() {
    let (sender, work) = mp_queue::bounded(32).unwrap();
    let (results, done) = mp_queue::unbounded().unwrap();
    let start = || Worker::start("lessee", &Work::Lease(work.clone(), results.clone()));
    let mut workers = [start(), start()];
    let mut seen = HashSet::new();
    let (count, mut next, mut doubled) = (2000_u64, 0, 0);
    let give_up = Instant::now() + PATIENCE;
    while seen.len() < count as usize {
        assert!(Instant::now() < give_up, "{} of {count} were dealt with", seen.len());
        while next < count && sender.try_put(next).is_ok() {
            next += 1;
            if next % 400 == 0 {
                let at = (next / 400 % 2) as usize;
                workers[at].kill();
                workers[at] = start();
            }
        }
        match done.get_timeout(Duration::from_millis(100)) {
            Ok(n) => doubled += usize::from(!seen.insert(n)),
            Err(e) => assert!(e.is_timeout(), "{e}"),
        }
    }
    assert!(doubled <= 5, "one for each death at most, not {doubled}");
}
