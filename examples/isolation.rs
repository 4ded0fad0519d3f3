//! A child changes a global variable. The parent still sees the old value: processes share nothing unless they are asked
//! to.

use std::sync::atomic::{AtomicI32, Ordering::SeqCst};

use mp::prelude::*;

static GLOBAL: AtomicI32 = AtomicI32::new(0);

fn change() -> i32 {
    GLOBAL.fetch_add(1, SeqCst);
    println!("child: the global is {}", GLOBAL.load(SeqCst));
    GLOBAL.load(SeqCst)
}

#[mp::main]
fn main() -> mp::Result<()> {
    GLOBAL.store(100, SeqCst);
    let in_child = Process::spawn(change, ())?.join()?;
    println!("parent: the global is {}", GLOBAL.load(SeqCst));
    assert_eq!(in_child, 1, "the child's began anew");
    assert_eq!(GLOBAL.load(SeqCst), 100, "ours is ours");
    Ok(())
}
