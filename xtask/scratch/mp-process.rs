//! mp-process alone: a function runs in another process and its value comes back.

use mp_process::Process;

fn double(number: u64) -> u64 {
    assert_ne!(std::process::id() as u64, number);
    number * 2
}

fn main() -> mp_process::Result<()> {
    mp_process::init();
    let child = Process::spawn(double, (21,))?;
    assert_eq!(child.join()?, 42);
    Ok(())
}
