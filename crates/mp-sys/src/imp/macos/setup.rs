//! What a new process does to itself, where macOS has another answer than Linux: mostly "cannot".

use crate::imp::absent::unsupported;
pub(crate) use crate::imp::unix::setup::*;
use std::{ffi::CString, io};

pub(crate) fn die_with_parent(_expected_parent: u32) -> io::Result<()> {
    unsupported("macOS has no signal for a parent's death")
}

pub(crate) fn set_process_title(name: &str) -> io::Result<()> {
    CString::new(name)?; // the same names are refused everywhere
    Ok(())
}

pub(crate) fn affinity() -> io::Result<Vec<usize>> {
    unsupported("macOS does not tie threads to processors")
}

pub(crate) fn set_affinity(_cpus: &[usize]) -> io::Result<()> {
    unsupported("macOS does not tie threads to processors")
}
