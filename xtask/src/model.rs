//! `cargo xtask model [--iterations N] [--seed N] [NAME]`: the model checks of `models/`.
//!
//! They replace the crates' atomics (`--cfg mp_model`), so everything is built once more, in a target directory of its own.

use std::process::{Command, ExitCode};

use crate::Result;
use crate::job;
use crate::limit;
use crate::project::Project;

/// What one test program may take: by itself, and for each iteration of its slowest models together.
const SECONDS: u64 = 300;
const MICROSECONDS_EACH: u64 = 50_000;

/// The checks as a command.
pub(crate) fn command(
    project: &Project,
    iterations: Option<u64>,
    seed: Option<&str>,
    names: &[String],
) -> Result<Command> {
    let mut command = project.cargo("test");
    command.args(["--package", "mp-models", "--profile", "model", "--no-fail-fast"]);
    let seconds = SECONDS + iterations.unwrap_or(0) * MICROSECONDS_EACH / 1_000_000;
    command.arg("--config").arg(limit::runner(&project.host, seconds, None)?);
    command.arg("--").args(names);
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    command.env("RUSTFLAGS", format!("{flags} --cfg mp_model"));
    command.env("CARGO_TARGET_DIR", project.target.join("model"));
    if let Some(iterations) = iterations {
        command.env("MP_MODEL_ITERATIONS", iterations.to_string());
    }
    if let Some(seed) = seed {
        command.env("MP_MODEL_SEED", seed);
    }
    Ok(command)
}

/// Runs what the arguments ask for.
pub(crate) fn main(arguments: &[String]) -> Result<ExitCode> {
    let (mut iterations, mut seed, mut names) = (None, None, Vec::new());
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--iterations" => iterations = Some(words.next().ok_or("how many iterations?")?.parse()?),
            "--seed" => seed = words.next().map(String::as_str),
            name => names.push(name.to_owned()),
        }
    }
    let mut command = command(&Project::load()?, iterations, seed, &names)?;
    Ok(if job::run(&mut command)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
