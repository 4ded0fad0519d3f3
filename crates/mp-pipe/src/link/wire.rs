//! What carries the bytes of a link.

use std::io;
use std::time::Instant;

use mp_session::{Io, is_cancellable};
use mp_sys::{OsHandle, Socket};
use mp_wire::Error;

use super::tls::Tls;

/// A socket, and how calls at it wait: in the kernel, or, for a thread that may be cancelled, in the session.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) socket: Socket,
    pub(crate) tls: Option<Tls>,
}

impl Wire {
    pub(crate) fn new(socket: Socket, tls: Option<Tls>) -> Wire {
        Wire { socket, tls }
    }

    /// Whether handles can go with the bytes.
    pub(crate) fn carries_handles(&self) -> bool {
        self.tls.is_none() && self.socket.carries_handles()
    }

    /// Whether something can be read without the socket.
    pub(crate) fn has_plain(&self) -> bool {
        self.tls.as_ref().is_some_and(Tls::has_plain)
    }

    pub(crate) fn shutdown(&self) {
        if let Some(tls) = &self.tls {
            tls.finish(&self.socket);
        }
        self.socket.shutdown();
    }

    /// Reads what there is, and the handles that came with it. 0: the end.
    pub(crate) fn read(
        &self,
        buf: &mut [u8],
        handles: &mut Vec<OsHandle>,
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        if !self.has_plain() {
            self.before(deadline, Io::readable)?;
        }
        if let Some(tls) = &self.tls {
            return tls.read(&self.socket, buf, deadline);
        }
        if self.socket.carries_handles() {
            self.socket.read_with_handles(buf, handles, deadline)
        } else {
            self.socket.read(buf, deadline)
        }
    }

    pub(crate) fn write(
        &self,
        parts: [&[u8]; 2],
        handles: &[mp_sys::BorrowedOsHandle<'_>],
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        self.before(deadline, Io::writable)?;
        if let Some(tls) = &self.tls {
            return tls.write(&self.socket, parts, deadline);
        }
        self.socket.write(parts, handles, deadline)
    }

    /// Whether a read would not block.
    pub(crate) fn readable(&self, deadline: Option<Instant>) -> io::Result<bool> {
        if !self.has_plain() {
            self.before(deadline, Io::readable)?;
        }
        match &self.tls {
            Some(tls) => tls.readable(&self.socket, deadline),
            None => self.socket.readable(deadline),
        }
    }

    /// Waits beforehand where the call itself could not be cancelled.
    fn before<'a>(
        &'a self,
        deadline: Option<Instant>,
        io: impl Fn(mp_sys::BorrowedSource<'a>) -> Io<mp_sys::BorrowedSource<'a>>,
    ) -> io::Result<()> {
        if is_cancellable()
            && let Some(source) = self.socket.source()
        {
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            mp_session::wait(&[&io(source)], left).map_err(<io::Error as From<Error>>::from)?;
        }
        Ok(())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(tls) = &self.tls {
            tls.finish(&self.socket);
        }
    }
}
