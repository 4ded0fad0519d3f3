//! Local stream sockets.

use super::{
    call::{check, retry},
    rights,
};
use crate::local::{Awaited, MAX_PASSED, Peer};
use std::{
    fs::{self, DirBuilder, File},
    io, mem,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
        },
    },
    path::{Path, PathBuf},
    time::Instant,
};

/// How many may wait to be let in.
const BACKLOG: libc::c_int = 64;

pub(crate) fn current_user() -> u32 {
    // SAFETY: a plain call.
    unsafe { libc::geteuid() }
}

pub(crate) fn private_directory(chosen: Option<&Path>) -> io::Result<PathBuf> {
    make_private(chosen.map_or_else(default_directory, Path::to_owned))
}

fn default_directory() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    match runtime.filter(|dir| dir.is_absolute() && is_private(dir).is_ok()) {
        Some(runtime) => runtime.join("mp"),
        None => std::env::temp_dir().join(format!("mp-{}", current_user())),
    }
}

fn make_private(dir: PathBuf) -> io::Result<PathBuf> {
    match DirBuilder::new().mode(0o700).create(&dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => is_private(&dir).map(|()| dir),
    }
}

fn is_private(dir: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(dir)?;
    if found.is_dir() && found.uid() == current_user() && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("{} is not a directory of this user that is closed to others (mode 0700)", dir.display()),
    ))
}

/// The directory, and nobody else's to change until the drop.
fn lock(directory: &Path, deadline: Instant) -> io::Result<File> {
    let file = File::open(directory)?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => nap(),
            Err(fs::TryLockError::WouldBlock) => return Err(io::ErrorKind::TimedOut.into()),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// A millisecond: a file's lock that was released wakes only who waits without a deadline.
fn nap() {
    // SAFETY: no descriptors to look at.
    unsafe { libc::poll(std::ptr::null_mut(), 0, 1) };
}

fn socket() -> io::Result<OwnedFd> {
    // SAFETY: a plain call.
    let fd = check(unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) })?;
    // SAFETY: the kernel has just made it for us.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    prepare(&fd)?;
    Ok(fd)
}

/// Close-on-exec, and a closed peer is an error rather than a signal.
fn prepare(fd: &OwnedFd) -> io::Result<()> {
    // SAFETY: a plain call with a live descriptor.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) })?;
    #[cfg(target_vendor = "apple")]
    set_option(fd, libc::SO_NOSIGPIPE, &1_i32)?;
    Ok(())
}

fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    // SAFETY: a plain call with a live descriptor.
    let flags = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    // SAFETY: as above.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) }).map(drop)
}

fn set_option<T>(fd: &OwnedFd, option: libc::c_int, value: &T) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: a live descriptor, and a value of the length said.
    check(unsafe {
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, option, std::ptr::from_ref(value).cast(), len)
    })
    .map(drop)
}

fn address(path: &Path) -> io::Result<libc::sockaddr_un> {
    // SAFETY: plain data, and zero is a value of it.
    let mut address: libc::sockaddr_un = unsafe { mem::zeroed() };
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() >= address.sun_path.len() || bytes.contains(&0) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "{} is longer than the {} bytes of a socket's name",
                path.display(),
                address.sun_path.len() - 1
            ),
        ));
    }
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    Ok(address)
}

const ADDRESS_LEN: libc::socklen_t = size_of::<libc::sockaddr_un>() as libc::socklen_t;

#[derive(Debug)]
pub(crate) struct Listener {
    fd: OwnedFd,
    path: PathBuf,
    /// Device and inode of the file: what lies there later may be another's.
    file: (u64, u64),
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

impl Listener {
    pub(crate) fn bind(directory: &Path, file: &str, deadline: Instant) -> io::Result<Self> {
        let path = directory.join(file);
        let address = address(&path)?;
        let _lock = lock(directory, deadline)?;
        match Stream::connect(&path, deadline) {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // Nobody listens: whoever did was killed. But never remove what is no socket.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                if !fs::symlink_metadata(&path)?.file_type().is_socket() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                fs::remove_file(&path)?;
            }
            // Somebody listens, and has no time.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            Err(error) => return Err(error),
        }
        let fd = socket()?;
        set_nonblocking(&fd)?;
        // SAFETY: an address of the length said.
        check(unsafe { libc::bind(fd.as_raw_fd(), std::ptr::from_ref(&address).cast(), ADDRESS_LEN) })?;
        let listener = Self { fd, file: identity(&path)?, path };
        // Nobody can connect before `listen`.
        let mode = fs::Permissions::from_mode(0o600);
        let opened = fs::set_permissions(&listener.path, mode).and_then(|()| {
            // SAFETY: a plain call with a live descriptor.
            check(unsafe { libc::listen(listener.fd.as_raw_fd(), BACKLOG) }).map(drop)
        });
        match opened {
            Ok(()) => Ok(listener),
            Err(error) => {
                listener.remove_name();
                Err(error)
            }
        }
    }

    pub(crate) fn accept(&self) -> io::Result<Option<Stream>> {
        // SAFETY: no address is asked for.
        match retry(|| unsafe {
            libc::accept(self.fd.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut())
        }) {
            Ok(fd) => {
                // SAFETY: the kernel has just made it for us.
                let fd = unsafe { OwnedFd::from_raw_fd(fd) };
                prepare(&fd)?;
                set_nonblocking(&fd)?;
                Ok(Some(Stream(fd)))
            }
            // Gone again before we looked.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn remove(&self, deadline: Instant) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let _lock = match lock(directory, deadline) {
            // All of it is gone already.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            result => result?,
        };
        self.remove_name();
        if directory == default_directory() {
            // Under its lock; it stays if another's name is in it. Who waits for the lock finds no directory, and makes one.
            let _ = fs::remove_dir(directory);
        }
        Ok(())
    }

    pub(crate) fn remove_name(&self) {
        // What cannot be removed is recognised as left behind: nobody listens there.
        if identity(&self.path).is_ok_and(|found| found == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }

    pub(crate) fn as_handle(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[derive(Debug)]
pub(crate) struct Stream(OwnedFd);

impl Stream {
    pub(crate) fn connect(path: &Path, deadline: Instant) -> io::Result<Self> {
        let address = address(path)?;
        let fd = socket()?;
        let left = deadline.saturating_duration_since(Instant::now());
        // A listener that has too many waiting makes us wait, for so long. Zero would mean for ever.
        let time = libc::timeval {
            tv_sec: libc::time_t::try_from(left.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_usec: libc::suseconds_t::from(left.subsec_micros() as i32).max(1),
        };
        set_option(&fd, libc::SO_SNDTIMEO, &time)?;
        let connect = || {
            // SAFETY: an address of the length said.
            unsafe { libc::connect(fd.as_raw_fd(), std::ptr::from_ref(&address).cast(), ADDRESS_LEN) }
        };
        match retry(connect) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            result => result?,
        };
        set_nonblocking(&fd)?;
        Ok(Self(fd))
    }

    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let mut fds = [-1; 2];
        // SAFETY: room for two descriptors.
        check(unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, fds.as_mut_ptr()) })?;
        // SAFETY: the kernel has just made them for us.
        let ends = fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        for end in &ends {
            prepare(end)?;
            set_nonblocking(end)?;
        }
        let [a, b] = ends;
        Ok((Self(a), Self(b)))
    }

    pub(crate) fn peer(&self) -> io::Result<Peer> {
        crate::imp::process::peer_of(self.0.as_fd())
    }

    pub(crate) fn send(&self, bytes: &[u8], passed: &[BorrowedFd<'_>]) -> io::Result<usize> {
        if bytes.is_empty() || passed.len() > MAX_PASSED {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut control = [0_u64; rights::control_words(MAX_PASSED)];
        let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let mut message = rights::message(&mut part);
        rights::attach(&mut message, &mut control, passed);
        #[cfg(target_os = "linux")]
        let flags = libc::MSG_NOSIGNAL;
        #[cfg(not(target_os = "linux"))]
        let flags = 0; // the socket says so for all its messages
        // SAFETY: all that the message names lives until the call returns.
        retry(|| unsafe { libc::sendmsg(self.0.as_raw_fd(), &message, flags) })
            .map(|sent| sent.cast_unsigned())
    }

    pub(crate) fn recv(&self, buf: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let mut control = [0_u64; rights::control_words(MAX_PASSED)];
        let mut part = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
        let mut message = rights::message(&mut part);
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        #[cfg(target_os = "linux")]
        let flags = libc::MSG_CMSG_CLOEXEC;
        #[cfg(not(target_os = "linux"))]
        let flags = 0;
        // SAFETY: all that the message names lives until the call returns, and is writable.
        let len = retry(|| unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut message, flags) })?;
        // SAFETY: the call above has filled it in. Owned before anything can fail, so that they are closed then.
        let passed = unsafe { rights::received(&message) };
        if message.msg_flags & libc::MSG_CTRUNC != 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "descriptors came for which there is no room",
            ));
        }
        #[cfg(not(target_os = "linux"))]
        for fd in &passed {
            // SAFETY: a plain call with a live descriptor.
            check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) })?;
        }
        Ok((len.cast_unsigned(), passed))
    }

    pub(crate) fn as_handle(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

pub(crate) fn ready(awaited: &[Awaited<'_>], deadline: Option<Instant>) -> io::Result<Vec<bool>> {
    let mut polled: Vec<libc::pollfd> = awaited
        .iter()
        .map(|a| libc::pollfd {
            fd: a.handle.as_raw_fd(),
            events: if a.to_write { libc::POLLOUT } else { libc::POLLIN },
            revents: 0,
        })
        .collect();
    loop {
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        // Rounded up, so that no wait ends early.
        let millis = left.map_or(-1, |left| {
            libc::c_int::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(libc::c_int::MAX)
        });
        // SAFETY: as many live structs as said.
        match check(unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, millis) }) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(polled.iter().map(|p| p.revents != 0).collect()),
        }
    }
}
