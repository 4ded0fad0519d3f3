//! `SharedMemory`: bytes that processes share, anonymous or under a name.

use mp_session::primitive::user::AtomicU64;
use std::fmt;
use std::io::ErrorKind;
use std::ptr::NonNull;
use std::sync::Arc;

use mp_session::{Blueprint, Kind, Object, Session, Shape};
use mp_sys::{NAMED_MEMORY_PREFIX, NamedMemory};
use mp_wire::{Error, Result, carrier};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::words;

/// A block of bytes that processes share: Python's `multiprocessing.shared_memory.SharedMemory`.
///
/// *Anonymous* memory ([`new`](SharedMemory::new)) lives in the session: no name, no descriptor, free when the last handle is gone,
/// whoever has it and however it ends. *Named* memory is for processes that are no relatives, and for CPython: the names, and
/// the bytes from the first on, are those of Python's class, in both directions.
///
/// Anybody may change the bytes at any time, so they are [read](SharedMemory::read) and [written](SharedMemory::write) by copies, or
/// as [atomic words](SharedMemory::words). For slices without copies, and a lock, use an [`Array<u8>`](crate::Array).
///
/// ```compile_fail,E0133
/// let memory = mp_shared::SharedMemory::new(10).unwrap();
/// let bytes: &mut [u8] = memory.as_mut_slice();
/// ```
///
/// Memory is not closed while somebody looks at it (Python's `BufferError`):
///
/// ```compile_fail,E0505
/// let memory = mp_shared::SharedMemory::new(16).unwrap();
/// let words = memory.words();
/// drop(memory);
/// words[0].load(std::sync::atomic::Ordering::Relaxed);
/// ```
///
/// # If a process dies
///
/// The bytes are as it left them. Named memory that mp made loses its name with its last user among mp's processes, be it the
/// maker or another; if all of them are killed the name stays, as POSIX has it, until somebody
/// [removes](SharedMemory::remove) it.
///
/// # CPython
///
/// Who attaches never destroys: memory that CPython made is CPython's to `unlink`. CPython 3.13 has the same rule with `track=False`;
/// without it, and before 3.13, its resource tracker unlinks at exit what a process of its only attached to, with a warning, which
/// takes the name away and leaves the memory to those that have it.
///
/// # Platform
///
/// Named memory keeps one descriptor open. Its size is exactly what was asked for on Linux, and rounded up to pages elsewhere, as in
/// Python. On macOS the maker takes the name away; on Windows the system does, with the last handle.
///
/// # Examples
///
/// ```
/// use mp_shared::SharedMemory;
///
/// let memory = SharedMemory::create_named(None, 100)?;
/// let name = memory.name().unwrap().to_owned(); // "psm_..." here, for SharedMemory(name=...) in Python
/// let same = SharedMemory::attach(&name)?;
/// memory.write(3, b"hello")?;
/// assert_eq!(same.read(3, 5)?, b"hello");
/// drop((memory, same));
/// assert!(SharedMemory::attach(&name).is_err());
/// # Ok::<(), mp_shared::Error>(())
/// ```
#[derive(Clone)]
pub struct SharedMemory(Bytes);

#[derive(Clone)]
enum Bytes {
    Anonymous { object: Object, first: NonNull<u8>, size: usize },
    Named { memory: Arc<NamedMemory>, name: Arc<str> },
}

// SAFETY: the pointer is to session memory, which any thread may use, and which stays as long as the object beside it; the bytes are
// reached by atomics only, or by the caller's promise.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// So many zero bytes without a name, in this process's session.
    ///
    /// # Errors
    /// [`Error::LimitReached`] when the session has no room or its budget is used up, [`Error::InvalidArgument`] for a size of 0, and
    /// what [`Session::current`] returns.
    pub fn new(size: usize) -> Result<SharedMemory> {
        SharedMemory::new_in(&Session::current()?, size)
    }

    /// The same in that session.
    ///
    /// # Errors
    /// As [`SharedMemory::new`].
    pub fn new_in(session: &Session, size: usize) -> Result<SharedMemory> {
        if size == 0 {
            return Err(no_bytes());
        }
        let plan = Blueprint { kind: Kind::MEMORY, fingerprint: 0, shape: Shape::Plain, size: size as u64 };
        SharedMemory::of(Object::create_zeroed(session, plan, "", |_, _| {})?)
    }

    fn of(object: Object) -> Result<SharedMemory> {
        match object.bytes() {
            Some((first, size)) => Ok(SharedMemory(Bytes::Anonymous { object, first, size: size as usize })),
            None => Err(Error::Layout { detail: "shared memory without bytes".into() }),
        }
    }

    /// So many zero bytes under a name: that name, or one that is made up as CPython does.
    ///
    /// # Errors
    /// [`Error::Os`] of kind [`AlreadyExists`](ErrorKind::AlreadyExists) when somebody has that name; of kind
    /// [`StorageFull`](ErrorKind::StorageFull) when the system's place for such memory is full (nothing fails later, on access);
    /// [`Error::InvalidArgument`] for a size of 0, or a name that is empty or holds a slash or NUL.
    pub fn create_named(name: Option<&str>, size: usize) -> Result<SharedMemory> {
        if size == 0 {
            return Err(no_bytes());
        }
        loop {
            let random = || mp_sys::random_u128().map_err(|e| Error::os("random name", e));
            let chosen = match name {
                Some(name) => name.to_owned(),
                None => format!("{NAMED_MEMORY_PREFIX}{:08x}", random()? as u32),
            };
            match NamedMemory::create(&chosen, size as u64) {
                Ok(memory) => return Ok(SharedMemory::named(memory, &chosen)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists && name.is_none() => {}
                Err(error) => return Err(of_name("create", &chosen, error)),
            }
        }
    }

    /// The memory of that name, whoever made it, in its full size.
    ///
    /// # Errors
    /// [`Error::Os`] of kind [`NotFound`](ErrorKind::NotFound) when there is no such name.
    pub fn attach(name: &str) -> Result<SharedMemory> {
        let memory = NamedMemory::attach(name).map_err(|error| of_name("attach to", name, error))?;
        Ok(SharedMemory::named(memory, name))
    }

    /// Takes a name away, whoever has it: Python's `unlink()`. Who uses the memory keeps it. Nobody needs to, but for what killed
    /// processes left.
    ///
    /// # Errors
    /// [`Error::Os`] of kind [`NotFound`](ErrorKind::NotFound) when there is no such name.
    ///
    /// # Platform
    /// Does nothing on Windows, where a name ends with its last user.
    pub fn remove(name: &str) -> Result<()> {
        NamedMemory::remove(name).map_err(|error| of_name("remove", name, error))
    }

    fn named(memory: NamedMemory, name: &str) -> SharedMemory {
        SharedMemory(Bytes::Named { memory: Arc::new(memory), name: name.into() })
    }

    /// The name, if it has one.
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Bytes::Anonymous { .. } => None,
            Bytes::Named { name, .. } => Some(name),
        }
    }

    /// How many bytes it has.
    pub fn size(&self) -> usize {
        match &self.0 {
            Bytes::Anonymous { size, .. } => *size,
            Bytes::Named { memory, .. } => memory.len(),
        }
    }

    /// The first byte's address, which is aligned to eight at least, for code that arranges access by other means. It is valid as
    /// long as the handle.
    pub fn as_ptr(&self) -> *mut u8 {
        match &self.0 {
            Bytes::Anonymous { first, .. } => first.as_ptr(),
            Bytes::Named { memory, .. } => memory.as_ptr(),
        }
    }

    /// A copy of so many bytes from `offset` on. What somebody changes meanwhile may be old in one place and new in another.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when there are not so many.
    pub fn read(&self, offset: usize, len: usize) -> Result<Vec<u8>> {
        self.check(offset, len)?;
        let mut bytes = vec![0; len];
        words::read(self.covering_words(), offset, &mut bytes);
        Ok(bytes)
    }

    /// The same into a buffer of the caller's.
    ///
    /// # Errors
    /// As [`SharedMemory::read`].
    pub fn read_into(&self, offset: usize, to: &mut [u8]) -> Result<()> {
        self.check(offset, to.len())?;
        words::read(self.covering_words(), offset, to);
        Ok(())
    }

    /// Copies bytes to `offset` and on.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when there is no room for them.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.check(offset, bytes.len())?;
        words::write(self.covering_words(), offset, bytes);
        Ok(())
    }

    /// The whole words of eight bytes that it has, as atomics.
    pub fn words(&self) -> &[AtomicU64] {
        &self.covering_words()[..self.size() / 8]
    }

    /// All bytes.
    ///
    /// # Safety
    /// As long as the slice is used nobody changes them, in any process.
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: mapped as long as the handle lives, and never uninitialised; the rest is the caller's promise.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.size()) }
    }

    /// All bytes, to be changed.
    ///
    /// # Safety
    /// As long as the slice is used nobody else uses them, in any process.
    #[expect(
        clippy::mut_from_ref,
        reason = "the memory is behind a pointer; the caller promises to be alone with it"
    )]
    pub unsafe fn as_mut_slice(&self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.as_ptr(), self.size()) }
    }

    /// The words that cover all bytes; the last one may reach beyond them.
    fn covering_words(&self) -> &[AtomicU64] {
        // SAFETY: aligned to eight: blocks are to 64, mappings to pages. Blocks come in multiples of 64 bytes and mappings in pages, so
        // the last word is there as well. Safe code reaches these bytes by atomics of this size only.
        unsafe { std::slice::from_raw_parts(self.as_ptr().cast(), self.size().div_ceil(8)) }
    }

    fn check(&self, offset: usize, len: usize) -> Result<()> {
        match offset.checked_add(len) {
            Some(end) if end <= self.size() => Ok(()),
            _ => Err(Error::InvalidArgument {
                detail: format!("{len} bytes at {offset} of a shared memory of {}", self.size()),
            }),
        }
    }
}

fn no_bytes() -> Error {
    Error::InvalidArgument { detail: "shared memory of no bytes".into() }
}

fn of_name(verb: &str, name: &str, error: std::io::Error) -> Error {
    let what = format!("{verb} shared memory {name:?}");
    match error.kind() {
        ErrorKind::InvalidInput => Error::InvalidArgument { detail: format!("{what}: {error}") },
        _ => Error::os(what, error),
    }
}

impl PartialEq for SharedMemory {
    /// Whether they are the same memory; named memory compares by name.
    fn eq(&self, other: &SharedMemory) -> bool {
        match (&self.0, &other.0) {
            (Bytes::Anonymous { object: a, .. }, Bytes::Anonymous { object: b, .. }) => a == b,
            (Bytes::Named { name: a, .. }, Bytes::Named { name: b, .. }) => a == b,
            _ => false,
        }
    }
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedMemory({:?}, {} bytes)", self.name().unwrap_or("anonymous"), self.size())
    }
}

/// How it travels: by reference, or, if it has one, by name.
#[derive(Serialize, Deserialize)]
enum Way {
    Anonymous(Object),
    Named(String),
}

impl Serialize for SharedMemory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Bytes::Anonymous { object, .. } => Way::Anonymous(object.clone()),
            Bytes::Named { name, .. } => Way::Named((**name).to_owned()),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SharedMemory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SharedMemory, D::Error> {
        let memory = match Way::deserialize(deserializer)? {
            Way::Anonymous(object) => object.expect(Kind::MEMORY, 0).and_then(SharedMemory::of),
            Way::Named(name) => SharedMemory::attach(&name),
        };
        memory.map_err(|e| de::Error::custom(carrier::refuse(e)))
    }
}
