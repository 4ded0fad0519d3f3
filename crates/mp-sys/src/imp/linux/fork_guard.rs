//! A page that a forked child finds empty.

use super::advice;
use std::{
    io, process, ptr,
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering},
};

#[derive(Debug)]
pub(crate) struct ForkGuard {
    word: NonNull<AtomicU32>,
    /// The kernel (before 4.14) or emulator cannot wipe: the word holds the pid, to be compared.
    compares: bool,
}

// SAFETY: the word is an atomic in a page that only the drop unmaps.
unsafe impl Send for ForkGuard {}
// SAFETY: as above.
unsafe impl Sync for ForkGuard {}

impl ForkGuard {
    pub(crate) fn new() -> io::Result<Self> {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at an address of the kernel's choice touches nobody's memory.
        let page = unsafe { libc::mmap(ptr::null_mut(), size(), protection, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let word = NonNull::new(page.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))?;
        let wipes = advice::is_followed() && advice::give(page.cast(), size(), libc::MADV_WIPEONFORK).is_ok();
        let guard = Self { word, compares: !wipes };
        guard.renew();
        Ok(guard)
    }

    pub(crate) fn renew(&self) {
        self.word().store(process::id(), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn is_original(&self) -> bool {
        let word = self.word().load(Ordering::Relaxed);
        if self.compares { is_our_pid(word) } else { word != 0 }
    }

    #[inline]
    fn word(&self) -> &AtomicU32 {
        // SAFETY: mapped until the drop; zero is a value of it.
        unsafe { self.word.as_ref() }
    }
}

impl Drop for ForkGuard {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and unmapped once.
        unsafe { libc::munmap(self.word.as_ptr().cast(), size()) };
    }
}

fn size() -> usize {
    crate::imp::unix::mapping::page_size()
}

/// Apart, so that whoever asks on a fast path need not prepare for a call.
#[cold]
fn is_our_pid(word: u32) -> bool {
    word == process::id()
}
