//! Sockets waited for together with queues and processes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use mp::prelude::*;
use mp::{Io, WaitSet, ready, wait};

mp::enable_in_tests!();

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let a = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (a, listener.accept().unwrap().0)
}

fn read(mut stream: &TcpStream) -> u8 {
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    byte[0]
}

#[test]
fn sockets_queues_and_ends_of_processes_in_one_set() {
    let (mut theirs, ours) = pair();
    let (sender, receiver) = mp::queue::unbounded().unwrap();
    let (_keep, stop) = mp::queue::unbounded().unwrap();
    let child = Process::spawn(|stop: Receiver<u8>| drop(stop.get()), (stop,)).unwrap();
    let mut set = WaitSet::new().unwrap();
    set.add(0, Io::readable(&ours)).unwrap();
    set.add(1, &receiver).unwrap();
    set.add(2, &child).unwrap();
    assert_eq!(set.wait(Duration::from_millis(20)).unwrap(), []);
    for round in 0..50_u8 {
        std::thread::scope(|scope| {
            scope.spawn(|| theirs.write_all(&[round]).unwrap());
            for _ in 0..2 {
                assert_eq!(set.wait(PATIENCE).unwrap(), [0], "for as long as nobody has read it");
            }
            assert_eq!(read(&ours), round);
        });
    }
    child.kill().unwrap();
    assert_eq!(set.wait(PATIENCE).unwrap(), [2]);
    assert!(set.remove(2) && child.join().is_err());
    sender.put(7).unwrap();
    assert_eq!(set.wait(PATIENCE).unwrap(), [1]);
    assert_eq!(receiver.get(), Ok(7));
    drop(theirs);
    assert_eq!(set.wait(PATIENCE).unwrap(), [0], "the end of a connection is something to be read");
}

#[test]
fn a_hundred_sockets() {
    let pairs: Vec<_> = (0..100).map(|_| pair()).collect();
    let mut sets = [WaitSet::new().unwrap(), WaitSet::new().unwrap()];
    for set in &mut sets {
        for (token, (_, ours)) in pairs.iter().enumerate() {
            set.add(token as u64, Io::readable(ours)).unwrap();
        }
        assert_eq!(set.wait(Duration::ZERO).unwrap(), []);
    }
    for n in 0..300 {
        let at = n * 37 % 100;
        (&pairs[at].0).write_all(&[n as u8]).unwrap();
        for set in &mut sets {
            assert_eq!(set.wait(PATIENCE).unwrap(), [at as u64]);
        }
        assert_eq!(read(&pairs[at].1), n as u8);
    }
    // In the other direction there is room from the beginning.
    sets[0].add(1000, Io::writable(&pairs[5].1)).unwrap();
    assert_eq!(sets[0].wait(PATIENCE).unwrap(), [1000]);
    assert!(sets[0].remove(1000));
    assert_eq!(sets[0].wait(Duration::ZERO).unwrap(), []);
}

/// Descriptors alone, without a thread that polls for us.
#[test]
fn one_call_for_sockets_alone() {
    let (mut theirs, ours) = pair();
    let (reads, writes) = (Io::readable(&ours), Io::writable(&ours));
    let begin = Instant::now();
    assert_eq!(wait(&[&reads], Duration::from_millis(30)).unwrap(), [] as [usize; 0]);
    assert!(begin.elapsed() >= Duration::from_millis(30));
    assert_eq!(wait(&[&reads, &writes], None).unwrap(), [1]);
    theirs.write_all(&[1]).unwrap();
    assert_eq!(wait(&[&reads], Duration::MAX).unwrap(), [0]);
}

#[test]
fn a_wait_for_a_socket_can_be_cancelled() {
    let (_theirs, ours) = pair();
    let token = mp::CancelToken::new().unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| token.scope(|| wait(&[&Io::readable(&ours)], None)));
        std::thread::sleep(Duration::from_millis(20));
        token.cancel();
        assert_eq!(waiter.join().unwrap(), Err(mp::Error::Cancelled));
    });
}

#[test]
fn a_task_waits_for_a_socket() {
    let (mut theirs, ours) = pair();
    let ours = Io::readable(ours);
    for n in 0..100 {
        std::thread::scope(|scope| {
            scope.spawn(|| theirs.write_all(&[n]).unwrap());
            pollster::block_on(ready(&ours)).unwrap();
            assert_eq!(read(ours.get_ref()), n);
        });
    }
}

#[test]
fn a_socket_that_is_refused_changes_nothing() {
    let (_theirs, ours) = pair();
    let mut set = WaitSet::new().unwrap();
    // The set keeps what it has.
    set.add(1, Io::writable(&ours)).unwrap();
    assert!(set.add(1, Io::readable(&ours)).is_err());
    assert_eq!(set.wait(PATIENCE).unwrap(), [1]);
}
