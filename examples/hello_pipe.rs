//! A child sends a list of mixed things over a pipe.

use mp::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Thing {
    Number(i64),
    Nothing,
    Text(String),
}

fn list() -> Vec<Thing> {
    vec![Thing::Number(42), Thing::Nothing, Thing::Text("hello".into())]
}

fn send(out: pipe::Writer) -> mp::Result<()> {
    out.send(list())
}

#[mp::main]
fn main() -> mp::Result<()> {
    let (reader, writer) = pipe::one_way()?;
    let child = Process::spawn(send, (writer,))?;
    let things: Vec<Thing> = reader.recv()?;
    println!("{things:?}");
    assert_eq!(things, list());
    child.join()?;
    // The writer went to the child, and its end was closed with it.
    println!("then: {}", reader.recv::<Vec<Thing>>().unwrap_err());
    Ok(())
}
