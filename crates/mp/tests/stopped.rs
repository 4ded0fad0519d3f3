//! Processes are stopped (`SIGSTOP`) at random moments, in the middle of whatever they are at, sweeping included: the others go on.
#![cfg(target_os = "linux")] // signals, and states of processes in `/proc`

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use mp::StartMethod;
use mp::prelude::*;
use mp::session::{Blueprint, Kind, Object, Session, Shape};

mp::enable_in_tests!();

/// Longer than any operation takes that nobody stands in the way of.
const BOUND: Duration = Duration::from_secs(10);

fn block(session: &Session, size: u64) -> mp::Result<Object> {
    let plan = Blueprint { kind: Kind::BLOCK, fingerprint: 0, shape: Shape::Plain, size };
    Object::create(session, plan, |_, _| {})
}

fn word(object: &Object, i: usize) -> &AtomicU64 {
    object.words().word(i)
}

/// Makes, shares, sends, takes, looks up, sweeps and releases, and counts its rounds; on things of its own and on what all share.
fn work(common: Object, me: usize, queue: (Sender<Vec<u64>>, Receiver<Vec<u64>>)) -> mp::Result<()> {
    let session = Session::current()?;
    let (tx, rx) = queue::bounded::<(Object, Vec<u64>)>(4)?;
    let name = format!("of {me}");
    while word(&common, 0).load(SeqCst) == 0 {
        let kept: Vec<Object> = (0..20).map(|i| block(&session, i * 200)).collect::<Result<_, _>>()?;
        tx.put((kept[3].clone(), vec![1; 300]))?;
        let (back, numbers) = rx.get()?;
        assert!(back == kept[3] && numbers.len() == 300);
        let mutex = Mutex::new(0_u64)?;
        *mutex.lock().map_err(mp::Error::msg)? += 1;
        session.publish(&name, &common)?;
        assert!(session.lookup::<Object>(&name)?.is_some() && session.unpublish(&name)?);
        // The queue of all may be held up by somebody stopped in its middle: never past a deadline.
        let _ = queue.0.put_timeout(vec![me as u64; 50], Duration::from_millis(1));
        let _ = queue.1.get_timeout(Duration::from_millis(1));
        session.notice_deaths()?;
        word(&common, me).fetch_add(1, SeqCst);
    }
    Ok(())
}

fn mortal(common: Object) {
    let session = Session::current().unwrap();
    let _kept: Vec<_> = (0..50).map(|_| (block(&session, 100), common.try_clone_counted())).collect();
    word(&common, 3).store(1, SeqCst);
    std::thread::park();
}

fn signal(pid: u32, number: i32) {
    // SAFETY: a plain call, to a child that is not reaped.
    assert_eq!(unsafe { libc::kill(pid.cast_signed(), number) }, 0);
}

fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat[stat.rfind(')').unwrap() + 1..].trim_start().starts_with('T')
}

fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + BOUND;
    while !so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_micros(300));
    }
}

#[test]
fn the_others_go_on_whatever_somebody_was_at() {
    let session = Session::current().unwrap();
    let mut seed = std::time::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_nanos() as u64) | 1;
    eprintln!("stopped: seed {seed}");
    let rounds = std::env::var("MP_TEST_ROUNDS").ok().and_then(|r| r.parse().ok()).unwrap_or(25);
    let queue = queue::bounded::<Vec<u64>>(4).unwrap();
    for method in StartMethod::available() {
        let start = || Process::builder().daemon(true).start_method(*method);
        let common = block(&session, 0).unwrap();
        let [one, two] = [1, 2].map(|me| start().spawn(work, (common.clone(), me, queue.clone())).unwrap());
        for round in 0..rounds {
            word(&common, 3).store(0, SeqCst);
            let victim = start().spawn(mortal, (common.clone(),)).unwrap();
            until("the victim came", || word(&common, 3).load(SeqCst) == 1);
            let (stopped, other) = if round % 2 == 0 { (&one, 2) } else { (&two, 1) };
            // Who is going to be stopped may be the one that sweeps.
            signal(victim.pid(), libc::SIGKILL);
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            std::thread::sleep(Duration::from_micros(seed >> 33 & 0x3FF));
            signal(stopped.pid(), libc::SIGSTOP);
            until("it stopped", || is_stopped(stopped.pid()));
            let begun = Instant::now();
            let seen = word(&common, other).load(SeqCst);
            until("the other goes on", || word(&common, other).load(SeqCst) > seen + 2);
            let kept: Vec<Object> = (0..100).map(|i| block(&session, i * 100).unwrap()).collect();
            let (tx, rx) = queue::bounded(2).unwrap();
            tx.put(kept).unwrap();
            assert_eq!(rx.get().unwrap().len(), 100);
            session.notice_deaths().unwrap();
            assert_eq!(start().spawn(|x: u8| x + 1, (1,)).unwrap().join(), Ok(2));
            assert!(begun.elapsed() < BOUND);
            signal(stopped.pid(), libc::SIGCONT);
            victim.wait().unwrap();
        }
        word(&common, 0).store(1, SeqCst);
        for child in [one, two] {
            child.join().unwrap();
        }
        until("all is released", || {
            session.notice_deaths().unwrap();
            common.holders(mp::session::Role::First) == 1
        });
    }
}
