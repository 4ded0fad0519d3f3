//! A named meeting point within a machine, for processes of one user, that carries descriptors.
//!
//! Relatives inherit what they share. Two programs that are no relatives meet here: one listens under a name, the other connects,
//! the kernel tells each who the other is ([`LocalStream::peer`]), and descriptors pass.
//!
//! # Where the name lives
//!
//! A socket file of mode 0600 in a directory of mode 0700 that belongs to the user ([`private_directory`]). Linux would also
//! offer names outside of the file system, which leave nothing behind; but those belong to the *network*, which containers often share with
//! their host, so a container's root would reach the doors of the host's. A directory is where mounts and permissions end.
//!
//! A listener that is killed leaves its file behind. That is recognised by the kernel's word that nobody listens there, and the
//! next listener of that name replaces it. Who replaces, makes or removes a file holds the directory's lock meanwhile, which
//! the kernel takes away with its holder.
//!
//! # Bounded in time
//!
//! Nothing here blocks but [`connect`](LocalStream::connect) and [`ready`], which take a deadline. Sending and receiving say
//! [`WouldBlock`](io::ErrorKind::WouldBlock).
//!
//! # Platform
//!
//! Linux and macOS. Windows: [`Unsupported`](io::ErrorKind::Unsupported).

use crate::{
    imp,
    spawn::{BorrowedOsHandle, OsHandle},
};
use std::{
    io,
    path::{Path, PathBuf},
    time::Instant,
};

/// The most descriptors that one message carries.
pub const MAX_PASSED: usize = 4;

/// Who is at the other end of a [`LocalStream`], by the kernel's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its effective user when it connected or began to listen.
    pub uid: u32,
    /// Its pid in *our* pid namespace. `None`: it is not to be seen from here.
    pub pid: Option<u32>,
}

/// The user whose rights this process has (its effective user). 0 on Windows.
pub fn current_user() -> u32 {
    imp::local::current_user()
}

/// The user's directory for meeting points, made if it is not there: `chosen`; else `mp` in `$XDG_RUNTIME_DIR`; else `mp-UID` in the
/// directory for temporary files.
///
/// # Errors
///
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied) if it is not a directory of ours that is closed to everybody else; why it
/// cannot be made otherwise (a read-only file system, say).
pub fn private_directory(chosen: Option<&Path>) -> io::Result<PathBuf> {
    imp::local::private_directory(chosen)
}

/// A listener under a name.
#[derive(Debug)]
pub struct LocalListener(imp::local::Listener);

impl LocalListener {
    /// Listens as `file` in `directory`, which [`private_directory`] named. A file that a listener left behind is replaced.
    ///
    /// # Blocking
    ///
    /// While another process changes the directory, and not after the deadline.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if somebody listens there; [`InvalidInput`](io::ErrorKind::InvalidInput) if the path is
    /// longer than a socket's may be (about 100 bytes); [`TimedOut`](io::ErrorKind::TimedOut).
    pub fn bind(directory: &Path, file: &str, deadline: Instant) -> io::Result<Self> {
        imp::local::Listener::bind(directory, file, deadline).map(Self)
    }

    /// The next who wants to come in. `None`: nobody, at the moment.
    ///
    /// # Errors
    ///
    /// When this process has no descriptor left.
    pub fn accept(&self) -> io::Result<Option<LocalStream>> {
        Ok(self.0.accept()?.map(LocalStream))
    }

    /// Takes the name away, if it is still this listener's.
    ///
    /// # Errors
    ///
    /// When the directory cannot be changed.
    pub fn remove(&self, deadline: Instant) -> io::Result<()> {
        self.0.remove(deadline)
    }

    /// Takes the name away at once, without waiting for the directory's lock: for the end of a process.
    pub fn remove_name(&self) {
        self.0.remove_name();
    }

    /// For [`ready`].
    pub fn as_handle(&self) -> BorrowedOsHandle<'_> {
        self.0.as_handle()
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct LocalStream(imp::local::Stream);

impl LocalStream {
    /// Connects to the listener at `path`.
    ///
    /// # Blocking
    ///
    /// While the listener has more waiting than it wants to; not after the deadline.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) or [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if nobody listens there,
    /// [`TimedOut`](io::ErrorKind::TimedOut).
    pub fn connect(path: &Path, deadline: Instant) -> io::Result<Self> {
        imp::local::Stream::connect(path, deadline).map(Self)
    }

    /// Two connected ends.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub fn pair() -> io::Result<(Self, Self)> {
        imp::local::Stream::pair().map(|(a, b)| (Self(a), Self(b)))
    }

    /// Who is at the other end.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub fn peer(&self) -> io::Result<Peer> {
        self.0.peer()
    }

    /// Sends what fits of `bytes`, with copies of the descriptors at the first of them.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing fits now; [`InvalidInput`](io::ErrorKind::InvalidInput) for no bytes or more than
    /// [`MAX_PASSED`] descriptors; [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the other end is closed.
    pub fn send(&self, bytes: &[u8], passed: &[BorrowedOsHandle<'_>]) -> io::Result<usize> {
        self.0.send(bytes, passed)
    }

    /// Receives some bytes and the descriptors (close-on-exec) that came with them. 0: the other end is closed.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is nothing now; [`InvalidData`](io::ErrorKind::InvalidData) if more descriptors came
    /// than [`MAX_PASSED`], or than this process has room for: all are closed then.
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<(usize, Vec<OsHandle>)> {
        self.0.recv(buf)
    }

    /// For [`ready`].
    pub fn as_handle(&self) -> BorrowedOsHandle<'_> {
        self.0.as_handle()
    }
}

/// What [`ready`] waits for.
#[derive(Clone, Copy, Debug)]
pub struct Awaited<'a> {
    /// The descriptor.
    pub handle: BorrowedOsHandle<'a>,
    /// Until it can be written to, rather than read from.
    pub to_write: bool,
}

/// Waits until one of these can go on, is closed or broken, or the deadline has come. Says of each whether it is worth a try.
///
/// # Errors
///
/// Whatever the system says; it does not fail in practice.
pub fn ready(awaited: &[Awaited<'_>], deadline: Option<Instant>) -> io::Result<Vec<bool>> {
    imp::local::ready(awaited, deadline)
}
