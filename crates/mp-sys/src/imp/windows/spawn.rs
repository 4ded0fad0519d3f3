//! `CreateProcessW` with a list of the handles that pass, and no others.

use super::{
    child::Child,
    command_line::{command_line, environment_block},
    handle::{self, check, wide},
};
use crate::{
    memory::Inherited,
    spawn::{Program, SpawnRequest, Stdio},
};
use std::{
    ffi::OsStr,
    fs::OpenOptions,
    io, mem,
    os::windows::{
        ffi::OsStrExt,
        io::{AsRawHandle, OwnedHandle},
    },
    ptr,
    sync::{Mutex, PoisonError},
};
use windows_sys::Win32::{
    Foundation::{
        ERROR_NO_SYSTEM_RESOURCES, ERROR_TOO_MANY_OPEN_FILES, GetHandleInformation, HANDLE,
        HANDLE_FLAG_INHERIT, INVALID_HANDLE_VALUE, SetHandleInformation,
    },
    Globalization::{CSTR_EQUAL, CompareStringOrdinal},
    System::{
        Console::{GetStdHandle, STD_ERROR_HANDLE, STD_INPUT_HANDLE, STD_OUTPUT_HANDLE},
        Threading::{
            CREATE_NEW_PROCESS_GROUP, CREATE_UNICODE_ENVIRONMENT, CreateProcessW,
            DeleteProcThreadAttributeList, EXTENDED_STARTUPINFO_PRESENT, InitializeProcThreadAttributeList,
            PROC_THREAD_ATTRIBUTE_HANDLE_LIST, PROCESS_INFORMATION, STARTF_USESTDHANDLES, STARTUPINFOEXW,
            UpdateProcThreadAttribute,
        },
    },
};

pub(crate) fn close_all_except(_keep: &[Inherited]) -> io::Result<()> {
    Ok(()) // what the list does not name was never inherited
}

pub(crate) fn same_variable(a: &OsStr, b: &OsStr) -> bool {
    let (a, b): (Vec<u16>, Vec<u16>) = (a.encode_wide().collect(), b.encode_wide().collect());
    let length = |name: &[u16]| i32::try_from(name.len());
    let (Ok(a_length), Ok(b_length)) = (length(&a), length(&b)) else { return a == b };
    // SAFETY: two readable strings of the lengths said.
    unsafe { CompareStringOrdinal(a.as_ptr(), a_length, b.as_ptr(), b_length, 1) == CSTR_EQUAL }
}

pub(crate) fn is_out_of_descriptors(error: i32) -> bool {
    matches!(error.cast_unsigned(), ERROR_TOO_MANY_OPEN_FILES | ERROR_NO_SYSTEM_RESOURCES)
}

pub(crate) fn spawn(request: &SpawnRequest<'_>) -> io::Result<Child> {
    let (path, name) = match request.program {
        Program::SelfImage => {
            let path = std::env::current_exe()?;
            let name = std::env::args_os().next().unwrap_or_else(|| path.clone().into());
            (path, name)
        }
        Program::Path(path) => (path.to_owned(), path.into()),
    };
    let is_batch =
        |extension: &OsStr| extension.eq_ignore_ascii_case("bat") || extension.eq_ignore_ascii_case("cmd");
    if path.extension().is_some_and(is_batch) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no arguments are safe for a batch file"));
    }
    let path = wide(path)?;
    let mut line = command_line(&name, &request.args)?;
    let environment = environment_block(&request.env)?;
    let directory = request.cwd.as_ref().map(wide).transpose()?;
    let streams = request.stdio.iter().zip([STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE]);
    let streams = streams.map(|(stdio, which)| stream(stdio, which)).collect::<io::Result<Vec<_>>>()?;

    let raw =
        |stream: &Option<OwnedHandle>| stream.as_ref().map_or(ptr::null_mut(), AsRawHandle::as_raw_handle);
    let mut pass: Vec<HANDLE> = streams.iter().map(raw).filter(|handle| !handle.is_null()).collect();
    for &number in &request.inherit {
        let handle = handle::from_number(number);
        if !pass.contains(&handle) {
            pass.push(handle);
        }
    }
    let mut attributes = if pass.is_empty() { None } else { Some(AttributeList::new(&pass)?) };

    // SAFETY: zero is a value of both.
    let (mut startup, mut process): (STARTUPINFOEXW, PROCESS_INFORMATION) = unsafe { mem::zeroed() };
    startup.StartupInfo.cb = size_of::<STARTUPINFOEXW>() as u32;
    startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
    startup.StartupInfo.hStdInput = raw(&streams[0]);
    startup.StartupInfo.hStdOutput = raw(&streams[1]);
    startup.StartupInfo.hStdError = raw(&streams[2]);
    startup.lpAttributeList = attributes.as_mut().map_or(ptr::null_mut(), AttributeList::as_ptr);
    let group = if request.new_process_group { CREATE_NEW_PROCESS_GROUP } else { 0 };
    {
        let _inheritable = Inheritable::make(&request.inherit)?;
        // SAFETY: all strings end in NUL, the block in two; the command line may be written to. Structs, list and handles live
        // until the call returns.
        check(unsafe {
            CreateProcessW(
                path.as_ptr(),
                line.as_mut_ptr(),
                ptr::null(),
                ptr::null(),
                i32::from(!pass.is_empty()),
                group | CREATE_UNICODE_ENVIRONMENT | EXTENDED_STARTUPINFO_PRESENT,
                environment.as_ptr().cast(),
                directory.as_ref().map_or(ptr::null(), |directory| directory.as_ptr()),
                &startup.StartupInfo,
                &mut process,
            )
        })?;
    }
    // SAFETY: the system has just made both handles for us. The thread's is of no use.
    unsafe {
        drop(handle::own(process.hThread));
        Ok(Child::own(process.dwProcessId, handle::own(process.hProcess)?))
    }
}

/// The inheritable handle that becomes a standard stream of the child. `None`: it has no such stream, as we have none.
fn stream(stdio: &Stdio, which: u32) -> io::Result<Option<OwnedHandle>> {
    match stdio {
        Stdio::Inherit => {
            // SAFETY: only asks.
            let ours = unsafe { GetStdHandle(which) };
            if ours.is_null() || ours == INVALID_HANDLE_VALUE {
                return Ok(None);
            }
            Ok(handle::duplicate(ours, true).ok()) // a stale number of a closed console is no stream either
        }
        Stdio::Null => {
            let null = OpenOptions::new().read(true).write(true).open("NUL")?;
            handle::duplicate(null.as_raw_handle(), true).map(Some)
        }
        Stdio::Handle(handle) => handle::duplicate(handle.as_raw_handle(), true).map(Some),
    }
}

/// Handles that are inheritable while this lives. Only one at a time: another child would get them, too.
struct Inheritable {
    made: Vec<HANDLE>,
    _turn: std::sync::MutexGuard<'static, ()>,
}

impl Inheritable {
    fn make(numbers: &[Inherited]) -> io::Result<Self> {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut this = Self { made: Vec::new(), _turn: turn };
        for &number in numbers {
            let handle = handle::from_number(number);
            let mut flags = 0;
            // SAFETY: a writable number; it fails for what is no handle.
            check(unsafe { GetHandleInformation(handle, &mut flags) })?;
            if flags & HANDLE_FLAG_INHERIT == 0 {
                // SAFETY: only a flag of the handle is written.
                check(unsafe { SetHandleInformation(handle, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT) })?;
                this.made.push(handle);
            }
        }
        Ok(this)
    }
}

impl Drop for Inheritable {
    fn drop(&mut self) {
        for &handle in &self.made {
            // SAFETY: only a flag of the handle is written. It worked a moment ago.
            unsafe { SetHandleInformation(handle, HANDLE_FLAG_INHERIT, 0) };
        }
    }
}

/// An attribute list that names the handles which pass.
struct AttributeList<'a> {
    memory: Vec<usize>, // words, for the alignment
    _handles: &'a [HANDLE],
}

impl<'a> AttributeList<'a> {
    fn new(handles: &'a [HANDLE]) -> io::Result<Self> {
        let mut len = 0;
        // SAFETY: without memory it only says how much it needs, and calls that a failure.
        unsafe { InitializeProcThreadAttributeList(ptr::null_mut(), 1, 0, &mut len) };
        let mut memory = vec![0; len.div_ceil(size_of::<usize>())];
        // SAFETY: as much memory as it asked for.
        check(unsafe { InitializeProcThreadAttributeList(memory.as_mut_ptr().cast(), 1, 0, &mut len) })?;
        let mut this = Self { memory, _handles: handles };
        // SAFETY: initialised above; the list keeps a pointer to the handles, which outlive it.
        check(unsafe {
            UpdateProcThreadAttribute(
                this.as_ptr(),
                0,
                PROC_THREAD_ATTRIBUTE_HANDLE_LIST as usize,
                handles.as_ptr().cast(),
                size_of_val(handles),
                ptr::null_mut(),
                ptr::null(),
            )
        })?;
        Ok(this)
    }

    fn as_ptr(&mut self) -> *mut std::ffi::c_void {
        self.memory.as_mut_ptr().cast()
    }
}

impl Drop for AttributeList<'_> {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, deleted once.
        unsafe { DeleteProcThreadAttributeList(self.as_ptr()) };
    }
}
