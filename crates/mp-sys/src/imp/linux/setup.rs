//! What a new process does to itself, as only Linux spells it.

use crate::imp::unix::call::check;
pub(crate) use crate::imp::unix::setup::*;
use std::{ffi::CString, io, mem::size_of_val};

pub(crate) fn die_with_parent(expected_parent: u32) -> io::Result<()> {
    // SAFETY: a plain call about this process.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
    if super::process::parent_pid() != expected_parent {
        // It died before the kernel was asked. The end is to look the same.
        // SAFETY: ends the process; nothing of it is used afterwards.
        unsafe {
            libc::kill(libc::getpid(), libc::SIGKILL);
            libc::_exit(1);
        }
    }
    Ok(())
}

pub(crate) fn set_process_title(name: &str) -> io::Result<()> {
    const LENGTH: usize = 15;
    let name = &name[..name.floor_char_boundary(LENGTH)];
    let name = CString::new(name)?;
    // SAFETY: a string that ends in NUL.
    check(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) }).map(drop)
}

/// A bit per processor, in the kernel's order.
type Word = libc::c_ulong;
const BITS: usize = Word::BITS as usize;

pub(crate) fn affinity() -> io::Result<Vec<usize>> {
    let mut mask: Vec<Word> = vec![0; 1024 / BITS];
    loop {
        // SAFETY: the mask is writable and as long as said. The system call itself, because it tells how much it wrote.
        match check(unsafe {
            libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(&mask[..]), mask.as_mut_ptr())
        }) {
            Ok(_) => break,
            // The kernel was built for more processors than that.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && mask.len() < 1 << 16 => {
                mask.resize(mask.len() * 2, 0);
            }
            Err(error) => return Err(error),
        }
    }
    Ok((0..mask.len() * BITS).filter(|cpu| mask[cpu / BITS] >> (cpu % BITS) & 1 == 1).collect())
}

pub(crate) fn set_affinity(cpus: &[usize]) -> io::Result<()> {
    const MAX: usize = 1 << 22;
    let highest = cpus.iter().copied().max().filter(|cpu| *cpu < MAX).ok_or(io::ErrorKind::InvalidInput)?;
    let mut mask: Vec<Word> = vec![0; highest / BITS + 1];
    cpus.iter().for_each(|cpu| mask[cpu / BITS] |= 1 << (cpu % BITS));
    // SAFETY: the mask is readable and as long as said.
    check(unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(&mask[..]), mask.as_ptr()) })
        .map(drop)
}
