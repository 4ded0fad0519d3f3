//! The gateway, from outside.

mod common;
mod hostile;
mod kills;
mod many;
mod python;
mod remote;

mp_process::enable_in_tests!();
