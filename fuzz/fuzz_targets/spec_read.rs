//! What a child is told to be is read to the byte, or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mp_fuzz::bounded;
use mp_process::Error;
use mp_process::fuzzing::spec;

fuzz_target!(|bytes: &[u8]| {
    match bounded(bytes.len(), || spec(bytes)) {
        Ok(rest) => assert!(rest + 4 <= bytes.len()),
        Err(error) => assert!(matches!(error, Error::Decode { .. }), "{error:?}"),
    }
});
