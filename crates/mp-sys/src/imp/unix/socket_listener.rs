//! Listening at stream sockets.

use super::{
    call::{check, retry},
    socket::{LocalAddress, Signal, Socket, connect_local, local_socket, prepare},
};
use crate::{poll::Interest, socket::Endpoint};
use std::{
    fs, io,
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::{Duration, Instant},
};

#[derive(Debug)]
pub(crate) struct Listener {
    fd: OwnedFd,
    endpoint: Endpoint,
    /// Device and inode of the socket's file: what lies there later may be another's.
    file: Option<(u64, u64)>,
    /// Who made it: the copy of a forked process leaves the file alone.
    owner: u32,
    closed: AtomicBool,
    /// Raised by `close`.
    wake: Signal,
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Removes the file of a listener that is no more; what is no socket stays.
fn clear_the_way(path: &PathBuf) -> io::Result<()> {
    let at = Endpoint::Path(path.clone());
    match connect_local(&at, Some(Instant::now() + Duration::from_millis(100))) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            if !fs::symlink_metadata(path)?.file_type().is_socket() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            fs::remove_file(path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Somebody listens, and may have no time.
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) => Err(error),
    }
}

impl Listener {
    pub(crate) fn bind(at: &Endpoint, backlog: u32) -> io::Result<Self> {
        let backlog = libc::c_int::try_from(backlog).unwrap_or(libc::c_int::MAX);
        let (fd, endpoint) = match at {
            Endpoint::Tcp(address) => {
                let listener = TcpListener::bind(address)?;
                let bound = listener.local_addr()?;
                (OwnedFd::from(listener), Endpoint::Tcp(bound))
            }
            Endpoint::Path(path) => {
                clear_the_way(path)?;
                (Self::bind_local(at)?, at.clone())
            }
            _ => (Self::bind_local(at)?, at.clone()),
        };
        let file = match &endpoint {
            // Nobody can connect before `listen`.
            Endpoint::Path(path) => {
                fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
                Some(identity(path)?)
            }
            _ => None,
        };
        let closed = AtomicBool::new(false);
        let listener = Self { fd, endpoint, file, owner: std::process::id(), closed, wake: Signal::new()? };
        // SAFETY: plain calls with a live descriptor.
        unsafe {
            let flags = check(libc::fcntl(listener.fd.as_raw_fd(), libc::F_GETFL))?;
            check(libc::fcntl(listener.fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK))?;
            check(libc::listen(listener.fd.as_raw_fd(), backlog))?;
        }
        Ok(listener)
    }

    fn bind_local(at: &Endpoint) -> io::Result<OwnedFd> {
        let address = LocalAddress::of(at)?;
        let fd = local_socket()?;
        // SAFETY: an address of the length said.
        check(unsafe { libc::bind(fd.as_raw_fd(), address.pointer(), address.length) })?;
        Ok(fd)
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn accept(&self, deadline: Option<Instant>) -> io::Result<Socket> {
        loop {
            if self.closed.load(SeqCst) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            // SAFETY: no address is asked for.
            match retry(|| unsafe {
                libc::accept(self.fd.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut())
            }) {
                Ok(fd) => {
                    // SAFETY: the kernel has just made it for us.
                    return self.accepted(unsafe { OwnedFd::from_raw_fd(fd) });
                }
                // Gone again before we looked.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if deadline.is_some_and(|d| Instant::now() >= d) {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    let both =
                        [(self.fd.as_fd(), Interest::Readable), (self.wake.source(), Interest::Readable)];
                    super::poll::poll(&both, deadline)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn accepted(&self, fd: OwnedFd) -> io::Result<Socket> {
        prepare(&fd)?;
        // Some systems let it inherit the listener's mode.
        // SAFETY: plain calls with a live descriptor.
        unsafe {
            let flags = check(libc::fcntl(fd.as_raw_fd(), libc::F_GETFL))?;
            if flags & libc::O_NONBLOCK != 0 {
                check(libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags & !libc::O_NONBLOCK))?;
            }
        }
        if matches!(self.endpoint, Endpoint::Tcp(_)) {
            let stream = TcpStream::from(fd);
            stream.set_nodelay(true)?;
            return Ok(Socket { fd: stream.into(), local: false });
        }
        Ok(Socket { fd, local: true })
    }

    pub(crate) fn close(&self) {
        if !self.closed.swap(true, SeqCst) {
            self.wake.raise();
            self.remove_name();
        }
    }

    fn remove_name(&self) {
        if let (Endpoint::Path(path), Some(file)) = (&self.endpoint, self.file)
            && self.owner == std::process::id()
            && identity(path).is_ok_and(|found| found == file)
        {
            // What cannot be removed is recognised as left behind: nobody listens there.
            let _ = fs::remove_file(path);
        }
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn source(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if !self.closed.load(SeqCst) {
            self.remove_name();
        }
    }
}
