//! The same with a struct: its fields are the data, its `run` method is what the process does. This is what subclassing
//! `Process` is in Python.

use std::time::Duration;

use mp::Run;
use mp::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Greeter {
    greeting: String,
    delay: Duration,
}

impl Run for Greeter {
    type Output = String;

    fn run(self) -> String {
        std::thread::sleep(self.delay);
        format!("{} from {}", self.greeting, mp::current_process().name)
    }
}

#[mp::main]
fn main() -> mp::Result<()> {
    let greeter = Greeter { greeting: "hello".into(), delay: Duration::from_millis(100) };
    let child = Process::builder().name("greeter").run(greeter)?;
    println!("parent: waits for {}", child.name());
    let said = child.join()?;
    println!("child said: {said}");
    assert_eq!(said, "hello from greeter");
    Ok(())
}
