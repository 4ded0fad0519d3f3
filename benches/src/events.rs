//! Eventfds, waited for by `poll` and by `epoll`.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

fn check(code: libc::c_int) -> io::Result<libc::c_int> {
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(code) }
}

/// How the system is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// A list of all, each time.
    Poll,
    /// A set that the kernel keeps.
    Epoll,
}

/// A number of eventfds, and the way to wait for one of them.
#[derive(Debug)]
pub struct Events {
    events: Vec<OwnedFd>,
    epoll: Option<OwnedFd>,
}

impl Events {
    /// Makes so many.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new(count: usize, poll: Poll) -> io::Result<Events> {
        // 1,000 are more than some are allowed to begin with.
        // SAFETY: a plain structure, filled in by the call.
        let mut limit: libc::rlimit = unsafe { std::mem::zeroed() };
        // SAFETY: the structure is ours to be written.
        check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
        limit.rlim_cur = limit.rlim_max.min(8_192);
        // SAFETY: the structure is whole.
        check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
        let make = |_| {
            // SAFETY: plain calls; the descriptor is new and ours.
            let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
            // SAFETY: as above.
            Ok(unsafe { OwnedFd::from_raw_fd(fd) })
        };
        let events = (0..count).map(make).collect::<io::Result<Vec<OwnedFd>>>()?;
        if poll == Poll::Poll {
            return Ok(Events { events, epoll: None });
        }
        // SAFETY: a plain call; the descriptor is new and ours.
        let epoll = unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        for (index, event) in events.iter().enumerate() {
            let mut entry = libc::epoll_event { events: libc::EPOLLIN as u32, u64: index as u64 };
            // SAFETY: live descriptors and a whole entry.
            check(unsafe {
                libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, event.as_raw_fd(), &raw mut entry)
            })?;
        }
        Ok(Events { events, epoll: Some(epoll) })
    }

    /// Makes one readable.
    ///
    /// # Errors
    /// Those of the system.
    pub fn raise(&self, index: usize) -> io::Result<()> {
        let one = 1_u64;
        // SAFETY: eight readable bytes.
        let written = unsafe {
            libc::write(self.events[index].as_raw_fd(), (&raw const one).cast(), size_of_val(&one))
        };
        if written < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Reads one.
    ///
    /// # Errors
    /// Those of the system.
    pub fn take(&self, index: usize) -> io::Result<u64> {
        let mut value = 0_u64;
        // SAFETY: eight writable bytes.
        let read = unsafe {
            libc::read(self.events[index].as_raw_fd(), (&raw mut value).cast(), size_of_val(&value))
        };
        if read < 0 { Err(io::Error::last_os_error()) } else { Ok(value) }
    }

    /// Waits for at least one.
    ///
    /// # Errors
    /// Those of the system.
    pub fn wait(&self) -> io::Result<Vec<usize>> {
        match &self.epoll {
            Some(epoll) => {
                let mut entries = [libc::epoll_event { events: 0, u64: 0 }; 64];
                // SAFETY: as many writable entries as said.
                let count = check(unsafe {
                    libc::epoll_wait(epoll.as_raw_fd(), entries.as_mut_ptr(), entries.len() as i32, -1)
                })?;
                Ok(entries[..count as usize].iter().map(|entry| entry.u64 as usize).collect())
            }
            None => {
                let entry =
                    |fd: &OwnedFd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
                let mut list: Vec<libc::pollfd> = self.events.iter().map(entry).collect();
                // SAFETY: as many writable entries as said.
                check(unsafe { libc::poll(list.as_mut_ptr(), list.len() as libc::nfds_t, -1) })?;
                Ok((0..list.len()).filter(|i| list[*i].revents != 0).collect())
            }
        }
    }
}
