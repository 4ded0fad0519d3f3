//! The umbrella alone: a process, a queue and a pool in one program.

use mp::prelude::*;

fn greet(out: Sender<String>, name: String) -> mp::Result<()> {
    out.put(format!("hello {name}"))
}

#[mp::main]
fn main() -> mp::Result<()> {
    let (sender, receiver) = mp::queue::unbounded()?;
    let child = Process::spawn(greet, (sender, "bob".to_owned()))?;
    assert_eq!(receiver.get()?, "hello bob");
    child.join()?;

    let pool = Pool::new(2)?;
    let squares: Vec<u64> = pool.map(|number: u64| number * number, 0..10)?;
    assert_eq!(squares.iter().sum::<u64>(), 285);
    Ok(())
}
