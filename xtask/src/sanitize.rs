//! `cargo xtask miri` and `cargo xtask sanitize`: the tests that play processes inside one, under tools that see what a test cannot.
//!
//! | tool | what it needs | what it runs |
//! |---|---|---|
//! | Miri | nightly with `miri` and `rust-src` | values as bytes, and tests on a session on the heap, for which no system call is made |
//! | address sanitizer | nightly | all tests of the crates below mp-process, those with real processes included |
//! | thread sanitizer | nightly with `rust-src`, for std must be built with it | tests with threads in one process |
//!
//! Sleeping is a system call (a futex), so Miri's list has no test that sleeps.

use std::process::{Command, ExitCode};

use crate::Result;
use crate::fuzz::works;
use crate::job;
use crate::limit;
use crate::project::Project;

/// What one test program may take.
const SECONDS: u64 = 900;
/// The crates whose tests need no program that starts itself again.
const CRATES: [&str; 5] = ["mp-sys", "mp-wire", "mp-session", "mp-sync", "mp-queue"];
/// What Miri runs: a package, and the modules or tests of its library (all, where there are none).
const MIRI: [(&str, &[&str]); 2] = [
    ("mp-wire", &[]),
    ("mp-session", &["cell::", "refs::", "layout::", "ids::", "owned::", "intent::", "runs::", "slots::"]),
];
/// Whose tests the thread sanitizer runs.
const THREADS: [(&str, &str); 2] = [("mp-queue", "protocol"), ("mp-sync", "threads")];

fn nightly(project: &Project, arguments: &[&str], flags: &str) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(&project.root).arg("+nightly").args(arguments);
    command.env("RUSTFLAGS", flags);
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(name);
    }
    command
}

fn skipped(what: &str, enable: &str) -> ExitCode {
    println!("skipped: {what} (how to enable: {enable})");
    ExitCode::SUCCESS
}

fn ended(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the named suites under Miri.
pub(crate) fn miri() -> Result<ExitCode> {
    if !works("cargo", &["+nightly", "miri", "--version"]) {
        return Ok(skipped("Miri", "rustup +nightly component add miri rust-src"));
    }
    let project = Project::load()?;
    let mut good = true;
    for (package, suites) in MIRI {
        let mut command = nightly(&project, &["miri", "test", "--package", package, "--lib", "--"], "");
        command.args(suites).env("CARGO_TARGET_DIR", project.target.join("miri"));
        // The start time of a process and its limits are read from the system.
        command.env("MIRIFLAGS", "-Zmiri-disable-isolation");
        good &= job::run(&mut limit::limited(&command, SECONDS)?)?;
    }
    Ok(ended(good))
}

/// Runs the tests under the address sanitizer, and those with threads under the thread sanitizer.
pub(crate) fn sanitize() -> Result<ExitCode> {
    if !works("rustc", &["+nightly", "--version"]) {
        return Ok(skipped("sanitizers: no nightly compiler", "rustup toolchain install nightly"));
    }
    let project = Project::load()?;
    // Segments of memory and threads that a test leaves to the end of its process are no leaks.
    let mut command =
        nightly(&project, &["test", "--no-fail-fast", "--lib", "--tests"], "-Zsanitizer=address");
    command.args(["--target", &project.host]).env("CARGO_TARGET_DIR", project.target.join("asan"));
    command.args(CRATES.iter().flat_map(|name| ["--package", name]));
    command.arg("--config").arg(limit::runner(&project.host, SECONDS, None)?);
    command.env("ASAN_OPTIONS", "detect_leaks=0:abort_on_error=1");
    let mut good = job::run(&mut command)?;
    if !has_sources(&project) {
        skipped("the thread sanitizer: no sources of std", "rustup +nightly component add rust-src");
        return Ok(ended(good));
    }
    for (package, test) in THREADS {
        let arguments = ["test", "-Zbuild-std", "--package", package, "--test", test];
        let mut command = nightly(&project, &arguments, "-Zsanitizer=thread");
        command.args(["--target", &project.host]).env("CARGO_TARGET_DIR", project.target.join("tsan"));
        command.arg("--config").arg(limit::runner(&project.host, SECONDS, None)?);
        good &= job::run(&mut command)?;
    }
    Ok(ended(good))
}

fn has_sources(project: &Project) -> bool {
    let mut command = Command::new("rustc");
    command
        .current_dir(&project.root)
        .args(["+nightly", "--print", "sysroot"])
        .env_remove("RUSTUP_TOOLCHAIN");
    command.output().is_ok_and(|said| {
        let sysroot = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        std::path::Path::new(&sysroot).join("lib/rustlib/src/rust/library").exists()
    })
}
