//! `cargo xtask torture` and `crash`: thin, so that the long runs have one door.

use std::process::ExitCode;

use crate::Result;
use crate::job;
use crate::project::Project;

/// Runs the torture test, optimised: `--seconds N` (60) and `--seed N` choose how long and which, `--only SUITE[,SUITE]` what.
pub(crate) fn torture(arguments: &[String]) -> Result<ExitCode> {
    let project = Project::load()?;
    let mut command = project.cargo("test");
    command.args(["--release", "--package", "multiproc", "--test", "torture", "--", "--nocapture"]);
    command.env("MP_TORTURE_SECONDS", value(arguments, "--seconds").unwrap_or("60"));
    if let Some(seed) = value(arguments, "--seed") {
        command.env("MP_TORTURE_SEED", seed);
    }
    if let Some(only) = value(arguments, "--only") {
        command.env("MP_TORTURE_ONLY", only);
    }
    ended(job::run(&mut command)?)
}

/// Makes and judges crash images, optimised: the arguments are the program's.
pub(crate) fn crash(arguments: &[String]) -> Result<ExitCode> {
    let project = Project::load()?;
    let mut command = project.cargo("run");
    command.args(["--quiet", "--release", "--package", "mp-crash", "--"]).args(arguments);
    ended(job::run(&mut command)?)
}

fn value<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|a| a == name)?;
    arguments.get(at + 1).map(String::as_str)
}

fn ended(good: bool) -> Result<ExitCode> {
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
