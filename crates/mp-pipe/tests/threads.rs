//! Pipes between threads: what a connection promises, without deaths.

use std::thread;
use std::time::{Duration, Instant};

use mp_pipe::{Connection, Error, RecvIntoError, one_way, pipe, pipe_with_capacity};
use proptest::prelude::*;

const SOON: Duration = Duration::from_secs(20);

fn bytes_of(seed: u64, length: usize) -> Vec<u8> {
    (0..length as u64).map(|i| (i.wrapping_mul(seed | 1) >> 3) as u8).collect()
}

#[test]
fn values_of_all_kinds_both_ways() {
    let (a, b) = pipe().unwrap();
    a.send((42, "text".to_owned(), vec![1.5, 2.5], Some('x'))).unwrap();
    assert_eq!(
        b.recv::<(i32, String, Vec<f64>, Option<char>)>().unwrap(),
        (42, "text".into(), vec![1.5, 2.5], Some('x'))
    );
    b.send(()).unwrap();
    a.recv::<()>().unwrap();
    assert_eq!(a.try_recv::<()>(), Err(Error::Empty));
}

#[test]
fn empty_messages_are_messages() {
    let (a, b) = pipe().unwrap();
    a.send_bytes(b"").unwrap();
    a.send_bytes(b"x").unwrap();
    a.send_bytes(b"").unwrap();
    assert_eq!(b.recv_bytes().unwrap(), b"");
    assert_eq!(b.recv_bytes().unwrap(), b"x");
    let mut nothing = [0; 0];
    assert_eq!(b.recv_bytes_into(&mut nothing).unwrap(), 0);
}

#[test]
fn messages_of_any_size_through_a_small_pipe() {
    let (a, b) = pipe_with_capacity(0).unwrap();
    let sizes = [0, 1, 7, 8, 2039, 2040, 2041, 4095, 4096, 4097, 100_000, 5_000_000, 3];
    let sender = thread::spawn(move || {
        for size in sizes {
            a.send_bytes(&bytes_of(size as u64, size)).unwrap();
            a.send(bytes_of(size as u64 + 1, size)).unwrap();
        }
    });
    for size in sizes {
        assert_eq!(b.recv_bytes().unwrap(), bytes_of(size as u64, size));
        assert_eq!(b.recv::<Vec<u8>>().unwrap(), bytes_of(size as u64 + 1, size));
    }
    sender.join().unwrap();
}

#[test]
fn a_buffer_that_is_too_short_loses_nothing() {
    let (a, b) = pipe_with_capacity(4096).unwrap();
    for size in [10, 3000, 50_000] {
        let bytes = bytes_of(7, size);
        let sender = {
            let (a, bytes) = (a.try_clone().unwrap(), bytes.clone());
            thread::spawn(move || (0..2).for_each(|_| a.send_bytes(&bytes).unwrap()))
        };
        let mut exact = vec![0; size];
        assert_eq!(b.recv_bytes_into(&mut exact).unwrap(), size);
        assert_eq!(exact, bytes);
        match b.recv_bytes_into(&mut exact[1..]) {
            Err(RecvIntoError::TooShort(message)) => assert_eq!(message, bytes),
            other => panic!("{other:?}"),
        }
        sender.join().unwrap();
    }
}

#[test]
fn what_is_not_asked_for_is_an_error_of_that_message_alone() {
    let (a, b) = pipe().unwrap();
    a.send("text".to_owned()).unwrap();
    a.send_bytes(b"bytes").unwrap();
    a.send(7_u8).unwrap();
    assert!(matches!(b.recv::<(u64, u64)>(), Err(Error::Decode { .. })));
    assert!(matches!(b.recv::<String>(), Err(Error::Decode { .. })));
    assert_eq!(b.recv::<u8>().unwrap(), 7);
}

#[test]
fn the_end_comes_after_the_last_message() {
    let (a, b) = pipe().unwrap();
    a.send(1).unwrap();
    a.send(2).unwrap();
    assert!(b.is_connected());
    drop(a);
    assert!(!b.is_connected());
    assert!(b.poll(Duration::MAX).unwrap());
    assert_eq!((b.recv::<i32>().unwrap(), b.recv::<i32>().unwrap()), (1, 2));
    assert!(b.poll(Duration::ZERO).unwrap(), "the end is something to be told");
    assert!(matches!(b.recv::<i32>(), Err(Error::Disconnected { .. })));
    assert!(matches!(b.try_recv::<i32>(), Err(Error::Disconnected { .. })));
    assert!(matches!(b.send(3), Err(Error::Disconnected { .. })));
}

#[test]
fn a_sleeper_is_told_of_the_end() {
    let (a, b) = pipe().unwrap();
    let reader = thread::spawn(move || b.recv::<i32>());
    thread::yield_now();
    drop(a);
    assert!(matches!(reader.join().unwrap(), Err(Error::Disconnected { .. })));

    let (a, b) = pipe_with_capacity(4096).unwrap();
    let writer = thread::spawn(move || {
        loop {
            if let Err(e) = a.send_bytes(&[0; 1000]) {
                return e;
            }
        }
    });
    drop(b);
    assert!(matches!(writer.join().unwrap(), Error::Disconnected { .. }));
}

#[test]
fn a_clone_keeps_the_end_open() {
    let (a, b) = pipe().unwrap();
    let second = a.try_clone().unwrap();
    drop(a);
    assert_eq!(b.try_recv::<i32>(), Err(Error::Empty));
    second.send(1).unwrap();
    drop(second);
    assert_eq!(b.recv::<i32>().unwrap(), 1);
    assert!(b.recv::<i32>().unwrap_err().is_closed());
}

#[test]
fn deadlines_hold_and_cut_nothing() {
    let (a, b) = pipe_with_capacity(4096).unwrap();
    let start = Instant::now();
    assert!(b.recv_timeout::<i32>(Duration::from_millis(30)).unwrap_err().is_timeout());
    assert!(!b.poll(Duration::from_millis(30)).unwrap());
    assert!(start.elapsed() >= Duration::from_millis(60));
    let filler = vec![1_u8; 1500];
    let sent = (0..).take_while(|_| a.send_timeout(filler.clone(), Duration::ZERO).is_ok()).count();
    assert!(sent >= 2);
    let failed = a.send_timeout(filler.clone(), Duration::from_millis(20)).unwrap_err();
    assert_eq!(failed.value, filler);
    // Larger than the pipe, and with a deadline: goes whole or not at all, and not through the ring.
    let large = vec![2_u8; 100_000];
    a.send_timeout(large.clone(), SOON).unwrap();
    for _ in 0..sent {
        assert_eq!(b.recv::<Vec<u8>>().unwrap(), filler);
    }
    assert_eq!(b.recv::<Vec<u8>>().unwrap(), large);
    assert_eq!(b.try_recv::<Vec<u8>>(), Err(Error::Empty));
}

#[test]
fn a_timeout_in_the_middle_of_a_message_loses_no_part_of_it() {
    let (a, b) = pipe_with_capacity(4096).unwrap();
    let large = bytes_of(3, 200_000);
    let sender = {
        let large = large.clone();
        thread::spawn(move || a.send_bytes(&large))
    };
    let mut tries = 0;
    let got = loop {
        match b.recv_bytes_timeout(Duration::from_nanos(1)) {
            Ok(bytes) => break bytes,
            Err(e) => assert!(e.is_timeout(), "{e}"),
        }
        tries += 1;
        assert!(tries < 1_000_000_000);
    };
    assert_eq!(got, large);
    sender.join().unwrap().unwrap();
}

#[test]
fn handles_travel_and_move() {
    let (a, b) = pipe().unwrap();
    let (inner_ours, inner_theirs) = pipe().unwrap();
    a.send(("take this".to_owned(), inner_theirs)).unwrap();
    let (_, moved) = b.recv::<(String, Connection)>().unwrap();
    moved.send(5).unwrap();
    assert_eq!(inner_ours.recv::<i32>().unwrap(), 5);
    drop(moved);
    assert!(inner_ours.recv::<i32>().unwrap_err().is_closed(), "no copy was left behind");
}

#[test]
fn more_handles_than_there_are_cells() {
    let (a, b) = pipe().unwrap();
    let sender = thread::spawn(move || {
        let ends: Vec<Connection> = (0..200)
            .map(|i| {
                let (ours, theirs) = pipe_with_capacity(0).unwrap();
                a.send((i, theirs)).unwrap();
                if i % 3 == 0 {
                    a.send(i).unwrap();
                }
                ours
            })
            .collect();
        ends.iter().map(|end| end.recv::<i32>().unwrap()).sum::<i32>()
    });
    for i in 0..200 {
        let (number, end) = b.recv::<(i32, Connection)>().unwrap();
        assert_eq!(number, i);
        if i % 3 == 0 {
            assert_eq!(b.recv::<i32>().unwrap(), i);
        }
        end.send(i).unwrap();
    }
    assert_eq!(sender.join().unwrap(), (0..200).sum());
}

#[test]
fn a_pipe_that_is_dropped_full_leaves_nothing() {
    let heap = mp_session::Session::on_heap(0).unwrap();
    let member = heap.member("m").unwrap();
    let round = || {
        let (a, b) = mp_pipe::pipe_in(&member, 4096).unwrap();
        let (c, d) = mp_pipe::pipe_in(&member, 4096).unwrap();
        a.send(c).unwrap();
        a.send_bytes(&[1; 1000]).unwrap();
        a.send_timeout(vec![0_u8; 50_000], SOON).unwrap();
        drop((a, b));
        assert!(!d.is_connected());
    };
    round();
    let before = member.stats();
    (0..50).for_each(|_| round());
    assert_eq!(member.stats(), before);
}

#[test]
fn threads_share_an_end() {
    const EACH: u64 = 3000;
    let (a, b) = pipe_with_capacity(4096).unwrap();
    let (a, b) = (&a, &b);
    let total: u64 = thread::scope(|scope| {
        for t in 0..3_u64 {
            scope.spawn(move || {
                for i in 0..EACH {
                    // Some in parts, some with padding.
                    let size = if i % 100 == 0 { 10_000 } else { (i % 50) as usize };
                    a.send((t, i, vec![t as u8; size])).unwrap();
                }
            });
        }
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(move || {
                    let mut last = [None; 3];
                    for _ in 0..EACH {
                        let (t, i, filler) = b.recv::<(u64, u64, Vec<u8>)>().unwrap();
                        assert!(filler.iter().all(|byte| u64::from(*byte) == t));
                        assert!(last[t as usize] < Some(i), "order of one sender");
                        last[t as usize] = Some(i);
                    }
                    EACH
                })
            })
            .collect();
        readers.into_iter().map(|r| r.join().unwrap()).sum()
    });
    assert_eq!(total, 3 * EACH);
    assert_eq!(b.try_recv::<()>(), Err(Error::Empty));
}

#[test]
fn ends_know_their_ways() {
    let (reader, writer) = one_way().unwrap();
    let (a, b) = pipe().unwrap();
    a.send((&reader.try_clone().unwrap(), 1).1).unwrap();
    assert_eq!(b.recv::<i32>().unwrap(), 1);
    a.send(writer).unwrap();
    let error = b.recv::<mp_pipe::Reader>().unwrap_err();
    assert!(matches!(&error, Error::WrongKind { expected, .. } if expected == "Reader"), "{error}");
    assert!(
        matches!(reader.recv::<i32>(), Err(Error::Disconnected { .. })),
        "the writer went with the message"
    );
    assert!(format!("{reader:?}").contains("the other end is gone"));
}

#[derive(Clone, Debug)]
enum Step {
    Send(bool, usize),
    Receive(bool),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Both ways at once behave as two lists.
    #[test]
    fn a_pipe_is_two_lists(steps in prop::collection::vec(prop_oneof![
        (any::<bool>(), 0_usize..1500).prop_map(|(way, size)| Step::Send(way, size)),
        any::<bool>().prop_map(Step::Receive),
    ], 1..200)) {
        let (a, b) = pipe_with_capacity(4096).unwrap();
        let mut lists = [std::collections::VecDeque::new(), std::collections::VecDeque::new()];
        for (seed, step) in steps.into_iter().enumerate() {
            match step {
                Step::Send(way, size) => {
                    let bytes = bytes_of(seed as u64, size);
                    let end = if way { &a } else { &b };
                    if end.send_timeout(bytes.clone(), Duration::ZERO).is_ok() {
                        lists[usize::from(way)].push_back(bytes);
                    } else {
                        let used: usize = lists[usize::from(way)].iter().map(|b: &Vec<u8>| b.len() + 16).sum();
                        prop_assert!(used + size + 16 > 4096, "refused with {used} of 4096 used");
                    }
                }
                Step::Receive(way) => {
                    let end = if way { &b } else { &a };
                    match lists[usize::from(way)].pop_front() {
                        Some(bytes) => prop_assert_eq!(end.recv::<Vec<u8>>().unwrap(), bytes),
                        None => prop_assert_eq!(end.try_recv::<Vec<u8>>(), Err(Error::Empty)),
                    }
                }
            }
        }
    }
}

#[test]
fn connections_can_be_waited_for_together() {
    let pipes: Vec<(Connection, Connection)> = (0..40).map(|_| pipe_with_capacity(0).unwrap()).collect();
    let (ours, theirs): (Vec<_>, Vec<_>) = pipes.into_iter().unzip();
    let all: Vec<&dyn mp_session::Waitable> = ours.iter().map(|c| c as &dyn mp_session::Waitable).collect();
    assert!(mp_session::wait(&all, Duration::from_millis(10)).unwrap().is_empty());
    let sender = thread::spawn(move || {
        theirs[7].send(7).unwrap();
        theirs
    });
    assert_eq!(mp_session::wait(&all, SOON).unwrap(), [7]);
    assert_eq!(ours[7].recv::<i32>().unwrap(), 7);
    let mut theirs = sender.join().unwrap();
    let dropper = thread::spawn(move || drop(theirs.remove(12)));
    let ready = mp_session::wait(&all, SOON).unwrap();
    assert!(ready.contains(&12), "the end is something to be told: {ready:?}");
    dropper.join().unwrap();
}

/// For somebody's own event loop: readable as long as there is something, and not otherwise.
#[test]
fn the_descriptor_follows_the_end() {
    let (a, b) = pipe_with_capacity(4096).unwrap();
    let descriptor = mp_sys::duplicate_handle(b.descriptor().unwrap()).unwrap();
    let readable = |time: Duration| {
        let awaited =
            mp_sys::local::Awaited { handle: mp_sys::AsOsHandle::as_os_handle(&descriptor), to_write: false };
        match mp_sys::local::ready(&[awaited], Some(Instant::now() + time)) {
            Ok(ready) => Some(ready[0]),
            Err(e) if e.kind() == std::io::ErrorKind::Unsupported => None,
            Err(e) => panic!("{e}"),
        }
    };
    if readable(Duration::ZERO).is_none() {
        println!("skipped: polling the descriptor of a pipe (this system polls sockets only)");
        return;
    }
    for round in 0..20 {
        assert_eq!(readable(Duration::ZERO), Some(false));
        a.send(round).unwrap();
        a.send(round + 1).unwrap();
        assert_eq!(readable(SOON), Some(true));
        assert_eq!(b.recv::<i32>(), Ok(round));
        assert_eq!(readable(Duration::ZERO), Some(true), "there is one more");
        assert_eq!(b.recv::<i32>(), Ok(round + 1));
    }
    drop(a);
    assert_eq!(readable(SOON), Some(true), "the end is something to be told");
    assert!(b.recv::<i32>().unwrap_err().is_closed());
    assert_eq!(readable(SOON), Some(true));
}
