//! Processes, as `/proc` shows them.

use super::cgroup;
use crate::{
    imp::unix::{
        call::{check, retry, unsupported},
        child,
    },
    local::Peer,
    process::ProcessState,
    spawn::Exit,
};
use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    path::Path,
    ptr,
    time::Instant,
};

pub(crate) fn parent_pid() -> u32 {
    std::os::unix::process::parent_id()
}

pub(crate) fn current_thread_id() -> u64 {
    // SAFETY: a plain call.
    u64::from(unsafe { libc::gettid() }.cast_unsigned())
}

/// What we read of `/proc/PID/stat`.
struct Stat {
    state: u8,
    flags: u64,
    threads: u64,
    start_time: u64,
}

impl Stat {
    fn read(path: &CStr) -> io::Result<Self> {
        let mut buffer = [0; 2048]; // 50 numbers and a name: less than half of it
        let length = match read_small(path, &mut buffer) {
            // It ended between the opening and the reading.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                return Err(io::ErrorKind::NotFound.into());
            }
            result => result?,
        };
        Self::parse(&buffer[..length])
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a /proc/PID/stat of another shape"))
    }

    /// The second field is the program's name in parentheses, which may itself hold blanks and parentheses.
    fn parse(text: &[u8]) -> Option<Self> {
        let after_name = text.iter().rposition(|byte| *byte == b')')? + 1;
        let mut fields = text[after_name..].split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        // The third field comes first here; each call takes up where the last one ended.
        let state = *fields.next()?.first()?;
        let flags = number(fields.nth(9 - 4)?)?;
        let threads = number(fields.nth(20 - 10)?)?;
        let start_time = number(fields.nth(22 - 21)?)?;
        Some(Self { state, flags, threads, start_time })
    }

    /// This thread runs no more code of the program.
    fn is_exiting(&self) -> bool {
        /// The kernel's mark on a thread that is on its way out.
        const PF_EXITING: u64 = 0x4;
        matches!(self.state, b'Z' | b'X' | b'x') || self.flags & PF_EXITING != 0
    }
}

/// A decimal number and nothing else. Not by way of `str`: this runs in every child, where each page of code costs.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |sum, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Reads a file that fits into the buffer, without the heap.
fn read_small(path: &CStr, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the path ends in NUL.
    let fd = retry(|| unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) })?;
    // SAFETY: the kernel has just made it for us.
    let file = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut length = 0;
    while length < buffer.len() {
        let rest = &mut buffer[length..];
        // SAFETY: the buffer is writable and as long as said.
        let count = retry(|| unsafe { libc::read(file.as_raw_fd(), rest.as_mut_ptr().cast(), rest.len()) })?;
        if count == 0 {
            break;
        }
        length += count.cast_unsigned();
    }
    Ok(length)
}

/// `/proc/PID/stat`, ended by a NUL.
fn stat_path(pid: u32) -> [u8; 32] {
    let mut path = [0; 32];
    path[..6].copy_from_slice(b"/proc/");
    let digits = (1..).take_while(|n| *n == 1 || pid >= 10_u32.saturating_pow(n - 1)).take(10).count();
    let mut rest = pid;
    for at in (6..6 + digits).rev() {
        path[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    path[6 + digits..11 + digits].copy_from_slice(b"/stat");
    path
}

fn read_stat(pid: u32) -> io::Result<Stat> {
    let path = stat_path(pid);
    Stat::read(CStr::from_bytes_until_nul(&path).map_err(|_| io::ErrorKind::InvalidInput)?)
}

pub(crate) fn start_time(pid: u32) -> io::Result<u64> {
    match read_stat(pid) {
        Ok(stat) => Ok(stat.start_time),
        Err(error) if error.kind() == io::ErrorKind::NotFound && exists(pid)? => {
            Err(unsupported("the start time of a process needs /proc"))
        }
        Err(error) => Err(error),
    }
}

pub(crate) fn thread_count() -> Option<u64> {
    read_stat(std::process::id()).ok().map(|stat| stat.threads)
}

/// Nanoseconds since boot, the time that processes are dated by.
pub(crate) fn boot_nanoseconds() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a writable struct. It does not fail for a clock that exists since 2.6.39; the epoch would date nobody.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// The start time of a process that was made between these two moments, if no tick lies between them or near them.
pub(crate) fn only_start_time(from: u64, to: u64) -> Option<u64> {
    /// A tick of `/proc`: a hundredth of a second on every processor that we run on.
    const TICK: u64 = 10_000_000;
    /// Clocks of different processors may differ by less than that.
    const MARGIN: u64 = 10_000;
    let first = from.checked_sub(MARGIN)? / TICK;
    (first == (to + MARGIN) / TICK).then_some(first)
}

pub(crate) fn process_state(pid: u32, start_time: u64) -> io::Result<ProcessState> {
    let stat = match read_stat(pid) {
        Ok(stat) => stat,
        // Gone, or there is no /proc, or it hides the processes of others.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(if exists(pid)? { ProcessState::Running } else { ProcessState::Gone });
        }
        Err(error) => return Err(error),
    };
    Ok(if start_time != 0 && stat.start_time != start_time {
        ProcessState::Gone
    } else if stat.is_exiting() && (stat.threads <= 1 || all_threads_exiting(pid)?) {
        ProcessState::Exiting
    } else {
        ProcessState::Running
    })
}

/// The line of the process is that of its first thread, which may have ended while others work on.
fn all_threads_exiting(pid: u32) -> io::Result<bool> {
    let threads = match std::fs::read_dir(format!("/proc/{pid}/task")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        result => result?,
    };
    for thread in threads {
        let path = match thread {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            result => result?.path().join("stat"),
        };
        match Stat::read(&CString::new(path.into_os_string().into_encoded_bytes())?) {
            Ok(stat) if !stat.is_exiting() => return Ok(false),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(true)
}

/// Whether the kernel knows this pid, zombies included.
fn exists(pid: u32) -> io::Result<bool> {
    let Ok(pid @ 1..) = libc::pid_t::try_from(pid) else { return Ok(false) };
    // SAFETY: signal 0 is not sent.
    match check(unsafe { libc::kill(pid, 0) }) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
        Err(error) if error.raw_os_error() != Some(libc::EPERM) => Err(error),
        _ => Ok(true),
    }
}

/// Who is at the other end of a local socket.
pub(crate) fn peer_of(socket: BorrowedFd<'_>) -> io::Result<Peer> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: a live descriptor, and a writable struct of the length said.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &mut len,
        )
    })?;
    Ok(Peer { uid: found.uid, pid: u32::try_from(found.pid).ok().filter(|pid| *pid != 0) })
}

pub(crate) fn gained_rights() -> bool {
    // SAFETY: reads the values the kernel gave us at the start.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

pub(crate) fn cpu_count() -> usize {
    let allowed = super::setup::affinity().map_or(usize::MAX, |cpus| cpus.len());
    let count = allowed.min(cgroup::cpu_quota().unwrap_or(usize::MAX));
    if count == usize::MAX { 1 } else { count }
}

pub(crate) fn random_u128() -> io::Result<u128> {
    let mut bytes = [0; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: the buffer is writable and as long as said.
        let count = retry(|| unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) })?;
        filled += count.cast_unsigned();
    }
    Ok(u128::from_ne_bytes(bytes))
}

pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process; nothing of it is used afterwards.
    unsafe { libc::_exit(code) }
}

/// The path under which our own image can be executed again.
pub(crate) fn self_image() -> io::Result<CString> {
    const LINK: &CStr = c"/proc/self/exe";
    if Path::new("/proc/self/exe").exists() {
        return Ok(LINK.to_owned());
    }
    // SAFETY: reads the values the kernel gave us at the start.
    let name = unsafe { libc::getauxval(libc::AT_EXECFN) };
    if name == 0 {
        return Err(unsupported("without /proc the running image has no name"));
    }
    // SAFETY: the kernel put a string there that ends in NUL and stays for the life of the process.
    Ok(unsafe { CStr::from_ptr(ptr::with_exposed_provenance(name as usize)) }.to_owned())
}

/// Waits until the child has ended or the deadline has come. `ended` looks.
pub(crate) fn await_end(
    pid: libc::pid_t,
    deadline: Instant,
    mut ended: impl FnMut() -> io::Result<Option<Exit>>,
) -> io::Result<()> {
    let Some(pidfd) = pidfd_open(pid) else {
        return child::await_end_by_looking(deadline, ended);
    };
    // The child was not reaped when this was asked, so the descriptor opened before is about the child.
    while ended()?.is_none() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let time = libc::timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: libc::c_long::from(left.subsec_nanos()),
        };
        let mut poll = libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one struct to write, one to read, no signal mask.
        match check(unsafe { libc::ppoll(&mut poll, 1, &time, ptr::null()) }) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// What becomes readable at the end of that child; of `None` it is readable already.
pub(crate) fn sentinel(pid: Option<libc::pid_t>) -> io::Result<OwnedFd> {
    let fd = match pid {
        // SAFETY: a plain call; the descriptor is close-on-exec by itself.
        Some(pid) => check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })? as libc::c_int,
        // SAFETY: a plain call.
        None => check(unsafe { libc::eventfd(1, libc::EFD_CLOEXEC) })?,
    };
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(super) fn pidfd_open(pid: libc::pid_t) -> Option<OwnedFd> {
    // SAFETY: a plain call; the descriptor is close-on-exec by itself.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) }).ok()?;
    // SAFETY: the kernel has just made it for us.
    Some(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

#[cfg(test)]
mod tests {
    use super::{Stat, only_start_time, stat_path};

    #[test]
    fn a_birth_near_a_tick_has_no_certain_time() {
        assert_eq!(only_start_time(50_000_000 + 20_000, 50_900_000), Some(5));
        assert_eq!(only_start_time(50_000_000 + 5_000, 50_900_000), None);
        assert_eq!(only_start_time(50_900_000, 59_995_000), None);
        assert_eq!(only_start_time(50_900_000, 60_100_000), None);
        assert_eq!(only_start_time(0, 0), None, "no clock");
    }

    #[test]
    fn paths_name_pids() {
        for pid in [0, 1, 9, 10, 4321, 4_194_304, u32::MAX] {
            let path = stat_path(pid);
            let text = std::ffi::CStr::from_bytes_until_nul(&path).expect("an end");
            assert_eq!(text.to_str().expect("text"), format!("/proc/{pid}/stat"));
        }
    }

    #[test]
    fn a_name_may_look_like_fields() {
        let line = b"42 (a) R 1 (b) Z 7 1 1 0 -1 4194564 9 9 9 9 9 9 9 9 20 0 3 0 777 1 1\n";
        let stat = Stat::parse(line).expect("fields");
        assert_eq!((stat.state, stat.flags, stat.threads, stat.start_time), (b'Z', 4_194_564, 3, 777));
        assert!(stat.is_exiting());
        assert!(Stat::parse(b"42 (cut off").is_none());
        assert!(Stat::parse(b"42 (cut) R 1 1").is_none());
    }
}
