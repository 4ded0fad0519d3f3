//! Pipes: sending and receiving, whole, in parts, and by way of a cell, with another handle for each end that goes on afterwards.
//!
//! The survivors' messages are numbers below a hundred, the victim's is 100. Afterwards whatever is left is received: in order, none of
//! the survivors' lost, save one that the victim had taken; and the pipe still works.

use std::mem::forget;
use std::time::Duration;

use mp_pipe::{Connection, pipe_in};
use mp_session::Object;
use mp_wire::{Error, Message};

use crate::scene::{Act, Scene};
use crate::stage::{Stage, block, give};

pub(super) const SCENES: &[Scene] = &[
    Scene { name: "pipe: make", play: make },
    Scene { name: "pipe: send", play: |stage| send(stage, number) },
    Scene { name: "pipe: send a handle", play: |stage| send(stage, with_handle) },
    Scene { name: "pipe: send in parts", play: send_in_parts },
    Scene { name: "pipe: send a large value with a deadline", play: send_as_an_object },
    Scene { name: "pipe: receive", play: |stage| receive(stage, number) },
    Scene { name: "pipe: receive a handle", play: |stage| receive(stage, with_handle) },
    Scene { name: "pipe: receive in parts", play: receive_in_parts },
    Scene { name: "pipe: receive into a buffer", play: receive_into },
    Scene { name: "pipe: another handle for an end", play: clone },
    Scene { name: "pipe: close an end", play: close },
    Scene { name: "pipe: open a handle that arrived", play: open },
    Scene { name: "pipe: release the last handle of a full one", play: release },
];

const CAPACITY: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(20);
/// More than half of what the pipe holds, and less than all.
const LARGE: usize = 3000;

type Numbered = (u64, Option<Object>);

fn number(_: &Stage, number: u64) -> Numbered {
    (number, None)
}

fn with_handle(stage: &Stage, number: u64) -> Numbered {
    (number, Some(block(&stage.witness, 10)))
}

/// Everything that is there now. A message that was cut off is told once.
fn rest(end: &Connection) -> Vec<u64> {
    let mut got = Vec::new();
    let mut torn = 0;
    loop {
        match end.try_recv::<Numbered>() {
            Ok((number, _)) => got.push(number),
            Err(Error::Empty) => return got,
            Err(Error::Torn { .. }) if torn == 0 => torn += 1,
            Err(e) => panic!("{e}"),
        }
    }
}

/// It still does what pipes do, more often than it has room.
fn works(from: &Connection, to: &Connection) {
    for round in 0..300_u64 {
        from.send_timeout((round, None::<Object>), PATIENCE).map_err(|e| e.error).unwrap();
        match to.recv_timeout::<Numbered>(PATIENCE) {
            Ok((number, _)) => assert_eq!(number, round),
            // Of what the victim had begun; the message comes after it.
            Err(Error::Torn { .. }) if round == 0 => {
                assert_eq!(to.recv_timeout::<Numbered>(PATIENCE).unwrap().0, 0);
            }
            Err(e) => panic!("{e}"),
        }
    }
}

/// A handle of its own for the same end, counted by itself with all that belongs to it.
fn another(stage: &Stage, end: &Connection) -> Connection {
    give(&stage.witness, &stage.witness, end)
}

/// A pipe with two messages in it, and a further handle for either end.
fn filled<T: Message>(stage: &Stage, message: impl Fn(&Stage, u64) -> T) -> [Connection; 4] {
    let (from, to) = pipe_in(&stage.witness, CAPACITY).unwrap();
    for i in 0..2 {
        from.send(message(stage, i)).unwrap();
    }
    let (sender, receiver) = (another(stage, &from), another(stage, &to));
    [from, to, sender, receiver]
}

fn make(stage: &Stage) -> Act {
    let victim = stage.victim.clone();
    Act::new(move || forget(pipe_in(&victim, CAPACITY).unwrap()))
}

fn send(stage: &Stage, message: fn(&Stage, u64) -> Numbered) -> Act {
    let [from, to, sender, receiver] = filled(stage, message);
    let theirs: Connection = give(&stage.witness, &stage.victim, &from);
    let sent: Numbered = give(&stage.witness, &stage.victim, &message(stage, 100));
    Act::new(move || {
        theirs.send(sent).unwrap();
        forget(theirs);
    })
    .meanwhile("sends, too", move || {
        // In vain while the victim has the turn.
        let _ = sender.send_timeout((50_u64, None::<Object>), Duration::ZERO);
    })
    .meanwhile("receives", move || assert_eq!(receiver.try_recv::<Numbered>().unwrap().0, 0))
    .check(move |_| {
        let mut got = rest(&to);
        got.retain(|n| *n != 100 && *n != 50);
        assert!(got == [0, 1] || got == [1], "{got:?}");
        works(&from, &to);
    })
}

fn send_in_parts(stage: &Stage) -> Act {
    let (from, to) = pipe_in(&stage.witness, CAPACITY).unwrap();
    let theirs: Connection = give(&stage.witness, &stage.victim, &from);
    let (sender, receiver) = (another(stage, &from), another(stage, &to));
    Act::new(move || {
        theirs.send_bytes(&[7; LARGE]).unwrap();
        forget(theirs);
    })
    .meanwhile("sends, too", move || {
        let _ = sender.send_timeout((50_u64, None::<Object>), Duration::ZERO);
    })
    .meanwhile("receives what there is", move || {
        let _ = receiver.recv_bytes_timeout(Duration::ZERO);
    })
    .check(move |_| {
        match to.recv_bytes_timeout(Duration::ZERO) {
            Ok(bytes) => assert!(bytes == [7; LARGE] || bytes.len() < 20, "{} bytes", bytes.len()),
            Err(Error::TimedOut { .. } | Error::Torn { .. }) => {}
            Err(e) => panic!("{e}"),
        }
        let others = rest(&to);
        assert!(others.iter().all(|n| *n == 50), "{others:?}");
        works(&from, &to);
    })
}

fn receive(stage: &Stage, message: fn(&Stage, u64) -> Numbered) -> Act {
    let [from, to, sender, receiver] = filled(stage, message);
    let theirs: Connection = give(&stage.witness, &stage.victim, &to);
    Act::new(move || {
        forget(theirs.recv::<Numbered>().unwrap());
        forget(theirs);
    })
    .meanwhile("receives, too", move || {
        let _ = receiver.try_recv::<Numbered>();
    })
    .meanwhile("sends", move || sender.send((50_u64, None::<Object>)).unwrap())
    .check(move |_| {
        let got: Vec<u64> = rest(&to).into_iter().filter(|n| *n != 50).collect();
        // The victim had one, and another member may have had one.
        assert!(got.len() <= 2 && got.is_sorted() && got.iter().all(|n| *n < 2), "{got:?}");
        works(&from, &to);
    })
}

fn receive_in_parts(stage: &Stage) -> Act {
    let (from, to) = pipe_in(&stage.witness, CAPACITY).unwrap();
    let theirs: Connection = give(&stage.witness, &stage.victim, &to);
    let receiver = another(stage, &to);
    from.send_bytes(&[7; LARGE]).unwrap();
    Act::new(move || {
        assert_eq!(theirs.recv_bytes().unwrap().len(), LARGE);
        forget(theirs);
    })
    .meanwhile("receives, too", move || {
        let _ = receiver.recv_bytes_timeout(Duration::ZERO);
    })
    .check(move |_| {
        // Whole, or gone with its reader.
        match to.recv_bytes_timeout(Duration::ZERO) {
            Ok(bytes) => assert_eq!(bytes, [7; LARGE]),
            Err(e) => assert!(e.is_timeout(), "{e}"),
        }
        works(&from, &to);
    })
}

/// It goes whole or not at all, by way of a cell.
fn send_as_an_object(stage: &Stage) -> Act {
    let (from, to) = pipe_in(&stage.witness, CAPACITY).unwrap();
    let theirs: Connection = give(&stage.witness, &stage.victim, &from);
    let (sender, receiver) = (another(stage, &from), another(stage, &to));
    Act::new(move || {
        theirs.send_timeout(vec![7_u8; LARGE], PATIENCE).unwrap();
        forget(theirs);
    })
    .meanwhile("sends, too", move || {
        // In vain while the victim has the turn.
        let _ = sender.send_timeout(vec![8_u8; 10], Duration::ZERO);
    })
    .meanwhile("receives what there is", move || {
        let _ = receiver.try_recv::<Vec<u8>>();
    })
    .check(move |_| {
        loop {
            match to.try_recv::<Vec<u8>>() {
                Ok(bytes) => assert!(bytes == [7; LARGE] || bytes == [8; 10], "{} bytes", bytes.len()),
                Err(Error::Empty) => break,
                Err(e) => panic!("{e}"),
            }
        }
        works(&from, &to);
    })
}

fn receive_into(stage: &Stage) -> Act {
    let (from, to) = pipe_in(&stage.witness, CAPACITY).unwrap();
    let theirs: Connection = give(&stage.witness, &stage.victim, &to);
    let receiver = another(stage, &to);
    (1..=2).for_each(|i| from.send_bytes(&[i; 50]).unwrap());
    Act::new(move || {
        let mut buffer = [0; 64];
        assert_eq!(theirs.recv_bytes_into(&mut buffer), Ok(50));
        assert_eq!(buffer[..50], [1; 50]);
        forget(theirs);
    })
    .meanwhile("receives, too", move || {
        let _ = receiver.recv_bytes_timeout(Duration::ZERO);
    })
    .check(move |_| {
        let got: Vec<Vec<u8>> = std::iter::from_fn(|| to.recv_bytes_timeout(Duration::ZERO).ok()).collect();
        // The victim had one, and another member may have had one.
        assert!(got.len() <= 2 && got.is_sorted() && got.iter().all(|b| b == &[b[0]; 50]), "{got:?}");
        works(&from, &to);
    })
}

fn clone(stage: &Stage) -> Act {
    let [from, to, ..] = filled(stage, number);
    let theirs: Connection = give(&stage.witness, &stage.victim, &from);
    Act::new(move || {
        forget(theirs.try_clone().unwrap());
        forget(theirs);
    })
    .check(move |_| {
        assert_eq!(rest(&to), [0, 1]);
        works(&from, &to);
    })
}

/// The last handle of an end: however far that came, the other end is told after what was sent.
fn close(stage: &Stage) -> Act {
    let (from, to) = pipe_in(&stage.witness, CAPACITY).unwrap();
    (0..2).for_each(|i| from.send(with_handle(stage, i)).unwrap());
    let theirs: Connection = give(&stage.witness, &stage.victim, &from);
    drop(from);
    Act::new(move || drop(theirs)).check(move |_| {
        for expected in 0..2 {
            assert_eq!(to.try_recv::<Numbered>().unwrap().0, expected);
        }
        assert!(matches!(to.try_recv::<Numbered>(), Err(Error::Disconnected { .. })));
    })
}

fn open(stage: &Stage) -> Act {
    let [from, to, ..] = filled(stage, number);
    let message = mp_session::Message::encode(&stage.witness, &to).unwrap();
    let theirs = give(&stage.witness, &stage.victim, message.as_object());
    drop(message);
    Act::new(move || {
        let message = mp_session::Message::from_object(theirs).unwrap();
        forget(message.decode::<Connection>().unwrap());
        drop(message);
    })
    .check(move |_| {
        assert_eq!(rest(&to), [0, 1]);
        works(&from, &to);
    })
}

fn release(stage: &Stage) -> Act {
    let (from, to) = pipe_in(&stage.victim, CAPACITY).unwrap();
    for i in 0..5 {
        from.send((i, Some(block(&stage.victim, 100)))).unwrap();
    }
    drop(from);
    Act::new(move || drop(to))
}
