//! Handles on their way to a child.

pub(crate) use super::handle::adopt;
use crate::memory::Inherited;
use std::{
    io,
    os::windows::io::{AsHandle, BorrowedHandle, OwnedHandle},
};

pub(crate) fn duplicate(handle: BorrowedHandle<'_>) -> io::Result<OwnedHandle> {
    handle.try_clone_to_owned()
}

pub(crate) fn to_number(handle: &OwnedHandle) -> Inherited {
    super::handle::to_number(handle.as_handle())
}
