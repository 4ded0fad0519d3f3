//! Letting descriptors pass to a child that `std::process::Command` starts.

use std::process::Command;

use crate::{imp, memory::Inherited};

/// Lets the child that `command` starts inherit these descriptors under their own numbers.
///
/// # Platform
///
/// On Unix the flag is changed in the child, between `fork` and `exec`, so no other child sees them; the price is that
/// the standard library forks rather than spawns. On Windows the handles become inheritable by every child that this
/// process starts with handle inheritance, which is what the standard library always asks for.
pub fn inherit_descriptors(command: &mut Command, numbers: &[Inherited]) {
    imp::command::inherit_descriptors(command, numbers);
}
