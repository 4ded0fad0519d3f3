//! `cargo xtask bench` and `cargo xtask torture`: thin, so that the long runs have one door.

use std::process::ExitCode;

use crate::Result;
use crate::job;
use crate::project::Project;

/// Runs the benchmarks; the first argument may name one, the rest goes to them.
pub(crate) fn bench(arguments: &[String]) -> Result<ExitCode> {
    let project = Project::load()?;
    if project.package("mp-benches").is_none_or(|package| package.benches.is_empty()) {
        println!("skipped: benchmarks (how to enable: add one to benches/Cargo.toml)");
        return Ok(ExitCode::SUCCESS);
    }
    let mut command = project.cargo("bench");
    command.args(["--package", "mp-benches"]);
    match arguments.split_first() {
        Some((name, rest)) if !name.starts_with('-') => command.args(["--bench", name]).args(rest),
        _ => command.arg("--benches").args(arguments),
    };
    ended(job::run(&mut command)?)
}

/// Runs the torture program; its arguments are passed on.
pub(crate) fn torture(arguments: &[String]) -> Result<ExitCode> {
    let project = Project::load()?;
    if project.package("mp-torture").is_none() {
        println!("skipped: torture (how to enable: the package mp-torture does not exist yet)");
        return Ok(ExitCode::SUCCESS);
    }
    let mut command = project.cargo("run");
    command.args(["--release", "--package", "mp-torture"]).args(arguments);
    ended(job::run(&mut command)?)
}

fn ended(good: bool) -> Result<ExitCode> {
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
