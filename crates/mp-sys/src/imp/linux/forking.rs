//! A clone whose child is our parent's.

use super::robust_list::RobustList;
pub(crate) use crate::imp::unix::{forking::fork, stdio::replace_stdio};
use crate::{
    forking::Forked,
    imp::unix::call::{check, unsupported},
};
use std::{
    io, ptr,
    sync::atomic::{AtomicI32, AtomicU32, Ordering},
};

/// # Safety
///
/// As for the facade's `fork_sibling`.
pub(crate) unsafe fn fork_sibling(note: &AtomicU32) -> io::Result<Forked> {
    let thread_id = cached_thread_id()?;
    let list = RobustList::of_this_thread();
    let flags = libc::CLONE_PARENT
        | libc::CLONE_PARENT_SETTID
        | libc::CLONE_CHILD_SETTID
        | libc::CLONE_CHILD_CLEARTID
        | libc::SIGCHLD;
    // SAFETY: without CLONE_VM and without a stack this is a fork: the child has its own copy of everything. Both addresses are
    // those of live words, the note's by its type and the thread id's by `cached_thread_id`. The caller has one thread, so
    // nothing is left half done in the copy.
    let pid = check(unsafe { clone(flags, note.as_ptr().cast(), thread_id) })?;
    if pid > 0 {
        return Ok(Forked::Parent(u32::try_from(pid).map_err(|_| io::ErrorKind::InvalidData)?));
    }
    if let Some(list) = list {
        // SAFETY: we are the copy. The robust locks in the list are held by the parent.
        unsafe { list.restart(cfg!(target_env = "gnu")) };
    }
    Ok(Forked::Child)
}

/// Where the C library keeps the id of the calling thread, for `raise` and its kind: it told the kernel to clear that word when
/// the thread ends, and the kernel tells us. Another C library may have named another kind of word; then it does not hold the id.
fn cached_thread_id() -> io::Result<*mut i32> {
    const PR_GET_TID_ADDRESS: libc::c_int = 40;
    let mut address: *mut i32 = ptr::null_mut();
    // SAFETY: a writable word.
    let known =
        check(unsafe { libc::prctl(PR_GET_TID_ADDRESS, &raw mut address) }).is_ok() && !address.is_null();
    // SAFETY: the kernel would write to this address when the thread ends, so it is live. An `i32` that the C library may read
    // at any time is read as an atomic.
    if known && unsafe { AtomicI32::from_ptr(address).load(Ordering::Relaxed) == libc::gettid() } {
        return Ok(address);
    }
    Err(unsupported("a sibling can be forked only where the C library's thread id can be found"))
}

pub(crate) fn can_fork_siblings() -> bool {
    cached_thread_id().is_ok()
}

/// The system call, whose last two arguments change places between processors.
unsafe fn clone(flags: libc::c_int, note: *mut i32, thread_id: *mut i32) -> libc::c_long {
    let null = ptr::null_mut::<libc::c_void>();
    let flags = libc::c_long::from(flags);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's.
    return unsafe { libc::syscall(libc::SYS_clone, flags, null, note, thread_id, null) };
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: the caller's.
    return unsafe { libc::syscall(libc::SYS_clone, flags, null, note, null, thread_id) };
}
