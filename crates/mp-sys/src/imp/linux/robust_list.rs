//! The calling thread's robust list, as the kernel and glibc share it.
//!
//! The kernel knows a head and follows `next` pointers; glibc keeps the list doubly linked for itself. In glibc's memory, and in a
//! beacon's, the word before each `next` is the pointer back, also before the head's. All pointers are addresses of `next` words; their
//! lowest bit marks priority-inheriting mutexes and is not part of the address.

use crate::imp::unix::call::check;
use std::{
    cell::Cell as StdCell,
    mem::offset_of,
    ptr::{self, NonNull},
    sync::atomic::{AtomicUsize, Ordering, compiler_fence},
};

/// The kernel's `struct robust_list_head`.
#[repr(C)]
pub(crate) struct Head {
    next: AtomicUsize,
    futex_offset: isize,
    pending: AtomicUsize,
}

/// The list of the calling thread.
pub(crate) struct RobustList(NonNull<Head>);

/// A place in the list: the address of its `next` word, perhaps with the mark.
type Entry = usize;

const MARK: usize = 1;

impl RobustList {
    /// The list that the calling thread has registered. `None`: it has none, or this system does not say.
    ///
    /// The C library registers it once, when it makes the thread, at an address that a forked copy keeps: asked once.
    pub(crate) fn of_this_thread() -> Option<Self> {
        thread_local! {
            static HEAD: StdCell<Option<NonNull<Head>>> = const { StdCell::new(None) };
        }
        if let Some(known) = HEAD.get() {
            return Some(Self(known));
        }
        let found = Self::ask()?;
        HEAD.set(Some(found.0));
        Some(found)
    }

    fn ask() -> Option<Self> {
        let mut head: *mut Head = ptr::null_mut();
        let mut len: usize = 0;
        // SAFETY: two writable words; 0 means the calling thread.
        check(unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &raw mut head, &raw mut len) }).ok()?;
        (len == size_of::<Head>()).then_some(())?;
        NonNull::new(head).map(Self)
    }

    /// The distance from an entry to its futex word.
    pub(crate) fn futex_offset(&self) -> isize {
        // SAFETY: the head is live: the kernel would read it if the thread died here.
        unsafe { (*self.0.as_ptr()).futex_offset }
    }

    fn head(&self) -> &Head {
        // SAFETY: as above; glibc keeps it in the thread's own block, and all access from this thread goes through atomics or glibc.
        unsafe { self.0.as_ref() }
    }

    fn head_entry(&self) -> Entry {
        (self.0.as_ptr().cast::<u8>()).expose_provenance() + offset_of!(Head, next)
    }

    /// Runs a step of linking or unlinking during which the kernel shall look at this entry, too, if the thread dies.
    pub(crate) fn with_pending(&self, entry: Entry, step: impl FnOnce()) {
        // The kernel reads this thread's memory only after the thread has stopped: program order is all that is needed, and
        // the fences keep the compiler to it.
        self.head().pending.store(entry, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        step();
        compiler_fence(Ordering::SeqCst);
        self.head().pending.store(0, Ordering::Relaxed);
    }

    /// Puts an entry first.
    ///
    /// # Safety
    ///
    /// `entry` is the exposed address of the second of two words, both writable, and in no list.
    pub(crate) unsafe fn insert(&self, entry: Entry) {
        let first = self.head().next.load(Ordering::Relaxed);
        // SAFETY: `entry` by the caller's promise; `first` is an entry of the list or the head, whose words are live.
        unsafe {
            next_of(entry).store(first, Ordering::Relaxed);
            prev_of(entry).store(self.head_entry(), Ordering::Relaxed);
            prev_of(first).store(entry, Ordering::Relaxed);
        }
        // The entry is complete before the kernel can come upon it.
        compiler_fence(Ordering::SeqCst);
        self.head().next.store(entry, Ordering::Relaxed);
    }

    /// Takes an entry out.
    ///
    /// # Safety
    ///
    /// `entry` is in this list.
    pub(crate) unsafe fn remove(&self, entry: Entry) {
        // SAFETY: the entry is in the list, so it and its neighbours are live.
        unsafe {
            let (prev, next) =
                (prev_of(entry).load(Ordering::Relaxed), next_of(entry).load(Ordering::Relaxed));
            prev_of(next).store(prev, Ordering::Relaxed);
            next_of(prev).store(next, Ordering::Relaxed);
            prev_of(entry).store(0, Ordering::Relaxed);
            next_of(entry).store(0, Ordering::Relaxed);
        }
    }

    /// In the child of a raw clone: forgets the parent's entries and registers the list for this thread.
    ///
    /// # Safety
    ///
    /// The calling thread is a copy of the one that got this list, and holds none of its locks.
    pub(crate) unsafe fn restart(&self, doubly_linked: bool) {
        let entry = self.head_entry();
        self.head().next.store(entry, Ordering::Relaxed);
        self.head().pending.store(0, Ordering::Relaxed);
        if doubly_linked {
            // SAFETY: glibc keeps the pointer back before the head.
            unsafe { prev_of(entry) }.store(entry, Ordering::Relaxed);
        }
        // SAFETY: the head lives as long as the thread. It fails only for a wrong length.
        unsafe { libc::syscall(libc::SYS_set_robust_list, self.0.as_ptr(), size_of::<Head>()) };
    }
}

/// # Safety
///
/// `entry` is the exposed address of a live word of a list.
unsafe fn next_of<'a>(entry: Entry) -> &'a AtomicUsize {
    // SAFETY: the caller's promise.
    unsafe { &*ptr::with_exposed_provenance::<AtomicUsize>(entry & !MARK) }
}

/// # Safety
///
/// As for [`next_of`], and there is a word before it.
unsafe fn prev_of<'a>(entry: Entry) -> &'a AtomicUsize {
    // SAFETY: the caller's promise.
    unsafe { &*ptr::with_exposed_provenance::<AtomicUsize>((entry & !MARK) - size_of::<usize>()) }
}
