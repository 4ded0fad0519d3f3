//! Only here because the `links` key asks for a build script.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
