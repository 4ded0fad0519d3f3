//! A child sends a list of mixed things over a queue.

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

fn send(out: Sender<Vec<Thing>>) -> mp::Result<()> {
    out.put(list())
}

#[mp::main]
fn main() -> mp::Result<()> {
    let (tx, rx) = queue::unbounded()?;
    let child = Process::spawn(send, (tx,))?;
    let things = rx.get()?;
    println!("{things:?}");
    assert_eq!(things, list());
    child.join()?;
    // The child was the only one who could send: there is nothing to wait for any more, and that is not a hang.
    println!("then: {}", rx.get().unwrap_err());
    Ok(())
}
