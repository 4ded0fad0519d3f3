//! Named pipes, as CPython makes them: messages, in both directions at once, for this machine alone.
//!
//! Every call is overlapped, with an event of its own, so that reads and writes do not wait for each other and all can be given up: a
//! deadline, or `shutdown`, cancels the call, and it is waited for until the system has let go of the buffer. A write is one message; a read takes as
//! much of a message as it has room for, and the next read goes on with it.

use super::handle::{check, millis_until, own};
use std::{
    io,
    os::windows::io::{AsRawHandle, OwnedHandle},
    ptr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Instant,
};
use windows_sys::Win32::{
    Foundation::{
        ERROR_BROKEN_PIPE, ERROR_IO_PENDING, ERROR_MORE_DATA, ERROR_NO_DATA, ERROR_PIPE_BUSY,
        ERROR_PIPE_CONNECTED, ERROR_PIPE_NOT_CONNECTED, ERROR_SEM_TIMEOUT, GENERIC_READ, GENERIC_WRITE,
        HANDLE, WAIT_OBJECT_0,
    },
    Storage::FileSystem::{
        CreateFileW, FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED, OPEN_EXISTING, PIPE_ACCESS_DUPLEX,
        ReadFile, WriteFile,
    },
    System::{
        IO::{CancelIoEx, GetOverlappedResult, OVERLAPPED},
        Pipes::{
            ConnectNamedPipe, CreateNamedPipeW, PIPE_READMODE_MESSAGE, PIPE_REJECT_REMOTE_CLIENTS,
            PIPE_TYPE_MESSAGE, PIPE_UNLIMITED_INSTANCES, PIPE_WAIT, PeekNamedPipe, SetNamedPipeHandleState,
            WaitNamedPipeW,
        },
        Threading::{CreateEventW, SetEvent, WaitForMultipleObjects},
    },
};

/// What the system keeps of messages that nobody has read, each way.
const BUFFER: u32 = 64 << 10;

fn wide(name: &str) -> Vec<u16> {
    name.encode_utf16().chain([0]).collect()
}

fn event() -> io::Result<OwnedHandle> {
    // SAFETY: an event without a name, reset by hand; the handle, if it is one, is ours.
    unsafe { own(CreateEventW(ptr::null(), 1, 0, ptr::null())) }
}

/// A pipe and what ends its calls.
#[derive(Debug)]
pub(crate) struct Pipe {
    handle: OwnedHandle,
    /// Set for good by `shutdown`.
    ended: OwnedHandle,
    is_ended: AtomicBool,
}

impl Pipe {
    fn new(handle: OwnedHandle) -> io::Result<Self> {
        Ok(Self { handle, ended: event()?, is_ended: AtomicBool::new(false) })
    }

    pub(crate) fn connect(name: &str, deadline: Option<Instant>) -> io::Result<Self> {
        let name = wide(name);
        loop {
            // SAFETY: a name that ends with a null; the handle, if it is one, is ours.
            let opened = unsafe {
                own(CreateFileW(
                    name.as_ptr(),
                    GENERIC_READ | GENERIC_WRITE,
                    0,
                    ptr::null(),
                    OPEN_EXISTING,
                    FILE_FLAG_OVERLAPPED,
                    ptr::null_mut(),
                ))
            };
            match opened {
                Ok(handle) => {
                    let mode = PIPE_READMODE_MESSAGE;
                    // SAFETY: a live handle, and a mode that is only read.
                    check(unsafe {
                        SetNamedPipeHandleState(handle.as_raw_handle(), &mode, ptr::null(), ptr::null())
                    })?;
                    return Self::new(handle);
                }
                Err(error) if is(&error, ERROR_PIPE_BUSY) => {
                    if deadline.is_some_and(|d| Instant::now() >= d) {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    // Zero would ask for the listener's own choice.
                    let millis = millis_until(deadline).max(1);
                    // SAFETY: a name that ends with a null.
                    let waited = check(unsafe { WaitNamedPipeW(name.as_ptr(), millis) });
                    if let Err(error) = waited
                        && !is(&error, ERROR_SEM_TIMEOUT)
                    {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn raw(&self) -> HANDLE {
        self.handle.as_raw_handle()
    }

    /// Starts a call and waits for its end, at most until the deadline or `shutdown`; how many bytes it moved, and whether
    /// more of the message is left.
    fn overlapped(
        &self,
        deadline: Option<Instant>,
        start: impl FnOnce(HANDLE, *mut OVERLAPPED) -> windows_sys::core::BOOL,
    ) -> io::Result<(usize, bool)> {
        if self.is_ended.load(SeqCst) {
            return Err(io::Error::from_raw_os_error(ERROR_BROKEN_PIPE.cast_signed()));
        }
        let done = event()?;
        // Not moved until the system has let go of it.
        let mut state = OVERLAPPED { hEvent: done.as_raw_handle(), ..OVERLAPPED::default() };
        let state = &raw mut state;
        if start(self.raw(), state) == 0 {
            let error = io::Error::last_os_error();
            if !is(&error, ERROR_IO_PENDING) && !is(&error, ERROR_MORE_DATA) {
                return Err(error);
            }
        }
        let both = [done.as_raw_handle(), self.ended.as_raw_handle()];
        // SAFETY: two live handles.
        let woken = unsafe { WaitForMultipleObjects(2, both.as_ptr(), 0, millis_until(deadline)) };
        if woken != WAIT_OBJECT_0 {
            // It may be done by now, which the result below tells.
            // SAFETY: the call that was started above, on a live handle.
            unsafe { CancelIoEx(self.raw(), state) };
        }
        let mut count = 0;
        // SAFETY: as above; this waits until the system is done with the state and the buffer.
        let result = check(unsafe { GetOverlappedResult(self.raw(), state, &raw mut count, 1) });
        match result {
            Ok(()) => Ok((count as usize, false)),
            Err(error) if is(&error, ERROR_MORE_DATA) => Ok((count as usize, true)),
            Err(_) if woken != WAIT_OBJECT_0 && !self.is_ended.load(SeqCst) => {
                Err(io::ErrorKind::TimedOut.into())
            }
            Err(error) => Err(error),
        }
    }

    /// A part of a message, and whether more of it is left. `None`: the end.
    pub(crate) fn read_part(
        &self,
        buf: &mut [u8],
        deadline: Option<Instant>,
    ) -> io::Result<Option<(usize, bool)>> {
        let room = u32::try_from(buf.len()).unwrap_or(u32::MAX);
        let read = self.overlapped(deadline, |pipe, state| {
            // SAFETY: a writable buffer of the length said, which lives until `overlapped` has seen the end of the call.
            unsafe { ReadFile(pipe, buf.as_mut_ptr(), room, ptr::null_mut(), state) }
        });
        match read {
            Err(error) if is_end(&error) => Ok(None),
            Err(_) if self.is_ended.load(SeqCst) => Ok(None),
            result => result.map(Some),
        }
    }

    pub(crate) fn write(&self, bytes: &[u8], deadline: Option<Instant>) -> io::Result<usize> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let written = self.overlapped(deadline, |pipe, state| {
            // SAFETY: a readable buffer of the length said, which lives until `overlapped` has seen the end of the call.
            unsafe { WriteFile(pipe, bytes.as_ptr(), length, ptr::null_mut(), state) }
        });
        match written {
            Err(error) if is_end(&error) => Err(io::ErrorKind::BrokenPipe.into()),
            result => result.map(|(count, _)| count),
        }
    }

    /// A read of nothing ends when a message is there.
    pub(crate) fn readable(&self, deadline: Option<Instant>) -> io::Result<bool> {
        let mut there = 0;
        // SAFETY: only a number is written, to our own.
        let looked = check(unsafe {
            PeekNamedPipe(self.raw(), ptr::null_mut(), 0, ptr::null_mut(), &raw mut there, ptr::null_mut())
        });
        if looked.is_err() || there > 0 || self.is_ended.load(SeqCst) {
            return Ok(true);
        }
        let read = self.overlapped(deadline, |pipe, state| {
            // SAFETY: nothing is written.
            unsafe { ReadFile(pipe, ptr::null_mut(), 0, ptr::null_mut(), state) }
        });
        match read {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(false),
            _ => Ok(true),
        }
    }

    pub(crate) fn shutdown(&self) {
        self.is_ended.store(true, SeqCst);
        // SAFETY: a live handle.
        unsafe { SetEvent(self.ended.as_raw_handle()) };
    }
}

fn is(error: &io::Error, code: u32) -> bool {
    error.raw_os_error() == Some(code.cast_signed())
}

/// Whether nobody is at the other end any more.
fn is_end(error: &io::Error) -> bool {
    [ERROR_BROKEN_PIPE, ERROR_NO_DATA, ERROR_PIPE_NOT_CONNECTED].iter().any(|code| is(error, *code))
}

/// Makes one instance of the pipe after the other.
#[derive(Debug)]
pub(crate) struct Listener {
    name: Vec<u16>,
    /// The instance that the next one connects to: there is always one, so that nobody is told that there is no such pipe.
    next: Mutex<Option<Pipe>>,
    ended: OwnedHandle,
    is_ended: AtomicBool,
}

fn instance(name: &[u16], first: bool) -> io::Result<Pipe> {
    let flags =
        PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | if first { FILE_FLAG_FIRST_PIPE_INSTANCE } else { 0 };
    let mode = PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS;
    // SAFETY: a name that ends with a null; the handle, if it is one, is ours. (The default descriptor of security lets the user write, and
    // others at most read.)
    let handle = unsafe {
        own(CreateNamedPipeW(
            name.as_ptr(),
            flags,
            mode,
            PIPE_UNLIMITED_INSTANCES,
            BUFFER,
            BUFFER,
            0,
            ptr::null(),
        ))
    };
    Pipe::new(handle?)
}

impl Listener {
    pub(crate) fn bind(name: &str) -> io::Result<Self> {
        let name = wide(name);
        let first = instance(&name, true).map_err(|error| match error.kind() {
            // Somebody else has made the first one.
            io::ErrorKind::PermissionDenied => io::ErrorKind::AddrInUse.into(),
            _ => error,
        })?;
        Ok(Self { name, next: Mutex::new(Some(first)), ended: event()?, is_ended: AtomicBool::new(false) })
    }

    pub(crate) fn accept(&self, deadline: Option<Instant>) -> io::Result<Pipe> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_ended.load(SeqCst) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut pipe = match next.take() {
            Some(pipe) => pipe,
            None => instance(&self.name, false)?,
        };
        // While it waits, the listener's end is the pipe's.
        let lone = std::mem::replace(&mut pipe.ended, self.ended.try_clone()?);
        let connected = pipe.overlapped(deadline, |handle, state| {
            // SAFETY: a live pipe.
            unsafe { ConnectNamedPipe(handle, state) }
        });
        pipe.ended = lone;
        match connected {
            Ok(_) => {}
            // It was faster; or has even gone again, which its first read tells.
            Err(error) if is(&error, ERROR_PIPE_CONNECTED) || is(&error, ERROR_NO_DATA) => {}
            Err(_) if self.is_ended.load(SeqCst) => return Err(io::ErrorKind::BrokenPipe.into()),
            Err(error) => {
                *next = Some(pipe);
                return Err(error);
            }
        }
        *next = Some(instance(&self.name, false)?);
        Ok(pipe)
    }

    pub(crate) fn close(&self) {
        self.is_ended.store(true, SeqCst);
        // SAFETY: a live handle.
        unsafe { SetEvent(self.ended.as_raw_handle()) };
        if let Ok(mut next) = self.next.try_lock() {
            *next = None;
        }
    }
}
