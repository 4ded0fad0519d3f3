//! Any bytes are an outcome, and one that was read reads the same after it was written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mp_fuzz::bounded;
use mp_wire::Outcome;

fuzz_target!(|bytes: &[u8]| {
    let (outcome, taken) = bounded(bytes.len(), || Outcome::decode(bytes));
    assert!(taken <= bytes.len());
    let mut again = Vec::new();
    outcome.encode(&mut again);
    assert_eq!(Outcome::decode(&again), (outcome, again.len()));
});
