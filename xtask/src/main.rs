//! The project's chores, as `cargo xtask COMMAND`.
//!
//! This file only hands the command on. Each command has its file; what several of them need is below:
//!
//! | command | file | what it does |
//! |---|---|---|
//! | `ci` | `ci.rs`, `ci/` | every check of the project, in order, with a summary |
//! | `cross` | `cross.rs` | the targets that are not the host: prepare, lint, test |
//! | `tidy` | `tidy.rs`, `tidy/` | the house rules that no compiler knows |
//! | `model` | `model.rs` | the crates' own code under schedules and deaths of our choice |
//! | `fuzz` | `fuzz.rs` | the fuzz targets |
//! | `miri`, `sanitize` | `sanitize.rs` | tests under Miri and the sanitizers |
//! | `bench` | `bench.rs` | the benchmarks, and one table of what they were to reach |
//! | `torture`, `crash` | `runners.rs` | start the torture run, the crash images |
//! | `limit` | `limit.rs` | internal: run a program under a time limit |
//!
//! `project.rs` finds the workspace, `job.rs` runs a program and watches its output, `processes.rs` lists and ends processes,
//! `report.rs` collects what passed, failed and was skipped, `tally.rs` reads the results of test programs, `json.rs` reads
//! what `cargo metadata` says. There are no dependencies: this is the first thing a newcomer builds.

mod bench;
mod ci;
mod cross;
mod fuzz;
mod job;
mod json;
mod limit;
mod model;
mod processes;
mod project;
mod report;
mod runners;
mod sanitize;
mod tally;
mod tidy;

use std::process::ExitCode;

/// What goes wrong in a chore is told to a human, so an error is a sentence.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "\
cargo xtask COMMAND

  ci [--full] [--only STEP]... [--skip STEP]... [--list]
                        every check of the project; --full adds arm64, release tests, long models,
                        Miri, sanitizers, torture and benchmarks
  cross setup [DIR]     prepare a private toolchain for other targets (Debian or Ubuntu, root)
  cross check [TARGET]  clippy for the other targets
  cross test [TARGET]   the tests for the other targets, run by wine or qemu
  tidy                  the rules of the house that no compiler checks
  model [--iterations N] [--seed N] [NAME]...
                        model checks: interleavings and deaths that a scheduler chooses
  fuzz [--seconds N] [TARGET]...
                        the fuzz targets, each for so long (60 s)
  miri                  tests on the heap under Miri, where it is installed
  sanitize              tests under the address sanitizer, and the thread sanitizer where it can be
  bench [NAME]... [--quick] [--json FILE] [--only P1,P3] [--rows TEXT] [--rounds N]
                        mp beside its peers, and one table of what is to be reached; --quick takes minutes
  torture [--seconds N] [--seed N] [--only pool,queue,pipe,sync,manager]
  crash [--only TEXT]... [--all] [--sample N] [--list]
                        operations cut off after every instruction that changed the session, and recovered from
";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<_> = arguments.collect();
    if command == "limit" {
        return limit::main(&rest);
    }
    let Ok(rest) =
        rest.into_iter().map(std::ffi::OsString::into_string).collect::<std::result::Result<Vec<_>, _>>()
    else {
        eprintln!("xtask: an argument is not UTF-8");
        return ExitCode::from(2);
    };
    let outcome = match command.to_str() {
        Some("ci") => ci::main(&rest),
        Some("cross") => cross::main(&rest),
        Some("tidy") => tidy::main(),
        Some("model") => model::main(&rest),
        Some("fuzz") => fuzz::main(&rest),
        Some("miri") => sanitize::miri(),
        Some("sanitize") => sanitize::sanitize(),
        Some("bench") => bench::main(&rest),
        Some("torture") => runners::torture(&rest),
        Some("crash") => runners::crash(&rest),
        Some("help" | "--help" | "-h" | "") => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            eprint!("xtask: no such command: {}\n\n{USAGE}", command.display());
            return ExitCode::from(2);
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("xtask: {error}");
        ExitCode::FAILURE
    })
}
