//! `WSAPoll`, for sockets.

use super::handle::millis_until;
use crate::poll::{BorrowedSource, Interest};
use std::{
    io,
    os::windows::io::AsRawSocket,
    time::{Duration, Instant},
};
use windows_sys::Win32::Networking::WinSock::{
    POLLRDNORM, POLLWRNORM, SOCKET, SOCKET_ERROR, WSAGetLastError, WSAPOLLFD, WSAPoll,
};

/// The longest time that one call is asked to wait; longer ones are several calls.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

pub(crate) fn poll(
    sources: &[(BorrowedSource<'_>, Interest)],
    deadline: Option<Instant>,
) -> io::Result<Vec<bool>> {
    let mut list: Vec<WSAPOLLFD> = sources
        .iter()
        .map(|(source, interest)| WSAPOLLFD {
            fd: source.as_raw_socket() as SOCKET,
            events: match interest {
                Interest::Readable => POLLRDNORM,
                Interest::Writable => POLLWRNORM,
            },
            revents: 0,
        })
        .collect();
    loop {
        let longest = Instant::now() + LONGEST;
        let millis = millis_until(Some(deadline.map_or(longest, |d| d.min(longest))));
        // SAFETY: as many writable entries as said; the sockets are borrowed.
        let result = unsafe { WSAPoll(list.as_mut_ptr(), list.len() as u32, millis.cast_signed()) };
        if result == SOCKET_ERROR {
            // SAFETY: a plain call.
            return Err(io::Error::from_raw_os_error(unsafe { WSAGetLastError() }));
        }
        if result > 0 || deadline.is_some_and(|d| Instant::now() >= d) {
            return Ok(list.iter().map(|entry| entry.revents != 0).collect());
        }
    }
}
