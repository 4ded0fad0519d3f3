//! A child sends a list of mixed things over a queue, and the same things one by one.

use std::collections::BTreeMap;

use mp::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Thing {
    Number(i64),
    Fraction(f64),
    Nothing,
    Truth(bool),
    Text(String),
    Bytes(Vec<u8>),
    Pair(Box<Thing>, Box<Thing>),
    List(Vec<Thing>),
    Table(BTreeMap<String, Thing>),
}

fn list() -> Vec<Thing> {
    use Thing::*;
    let table = [("a".to_owned(), Number(1)), ("nested".to_owned(), List(vec![Nothing, Truth(true)]))];
    vec![
        Number(42),
        Nothing,
        Text("hello, wörld".into()),
        Fraction(2.5),
        Bytes(vec![0, 255, 7]),
        Pair(Box::new(Truth(false)), Box::new(Text(String::new()))),
        Table(table.into()),
    ]
}

fn send(all: Sender<Vec<Thing>>, each: Sender<Thing>) -> mp::Result<()> {
    all.put(list())?;
    each.put_many(list())
}

#[mp::main]
fn main() -> mp::Result<()> {
    let (all, list_rx) = queue::unbounded()?;
    let (each, thing_rx) = queue::unbounded()?;
    let child = Process::spawn(send, (all, each))?;
    let things = list_rx.get()?;
    println!("{things:?}");
    assert_eq!(things, list());
    child.join()?;
    // The child was the only one who could send: there is nothing to wait for any more, and that is not a hang.
    println!("then: {}", list_rx.get().unwrap_err());
    let things: Vec<Thing> = thing_rx.iter().collect::<mp::Result<_>>()?;
    println!("one by one: {} things", things.len());
    assert_eq!(things, list());
    Ok(())
}
