//! Steps that read the code without running it: formatting, clippy, documentation, dependencies.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Context;
use crate::Result;
use crate::job;
use crate::limit;
use crate::report::Report;

/// What `cargo install` may take on a slow machine.
const INSTALL_SECONDS: u64 = 600;

pub(super) fn fmt(context: &Context, report: &mut Report) -> Result<()> {
    let good = job::run(context.project.cargo("fmt").args(["--all", "--", "--check"]))?;
    report.check("not formatted: run `cargo fmt --all`", good);
    Ok(())
}

pub(super) fn clippy(context: &Context, report: &mut Report) -> Result<()> {
    let mut command = context.project.cargo("clippy");
    let good = job::run(command.args(["--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    report.check("clippy", good);
    Ok(())
}

pub(super) fn docs(context: &Context, report: &mut Report) -> Result<()> {
    let mut command = context.project.cargo("doc");
    command.args(["--no-deps", "--workspace"]).env("RUSTDOCFLAGS", "-D warnings");
    report.check("rustdoc", job::run(&mut command)?);
    Ok(())
}

pub(super) fn deny(context: &Context, report: &mut Report) -> Result<()> {
    let Some(program) = cargo_deny(context)? else {
        report.skip("cargo deny", "cargo install cargo-deny --locked");
        return Ok(());
    };
    let mut command = Command::new(program);
    command.current_dir(&context.project.root).args([
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]);
    report.check("cargo deny", job::run(&mut command)?);
    Ok(())
}

/// `cargo-deny` from the path, or our own copy in the target directory, which is installed when it is missing.
fn cargo_deny(context: &Context) -> Result<Option<PathBuf>> {
    let works = |program: &PathBuf| {
        let mut command = Command::new(program);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let tools = context.project.target.join("tools");
    let own = tools.join("bin").join("cargo-deny");
    for program in [PathBuf::from("cargo-deny"), own.clone()] {
        if works(&program) {
            return Ok(Some(program));
        }
    }
    let mut install = context.project.cargo("install");
    install.args(["cargo-deny", "--locked", "--version", "^0.20", "--root"]).arg(tools);
    // cargo then builds in a temporary folder, which it removes
    install.env_remove("CARGO_TARGET_DIR");
    job::run(&mut limit::limited(&install, INSTALL_SECONDS)?)?;
    Ok(works(&own).then_some(own))
}
