//! Processes, as their handles show them.

use super::handle::{self, check};
use crate::process::ProcessState;
use std::{
    io, mem,
    os::windows::io::{AsRawHandle, OwnedHandle},
    ptr,
};
use windows_sys::{
    Wdk::System::Threading::{NtQueryInformationProcess, ProcessBasicInformation},
    Win32::{
        Foundation::{ERROR_INVALID_PARAMETER, FILETIME, WAIT_OBJECT_0},
        Security::Authentication::Identity::RtlGenRandom,
        System::Threading::{
            GetCurrentProcess, GetCurrentThreadId, GetProcessTimes, OpenProcess, PROCESS_BASIC_INFORMATION,
            PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE, TerminateProcess, WaitForSingleObject,
        },
    },
};

/// A handle to look at a process and to wait for its end. [`NotFound`](io::ErrorKind::NotFound) if there is none of that pid.
pub(crate) fn open(pid: u32) -> io::Result<OwnedHandle> {
    // SAFETY: the handle, if it is one, is ours.
    let handle =
        unsafe { handle::own(OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE, 0, pid)) };
    handle.map_err(|error| {
        if error.raw_os_error() == Some(ERROR_INVALID_PARAMETER.cast_signed()) {
            io::Error::new(io::ErrorKind::NotFound, "no process has that pid")
        } else {
            error
        }
    })
}

pub(crate) fn creation_time(process: &OwnedHandle) -> io::Result<u64> {
    const ZERO: FILETIME = FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 };
    let [mut creation, mut exit, mut kernel, mut user] = [ZERO; 4];
    // SAFETY: a live handle and four writable structs.
    check(unsafe {
        GetProcessTimes(process.as_raw_handle(), &mut creation, &mut exit, &mut kernel, &mut user)
    })?;
    Ok(u64::from(creation.dwHighDateTime) << 32 | u64::from(creation.dwLowDateTime))
}

pub(crate) fn has_ended(process: &OwnedHandle) -> bool {
    // SAFETY: a live handle, no waiting.
    unsafe { WaitForSingleObject(process.as_raw_handle(), 0) == WAIT_OBJECT_0 }
}

pub(crate) fn parent_pid() -> u32 {
    // SAFETY: zero is a value of it.
    let mut info: PROCESS_BASIC_INFORMATION = unsafe { mem::zeroed() };
    let len = size_of::<PROCESS_BASIC_INFORMATION>() as u32;
    // SAFETY: a writable struct of the class asked for, of the length said. For our own process it does not fail.
    unsafe {
        NtQueryInformationProcess(
            GetCurrentProcess(),
            ProcessBasicInformation,
            (&raw mut info).cast(),
            len,
            ptr::null_mut(),
        )
    };
    info.InheritedFromUniqueProcessId as u32
}

pub(crate) fn current_thread_id() -> u64 {
    // SAFETY: a plain call.
    u64::from(unsafe { GetCurrentThreadId() })
}

pub(crate) fn start_time(pid: u32) -> io::Result<u64> {
    creation_time(&open(pid)?)
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
    let process = match open(pid) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ProcessState::Gone),
        result => result?,
    };
    let another = start_time != 0 && creation_time(&process)? != start_time;
    // An ended process stays known while somebody has a handle; unlike a zombie it needs nobody to reap it.
    Ok(if another || has_ended(&process) { ProcessState::Gone } else { ProcessState::Running })
}

pub(crate) fn gained_rights() -> bool {
    false
}

pub(crate) fn cpu_count() -> usize {
    match super::setup::affinity() {
        Ok(cpus) if !cpus.is_empty() => cpus.len(),
        _ => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

pub(crate) fn random_u128() -> io::Result<u128> {
    let mut bytes = [0; 16];
    // SAFETY: a writable buffer of the length said.
    if unsafe { RtlGenRandom(bytes.as_mut_ptr().cast(), bytes.len() as u32) } {
        Ok(u128::from_ne_bytes(bytes))
    } else {
        Err(io::Error::other("the system's random generator failed"))
    }
}

pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process; nothing of it is used afterwards.
    unsafe { TerminateProcess(GetCurrentProcess(), code.cast_unsigned()) };
    std::process::abort() // not reached
}
