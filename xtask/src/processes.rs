//! Lists and ends processes, to keep a run bounded and clean.
//!
//! The list is Linux's `/proc`. Elsewhere it is empty: a program that exceeds its time is still ended with its process group
//! (macOS) or its tree (Windows), but nothing is known about what a program that ended by itself left behind.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// A process that is not a zombie.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) id: u32,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    /// The executable, when we may see it.
    pub(crate) program: PathBuf,
    pub(crate) arguments: String,
}

/// Whether [`list`] sees anything on this system.
pub(crate) const LISTED: bool = cfg!(target_os = "linux");

/// All living processes that we can see.
pub(crate) fn list() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(read).collect()
}

/// One process; `None` when it is gone, a zombie, or this is not Linux.
fn read(id: u32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // `pid (name) state ppid pgrp ...`, and the name may hold anything, parentheses and spaces too
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    if matches!(state, "Z" | "X") {
        return None;
    }
    let program = std::fs::read_link(format!("/proc/{id}/exe")).unwrap_or_default();
    let arguments = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
    Some(Process { id, parent, group, program, arguments })
}

/// `root`, all that descend from it, and all in the process groups of those, as far as they are still connected to it.
pub(crate) fn family(root: u32) -> Vec<Process> {
    let all = list();
    let mut found: Vec<Process> = Vec::new();
    let mut groups = vec![root];
    loop {
        let before = found.len();
        for process in &all {
            let known = found.iter().any(|other| other.id == process.id);
            let ours = process.id == root
                || groups.contains(&process.group)
                || found.iter().any(|other| other.id == process.parent);
            if ours && !known {
                // only a leader's group is surely made of its own descendants
                if process.group == process.id {
                    groups.push(process.group);
                }
                found.push(process.clone());
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// Ends `root` (the leader of a process group) and everything that hangs on it; returns how many were found.
pub(crate) fn end_family(root: u32) -> usize {
    if !LISTED {
        end_unlisted(root);
        return 1;
    }
    let mut ended = BTreeSet::new();
    // what is started between the listing and the signal is found by the next round
    for _ in 0..10 {
        let ids: Vec<u32> = family(root).iter().map(|process| process.id).collect();
        if ids.is_empty() {
            break;
        }
        end(&ids);
        ended.extend(ids);
        // a killed process stays in the list for a moment
        std::thread::sleep(Duration::from_millis(20));
    }
    ended.len()
}

/// Kills the processes with these ids.
pub(crate) fn end(ids: &[u32]) {
    if !ids.is_empty() {
        shell_kill(ids.iter().map(u32::to_string));
    }
}

/// The shell's own `kill`: a minimal container has no other. A process that ended in the meantime makes it complain, which is
/// no news.
fn shell_kill(targets: impl Iterator<Item = String>) {
    let mut command = Command::new("sh");
    command.args(["-c", "kill -s KILL -- \"$@\" 2>/dev/null", "sh"]).args(targets);
    if let Err(error) = command.status() {
        eprintln!("xtask: cannot run `sh` to end a process: {error}");
    }
}

#[cfg(unix)]
fn end_unlisted(root: u32) {
    shell_kill(std::iter::once(format!("-{root}")));
}

#[cfg(not(unix))]
fn end_unlisted(root: u32) {
    let status = Command::new("taskkill").args(["/T", "/F", "/PID"]).arg(root.to_string()).status();
    if let Err(error) = status {
        eprintln!("xtask: cannot run `taskkill`: {error}");
    }
}

/// Whether it is one of wine's own services, which stay for a while after the last program.
pub(crate) fn of_wine(process: &Process) -> bool {
    let start = process.arguments.to_ascii_lowercase();
    start.starts_with("c:\\windows\\") || start.contains("wineserver")
}
