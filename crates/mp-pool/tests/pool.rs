//! The pool: one suite for processes and threads, what becomes of tasks whose workers die, and the defects of Python's pools that this one does not
//! have.

#[path = "pool/calls.rs"]
mod calls;
#[path = "pool/common.rs"]
mod common;
#[path = "pool/conformance.rs"]
mod conformance;
#[path = "pool/deaths.rs"]
mod deaths;
#[path = "pool/python.rs"]
mod python;

mp_pool::enable_in_tests!();
