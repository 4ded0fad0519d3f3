//! Benchmarks: `mp` beside its peers and beside the bare operating system, in one run.
//!
//! Absolute times drift from machine to machine, so a benchmark here prints ratios: each row runs the same work on `mp` and
//! on what it is compared with. `cargo xtask bench` runs them all, `cargo xtask bench NAME` runs one.
