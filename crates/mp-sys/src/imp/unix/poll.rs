//! `poll`, taken up again after signals.

use super::call::check;
use crate::poll::{BorrowedSource, Interest};
use std::{
    io,
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

/// The longest time that one call is asked to wait; longer ones are several calls.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

pub(crate) fn poll(
    sources: &[(BorrowedSource<'_>, Interest)],
    deadline: Option<Instant>,
) -> io::Result<Vec<bool>> {
    let mut list: Vec<libc::pollfd> = sources
        .iter()
        .map(|(source, interest)| libc::pollfd {
            fd: source.as_raw_fd(),
            events: match interest {
                Interest::Readable => libc::POLLIN,
                Interest::Writable => libc::POLLOUT,
            },
            revents: 0,
        })
        .collect();
    loop {
        let left = deadline.map_or(LONGEST, |d| d.saturating_duration_since(Instant::now()).min(LONGEST));
        // Rounded up: no wait ends early.
        let millis = left.as_nanos().div_ceil(1_000_000) as libc::c_int;
        // SAFETY: as many writable entries as said; the descriptors are borrowed.
        let result = check(unsafe { libc::poll(list.as_mut_ptr(), list.len() as libc::nfds_t, millis) });
        let over = deadline.is_some_and(|d| Instant::now() >= d);
        match result {
            Ok(0) if !over => {}
            Ok(_) => return Ok(list.iter().map(|entry| entry.revents != 0).collect()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                if over {
                    return Ok(vec![false; list.len()]);
                }
            }
            Err(error) => return Err(error),
        }
    }
}
