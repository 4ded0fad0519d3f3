//! Evidence one of a death: a lock that the kernel takes away.
//!
//! Each process of a session holds a lock on one byte of a file, its slot's byte, from its first breath. The kernel
//! drops the lock when the process ends, in whichever way, before the pid can be seen to be free. So "nobody holds it" is a fact of the
//! kernel and not a guess from a clock.
//!
//! It is not proof alone, because record locks have a trap: they belong to the *process*, and go when the process closes **any**
//! descriptor of that file. So the file serves this purpose only, a process has exactly one descriptor of it, and a
//! death is believed only when [`process_state`](crate::process_state) agrees. Lock gone and process alive means: watch, do not reclaim.
//!
//! A `fork` copies the descriptor but not the lock; a child made so must [`hold`](LivenessFile::hold) its own slot.

use crate::{
    imp,
    memory::Inherited,
    spawn::{BorrowedOsHandle, OsHandle},
};
use std::io;

/// A file of one lock per slot, shared by all processes of a session.
///
/// # Platform
///
/// Linux: a memfd. macOS: an unlinked temporary file. Windows: nothing at all; it has process handles, whose evidence is complete, so
/// [`held_by_other`](Self::held_by_other) says `None` there.
#[derive(Debug)]
pub struct LivenessFile(imp::liveness::File);

impl LivenessFile {
    /// Makes a new file in which nobody holds anything.
    ///
    /// # Errors
    ///
    /// When the system has no descriptor left (macOS: or no writable temporary directory).
    ///
    /// # Examples
    ///
    /// ```
    /// let file = mp_sys::LivenessFile::create()?;
    /// file.hold(3)?;
    /// assert_ne!(file.held_by_other(3)?, Some(true)); // we do, no other
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn create() -> io::Result<Self> {
        imp::liveness::File::create().map(Self)
    }

    /// The file's descriptor, for passing it on ([`LocalStream::send`](crate::LocalStream::send)). `None` on Windows.
    pub fn as_handle(&self) -> Option<BorrowedOsHandle<'_>> {
        self.0.as_handle()
    }

    /// Takes a file that came by a [`LocalStream`](crate::LocalStream). The process must have no other descriptor of it: to close
    /// one would let go of all its locks.
    pub fn from_received(handle: OsHandle) -> Self {
        Self(imp::liveness::File::from_received(handle))
    }

    /// Takes over a file that this process inherited, and keeps it from being inherited further.
    ///
    /// # Safety
    ///
    /// `number` must be an open descriptor of this process that nobody else closes.
    ///
    /// # Errors
    ///
    /// When `number` is no open descriptor.
    pub unsafe fn from_inherited(number: Inherited) -> io::Result<Self> {
        // SAFETY: the caller's promise is the same.
        unsafe { imp::liveness::File::from_inherited(number) }.map(Self)
    }

    /// The number to name in [`SpawnRequest::inherit`](crate::SpawnRequest::inherit) and to tell the child. 0 on Windows: nothing to inherit.
    pub fn as_inherited(&self) -> Inherited {
        self.0.as_inherited()
    }

    /// Locks the slot for this process, until [`release`](Self::release), the drop of this value, or the end of the process.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if another process holds it.
    pub fn hold(&self, slot: u32) -> io::Result<()> {
        self.0.hold(slot)
    }

    /// Unlocks the slot, which this process may hold or not.
    ///
    /// # Errors
    ///
    /// When the kernel has no memory to note it.
    pub fn release(&self, slot: u32) -> io::Result<()> {
        self.0.release(slot)
    }

    /// Whether another process holds the slot. `None`: this platform gives no such evidence.
    ///
    /// # Errors
    ///
    /// Whatever the system says.
    pub fn held_by_other(&self, slot: u32) -> io::Result<Option<bool>> {
        self.0.held_by_other(slot)
    }
}
