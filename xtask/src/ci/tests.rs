//! Steps that run the tests of the workspace on the host.

use std::process::Command;

use super::Context;
use crate::Result;
use crate::job;
use crate::limit;
use crate::report::Report;
use crate::tally::Tally;

/// What one test program may take, and the doctests of one crate.
const PROGRAM_SECONDS: u64 = 180;
/// The same for what only `--full` runs.
const FULL_SECONDS: u64 = 900;

pub(super) fn debug(context: &Context, report: &mut Report) -> Result<()> {
    // the examples are run by their own step, so they are not built here a second time
    test(context, report, PROGRAM_SECONDS, &["--lib", "--bins", "--tests"])
}

/// What is behind features that no other crate of the workspace asks for.
pub(super) fn features(context: &Context, report: &mut Report) -> Result<()> {
    let log = ["--package", "mp-process", "--features", "mp-process/tracing", "--test", "log"];
    let tls = ["--package", "mp-pipe", "--features", "mp-pipe/tls-ring", "--test", "strangers"];
    for chosen in [log, tls] {
        let mut clippy = context.project.cargo("clippy");
        let good = job::run(clippy.args(chosen).args(["--lib", "--", "-D", "warnings"]))?;
        report.check("clippy, with features", good);
        let mut command = context.project.cargo("test");
        command.args(chosen);
        command.arg("--config").arg(limit::runner(&context.project.host, PROGRAM_SECONDS, None)?);
        watch(report, "cargo test, with features", &mut command)?;
    }
    Ok(())
}

pub(super) fn doctests(context: &Context, report: &mut Report) -> Result<()> {
    test(context, report, PROGRAM_SECONDS, &["--doc"])
}

pub(super) fn release(context: &Context, report: &mut Report) -> Result<()> {
    test(context, report, FULL_SECONDS, &["--release", "--lib", "--bins", "--tests"])
}

fn test(context: &Context, report: &mut Report, seconds: u64, arguments: &[&str]) -> Result<()> {
    let mut command = context.project.cargo("test");
    command.args(["--workspace", "--no-fail-fast"]).args(arguments);
    command.arg("--config").arg(limit::runner(&context.project.host, seconds, None)?);
    watch(report, "cargo test", &mut command)
}

/// Runs a command that runs test programs, and reports their results.
pub(super) fn watch(report: &mut Report, what: &str, command: &mut Command) -> Result<()> {
    let mut tally = Tally::default();
    let good = job::watch(command, |line| tally.read(line))?;
    report.tests(what, good, tally);
    Ok(())
}

pub(super) fn miri(context: &Context, report: &mut Report) -> Result<()> {
    chore(context, report, &["miri"])
}

pub(super) fn sanitize(context: &Context, report: &mut Report) -> Result<()> {
    chore(context, report, &["sanitize"])
}

pub(super) fn torture(context: &Context, report: &mut Report) -> Result<()> {
    chore(context, report, &["torture"])
}

pub(super) fn crash(context: &Context, report: &mut Report) -> Result<()> {
    chore(context, report, &["crash"])
}

/// More of the recoveries that are cut off themselves.
pub(super) fn crash_more(context: &Context, report: &mut Report) -> Result<()> {
    chore(context, report, &["crash", "--sample", "2"])
}

pub(super) fn bench(context: &Context, report: &mut Report) -> Result<()> {
    chore(context, report, &["bench"])
}

/// Another command of ours. What it has to skip, it prints in the form that the summary uses.
fn chore(context: &Context, report: &mut Report, words: &[&str]) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.current_dir(&context.project.root).args(words);
    let mut skipped = None;
    let good = job::watch(&mut command, |line| {
        if let Some((what, enable)) =
            line.strip_prefix("skipped: ").and_then(|rest| rest.split_once(" (how to enable: "))
        {
            skipped = Some((what.to_owned(), enable.trim_end_matches(')').to_owned()));
        }
    })?;
    match skipped {
        Some((what, enable)) => report.skip(what, enable),
        None => report.check(words.join(" "), good),
    }
    Ok(())
}
