//! Descriptors on their way to a child.

pub(crate) use super::descriptor::{adopt, duplicate_high as duplicate};
use crate::memory::Inherited;
use std::os::fd::{AsFd, OwnedFd};

pub(crate) fn to_number(fd: &OwnedFd) -> Inherited {
    super::descriptor::to_number(fd.as_fd())
}
