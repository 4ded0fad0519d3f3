//! Session memory that another process can look at: a memory object, this process's view of it, and what it held last.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

use crate::system::{check, failed};

/// The smallest region that a session fits into.
pub(crate) const LEN: usize = 8 << 20;
const PAGE: usize = 4096;
const PAGES: usize = LEN / PAGE;

/// A memory object of [`LEN`] bytes, mapped and shared.
#[derive(Debug)]
pub(crate) struct Memory {
    file: OwnedFd,
    base: NonNull<u8>,
}

/// How a process looks at a memory object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum View {
    /// What it writes is there for all.
    Shared,
    /// It sees what is there, and keeps what it writes to itself.
    Private,
}

impl Memory {
    /// All zero.
    pub(crate) fn new() -> Memory {
        // SAFETY: a name that ends with a zero byte.
        let file =
            check("memfd_create", unsafe { libc::memfd_create(c"mp-crash".as_ptr(), libc::MFD_CLOEXEC) });
        // SAFETY: a descriptor that was made just now and is nobody's.
        let file = unsafe { OwnedFd::from_raw_fd(file) };
        // SAFETY: an open descriptor.
        check("ftruncate", unsafe { libc::ftruncate(file.as_raw_fd(), LEN as i64) });
        let base = map(std::ptr::null_mut(), View::Shared, &file);
        Memory { file, base }
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Makes this memory appear at `at`, a mapping of another one, in this process.
    pub(crate) fn appear_at(&self, at: NonNull<u8>, view: View) {
        map(at.as_ptr().cast(), view, &self.file);
    }

    fn page(&self, page: usize) -> &[u8] {
        // SAFETY: inside of the mapping. Whoever writes to it is stopped while this process looks, save for pages that it
        // does not care about.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(page * PAGE), PAGE) }
    }

    /// Grows with the pages that were ever touched.
    fn touched(&self) -> i64 {
        // SAFETY: plain numbers, for which zero is a value.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: an open descriptor, and a place for the answer.
        check("fstat", unsafe { libc::fstat(self.file.as_raw_fd(), &raw mut stat) });
        stat.st_blocks
    }

    fn used_pages(&self) -> Vec<usize> {
        let mut resident = vec![0_u8; PAGES];
        // SAFETY: the whole mapping, and a byte for each of its pages.
        check("mincore", unsafe { libc::mincore(self.base.as_ptr().cast(), LEN, resident.as_mut_ptr()) });
        (0..PAGES).filter(|page| resident[*page] & 1 != 0).collect()
    }
}

fn map(at: *mut libc::c_void, view: View, file: &OwnedFd) -> NonNull<u8> {
    let flags = match view {
        View::Shared => libc::MAP_SHARED,
        View::Private => libc::MAP_PRIVATE,
    } | if at.is_null() { 0 } else { libc::MAP_FIXED };
    // SAFETY: either anywhere, or over a mapping of ours of the same length, which means the same thing afterwards.
    let base = unsafe { libc::mmap(at, LEN, libc::PROT_READ | libc::PROT_WRITE, flags, file.as_raw_fd(), 0) };
    match NonNull::new(base.cast::<u8>()) {
        Some(mapped) if base != libc::MAP_FAILED => mapped,
        _ => failed("mmap"),
    }
}

/// What a memory held when it was looked at last.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Pages that were never touched are none.
    pages: Vec<Option<Box<[u8]>>>,
    used: Vec<usize>,
    touched: i64,
}

impl Snapshot {
    pub(crate) fn of(memory: &Memory) -> Snapshot {
        let mut new = Snapshot { pages: vec![None; PAGES], used: Vec::new(), touched: -1 };
        new.update(memory);
        new
    }

    /// Looks again: whether anything changed.
    pub(crate) fn update(&mut self, memory: &Memory) -> bool {
        let touched = memory.touched();
        if touched != self.touched {
            (self.touched, self.used) = (touched, memory.used_pages());
        }
        let mut changed = false;
        for page in &self.used {
            let now = memory.page(*page);
            match &mut self.pages[*page] {
                Some(known) if **known == *now => {}
                Some(known) => {
                    known.copy_from_slice(now);
                    changed = true;
                }
                none => {
                    changed |= now.iter().any(|byte| *byte != 0);
                    *none = Some(now.into());
                }
            }
        }
        changed
    }

    /// Makes `memory`, a view of this process's own that nobody else has now, hold the same.
    pub(crate) fn write_to(&self, memory: &Memory) {
        let write = |page: usize, bytes: &[u8]| {
            // SAFETY: inside of the mapping, which nobody else looks at.
            unsafe { memory.base.as_ptr().add(page * PAGE).copy_from_nonoverlapping(bytes.as_ptr(), PAGE) }
        };
        for page in memory.used_pages() {
            if self.pages[page].is_none() {
                write(page, &[0; PAGE]);
            }
        }
        for page in &self.used {
            if let Some(bytes) = &self.pages[*page] {
                write(*page, bytes);
            }
        }
    }
}
