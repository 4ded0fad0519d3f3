//! Pipes between processes, and `kill -9`.

#[path = "../../mp-sync/tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::{Actor, Board, LIMIT, PROMPT, arguments, until};
use mp_pipe::{Address, Client, Connection, Error, Listener, pipe, pipe_with_capacity};

/// What a child does with its end; the board counts: 0 messages sent or received, 1 arrived.
#[derive(serde::Serialize, serde::Deserialize)]
enum Part {
    /// Answer each number by its square.
    Square,
    /// Send messages of growing size, numbered and filled, until killed.
    Flood,
    /// Receive messages, until killed.
    Drain,
    /// Send this many messages and end.
    Send(u64),
    /// Wait for a message that does not come.
    Wait,
    /// Send messages of 64 MiB, numbered, until killed.
    Large,
    /// The same, over a link to there.
    LargeLink(Address),
}

const LARGE: usize = 64 << 20;

/// A message of which each page says which message and which page it is.
fn large(number: u64) -> Vec<u8> {
    let mut bytes = vec![0; LARGE];
    for (i, page) in bytes.chunks_exact_mut(4096).enumerate() {
        page[..8].copy_from_slice(&(number << 32 | i as u64).to_le_bytes());
    }
    bytes
}

#[test]
#[ignore = "a part that other tests start in a process of its own"]
fn actor() {
    let Some((part, end, board)) = arguments::<(Part, Connection, Board)>() else { return };
    board.add(1);
    match part {
        Part::Square => {
            while let Ok(x) = end.recv::<u64>() {
                end.send(x * x).unwrap();
            }
        }
        Part::Flood => {
            for i in 0_u64.. {
                // Whole, in parts, and through a cell.
                let filler = vec![i as u8; (i * 997 % 6_000) as usize];
                if i % 5 == 0 {
                    end.send((i, filler, Some(pipe().unwrap().0))).unwrap();
                } else {
                    end.send((i, filler, None::<Connection>)).unwrap();
                }
                board.add(0);
            }
        }
        Part::Drain => loop {
            match end.recv() {
                Ok(message) => check(&message),
                Err(Error::Disconnected { .. }) => break,
                Err(other) => panic!("{other}"),
            }
            board.add(0);
        },
        Part::Send(count) => (0..count).for_each(|i| end.send(i).unwrap()),
        Part::Large => {
            for i in 0.. {
                end.send_bytes(&large(i)).unwrap();
            }
        }
        Part::LargeLink(address) => {
            let link = Client::new().connect(address).unwrap();
            for i in 0.. {
                link.send_bytes(&large(i)).unwrap();
            }
        }
        Part::Wait => assert!(end.recv::<()>().unwrap_err().is_closed()),
    }
}

type Numbered = (u64, Vec<u8>, Option<Connection>);

fn check(message: &Numbered) {
    let (i, filler, end) = message;
    assert_eq!(filler.len() as u64, i * 997 % 6_000);
    assert!(filler.iter().all(|byte| *byte == *i as u8));
    assert_eq!(end.is_some(), i % 5 == 0);
}

#[test]
fn a_child_answers() {
    let ((ours, theirs), board) = (pipe().unwrap(), Board::new());
    let mut child = Actor::start("actor", "squares", &(Part::Square, theirs, board.clone()));
    for x in 0..1000 {
        ours.send(x).unwrap();
        assert_eq!(ours.recv::<u64>().unwrap(), x * x);
    }
    drop(ours);
    assert!(child.wait().success(), "told of the end");
}

#[test]
fn what_was_sent_is_received_after_the_sender_has_ended() {
    let ((ours, theirs), board) = (pipe().unwrap(), Board::new());
    let mut child = Actor::start("actor", "sender", &(Part::Send(500), theirs, board));
    assert!(child.wait().success());
    for i in 0..500 {
        assert_eq!(ours.recv::<u64>().unwrap(), i);
    }
    // It closed its end in order, so nobody died of whom there were news.
    assert!(matches!(ours.recv::<u64>(), Err(Error::Disconnected { who: None, .. })));
}

/// Each message that comes is whole, whenever the sender was killed, and the end is told in time.
#[test]
fn a_killed_sender_leaves_whole_messages_and_an_end() {
    for round in 0..20_u64 {
        let ((ours, theirs), board) = (pipe_with_capacity(4096).unwrap(), Board::new());
        let mut child = Actor::start("actor", "flood", &(Part::Flood, theirs, board.clone()));
        until("the child arrived", || board.get(1) == 1);
        let enough = round * 7;
        let mut next = 0;
        let mut killed = None;
        let end = loop {
            if next >= enough && killed.is_none() {
                child.kill();
                killed = Some(Instant::now());
            }
            match ours.recv::<Numbered>() {
                Ok(message) => {
                    check(&message);
                    assert_eq!(message.0, next, "in order, and none is missing");
                    next += 1;
                }
                Err(Error::Torn { .. }) => {} // at most once: the end comes next
                Err(error) => break error,
            }
        };
        let told = killed.expect("the end came before the kill").elapsed();
        assert!(
            matches!(&end, Error::Disconnected { who: Some(who), .. } if who.pid == child.pid()),
            "{end}"
        );
        assert!(told < PROMPT * 20, "round {round}: told after {told:?}");
        assert!(next >= board.get(0), "what it had sent was there");
    }
}

#[test]
fn a_killed_receiver_is_told_to_the_sender() {
    for round in 0..20_u64 {
        let ((ours, theirs), board) = (pipe_with_capacity(4096).unwrap(), Board::new());
        let mut child = Actor::start("actor", "drain", &(Part::Drain, theirs, board.clone()));
        until("the child arrived", || board.get(1) == 1);
        let mut sent = 0_u64;
        let error = loop {
            if board.get(0) >= round * 5 {
                child.kill();
            }
            let filler = vec![sent as u8; (sent * 997 % 6_000) as usize];
            let end = sent.is_multiple_of(5).then(|| pipe().unwrap().0);
            match ours.send((sent, filler, end)) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
        };
        assert!(
            matches!(&error, Error::Disconnected { who: Some(who), .. } if who.pid == child.pid()),
            "{error}"
        );
    }
}

/// Two processes at one end: one is killed, the other goes on, and no message comes in pieces.
#[test]
fn a_killed_reader_hands_its_turn_to_the_other() {
    for round in 0..15_u64 {
        let (ours, theirs) = pipe_with_capacity(4096).unwrap();
        let (first, second) = (Board::new(), Board::new());
        let clone = theirs.try_clone().unwrap();
        let mut victim = Actor::start("actor", "victim", &(Part::Drain, theirs, first.clone()));
        let mut heir = Actor::start("actor", "heir", &(Part::Drain, clone, second.clone()));
        let writer = std::thread::spawn(move || {
            (0..300_u64).for_each(|i| {
                let filler = vec![i as u8; (i * 997 % 6_000) as usize];
                ours.send((i, filler, i.is_multiple_of(5).then(|| pipe().unwrap().0))).unwrap();
            });
            ours
        });
        until("both arrived", || first.get(1) + second.get(1) == 2);
        until("some messages came", || first.get(0) + second.get(0) > round * 5);
        victim.kill();
        let ours = writer.join().unwrap();
        // One message may have gone with the victim, which counts after it received.
        until("the heir has the rest", || first.get(0) + second.get(0) >= 298);
        drop(ours);
        victim.wait();
        heir.wait(); // its last `recv` says that the end has come
    }
}

/// Two processes write at one end: the reader gets whole messages, and perhaps the news that one was torn.
#[test]
fn a_killed_writer_hands_its_turn_to_the_other() {
    for round in 0..15_u64 {
        let (ours, theirs) = pipe_with_capacity(4096).unwrap();
        let (first, second) = (Board::new(), Board::new());
        let clone = theirs.try_clone().unwrap();
        let mut victim = Actor::start("actor", "victim", &(Part::Flood, theirs, first.clone()));
        let mut heir = Actor::start("actor", "heir", &(Part::Flood, clone, second.clone()));
        until("both arrived", || first.get(1) + second.get(1) == 2);
        let mut torn = 0;
        let mut got = 0;
        let mut receive = |count: u64| {
            for _ in 0..count {
                match ours.recv::<Numbered>() {
                    Ok(message) => check(&message),
                    Err(Error::Torn { .. }) => torn += 1,
                    Err(other) => panic!("{other}"),
                }
                got += 1;
            }
        };
        receive(round * 5);
        victim.kill();
        receive(200);
        heir.kill();
        assert!(torn <= 1, "{torn} of {got}");
    }
}

#[test]
fn a_sleeper_learns_of_a_death_in_time() {
    for _ in 0..20 {
        let ((ours, theirs), board) = (pipe().unwrap(), Board::new());
        let mut child = Actor::start("actor", "waits", &(Part::Wait, theirs, board.clone()));
        until("the child arrived", || board.get(1) == 1);
        let killer = std::thread::spawn(move || {
            std::thread::yield_now();
            child.kill();
            (Instant::now(), child)
        });
        assert!(ours.poll(LIMIT).unwrap());
        assert!(ours.recv::<()>().unwrap_err().is_closed());
        let told = Instant::now();
        let (killed, _child) = killer.join().unwrap();
        assert!(told.saturating_duration_since(killed) < Duration::from_secs(2));
    }
}

/// Acceptance test 11: a writer is killed somewhere in a message of 64 MiB. What comes is whole messages and a clean end, and no wait is longer than it was
/// told to be. `MP_TEST_ROUNDS` (6) says how often.
#[test]
fn a_writer_killed_in_a_large_message() {
    const SLICE: Duration = Duration::from_millis(5);
    let rounds = std::env::var("MP_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(6_u64);
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let (mut latest, mut torn) = (Duration::ZERO, 0);
    for round in 0..rounds {
        let (ours, theirs) = pipe().unwrap();
        let listener = Listener::builder().bind(Address::tcp(("127.0.0.1", 0)).unwrap()).unwrap();
        let over_link = round % 2 == 1;
        let part = if over_link { Part::LargeLink(listener.address().clone()) } else { Part::Large };
        let board = Board::new();
        let mut child = Actor::start("actor", "large", &(part, theirs, board.clone()));
        // Before it takes its place nobody but who started it could tell that it died.
        until("the child arrived", || board.get(1) == 1);
        let link = over_link.then(|| listener.accept_timeout(LIMIT).unwrap());
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // From the first bytes on, into the third message.
        let (begin, life) = (Instant::now(), Duration::from_micros(random % 60_000));
        let (mut next, mut killed) = (0, false);
        let end = loop {
            if !killed && begin.elapsed() > life {
                child.kill();
                killed = true;
            }
            let asked = Instant::now();
            let got = match &link {
                Some(link) => link.recv_bytes_timeout(SLICE),
                None => ours.recv_bytes_timeout(SLICE),
            };
            match got {
                Ok(bytes) => {
                    assert_eq!(bytes.len(), LARGE);
                    for (i, page) in bytes.chunks_exact(4096).enumerate() {
                        assert_eq!(
                            page[..8],
                            (next << 32 | i as u64).to_le_bytes(),
                            "message {next}, page {i}"
                        );
                    }
                    next += 1;
                }
                Err(Error::TimedOut { .. }) => {}
                Err(Error::Torn { .. }) => torn += 1,
                Err(error) => break error,
            }
            latest = latest.max(asked.elapsed().saturating_sub(SLICE));
            assert!(begin.elapsed() < LIMIT * 3, "round {round} does not end");
        };
        assert!(killed && matches!(end, Error::Disconnected { .. }), "{end}");
    }
    println!("{torn} of {rounds} messages were cut off; the latest answer came {latest:?} too late");
    assert!(torn <= rounds && latest < Duration::from_secs(2), "{torn} torn, {latest:?} late");
}
