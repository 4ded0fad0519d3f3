//! A stream of a stranger is whole frames and then an end that is told for what it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mp_fuzz::bounded;

fuzz_target!(|bytes: &[u8]| bounded(bytes.len(), || mp_pipe::fuzzing::frames(bytes)));
