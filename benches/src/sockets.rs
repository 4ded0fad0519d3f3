//! The bare system's own connections: a process at the other end of a socket pair, or of two pipes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

/// What the other end is asked to do: so many messages of so many bytes, answered each, or once after the last.
pub const EACH: u32 = 1 << 31;

/// A forked process that reads messages from a stream, as many as it is told, and answers.
#[derive(Debug)]
pub struct SocketPeer {
    input: File,
    output: File,
    pid: libc::pid_t,
}

impl SocketPeer {
    /// Forks the other one, at the other end of a socket pair. The caller has one thread so far.
    ///
    /// # Errors
    /// Those of the system.
    pub fn start() -> io::Result<SocketPeer> {
        let (ours, theirs) = UnixStream::pair()?;
        let both = |stream: UnixStream| -> io::Result<(OwnedFd, OwnedFd)> {
            Ok((stream.try_clone()?.into(), stream.into()))
        };
        SocketPeer::fork(both(ours)?, both(theirs)?)
    }

    /// The same over two pipes.
    ///
    /// # Errors
    /// Those of the system.
    pub fn over_pipes() -> io::Result<SocketPeer> {
        let ((a, b), (c, d)) = (io::pipe()?, io::pipe()?);
        SocketPeer::fork((a.into(), d.into()), (c.into(), b.into()))
    }

    fn fork(ours: (OwnedFd, OwnedFd), theirs: (OwnedFd, OwnedFd)) -> io::Result<SocketPeer> {
        // SAFETY: the child runs the loop below and nothing else.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                drop(ours);
                // SAFETY: it does not outlive the benchmark.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                let code = i32::from(serve(&mut File::from(theirs.0), &mut File::from(theirs.1)).is_err());
                // SAFETY: nothing of the parent's is to be cleared up here.
                unsafe { libc::_exit(code) }
            }
            pid => Ok(SocketPeer { input: ours.0.into(), output: ours.1.into(), pid }),
        }
    }

    fn ask(&mut self, count: u32, size: u32) -> io::Result<()> {
        self.output.write_all(&[count.to_le_bytes(), size.to_le_bytes()].concat())
    }

    /// Sends that many messages, each of which comes back before the next one goes, and calls `between` after each.
    ///
    /// # Errors
    /// Those of the system.
    pub fn round_trips(&mut self, count: u32, message: &[u8], mut between: impl FnMut()) -> io::Result<()> {
        self.ask(count | EACH, u32::try_from(message.len()).unwrap_or(0))?;
        let mut answer = vec![0; message.len()];
        for _ in 0..count {
            self.output.write_all(message)?;
            self.input.read_exact(&mut answer)?;
            between();
        }
        Ok(())
    }

    /// Sends that many messages and waits until the last one was read.
    ///
    /// # Errors
    /// Those of the system.
    pub fn one_way(&mut self, count: u32, message: &[u8]) -> io::Result<()> {
        self.ask(count, u32::try_from(message.len()).unwrap_or(0))?;
        for _ in 0..count {
            self.output.write_all(message)?;
        }
        self.input.read_exact(&mut [0])
    }
}

/// What the other end does, until its stream ends.
///
/// # Errors
/// Those of the system.
pub fn serve(input: &mut impl Read, output: &mut impl Write) -> io::Result<()> {
    let mut head = [0; 8];
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u32, |n, byte| n << 8 | u32::from(*byte));
    loop {
        input.read_exact(&mut head)?;
        let (count, size) = (number(&head[..4]), number(&head[4..]));
        let mut message = vec![0; size as usize];
        for _ in 0..count & !EACH {
            input.read_exact(&mut message)?;
            if count & EACH != 0 {
                output.write_all(&message)?;
            }
        }
        if count & EACH == 0 {
            output.write_all(&[1])?;
        }
    }
}

impl Drop for SocketPeer {
    fn drop(&mut self) {
        // SAFETY: it is our child, which nobody else reaps.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), 0);
        }
    }
}
