//! Ending a child together with all that is below it.
//!
//! Two sources name the processes below: the system's table, which knows foreign programs too but loses those whose parent is gone, and the
//! session, which knows only ours but remembers their parents. Both are asked before the child is killed, and again after each round of
//! kills, until nobody new is found: what was started meanwhile was started by somebody who is dead by now.
//!
//! *born-while-killed*: a foreign program that a victim starts between the look and the kill is found by neither. For certainty against
//! such, start the child as the leader of a [group](crate::Builder::process_group) or [session](crate::Builder::new_session) and use
//! [`kill_group`](crate::Process::kill_group): the kernel signals a group as a whole.

use std::collections::HashSet;

use mp_session::{Place, StartedProcess};
use mp_sys::{ProcessName, Signal};
use mp_wire::{Error, Result};

/// A tree that grows faster than this many rounds of kills is a matter for the system's administrator.
const ROUNDS: usize = 100;

fn below(place: &Place, process: &StartedProcess) -> Result<Vec<ProcessName>> {
    let mut found = place.descendants();
    // Reaped: the pid may be somebody else's.
    if process.ended().is_none() {
        match mp_sys::descendants(process.pid()) {
            Ok(more) => found.extend(more),
            Err(e) if e.kind() == std::io::ErrorKind::Unsupported => {}
            Err(e) => return Err(Error::os("list the processes below a process", e)),
        }
    }
    Ok(found)
}

/// Sends the signal to the child and to all below it.
pub(crate) fn signal(place: &Place, process: &StartedProcess, signal: Signal) -> Result<()> {
    let mut told: HashSet<u32> = HashSet::from([process.pid()]);
    let mut refused = None;
    let mut found = below(place, process)?;
    process.signal(signal)?;
    for _ in 0..ROUNDS {
        found.retain(|name| told.insert(name.pid));
        if found.is_empty() {
            break;
        }
        for name in &found {
            if let Err(e) = mp_sys::signal_process(*name, signal) {
                // The others first.
                refused = Some(Error::os(format!("signal process {}", name.pid), e));
            }
        }
        if signal != Signal::Kill {
            break; // who is asked to end may start others in peace
        }
        found = below(place, process)?;
    }
    refused.map_or(Ok(()), Err)
}
