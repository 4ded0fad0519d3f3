//! Processes, as `/proc` shows them.

use super::cgroup;
use crate::{
    imp::unix::{
        call::{check, retry, unsupported},
        child,
    },
    process::ProcessState,
    spawn::Exit,
};
use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
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
    fn read(path: &str) -> io::Result<Self> {
        let text = match std::fs::read(path) {
            // It ended between the opening and the reading.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                return Err(io::ErrorKind::NotFound.into());
            }
            result => result?,
        };
        Self::parse(&text)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a /proc/PID/stat of another shape"))
    }

    /// The second field is the program's name in parentheses, which may itself hold blanks and parentheses.
    fn parse(text: &[u8]) -> Option<Self> {
        let after_name = text.iter().rposition(|byte| *byte == b')')? + 1;
        let fields: Vec<&str> = str::from_utf8(&text[after_name..]).ok()?.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3);
        let number = |index| field(index)?.parse().ok();
        Some(Self {
            state: *field(3)?.as_bytes().first()?,
            flags: number(9)?,
            threads: number(20)?,
            start_time: number(22)?,
        })
    }

    /// This thread runs no more code of the program.
    fn is_exiting(&self) -> bool {
        /// The kernel's mark on a thread that is on its way out.
        const PF_EXITING: u64 = 0x4;
        matches!(self.state, b'Z' | b'X' | b'x') || self.flags & PF_EXITING != 0
    }
}

pub(crate) fn start_time(pid: u32) -> io::Result<u64> {
    match Stat::read(&format!("/proc/{pid}/stat")) {
        Ok(stat) => Ok(stat.start_time),
        Err(error) if error.kind() == io::ErrorKind::NotFound && exists(pid)? => {
            Err(unsupported("the start time of a process needs /proc"))
        }
        Err(error) => Err(error),
    }
}

pub(crate) fn process_state(pid: u32, start_time: u64) -> io::Result<ProcessState> {
    let stat = match Stat::read(&format!("/proc/{pid}/stat")) {
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
        match Stat::read(&path.to_string_lossy()) {
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

fn pidfd_open(pid: libc::pid_t) -> Option<OwnedFd> {
    // SAFETY: a plain call; the descriptor is close-on-exec by itself.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) }).ok()?;
    // SAFETY: the kernel has just made it for us.
    Some(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

#[cfg(test)]
mod tests {
    use super::Stat;

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
