//! No locks: process handles are evidence enough here.

use crate::{
    memory::Inherited,
    spawn::{BorrowedOsHandle, OsHandle},
};
use std::io;

#[derive(Debug)]
pub(crate) struct File;

impl File {
    pub(crate) fn create() -> io::Result<Self> {
        Ok(Self)
    }

    /// # Safety
    ///
    /// None needed: nothing is taken over.
    pub(crate) unsafe fn from_inherited(_number: Inherited) -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) fn as_inherited(&self) -> Inherited {
        0
    }

    pub(crate) fn as_handle(&self) -> Option<BorrowedOsHandle<'_>> {
        None
    }

    pub(crate) fn from_received(_handle: OsHandle) -> Self {
        Self
    }

    pub(crate) fn hold(&self, _slot: u32) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn release(&self, _slot: u32) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn held_by_other(&self, _slot: u32) -> io::Result<Option<bool>> {
        Ok(None)
    }
}
