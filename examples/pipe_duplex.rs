//! Two children at the ends of one pipe: five messages go one way, then five the other way, and then each sees the end.

use mp::prelude::*;

const MESSAGES: u32 = 5;

/// Talks first, then listens.
fn alice(connection: Connection) -> mp::Result<Vec<String>> {
    for i in 1..=MESSAGES {
        connection.send(format!("alice's message {i}"))?;
    }
    (1..=MESSAGES).map(|_| connection.recv()).collect()
}

/// Listens first, then talks.
fn bob(connection: Connection) -> mp::Result<(Vec<String>, String)> {
    let heard: Vec<String> = (1..=MESSAGES).map(|_| connection.recv()).collect::<mp::Result<_>>()?;
    for i in 1..=MESSAGES {
        connection.send(format!("bob's message {i}"))?;
    }
    // Alice has what she waited for and goes: nobody has the other end any more.
    let end = connection.recv::<String>().unwrap_err();
    assert!(end.is_closed(), "{end}");
    Ok((heard, end.to_string()))
}

#[mp::main]
fn main() -> mp::Result<()> {
    let (one, other) = pipe::pipe()?;
    let alice = Process::spawn(alice, (one,))?;
    let bob = Process::spawn(bob, (other,))?;
    let alice_heard = alice.join()?;
    let (bob_heard, end) = bob.join()?;
    let expected = |name: &str| (1..=MESSAGES).map(|i| format!("{name}'s message {i}")).collect::<Vec<_>>();
    assert_eq!(bob_heard, expected("alice"));
    assert_eq!(alice_heard, expected("bob"));
    for line in bob_heard.iter().chain(&alice_heard) {
        println!("{line}");
    }
    println!("bob at the end: {end}");
    Ok(())
}
