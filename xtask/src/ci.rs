//! `cargo xtask ci`: every check of the project, in one order, on one machine.
//!
//! A step reports what passed, failed and was skipped to the [`Report`]; it returns an error only when it cannot go on. A step
//! that fails does not stop the others. The steps share one target directory and build each profile once: debug for clippy, tests
//! and docs, release for the examples.

mod cross;
mod examples;
mod fuzz;
mod leftovers;
mod lint;
mod model;
mod package;
mod scratch;
mod tests;

use std::process::ExitCode;

use crate::Result;
use crate::project::Project;
use crate::report::Report;
use leftovers::Before;

/// What a step works with.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) project: Project,
    before: Before,
}

struct Step {
    name: &'static str,
    about: &'static str,
    /// Only with `--full`, or when asked for by name.
    full: bool,
    run: fn(&Context, &mut Report) -> Result<()>,
}

const fn step(name: &'static str, about: &'static str, run: fn(&Context, &mut Report) -> Result<()>) -> Step {
    Step { name, about, full: false, run }
}

const fn full_step(
    name: &'static str,
    about: &'static str,
    run: fn(&Context, &mut Report) -> Result<()>,
) -> Step {
    Step { name, about, full: true, run }
}

const STEPS: &[Step] = &[
    step("fmt", "the formatting", lint::fmt),
    step("clippy", "the lints, as errors", lint::clippy),
    step("tests", "the tests, each program under a time limit", tests::debug),
    step("features", "lints and tests of what is behind features", tests::features),
    step("doctests", "the examples in the documentation", tests::doctests),
    step("model", "the model checks, shortly", model::short),
    step("fuzz", "the fuzz targets, some seconds each", fuzz::short),
    step("crash", "operations cut off after each of their changes, recovered from", tests::crash),
    step("docs", "the documentation, warnings as errors", lint::docs),
    step("deny", "dependencies: bans, licences, sources", lint::deny),
    step("package", "what would be published", package::run),
    step("examples", "every example program, run", examples::run),
    step("scratch", "a program outside the workspace for each crate alone", scratch::run),
    step("cross", "other targets: tests for Windows under wine, lints for macOS", cross::run),
    full_step("each-feature", "each feature of each crate alone", lint::each_feature),
    full_step("minimal-versions", "the oldest dependencies that are admitted", lint::minimal_versions),
    full_step("cross-lints", "other targets: lints of everything", cross::lints),
    full_step("arm64", "the tests for arm64 Linux, under qemu", cross::arm64),
    full_step("long-model", "the model checks, for long", model::long),
    full_step("release", "the tests, optimised", tests::release),
    full_step("more-crash", "more of the recoveries cut off, too", tests::crash_more),
    full_step("miri", "tests on the heap under Miri", tests::miri),
    full_step("sanitize", "tests under the sanitizers", tests::sanitize),
    full_step("torture", "processes killed at random", tests::torture),
    full_step("bench", "the benchmarks", tests::bench),
    step("leftovers", "processes, shared memory and files left behind", leftovers::run),
];

#[derive(Default)]
struct Options {
    full: bool,
    list: bool,
    only: Vec<String>,
    skip: Vec<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Options> {
        let mut options = Options::default();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut name = || {
                let name = words.next().ok_or_else(|| format!("{word} needs the name of a step"))?;
                let known = STEPS.iter().any(|step| step.name == name);
                if known { Ok(name.clone()) } else { Err(format!("no step is called {name}; see --list")) }
            };
            match word.as_str() {
                "--full" => options.full = true,
                "--list" => options.list = true,
                "--only" => options.only.push(name()?),
                "--skip" => options.skip.push(name()?),
                _ => return Err(format!("ci does not know {word}; see `cargo xtask help`").into()),
            }
        }
        Ok(options)
    }

    fn wants(&self, step: &Step) -> bool {
        let named = |names: &[String]| names.iter().any(|name| name == step.name);
        let asked = if self.only.is_empty() { self.full || !step.full } else { named(&self.only) };
        asked && !named(&self.skip)
    }
}

/// Runs the steps that the arguments ask for.
pub(crate) fn main(arguments: &[String]) -> Result<ExitCode> {
    let options = Options::parse(arguments)?;
    if options.list {
        for step in STEPS {
            println!("{:<10} {}{}", step.name, step.about, if step.full { " (--full)" } else { "" });
        }
        return Ok(ExitCode::SUCCESS);
    }
    let project = Project::load()?;
    let before = Before::look(&project);
    let context = Context { project, before };
    let mut report = Report::default();
    for step in STEPS.iter().filter(|step| options.wants(step)) {
        report.step(step.name, step.about, |report| (step.run)(&context, report));
    }
    Ok(if report.summary() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod test {
    use super::{Options, STEPS};

    fn chosen(arguments: &[&str]) -> Vec<&'static str> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let options = Options::parse(&arguments).unwrap();
        STEPS.iter().filter(|step| options.wants(step)).map(|step| step.name).collect()
    }

    #[test]
    fn options_choose_the_steps() {
        assert_eq!(chosen(&["--full"]).len(), STEPS.len());
        assert_eq!(chosen(&["--only", "release", "--only", "fmt"]), ["fmt", "release"]);
        let usual = chosen(&["--skip", "fmt"]);
        assert!(!usual.contains(&"fmt") && !usual.contains(&"arm64") && usual.contains(&"leftovers"));
        assert!(Options::parse(&["--only".into(), "nothing".into()]).is_err());
    }
}
