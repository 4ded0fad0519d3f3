//! Processes, as `proc_pidinfo` shows them.

use crate::{
    imp::unix::{call::check, child},
    local::Peer,
    process::ProcessState,
    spawn::Exit,
};
use std::{
    ffi::CString,
    io, mem,
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::ffi::OsStringExt,
    },
    time::Instant,
};

pub(crate) fn parent_pid() -> u32 {
    std::os::unix::process::parent_id()
}

pub(crate) fn current_thread_id() -> u64 {
    let mut id = 0;
    // SAFETY: a writable number; 0 means the calling thread, for which it does not fail.
    unsafe { libc::pthread_threadid_np(0, &mut id) };
    id
}

/// What the system says of a process, zombies included. [`NotFound`](io::ErrorKind::NotFound) if there is none of that pid.
fn info(pid: u32) -> io::Result<libc::proc_bsdinfo> {
    const ZOMBIES_TOO: u64 = 1;
    let pid = libc::c_int::try_from(pid).map_err(|_| io::ErrorKind::NotFound)?;
    // SAFETY: plain data, and zero is a value of it.
    let mut info: libc::proc_bsdinfo = unsafe { mem::zeroed() };
    let len = size_of::<libc::proc_bsdinfo>() as libc::c_int;
    // SAFETY: a writable struct of the kind asked for, and its length.
    let filled =
        unsafe { libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, ZOMBIES_TOO, (&raw mut info).cast(), len) };
    if filled == len {
        return Ok(info);
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ESRCH) => Err(io::ErrorKind::NotFound.into()),
        error => Err(error),
    }
}

fn microseconds(info: &libc::proc_bsdinfo) -> u64 {
    info.pbi_start_tvsec * 1_000_000 + info.pbi_start_tvusec
}

pub(crate) fn start_time(pid: u32) -> io::Result<u64> {
    info(pid).map(|info| microseconds(&info))
}

pub(crate) fn thread_count() -> Option<u64> {
    None
}

pub(crate) fn boot_nanoseconds() -> u64 {
    0
}

pub(crate) fn only_start_time(_from: u64, _to: u64) -> Option<u64> {
    None
}

pub(crate) fn process_state(pid: u32, start_time: u64) -> io::Result<ProcessState> {
    const SZOMB: u32 = 5;
    /// `PROC_FLAG_INEXIT`: on its way out.
    const IN_EXIT: u32 = 4;
    Ok(match info(pid) {
        Ok(info) if start_time != 0 && microseconds(&info) != start_time => ProcessState::Gone,
        Ok(info) if info.pbi_status == SZOMB || info.pbi_flags & IN_EXIT != 0 => ProcessState::Exiting,
        Ok(_) => ProcessState::Running,
        Err(error) if error.kind() == io::ErrorKind::NotFound => ProcessState::Gone,
        // Another user's process shows itself only so far.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => ProcessState::Running,
        Err(error) => return Err(error),
    })
}

/// Who is at the other end of a local socket.
pub(crate) fn peer_of(socket: BorrowedFd<'_>) -> io::Result<Peer> {
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: a live descriptor, and two writable numbers.
    check(unsafe { libc::getpeereid(socket.as_raw_fd(), &mut uid, &mut gid) })?;
    let mut pid: libc::pid_t = 0;
    let mut len = size_of::<libc::pid_t>() as libc::socklen_t;
    // SAFETY: a live descriptor, and a writable number of the length said.
    let known = check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_LOCAL,
            libc::LOCAL_PEERPID,
            (&raw mut pid).cast(),
            &mut len,
        )
    });
    let pid = known.ok().and_then(|_| u32::try_from(pid).ok()).filter(|pid| *pid != 0);
    Ok(Peer { uid, pid })
}

pub(crate) fn gained_rights() -> bool {
    unsafe extern "C" {
        safe fn issetugid() -> libc::c_int;
    }
    issetugid() != 0
}

pub(crate) fn cpu_count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

pub(crate) fn random_u128() -> io::Result<u128> {
    let mut bytes = [0; 16];
    // SAFETY: a writable buffer of the length said, and not more than the call allows.
    check(unsafe { libc::getentropy(bytes.as_mut_ptr().cast(), bytes.len()) })?;
    Ok(u128::from_ne_bytes(bytes))
}

pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process; nothing of it is used afterwards.
    unsafe { libc::_exit(code) }
}

/// The path of our own image. If its file was replaced meanwhile, this starts the new one; `image_id` tells.
pub(crate) fn self_image() -> io::Result<CString> {
    CString::new(std::env::current_exe()?.into_os_string().into_vec()).map_err(io::Error::from)
}

pub(crate) fn sentinel(_pid: Option<libc::pid_t>) -> io::Result<std::os::fd::OwnedFd> {
    crate::imp::absent::unsupported("macOS has no descriptors of processes")
}

/// Waits until the child has ended or the deadline has come. `ended` looks.
pub(crate) fn await_end(
    _pid: libc::pid_t,
    deadline: Instant,
    ended: impl FnMut() -> io::Result<Option<Exit>>,
) -> io::Result<()> {
    child::await_end_by_looking(deadline, ended)
}
