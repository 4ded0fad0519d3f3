//! What carries the bytes of a link.

use std::io;
use std::time::Instant;

use mp_session::{Io, is_cancellable};
use mp_sys::{OsHandle, Socket};
use mp_wire::Error;

/// A socket, and how calls at it wait: in the kernel, or, for a thread that may be cancelled, in the session.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) socket: Socket,
}

impl Wire {
    pub(crate) fn new(socket: Socket) -> Wire {
        Wire { socket }
    }

    /// Reads what there is, and the handles that came with it. 0: the end.
    pub(crate) fn read(
        &self,
        buf: &mut [u8],
        handles: &mut Vec<OsHandle>,
        deadline: Option<Instant>,
    ) -> io::Result<usize> {
        let deadline = self.before(deadline, Io::readable)?;
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
        let deadline = self.before(deadline, Io::writable)?;
        self.socket.write(parts, handles, deadline)
    }

    /// Whether a read would not block.
    pub(crate) fn readable(&self, deadline: Option<Instant>) -> io::Result<bool> {
        let deadline = self.before(deadline, Io::readable)?;
        self.socket.readable(deadline)
    }

    /// Waits beforehand where the call itself could not be cancelled.
    fn before<'a>(
        &'a self,
        deadline: Option<Instant>,
        io: impl Fn(mp_sys::BorrowedSource<'a>) -> Io<mp_sys::BorrowedSource<'a>>,
    ) -> io::Result<Option<Instant>> {
        if is_cancellable()
            && let Some(source) = self.socket.source()
        {
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            mp_session::wait(&[&io(source)], left).map_err(<io::Error as From<Error>>::from)?;
        }
        Ok(deadline)
    }
}
