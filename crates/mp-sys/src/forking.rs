//! Copies of a running process, and a channel that carries descriptors to them.
//!
//! A small single-threaded process can copy itself in a tenth of a millisecond, where a new image takes ten times that. So a
//! server of forks is started once, asked over a [`Channel`], and copies itself for each request.
//!
//! # Whose child?
//!
//! A child of `fork` belongs to the server, and only the server could wait for it. [`fork_sibling`] gives it to the server's own
//! parent instead, the process that asked: it can wait for the child, gets its status, and may reap it as any of its own.
//!
//! # What a raw `clone` must repair
//!
//! `fork` of the C library does more than the system call; `fork_sibling` does by hand what a single-threaded caller needs of that:
//!
//! | in the child | because | how |
//! |---|---|---|
//! | the cached thread id | `raise`, robust and recursive mutexes use it | the kernel writes it (`CLONE_CHILD_SETTID`) where the C library told it that the id lives |
//! | the clear-at-exit address | joins of the main thread | `CLONE_CHILD_CLEARTID`, same address |
//! | the robust list | it names locks and beacons of the *parent's* thread | emptied and registered again |
//!
//! `atfork` handlers do not run, and locks of other threads would stay locked for ever: hence "single-threaded".

use crate::{
    imp,
    memory::Inherited,
    spawn::{BorrowedOsHandle, OsHandle},
};
use std::{io, sync::atomic::AtomicU32, time::Duration};

/// On which side of a fork one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forked {
    /// In the process that called, with the pid of the new one.
    Parent(u32),
    /// In the new one.
    Child,
}

/// Copies this process; the copy is a child of our *parent*.
///
/// The kernel writes the copy's pid into `note` before the copy runs its first instruction: where that is shared memory, the
/// pid is known to others even if both processes are killed before either could say it.
///
/// # Safety
///
/// The process has one thread. In the child, whatever was tied to the parent's identity (locks held on files, members of a session) is
/// the caller's to sort out.
///
/// # Errors
///
/// [`Unsupported`](io::ErrorKind::Unsupported) where the C library does not tell the kernel where its thread id lives (musl), the kernel does not tell
/// us (built without checkpoint support), or there is no such call at all (Windows, macOS). Use [`fork`] then, and relay the status.
/// `InvalidInput` from the kernel if we are the init process of a container and so have no parent to give a child to.
pub unsafe fn fork_sibling(note: &AtomicU32) -> io::Result<Forked> {
    // SAFETY: the caller's promise is the same.
    unsafe { imp::forking::fork_sibling(note) }
}

/// Whether [`fork_sibling`] can work for the calling thread: asked of the system at run time, for with musl and in emulators
/// it cannot. `true` does not promise that there is room for a process.
pub fn can_fork_siblings() -> bool {
    imp::forking::can_fork_siblings()
}

/// Copies this process with the C library's `fork`; the copy is our child. In it an interrupt is held back until
/// [`reset_signals`](crate::reset_signals).
///
/// # Safety
///
/// In the child of a process with several threads only async-signal-safe calls may be made: the other threads are gone, with
/// whatever locks they held (the allocator's are seen to).
///
/// # Errors
///
/// When there can be no further process. [`Unsupported`](io::ErrorKind::Unsupported) on Windows.
pub unsafe fn fork() -> io::Result<Forked> {
    // SAFETY: the caller's promise is the same.
    unsafe { imp::forking::fork() }
}

/// One end of a connection within a machine that carries messages, kept whole, with descriptors.
///
/// # Platform
///
/// Linux: `SOCK_SEQPACKET`. Elsewhere there is none and [`pair`](Self::pair) says [`Unsupported`](io::ErrorKind::Unsupported).
#[derive(Debug)]
pub struct Channel(imp::channel::Channel);

impl Channel {
    /// The most descriptors that one message carries.
    pub const MAX_FDS: usize = 253;

    /// Makes two connected ends.
    ///
    /// # Errors
    ///
    /// When the process has no descriptors left.
    pub fn pair() -> io::Result<(Self, Self)> {
        imp::channel::Channel::pair().map(|(a, b)| (Self(a), Self(b)))
    }

    /// Sends one message with copies of these descriptors.
    ///
    /// # Blocking
    ///
    /// While the receiver has a few hundred KiB unread.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for an empty message (it would read as the end) or more than [`MAX_FDS`](Self::MAX_FDS)
    /// descriptors; [`BrokenPipe`](io::ErrorKind::BrokenPipe) or [`ConnectionReset`](io::ErrorKind::ConnectionReset) if the other end is closed;
    /// `EMSGSIZE` for a message beyond the socket's buffer (about 200 KiB).
    ///
    /// # If a process dies
    ///
    /// A message is received whole or not at all.
    pub fn send(&self, bytes: &[u8], fds: &[BorrowedOsHandle<'_>]) -> io::Result<()> {
        self.0.send(bytes, fds)
    }

    /// Receives one message: its length, and its descriptors (close-on-exec). Length 0: the other end is closed everywhere.
    ///
    /// # Blocking
    ///
    /// Until there is a message or the end.
    ///
    /// # Errors
    ///
    /// [`InvalidData`](io::ErrorKind::InvalidData) if `buf` is too small for the message, or the process has no room for the descriptors; the
    /// message is lost then, and what came of it is closed.
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<(usize, Vec<OsHandle>)> {
        self.0.recv(buf)
    }

    /// From now on no [`send`](Self::send) or [`recv`](Self::recv) blocks for longer than that.
    ///
    /// What takes longer fails with [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for no time at all.
    pub fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        if timeout.is_zero() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a channel needs some time"));
        }
        self.0.set_timeout(timeout)
    }

    /// The number to name in [`SpawnRequest::inherit`](crate::SpawnRequest::inherit) and to tell the child.
    pub fn as_inherited(&self) -> Inherited {
        self.0.as_inherited()
    }

    /// Takes over an end that this process inherited, and keeps it from being inherited further.
    ///
    /// # Safety
    ///
    /// `number` must be an open descriptor of this process that nobody else closes.
    ///
    /// # Errors
    ///
    /// When `number` is no open descriptor.
    pub unsafe fn from_inherited(number: Inherited) -> io::Result<Self> {
        // SAFETY: the caller's promise is the same.
        unsafe { imp::channel::Channel::from_inherited(number) }.map(Self)
    }
}

#[cfg(target_os = "linux")]
impl std::os::fd::AsFd for Channel {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes these three the standard streams of this process, for it and for what it executes.
///
/// # Errors
///
/// When the system refuses; some of the three may be replaced already. [`Unsupported`](io::ErrorKind::Unsupported) on Windows.
pub fn replace_stdio(fds: [OsHandle; 3]) -> io::Result<()> {
    imp::forking::replace_stdio(fds)
}
