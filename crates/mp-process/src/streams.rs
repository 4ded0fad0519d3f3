//! A child's standard streams, and the parent's ends of those that are pipes.

use std::io::{PipeReader, PipeWriter, Read};
use std::sync::Arc;

use mp_wire::{Error, Result};
use parking_lot::Mutex;

use crate::launch::start_error;

/// One of a child's standard streams.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Stream {
    /// The same as ours.
    #[default]
    Inherit,
    /// Nothing to read, nowhere to write.
    Null,
    /// A pipe whose other end is in the [`Process`](crate::Process): [`take_stdout`](crate::Process::take_stdout) and its kind.
    Piped,
    /// This file, pipe or device; made by `from`.
    Handle(Arc<mp_sys::OsHandle>),
}

/// From a file, a pipe, a socket (on Unix), or what else gives up its handle.
impl<T: Into<mp_sys::OsHandle>> From<T> for Stream {
    fn from(it: T) -> Stream {
        Stream::Handle(Arc::new(it.into()))
    }
}

/// The parent's ends of a child's standard streams.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    pub(crate) stdin: Option<PipeWriter>,
    pub(crate) stdout: Option<PipeReader>,
    pub(crate) stderr: Option<PipeReader>,
}

/// Makes the pipes that were asked for: the child's ends take their places among the streams.
pub(crate) fn connect(streams: &mut [Stream; 3]) -> Result<Mutex<Pipes>> {
    let mut pipes = Pipes::default();
    for (i, stream) in streams.iter_mut().enumerate() {
        if !matches!(stream, Stream::Piped) {
            continue;
        }
        let (reader, writer) = std::io::pipe().map_err(|e| start_error("pipe for a standard stream", e))?;
        match i {
            0 => {
                pipes.stdin = Some(writer);
                *stream = reader.into();
            }
            1 => {
                pipes.stdout = Some(reader);
                *stream = writer.into();
            }
            _ => {
                pipes.stderr = Some(reader);
                *stream = writer.into();
            }
        }
    }
    Ok(Mutex::new(pipes))
}

/// The three themselves, for a child that is handed them.
pub(crate) fn of_a_child(wanted: &[Stream; 3]) -> Result<[mp_sys::OsHandle; 3]> {
    let stream = |i: usize| match &wanted[i] {
        Stream::Null => mp_sys::null_stream(),
        Stream::Handle(handle) => mp_sys::duplicate_handle(mp_sys::borrow(handle)),
        Stream::Piped => Err(std::io::ErrorKind::InvalidInput.into()), // made one before
        // One that is closed here is nothing there.
        Stream::Inherit => mp_sys::duplicate_stream(i).or_else(|_| mp_sys::null_stream()),
    };
    let handle = |i| stream(i).map_err(|e| start_error("standard streams for a process", e));
    Ok([handle(0)?, handle(1)?, handle(2)?])
}

/// What [`Process::join_captured`](crate::Process::join_captured) returns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Captured<T> {
    /// What [`Process::join`](crate::Process::join) returns.
    pub value: Result<T>,
    /// All that it wrote to its standard output, if that was piped and not taken.
    pub stdout: Vec<u8>,
    /// All that it wrote to its standard error, if that was piped and not taken.
    pub stderr: Vec<u8>,
}

/// Reads both to their ends, at the same time.
pub(crate) fn read_both(pipes: Pipes) -> Result<(Vec<u8>, Vec<u8>)> {
    fn all(pipe: Option<PipeReader>) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }
    drop(pipes.stdin);
    let (stdout, stderr) = match (pipes.stdout, pipes.stderr) {
        (Some(stdout), Some(stderr)) => std::thread::scope(|scope| {
            let beside = std::thread::Builder::new()
                .name("mp-stderr".into())
                .spawn_scoped(scope, || all(Some(stderr)))
                .map_err(|e| Error::os("thread that reads standard error", e))?;
            let stdout = all(Some(stdout));
            // The thread panics only without memory; then there is nothing that it read.
            let stderr = beside.join().unwrap_or_else(|_| Err(std::io::ErrorKind::OutOfMemory.into()));
            Ok::<_, Error>((stdout, stderr))
        })?,
        (stdout, stderr) => (all(stdout), all(stderr)),
    };
    let what = |e| Error::os("read the output of a process", e);
    Ok((stdout.map_err(what)?, stderr.map_err(what)?))
}
