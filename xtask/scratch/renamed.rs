//! The umbrella under another name: macros and tasks do not depend on what the user calls the crate.

use sub::prelude::*;

fn double(number: u64) -> u64 {
    number * 2
}

#[derive(Clone, Copy, sub::Shared)]
#[repr(C)]
struct Pair {
    left: u32,
    right: u32,
}

#[sub::main]
fn main() -> sub::Result<()> {
    let child = Process::spawn(double, (21,))?;
    assert_eq!(child.join()?, 42);
    let pair = Mutex::new(Pair { left: 1, right: 2 })?;
    pair.lock()?.left += 1;
    let both = *pair.lock()?;
    assert_eq!(both.left + both.right, 4);
    Ok(())
}
