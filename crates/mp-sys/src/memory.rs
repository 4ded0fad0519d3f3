//! The anonymous memory object of a session.
//!
//! All that the processes of a session share lives in one object that has no name: it is made by the first process,
//! handed to children as an inherited descriptor, mapped once by each, and gone with the last of them, however that ends.
//!
//! The object is sparse. It is given its full size at birth and never changes it (on Linux the kernel is told to refuse),
//! so an address inside a mapping never faults because a peer truncated it. Memory is used only where it was written:
//!
//! | | reserve | first use | give back |
//! |---|---|---|---|
//! | Linux | `ftruncate` | page fault | [`Mapping::discard`] |
//! | Windows | `SEC_RESERVE` | [`Mapping::commit`], then page fault | no |
//! | macOS | `ftruncate` | page fault | no |
//!
//! A page that the kernel cannot provide kills the process that touches it. So whoever hands out this memory keeps a budget,
//! from [`memory_available`], and refuses beyond it.

use crate::{
    imp,
    spawn::{BorrowedOsHandle, OsHandle},
};
use std::io;

/// The number by which a child process finds a descriptor or handle it has inherited.
///
/// It means something only between the process that made the child and the child itself.
pub type Inherited = u64;

/// An anonymous piece of memory that several processes can map.
#[derive(Debug)]
pub struct MemoryObject(imp::memory::Object);

impl MemoryObject {
    /// Makes an object of `len` zero bytes, rounded up to whole pages by the kernel. No memory is used yet.
    ///
    /// # Errors
    ///
    /// [`FileTooLarge`](io::ErrorKind::FileTooLarge) if `len` exceeds the process's file size limit (the kernel would answer with a deadly
    /// signal, so the limit is looked at first), else whatever the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let object = mp_sys::MemoryObject::create(1 << 20)?;
    /// let here = object.map(1 << 20)?;
    /// let there = object.map(1 << 20)?; // another process would do the same
    /// here.commit(0, 4096)?;
    /// // SAFETY: both mappings are 1 MiB long, their first page is committed, nobody else uses it.
    /// unsafe {
    ///     here.as_ptr().write(42);
    ///     assert_eq!(there.as_ptr().read(), 42);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn create(len: u64) -> io::Result<Self> {
        imp::memory::Object::create(len).map(Self)
    }

    /// The size of the object in bytes.
    ///
    /// # Errors
    ///
    /// Whatever the system says; for an object of this process it does not fail.
    pub fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    /// Maps the first `len` bytes, shared and writable, outside of core dumps where the system can.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if `len` is zero or more than the object holds, else whatever the system
    /// says (no address space left, say).
    pub fn map(&self, len: usize) -> io::Result<Mapping> {
        if len == 0 || len as u64 > self.size()? {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the memory object is smaller than the mapping asked for",
            ));
        }
        self.0.map(len).map(Mapping)
    }

    /// A second descriptor of the same object.
    ///
    /// # Errors
    ///
    /// When the process has no descriptor left.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// The number to name in [`SpawnRequest::inherit`](crate::SpawnRequest::inherit) and to tell the child.
    pub fn as_inherited(&self) -> Inherited {
        self.0.as_inherited()
    }

    /// The object's descriptor, for passing it on ([`LocalStream::send`](crate::LocalStream::send)).
    pub fn as_handle(&self) -> BorrowedOsHandle<'_> {
        self.0.as_handle()
    }

    /// Takes an object that came by a [`LocalStream`](crate::LocalStream).
    ///
    /// # Errors
    ///
    /// [`InvalidData`](io::ErrorKind::InvalidData) if it could be made smaller under our feet (Linux), or is no memory at all.
    pub fn from_received(handle: OsHandle) -> io::Result<Self> {
        imp::memory::Object::from_received(handle).map(Self)
    }

    /// Takes over an object that this process inherited, and keeps it from being inherited further.
    ///
    /// # Safety
    ///
    /// `number` must be an open descriptor (handle) of this process that nobody else closes.
    ///
    /// # Errors
    ///
    /// When `number` is no open descriptor.
    pub unsafe fn from_inherited(number: Inherited) -> io::Result<Self> {
        // SAFETY: the caller's promise is the same.
        unsafe { imp::memory::Object::from_inherited(number) }.map(Self)
    }
}

/// A mapped memory object. Dropping it unmaps.
///
/// It hands out only a raw pointer: peers in other processes write this memory at any moment, so what may be done with which
/// byte is for the owner of the layout to say.
#[derive(Debug)]
pub struct Mapping(imp::memory::View);

// SAFETY: a mapping is an address range of the whole process; no thread is special to it.
unsafe impl Send for Mapping {}
// SAFETY: as above; the methods are system calls on the range, which the kernel serialises.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// The first byte. Valid for reads and writes of [`len`](Self::len) bytes (on Windows: of those committed) until the drop.
    pub fn as_ptr(&self) -> *mut u8 {
        self.0.as_ptr()
    }

    /// The number of bytes mapped.
    #[allow(clippy::len_without_is_empty, reason = "a mapping is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Makes `len` bytes from `offset` usable, for every process that maps the object.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the range is not inside the mapping;
    /// [`OutOfMemory`](io::ErrorKind::OutOfMemory) if Windows has no memory or page file left.
    ///
    /// # Platform
    ///
    /// Windows commits memory here. Elsewhere the kernel does it at the first touch and only the range is checked.
    pub fn commit(&self, offset: usize, len: usize) -> io::Result<()> {
        self.check(offset, len)?;
        self.0.commit(offset, len)
    }

    /// Gives the pages of `len` bytes from `offset` back to the kernel: `Ok(true)`, and they read as zero from then on, in every
    /// process. `Ok(false)` if that is impossible here, and nothing has changed.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the range is not inside the mapping or not made of whole pages.
    ///
    /// # Platform
    ///
    /// Linux only, and not for memory locked by `mlockall`. Elsewhere `Ok(false)`.
    pub fn discard(&self, offset: usize, len: usize) -> io::Result<bool> {
        self.check(offset, len)?;
        let page = page_size();
        if !offset.is_multiple_of(page) || !len.is_multiple_of(page) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "only whole pages can be given back"));
        }
        if len == 0 { Ok(true) } else { self.0.discard(offset, len) }
    }

    fn check(&self, offset: usize, len: usize) -> io::Result<()> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len() => Ok(()),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "the range is not inside the mapping")),
        }
    }
}

/// The size of a page of memory in bytes.
pub fn page_size() -> usize {
    imp::memory::page_size()
}

/// How many bytes could be used now without pushing anybody out: the smallest of what the system calls available and
/// of the room left in this process's control groups. `None` if the system does not say.
///
/// # Platform
///
/// Linux: `MemAvailable`, control groups version 1 and 2 (their file cache counts as free). Windows: available physical
/// memory or commit room, whichever is less. macOS: free and inactive pages.
pub fn memory_available() -> Option<u64> {
    imp::memory::memory_available()
}

/// The limit of this process's address space (`RLIMIT_AS`), if there is one.
pub fn address_space_limit() -> Option<u64> {
    imp::memory::address_space_limit()
}

/// The limit for the size of files this process makes (`RLIMIT_FSIZE`), if there is one. It holds for memory objects too.
pub fn file_size_limit() -> Option<u64> {
    imp::memory::file_size_limit()
}

/// Whether address space that is never touched costs nothing: where pages are committed by hand their bookkeeping is paid
/// for up front, so smaller objects are in order.
pub const SPARSE_IS_FREE: bool = !cfg!(windows);
