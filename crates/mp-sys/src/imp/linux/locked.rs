//! Mapping a sparse object in a program that locks all its memory (`mlockall(MCL_FUTURE)`).
//!
//! There the kernel fills every new mapping with pages at once, which for a session would be tens of GiB. So the mapping is made without
//! any access first, which leaves nothing to fill; its lock is changed to one that takes hold of a page when it is first
//! touched (`MLOCK_ONFAULT`); and then it is given access. The program gets what it asked for: no page that it uses is ever swapped out.
//!
//! A program that calls `mlockall(MCL_CURRENT)` *after* the session was mapped asks the kernel itself to fill all of it.

use crate::imp::unix::{call::check, mapping::Mapped};
use std::{io, os::fd::BorrowedFd, ptr};

/// Whether the kernel fills new mappings at once: seen by a page that nobody has touched.
pub(crate) fn all_that_comes() -> bool {
    let size = crate::imp::unix::mapping::page_size();
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at an address of the kernel's choice touches nobody's memory.
    let page = unsafe { libc::mmap(ptr::null_mut(), size, protection, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return false; // the mapping to come will say why
    }
    let mut resident = 0_u8;
    // SAFETY: one page of ours, and one byte for what is found out about it.
    let looked = check(unsafe { libc::mincore(page, size, &mut resident) });
    // SAFETY: mapped above.
    unsafe { libc::munmap(page, size) };
    looked.is_ok() && resident & 1 != 0
}

pub(crate) fn map(fd: BorrowedFd<'_>, len: usize) -> io::Result<Mapped> {
    let mapped = Mapped::with_protection(fd, len, libc::PROT_NONE, libc::MAP_NORESERVE)?;
    // SAFETY: a range of ours.
    check(unsafe { libc::munlock(mapped.as_ptr().cast(), len) })?;
    // Before it may be touched at all, so that the change fills nothing. A kernel or limit that refuses leaves it unlocked.
    // SAFETY: as above.
    let _ = check(unsafe { libc::mlock2(mapped.as_ptr().cast(), len, libc::MLOCK_ONFAULT as libc::c_uint) });
    // SAFETY: as above; nobody has a reference into it yet.
    check(unsafe { libc::mprotect(mapped.as_ptr().cast(), len, libc::PROT_READ | libc::PROT_WRITE) })?;
    Ok(mapped)
}
