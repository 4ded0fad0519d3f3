//! Whoever does not have the key is told so, and learns nothing else.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mp_fuzz::bounded;

fuzz_target!(|bytes: &[u8]| bounded(bytes.len(), || mp_pipe::fuzzing::challenge(bytes)));
