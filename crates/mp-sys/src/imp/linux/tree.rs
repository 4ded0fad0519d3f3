//! The tree of processes, as `/proc` shows it.

use super::process::pidfd_open;
use crate::{
    imp::unix::{call::check, child::number},
    process::ProcessState,
    spawn::Signal,
    tree::ProcessName,
};
use std::{collections::HashMap, io, os::fd::AsRawFd, ptr};

pub(crate) fn descendants(pid: u32) -> io::Result<Vec<ProcessName>> {
    let mut children: HashMap<u32, Vec<ProcessName>> = HashMap::new();
    let listed = match std::fs::read_dir("/proc") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(crate::imp::unix::call::unsupported("the tree of processes needs /proc"));
        }
        listed => listed?,
    };
    for entry in listed {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // One that has ended meanwhile is not in the tree.
        let Ok(text) = std::fs::read(format!("/proc/{pid}/stat")) else { continue };
        if let Some((parent, start_time)) = parent_and_start(&text) {
            children.entry(parent).or_default().push(ProcessName { pid, start_time });
        }
    }
    let mut found = Vec::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        // Taken out: a tree seen while it changes might otherwise be a circle.
        for child in children.remove(&parent).unwrap_or_default() {
            parents.push(child.pid);
            found.push(child);
        }
    }
    Ok(found)
}

/// Fields 4 and 22 of `/proc/PID/stat`. The second field is a name that may look like anything.
fn parent_and_start(text: &[u8]) -> Option<(u32, u64)> {
    let after_name = text.iter().rposition(|byte| *byte == b')')? + 1;
    let mut fields = str::from_utf8(&text[after_name..]).ok()?.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    Some((parent, fields.nth(17)?.parse().ok()?))
}

pub(crate) fn signal_process(name: ProcessName, signal: Signal) -> io::Result<bool> {
    let Ok(pid @ 1..) = libc::pid_t::try_from(name.pid) else { return Ok(false) };
    // First the descriptor, then the comparison: what is compared is what is signalled.
    let pidfd = pidfd_open(pid);
    if super::process::process_state(name.pid, name.start_time)? != ProcessState::Running {
        return Ok(false);
    }
    let sent = match &pidfd {
        // SAFETY: a live descriptor, no information besides the signal.
        Some(pidfd) => check(unsafe {
            let (fd, info) = (pidfd.as_raw_fd(), ptr::null::<libc::siginfo_t>());
            libc::syscall(libc::SYS_pidfd_send_signal, fd, number(signal), info, 0)
        })
        .map(drop),
        // SAFETY: a plain call, on a kernel without such descriptors.
        None => check(unsafe { libc::kill(pid, number(signal)) }).map(drop),
    };
    match sent {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
        sent => sent.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::parent_and_start;

    #[test]
    fn a_line_names_parent_and_start() {
        let line = b"42 (a) R 1 (b) Z 7 1 1 0 -1 4194564 9 9 9 9 9 9 9 9 20 0 3 0 777 1 1\n";
        assert_eq!(parent_and_start(line), Some((7, 777)));
        assert_eq!(parent_and_start(b"42 (cut) Z 7 1"), None);
    }
}
