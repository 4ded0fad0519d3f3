//! Waiting for sockets, pipes and whatever else has a descriptor.
//!
//! Two ways: [`poll`] looks at a list, for as long as it is told; a [`Poller`] is told once what is of interest, and reports it from then on, to a
//! thread that waits for nothing else. Its reports are *one-shot*: what was reported is of no interest until it is asked for again, so
//! a source that stays ready keeps no thread busy.

use crate::imp;
use std::{io, time::Instant};

/// What has a descriptor. (Windows: a socket.)
#[cfg(unix)]
pub use std::os::fd::AsFd as AsSource;
/// What has a descriptor. (Windows: a socket.)
#[cfg(windows)]
pub use std::os::windows::io::AsSocket as AsSource;

/// A borrowed descriptor (Windows: socket).
#[cfg(unix)]
pub type BorrowedSource<'a> = std::os::fd::BorrowedFd<'a>;
/// A borrowed descriptor (Windows: socket).
#[cfg(windows)]
pub type BorrowedSource<'a> = std::os::windows::io::BorrowedSocket<'a>;

/// The descriptor of a thing that has one, in the spelling of this platform.
pub fn source_of<S: AsSource + ?Sized>(source: &S) -> BorrowedSource<'_> {
    #[cfg(unix)]
    return source.as_fd();
    #[cfg(windows)]
    return source.as_socket();
}

/// Which operation is not to block. An error or the end of a connection counts as either: the operation tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Reading, or accepting.
    Readable,
    /// Writing.
    Writable,
}

/// Waits until one of the sources is ready, and says which are. With a deadline that has passed it only looks.
///
/// # Blocking
/// Until one is ready or the deadline comes. A signal is not an end.
///
/// # Errors
/// Whatever the system says; `InvalidInput` on Windows for an empty list.
///
/// # Platform
/// On macOS devices (terminals among them) cannot be polled. Windows: sockets only.
pub fn poll(sources: &[(BorrowedSource<'_>, Interest)], deadline: Option<Instant>) -> io::Result<Vec<bool>> {
    imp::poll::poll(sources, deadline)
}

/// Reports what has become ready, once for each time that it is asked to.
///
/// # Platform
/// Linux: three descriptors in all (epoll, an event and a timer). macOS: a kqueue. Windows: a completion port.
#[derive(Debug)]
pub struct Poller(polling::Poller);

impl Poller {
    /// A poller of nothing.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub fn new() -> io::Result<Poller> {
        polling::Poller::new().map(Poller)
    }

    /// The number that reports name this source by. Another one has it when this one is closed.
    pub fn number(source: BorrowedSource<'_>) -> usize {
        #[cfg(unix)]
        return usize::try_from(std::os::fd::AsRawFd::as_raw_fd(&source)).unwrap_or(usize::MAX - 1);
        #[cfg(windows)]
        return std::os::windows::io::AsRawSocket::as_raw_socket(&source) as usize;
    }

    /// Adds a source, of which nothing is reported yet.
    ///
    /// It is to be [removed](Poller::remove) before it is closed. One that was not is forgotten by the system, and its number may be
    /// reported once more.
    ///
    /// # Errors
    /// `PermissionDenied` for what cannot be waited for, a plain file say; what else the system says.
    pub fn add(&self, source: BorrowedSource<'_>) -> io::Result<()> {
        let nothing = polling::Event::none(Poller::number(source));
        // SAFETY: the system's own registration ends with the descriptor, so that one which is closed without having been removed
        // leads to a report with a number that means nothing, or another source, to which reports are hints.
        unsafe { self.0.add(&source, nothing) }
    }

    /// Asks for one report, when it is readable or writable as said.
    ///
    /// # Errors
    /// `NotFound` for a source that was not added.
    pub fn ask(&self, source: BorrowedSource<'_>, readable: bool, writable: bool) -> io::Result<()> {
        self.0.modify(source, polling::Event::new(Poller::number(source), readable, writable))
    }

    /// Removes a source.
    ///
    /// # Errors
    /// `NotFound` for a source that was not added.
    pub fn remove(&self, source: BorrowedSource<'_>) -> io::Result<()> {
        self.0.delete(source)
    }

    /// Waits for reports, and calls `report` with the number of each source that has one. For one thread.
    ///
    /// # Blocking
    /// Until there is one, for ever if there never is.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn wait(&self, report: impl FnMut(usize)) -> io::Result<()> {
        self.wait_until(None, report)
    }

    /// As [`wait`](Poller::wait), and no longer than until the deadline or the next [`rouse`](Poller::rouse).
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn wait_until(&self, deadline: Option<Instant>, mut report: impl FnMut(usize)) -> io::Result<()> {
        let mut events = polling::Events::new();
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        self.0.wait(&mut events, timeout)?;
        events.iter().for_each(|event| report(event.key));
        Ok(())
    }

    /// Ends a wait for reports, the present one or the next.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn rouse(&self) -> io::Result<()> {
        self.0.notify()
    }
}
