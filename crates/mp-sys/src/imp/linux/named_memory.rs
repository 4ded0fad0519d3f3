//! Named memory is a file below /dev/shm; its users hold a lock on its first byte.

pub(crate) use crate::imp::unix::named_memory::{PREFIX, remove};
use crate::imp::unix::{
    call::{check, retry},
    mapping::{self, Mapped},
    named_memory::{mappable, open, path, unlink},
};
use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

#[derive(Debug)]
pub(crate) struct Named {
    mapped: Mapped,
    fd: OwnedFd,
    path: CString,
    /// One of ours made it, and we hold the lock that says that it has a user.
    ours: bool,
    /// The process that opened it. In a child made by a foreign `fork` the locks are still the parent's.
    pid: u32,
}

impl Named {
    pub(crate) fn create(name: &str, len: u64) -> io::Result<Self> {
        let path = path(name)?;
        let complete = nameless(len).and_then(|fd| {
            lock(&fd, libc::F_RDLCK)?;
            publish(&fd, &path)?;
            Ok(fd)
        });
        let fd = match complete {
            Ok(fd) => fd,
            Err(error) if is_final(&error) => return Err(error),
            // No nameless files here, or no /proc: give it its size after its name.
            Err(_) => {
                let fd = open(&path, libc::O_CREAT | libc::O_EXCL)?;
                if let Err(error) = lock(&fd, libc::F_RDLCK).and_then(|()| reserve(&fd, len)) {
                    // The first error is the one to tell.
                    let _ = unlink(&path);
                    return Err(error);
                }
                fd
            }
        };
        Named::map(fd, path, true)
    }

    pub(crate) fn attach(name: &str) -> io::Result<Self> {
        let path = path(name)?;
        let fd = open(&path, 0)?;
        let ours = is_locked(&fd)?;
        if ours {
            // Its last user may be leaving: then it has the exclusive lock for a moment, and we do not join any more.
            let joined = lock(&fd, libc::F_RDLCK);
            if joined.is_err() || links(&fd)? == 0 {
                return Err(io::ErrorKind::NotFound.into());
            }
        }
        Named::map(fd, path, ours)
    }

    fn map(fd: OwnedFd, path: CString, ours: bool) -> io::Result<Self> {
        let len = mappable(mapping::file_size(fd.as_fd())?)?;
        let mapped = Mapped::new(fd.as_fd(), len, 0)?;
        Ok(Named { mapped, fd, path, ours, pid: std::process::id() })
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.mapped.as_ptr()
    }

    pub(crate) fn len(&self) -> usize {
        self.mapped.len()
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        if !self.ours || self.pid != std::process::id() {
            return;
        }
        // *both-leave*: first out, then the question. What fails here leaves a name behind, and nobody to tell.
        let last = lock(&self.fd, libc::F_UNLCK).and_then(|()| lock(&self.fd, libc::F_WRLCK)).is_ok();
        if last && is_named(&self.fd, &self.path) {
            let _ = unlink(&self.path);
        }
    }
}

/// Errors that another way of making it would meet, too.
fn is_final(error: &io::Error) -> bool {
    const FINAL: [i32; 7] =
        [libc::EEXIST, libc::ENOSPC, libc::EFBIG, libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::EDQUOT];
    error.raw_os_error().is_some_and(|number| FINAL.contains(&number))
}

/// A file of that size in the right file system, that nobody can find before it is complete.
fn nameless(len: u64) -> io::Result<OwnedFd> {
    let flags = libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC;
    // SAFETY: a string that ends in NUL, and the mode that the flag asks for.
    let fd = retry(|| unsafe { libc::open(c"/dev/shm".as_ptr(), flags, 0o600 as libc::c_uint) })?;
    // SAFETY: the system has just made it for us.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    reserve(&fd, len)?;
    Ok(fd)
}

/// Gives it its size, and the pages that it will need: a page that is missing later would kill who touches it.
fn reserve(fd: &OwnedFd, len: u64) -> io::Result<()> {
    mapping::set_file_size(fd.as_fd(), len)?;
    // SAFETY: a plain call with a live descriptor; the length fits, for it has just been the file's.
    match retry(|| unsafe { libc::fallocate(fd.as_raw_fd(), 0, 0, len.cast_signed()) }) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
        other => other.map(drop),
    }
}

/// Gives a nameless file its name.
fn publish(fd: &OwnedFd, path: &CStr) -> io::Result<()> {
    let from = CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    let to = [b"/dev/shm", path.to_bytes_with_nul()].concat();
    let to = CStr::from_bytes_with_nul(&to).map_err(io::Error::other)?;
    // SAFETY: two strings that end in NUL.
    check(unsafe {
        libc::linkat(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::AT_SYMLINK_FOLLOW)
    })
    .map(drop)
}

fn first_byte(kind: libc::c_int) -> libc::flock {
    // SAFETY: plain numbers, for which zero is a value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_len = 1;
    lock
}

/// Takes the lock of that kind, or none; at once or not at all.
fn lock(fd: &OwnedFd, kind: libc::c_int) -> io::Result<()> {
    let lock = first_byte(kind);
    // SAFETY: a live descriptor and a description of a lock.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &lock) }).map(drop)
}

/// Whether somebody else holds a lock on it.
fn is_locked(fd: &OwnedFd) -> io::Result<bool> {
    let mut lock = first_byte(libc::F_WRLCK);
    // SAFETY: a live descriptor and a writable description of a lock.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_GETLK, &mut lock) })?;
    Ok(libc::c_int::from(lock.l_type) != libc::F_UNLCK)
}

fn stat(fd: &OwnedFd) -> io::Result<libc::stat> {
    // SAFETY: `stat` is plain data, and zero is a value of it.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: a live descriptor and a writable struct.
    check(unsafe { libc::fstat(fd.as_raw_fd(), &mut stat) })?;
    Ok(stat)
}

#[allow(clippy::useless_conversion, reason = "the width of a link count differs between machines")]
fn links(fd: &OwnedFd) -> io::Result<u64> {
    Ok(u64::from(stat(fd)?.st_nlink))
}

/// *name-reused*: whether the name means this very file.
fn is_named(fd: &OwnedFd, path: &CStr) -> bool {
    let same = || {
        let (found, own) = (stat(&open(path, 0)?)?, stat(fd)?);
        io::Result::Ok((found.st_dev, found.st_ino) == (own.st_dev, own.st_ino))
    };
    same().unwrap_or(false)
}
