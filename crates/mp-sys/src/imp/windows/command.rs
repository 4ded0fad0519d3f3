//! Handles for `std::process::Command`.

use std::process::Command;

use windows_sys::Win32::Foundation::{HANDLE, HANDLE_FLAG_INHERIT, SetHandleInformation};

use crate::memory::Inherited;

pub(crate) fn inherit_descriptors(_command: &mut Command, numbers: &[Inherited]) {
    for number in numbers {
        // A number that is no handle fails here, and the child says so when it tries to use it.
        // SAFETY: only a flag of a handle is written.
        unsafe { SetHandleInformation(*number as usize as HANDLE, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT) };
    }
}
