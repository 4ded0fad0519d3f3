//! Pipes whose ends are shared by processes that are killed, stopped and continued at random.
//!
//! Every message has a number and a checksum, and is sent whole, in parts, or by way of a cell with a handle in it. Those who send and receive keep
//! accounts in shared memory, before and after each message, so that it can be told exactly which one may be missing.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use mp::prelude::*;
use mp::shared::RawArray;
use mp::{Error, StartMethod};

use super::{Dice, PATIENCE, Watchdog, signal};

/// Who sends or receives at the end that processes share.
const ACTORS: usize = 2;
/// How many messages one run may have.
const MOST: usize = 4000;
/// Small, so that there are turns, parts and full pipes.
const CAPACITY: usize = 8 << 10;

/// Number, filler, checksum, and sometimes an end of another pipe.
type Numbered = (u64, u64, Vec<u8>, u64, Option<Connection>);

fn message(who: u64, n: u64) -> mp::Result<Numbered> {
    let filler: Vec<u8> = (0..n * 997 % 12_000).map(|i| ((i * (n | 1)) >> 2) as u8).collect();
    let handle = if n % 7 == 3 { Some(pipe::pipe_with_capacity(0)?.0) } else { None };
    let sum = checksum(who, n, &filler);
    Ok((who, n, filler, sum, handle))
}

fn checksum(who: u64, n: u64, filler: &[u8]) -> u64 {
    let seed = who.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ n;
    filler.iter().fold(seed, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}

fn check(message: &Numbered) -> (u64, u64) {
    let (who, n, filler, sum, handle) = message;
    assert_eq!(filler.len() as u64, n * 997 % 12_000, "message {n} of {who}");
    assert_eq!(*sum, checksum(*who, *n, filler), "message {n} of {who}");
    assert_eq!(handle.is_some(), n % 7 == 3);
    (*who, *n)
}

/// How far each sender is (messages begun, messages sent), and then how often each message was received.
type Accounts = RawArray<AtomicU64>;

fn begun(accounts: &Accounts, who: u64) -> &AtomicU64 {
    &accounts[who as usize]
}

fn sent(accounts: &Accounts, who: u64) -> &AtomicU64 {
    &accounts[ACTORS + who as usize]
}

fn received(accounts: &Accounts, n: u64) -> &AtomicU64 {
    &accounts[2 * ACTORS + n as usize]
}

/// Sends at an end that others send at, too.
fn talk(end: Connection, who: u64, accounts: Accounts) -> mp::Result<()> {
    for n in 0..MOST as u64 {
        let next = message(who, n)?;
        begun(&accounts, who).store(n + 1, SeqCst);
        end.send(next)?;
        sent(&accounts, who).store(n + 1, SeqCst);
    }
    Ok(())
}

/// Receives at an end that others receive at, too.
fn listen(end: Connection, accounts: Accounts) -> mp::Result<()> {
    loop {
        match end.recv::<Numbered>() {
            Ok(message) => {
                received(&accounts, check(&message).1).fetch_add(1, SeqCst);
            }
            Err(Error::Disconnected { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Stops one for a moment, or kills it. `true`: killed.
fn strike(dice: &mut Dice, victim: &Process<()>) -> bool {
    if dice.roll(3) == 0 && cfg!(unix) {
        signal(victim.pid(), "-STOP");
        std::thread::sleep(Duration::from_micros(dice.roll(3000)));
        signal(victim.pid(), "-CONT");
        return false;
    }
    victim.kill().unwrap();
    true
}

/// Two processes send at one end, and are struck.
fn senders(dice: &mut Dice, method: StartMethod) -> u64 {
    let (ours, theirs) = pipe::pipe_with_capacity(CAPACITY).unwrap();
    let accounts = Accounts::new(2 * ACTORS).unwrap();
    let start = |who: u64, end: Connection| {
        let arguments = (end, who, accounts.clone());
        Process::builder().daemon(true).start_method(method).spawn(talk, arguments).unwrap()
    };
    let other = theirs.try_clone().unwrap();
    let senders = [start(0, theirs), start(1, other)];
    let (mut next, mut kills, mut torn) = ([0_u64; ACTORS], [false; ACTORS], 0);
    let mut left = dice.roll(400);
    let end = loop {
        if left == 0 {
            let at = dice.roll(ACTORS as u64) as usize;
            kills[at] |= strike(dice, &senders[at]);
            left = dice.roll(100);
        }
        left -= u64::from(left > 0);
        match ours.recv_timeout::<Numbered>(PATIENCE) {
            Ok(message) => {
                let (who, n) = check(&message);
                assert_eq!(n, next[who as usize], "of {who}: in order, none lost, none twice");
                next[who as usize] += 1;
            }
            Err(Error::Torn { .. }) => torn += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(end, Error::Disconnected { .. }), "{end}");
    let killed = kills.iter().filter(|killed| **killed).count() as u64;
    assert!(torn <= killed, "{torn} messages cut off by {killed} deaths");
    for (who, sender) in senders.iter().enumerate() {
        sender.wait().unwrap();
        let (begun, sent) =
            (begun(&accounts, who as u64).load(SeqCst), sent(&accounts, who as u64).load(SeqCst));
        let got = next[who];
        assert!(sent <= got && got <= begun, "of {who}: {got} came, {sent} were sent, {begun} were begun");
    }
    killed
}

/// Two processes receive at one end, and one of them is struck.
fn receivers(dice: &mut Dice, method: StartMethod) -> u64 {
    let (ours, theirs) = pipe::pipe_with_capacity(CAPACITY).unwrap();
    let accounts = Accounts::new(2 * ACTORS + MOST).unwrap();
    let start = |end: Connection| {
        let arguments = (end, accounts.clone());
        Process::builder().daemon(true).start_method(method).spawn(listen, arguments).unwrap()
    };
    let other = theirs.try_clone().unwrap();
    let (victim, heir) = (start(theirs), start(other));
    let count = 100 + dice.roll(400);
    let mut killed = 0;
    for n in 0..count {
        if killed == 0 && n > 0 && dice.roll(60) == 0 {
            killed += u64::from(strike(dice, &victim));
        }
        ours.send_timeout(message(7, n).unwrap(), PATIENCE).map_err(|failed| failed.error).unwrap();
    }
    drop(ours);
    heir.join().unwrap();
    victim.wait().unwrap();
    let times: Vec<u64> = (0..count).map(|n| received(&accounts, n).load(SeqCst)).collect();
    assert!(times.iter().all(|times| *times <= 1), "received twice: {times:?}");
    let lost = times.iter().filter(|times| **times == 0).count() as u64;
    assert!(lost <= killed, "{lost} messages went with {killed} receivers");
    killed
}

pub(super) fn pipes(dice: &mut Dice, until: Instant, method: StartMethod) {
    let dog = Watchdog::start("the pipes");
    let (mut rounds, mut kills) = (0, 0);
    while Instant::now() < until {
        kills += if dice.roll(2) == 0 { senders(dice, method) } else { receivers(dice, method) };
        rounds += 1;
        dog.feed();
    }
    eprintln!("torture ({method}): {rounds} rounds of pipes, {kills} killed");
}
