//! Memory under a name, for processes that are no relatives and programs that are not ours.
//!
//! This is what CPython's `multiprocessing.shared_memory` makes and finds: the same names in the same place, the bytes from the
//! first on, no header. A name outlives processes on POSIX, so whoever makes one has to take it away again:
//!
//! | | who takes the name away | after a `kill -9` |
//! |---|---|---|
//! | Linux | the last of our users of memory that one of us made, whoever that is | the next last one; if none is left, the name stays |
//! | macOS | the one that made it | the name stays |
//! | Windows | the kernel, with the last handle | the same |
//!
//! Memory that somebody else made (CPython, say) is never taken away here: who attaches does not destroy.
//!
//! # How users find each other (Linux)
//!
//! Who made a segment, and everybody of ours who attached to one of ours, holds a shared lock on its first byte (an "open file
//! description" lock, which a foreign descriptor's end does not end), and asks for the exclusive one when it leaves: who
//! gets that is the last.
//!
//! | step of leaving | dies after it | the others see |
//! |---|---|---|
//! | shared lock given back | the next leaver is the last | the segment, under its name |
//! | exclusive lock taken | the kernel drops it | the same |
//! | name taken away | nothing is left to do | their mappings, as before |
//!
//! Who attaches asks whether anybody holds a lock: if so the segment is one of ours, and it joins. *both-leave*: two leavers give
//! back their shared locks before either asks for the exclusive one, so at least one of them gets it. *name-reused*: a
//! leaver looks whether the name still means its segment before it takes it away.

use crate::imp;
use std::io;

/// What the names that CPython makes up begin with on this system.
pub const NAMED_MEMORY_PREFIX: &str = imp::named_memory::PREFIX;

/// A named piece of memory, mapped. Dropping it unmaps, and takes the name away as the module says.
#[derive(Debug)]
pub struct NamedMemory(imp::named_memory::Named);

// SAFETY: an address range of the whole process, and a descriptor; no thread is special to either.
unsafe impl Send for NamedMemory {}
// SAFETY: as above; the methods only read.
unsafe impl Sync for NamedMemory {}

impl NamedMemory {
    /// Makes `len` zero bytes under a name that nobody has. The memory is reserved, so that using it later does not fail.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists); [`InvalidInput`](io::ErrorKind::InvalidInput) for a length of 0 and for a name
    /// that is empty or holds a slash or NUL; [`StorageFull`](io::ErrorKind::StorageFull) when the system's place for such memory is
    /// full; [`FileTooLarge`](io::ErrorKind::FileTooLarge) beyond the process's limit for files.
    ///
    /// # Platform
    ///
    /// macOS reserves nothing, and allows 30 characters.
    pub fn create(name: &str, len: u64) -> io::Result<Self> {
        check_name(name)?;
        if len == 0 || usize::try_from(len).is_err() || len > i64::MAX as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no such size of memory can be made"));
        }
        imp::named_memory::Named::create(name, len).map(Self)
    }

    /// Maps what somebody made under that name, in its full length.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) when there is no such name, [`InvalidInput`](io::ErrorKind::InvalidInput) as in
    /// [`create`](Self::create) and while its maker has not given it a size yet.
    pub fn attach(name: &str) -> io::Result<Self> {
        check_name(name)?;
        imp::named_memory::Named::attach(name).map(Self)
    }

    /// Takes a name away from whoever has it: who uses the memory keeps it.
    ///
    /// # Errors
    ///
    /// [`NotFound`](io::ErrorKind::NotFound) when there is no such name.
    ///
    /// # Platform
    ///
    /// Does nothing on Windows, where a name ends with its last user.
    pub fn remove(name: &str) -> io::Result<()> {
        check_name(name)?;
        imp::named_memory::remove(name)
    }

    /// The first byte. Valid for reads and writes of [`len`](Self::len) bytes, and to the end of the last page, until the drop.
    pub fn as_ptr(&self) -> *mut u8 {
        self.0.as_ptr()
    }

    /// The number of bytes: on Linux exactly what its maker asked for, elsewhere rounded up to whole pages.
    #[allow(clippy::len_without_is_empty, reason = "named memory is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

fn check_name(name: &str) -> io::Result<()> {
    if name.is_empty() || name.contains(['/', '\0']) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a name of memory is not empty, and has no slash or NUL",
        ));
    }
    Ok(())
}
