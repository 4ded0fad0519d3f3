//! What the tests have in common.

use std::time::{Duration, Instant};

use mp_pool::Pool;

/// Nothing here takes that long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn pool(n: usize) -> Pool {
    Pool::new(n).unwrap()
}

/// Sends a signal, by name, to a process. It may be gone: then there is nobody to get it.
pub(crate) fn signal(name: &str, pid: u32) {
    let (program, args) = if cfg!(windows) {
        ("taskkill", vec!["/F".to_owned(), "/PID".to_owned(), pid.to_string()])
    } else {
        ("kill", vec![format!("-{name}"), pid.to_string()])
    };
    let _ = std::process::Command::new(program).args(args).output().unwrap();
}

pub(crate) fn kill(pid: u32) {
    signal("KILL", pid);
}

/// Waits until it is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a process is gone, its body included.
pub(crate) fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| stat.contains(") Z ")) || !std::path::Path::new(&format!("/proc/{pid}")).exists()
}
