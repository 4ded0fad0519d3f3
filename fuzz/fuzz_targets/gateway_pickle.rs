//! What a CPython client sends is a request or is refused; a value that was read is written so that it reads as the same value.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mp_fuzz::bounded;
use mp_manager::fuzzing::{frames, pickle, request, value};

fuzz_target!(|bytes: &[u8]| {
    bounded(bytes.len(), || request(bytes));
    bounded(bytes.len(), || frames(bytes, 7));
    if let Some(read) = bounded(bytes.len(), || value(bytes)) {
        let written = pickle(&read);
        let again = value(&written).expect("what was written reads");
        assert_eq!(pickle(&again), written);
    }
});
