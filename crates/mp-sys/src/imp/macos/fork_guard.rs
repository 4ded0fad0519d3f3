//! Pids compared: the system wipes no pages in a forked child.

use std::{
    io, process,
    sync::atomic::{AtomicU32, Ordering},
};

#[derive(Debug)]
pub(crate) struct ForkGuard(AtomicU32);

impl ForkGuard {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(AtomicU32::new(process::id())))
    }

    pub(crate) fn renew(&self) {
        self.0.store(process::id(), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn is_original(&self) -> bool {
        self.0.load(Ordering::Relaxed) == process::id()
    }
}
