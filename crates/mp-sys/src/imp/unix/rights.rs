//! Descriptors beside the bytes of a message (`SCM_RIGHTS`).

use std::{
    mem::{self, size_of_val},
    os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

/// A message of one part, without descriptors.
pub(crate) fn message(part: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: plain data, and zero is a value of it. (Some C libraries have private fields in it.)
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message
}

/// The room that a control message with so many descriptors takes, in words, so that it is aligned for its header.
pub(crate) const fn control_words(descriptors: usize) -> usize {
    // SAFETY: arithmetic on a constant.
    let bytes = unsafe { libc::CMSG_SPACE((descriptors * size_of::<RawFd>()) as u32) } as usize;
    bytes.div_ceil(size_of::<u64>())
}

/// Adds descriptors to a message.
///
/// # Panics
///
/// When `control` is smaller than [`control_words`] says.
pub(crate) fn attach(message: &mut libc::msghdr, control: &mut [u64], fds: &[BorrowedFd<'_>]) {
    if fds.is_empty() {
        return;
    }
    assert!(control.len() >= control_words(fds.len()), "no room for these descriptors");
    let len = size_of_val(fds); // a borrowed descriptor is its number
    // SAFETY: the buffer has room for these descriptors, so there is a first header in it with `len` bytes of data.
    unsafe {
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(len as u32) as _;
        let header = libc::CMSG_FIRSTHDR(message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(len as u32) as _;
        ptr::copy_nonoverlapping(fds.as_ptr().cast::<u8>(), libc::CMSG_DATA(header), len);
    }
}

/// The descriptors that came with a message, owned.
///
/// # Safety
///
/// The kernel has just filled in the message's control buffer, and nobody has taken the descriptors out of it.
pub(crate) unsafe fn received(message: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: the kernel has filled in the control buffer and its length; the macros walk within it.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: as above: not null means a whole header.
    while let Some(header) = unsafe { next.as_ref() } {
        if (header.cmsg_level, header.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            #[allow(clippy::unnecessary_cast, reason = "the field has another type on macOS")]
            let len = header.cmsg_len as usize;
            // SAFETY: arithmetic on a constant.
            let len = len.saturating_sub(unsafe { libc::CMSG_LEN(0) } as usize);
            // SAFETY: the data behind the header, which the kernel filled in.
            let first = unsafe { libc::CMSG_DATA(header) }.cast::<RawFd>();
            for i in 0..len / size_of::<RawFd>() {
                // SAFETY: within the data, by the length; each is taken once. Not every system aligns them.
                fds.push(unsafe { OwnedFd::from_raw_fd(first.add(i).read_unaligned()) });
            }
        }
        // SAFETY: `header` is in the message.
        next = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    fds
}
