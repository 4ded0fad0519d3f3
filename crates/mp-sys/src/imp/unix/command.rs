//! Descriptors for `std::process::Command`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::call::check;
use super::descriptor::from_number;
use crate::memory::Inherited;

pub(crate) fn inherit_descriptors(command: &mut Command, numbers: &[Inherited]) {
    let numbers = numbers.to_vec();
    let keep_open = move || {
        for number in &numbers {
            let fd = from_number(*number)?;
            // SAFETY: only flags of a descriptor are written.
            check(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) })?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure calls `fcntl` only, which is async-signal-safe, and allocates nothing.
    unsafe { command.pre_exec(keep_open) };
}
