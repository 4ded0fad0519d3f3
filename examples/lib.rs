//! Programs that show `mp` at work.
//!
//! This library is empty: it gives the package a target, so that the workspace always loads. The programs are the files
//! beside it, one `[[example]]` entry in `Cargo.toml` each. Run one from the root of the workspace:
//!
//! ```text
//! cargo run --release --example checksum -- PATH
//! ```
//!
//! Every example ends by itself within a few seconds and asserts what it demonstrates, so running it is a test;
//! `cargo xtask ci --only examples` runs them all.
