//! Starting a process is POSIX; closing what strangers left open is not.

pub(crate) use crate::imp::unix::spawn::{is_out_of_descriptors, same_variable, spawn};
use crate::{imp::unix::descriptor, memory::Inherited};
use std::io;

pub(crate) fn close_all_except(keep: &[Inherited]) -> io::Result<()> {
    let mut keep = keep.to_vec();
    keep.sort_unstable();
    let mut first = 3;
    for &number in &keep {
        if number >= first {
            if number > first && !close_range(first, number - 1) {
                return descriptor::close_listed("/proc/self/fd", &keep);
            }
            first = number + 1;
        }
    }
    if close_range(first, Inherited::from(u32::MAX)) {
        Ok(())
    } else {
        descriptor::close_listed("/proc/self/fd", &keep)
    }
}

/// `false` if this kernel (before 5.9) or sandbox has no such call; it does not fail otherwise.
fn close_range(first: Inherited, last: Inherited) -> bool {
    // SAFETY: the caller of `close_all_except` vouches that nobody owns these.
    unsafe { libc::syscall(libc::SYS_close_range, first as libc::c_uint, last as libc::c_uint, 0) == 0 }
}
