//! mp-macros alone: what its macros expand to lives in other crates, so here they are only there to be named.

#[allow(unused_imports)]
use mp_macros::main as entry_point;

fn main() {}
