//! Advice to the kernel about memory (`madvise`), and whether it is heard.

use crate::imp::unix::call::{check, retry};
use std::{io, ptr, sync::OnceLock};

/// Gives advice about a range of a mapping that belongs to the caller, who owns the content, too, if the advice is to drop it.
pub(crate) fn give(start: *mut u8, len: usize, advice: libc::c_int) -> io::Result<()> {
    // SAFETY: the kernel checks the range; what may happen to the content is what the caller asked for.
    retry(|| unsafe { libc::madvise(start.cast(), len, advice) }).map(drop)
}

/// Whether advice that changes what memory holds can be relied on. Emulators say yes to all advice and do nothing; so they are
/// asked for something that does not exist.
pub(crate) fn is_followed() -> bool {
    const NONSENSE: libc::c_int = 0x6d70;
    static FOLLOWED: OnceLock<bool> = OnceLock::new();
    // SAFETY: an empty range. The kernel looks at the advice first.
    *FOLLOWED.get_or_init(|| check(unsafe { libc::madvise(ptr::null_mut(), 0, NONSENSE) }).is_err())
}
