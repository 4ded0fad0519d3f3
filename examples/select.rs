//! One loop that waits for a connection, a queue, the end of a child and a TCP socket, and takes from whichever is ready.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use mp::prelude::*;
use mp::{Io, WaitSet};

const CONNECTION: u64 = 0;
const QUEUE: u64 = 1;
const CHILD: u64 = 2;
const SOCKET: u64 = 3;
const EACH: u32 = 5;
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Says something in each of three ways, and ends.
fn chatter(connection: Connection, queue: Sender<String>, port: u16) -> mp::Result<u32> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    for i in 1..=EACH {
        connection.send(format!("message {i}"))?;
        queue.put(format!("item {i}"))?;
        socket.write_all(&[i as u8])?;
    }
    Ok(3 * EACH)
}

#[mp::main]
fn main() -> mp::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (ours, theirs) = pipe::pipe()?;
    let (sender, receiver) = queue::unbounded::<String>()?;
    let child = Process::spawn(chatter, (theirs, sender, listener.local_addr()?.port()))?;
    let (mut socket, _) = listener.accept()?;

    let mut set = WaitSet::new()?;
    set.add(CONNECTION, &ours)?;
    set.add(QUEUE, &receiver)?;
    set.add(CHILD, &child)?;
    set.add(SOCKET, Io::readable(socket.try_clone()?))?;
    let (mut messages, mut items, mut read) = (0, 0, 0);
    while !set.is_empty() {
        let ready = set.wait(PATIENCE)?;
        assert!(!ready.is_empty(), "nothing has happened for {PATIENCE:?}");
        for token in ready {
            // What is ready would not block; where it is at its end, it says so.
            let more = match token {
                CONNECTION => match ours.recv::<String>() {
                    Ok(text) => {
                        println!("connection: {text}");
                        messages += 1;
                        true
                    }
                    Err(end) => {
                        assert!(end.is_closed(), "{end}");
                        false
                    }
                },
                QUEUE => match receiver.try_get() {
                    Ok(text) => {
                        println!("queue: {text}");
                        items += 1;
                        true
                    }
                    Err(end) => !end.is_closed(),
                },
                CHILD => {
                    println!("child: it has ended");
                    false
                }
                _ => {
                    let count = socket.read(&mut [0; 16])? as u32;
                    println!("socket: {count} bytes");
                    read += count;
                    count > 0
                }
            };
            if !more {
                set.remove(token);
            }
        }
    }
    assert_eq!((messages, items, read), (EACH, EACH, EACH));
    drop(set);
    assert_eq!(child.join()?, messages + items + read);
    Ok(())
}
