//! The umbrella under another name: macros and tasks do not depend on what the user calls the crate.

use sub::prelude::*;

fn double(number: u64) -> u64 {
    number * 2
}

#[sub::main]
fn main() -> sub::Result<()> {
    let child = Process::spawn(double, (21,))?;
    assert_eq!(child.join()?, 42);
    Ok(())
}
