//! Nobody forks here.

use std::io;

#[derive(Debug)]
pub(crate) struct ForkGuard;

impl ForkGuard {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) fn renew(&self) {}

    #[inline]
    pub(crate) fn is_original(&self) -> bool {
        true
    }
}
