//! Starting a process is POSIX; closing what strangers left open goes one by one.

pub(crate) use crate::imp::unix::spawn::{is_out_of_descriptors, same_variable, spawn};
use crate::{imp::unix::descriptor, memory::Inherited};
use std::io;

pub(crate) fn close_all_except(keep: &[Inherited]) -> io::Result<()> {
    descriptor::close_listed("/dev/fd", keep)
}
