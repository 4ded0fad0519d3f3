//! Steps that read the code without running it: formatting, clippy, documentation, dependencies, features.

use std::path::PathBuf;
use std::process::Command;

use super::Context;
use crate::Result;
use crate::fuzz::works;
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
    let Some(program) = tool(context, "cargo-deny", "^0.20")? else {
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

/// Each crate with each of its features alone, and without any.
pub(super) fn each_feature(context: &Context, report: &mut Report) -> Result<()> {
    let Some(program) = tool(context, "cargo-hack", "^0.6")? else {
        report.skip("cargo hack", "cargo install cargo-hack --locked");
        return Ok(());
    };
    let mut command = Command::new(program);
    command.current_dir(&context.project.root).args(["hack", "check", "--each-feature", "--lib"]);
    for package in context.project.packages.iter().filter(|package| package.publishable) {
        command.args(["--package", &package.name]);
    }
    report.check("cargo hack --each-feature", job::run(&mut command)?);
    Ok(())
}

/// The libraries with the oldest dependencies that their manifests admit, in a copy: the lock file stays as it is.
pub(super) fn minimal_versions(context: &Context, report: &mut Report) -> Result<()> {
    if !works("cargo", &["+nightly", "--version"]) {
        report.skip("minimal versions", "rustup toolchain install nightly");
        return Ok(());
    }
    let copy = context.project.target.join("minimal");
    if copy.exists() {
        std::fs::remove_dir_all(&copy)?;
    }
    std::fs::create_dir_all(&copy)?;
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(&context.project.root).args(arguments);
        command
    };
    let prefix = format!("--prefix={}/", copy.display());
    if !job::run(&mut git(&["checkout-index", "--all", &prefix]))? {
        report.skip("minimal versions", "run in a git checkout");
        return Ok(());
    }
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new("cargo");
        command.current_dir(&copy).args(arguments).env("CARGO_TARGET_DIR", copy.join("target"));
        for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
            command.env_remove(name);
        }
        command
    };
    let good = job::run(&mut cargo(&["+nightly", "update", "-Zdirect-minimal-versions"]))? && {
        let mut check = cargo(&["check", "--lib"]);
        for package in context.project.packages.iter().filter(|package| package.publishable) {
            check.args(["--package", &package.name]);
        }
        job::run(&mut check)?
    };
    report.check("minimal versions", good);
    Ok(())
}

/// A cargo tool from the path, or our own copy in the target directory, which is installed when it is missing.
fn tool(context: &Context, name: &str, version: &str) -> Result<Option<PathBuf>> {
    let runs = |program: &PathBuf| works(program, &["--version"]);
    let tools = context.project.target.join("tools");
    let own = tools.join("bin").join(name);
    for program in [PathBuf::from(name), own.clone()] {
        if runs(&program) {
            return Ok(Some(program));
        }
    }
    let mut install = context.project.cargo("install");
    // It runs for a second, so it is not worth optimising for minutes.
    install.args([name, "--debug", "--locked", "--version", version, "--root"]).arg(tools);
    install.env("CARGO_PROFILE_DEV_DEBUG", "0");
    // cargo then builds in a temporary folder, which it removes
    install.env_remove("CARGO_TARGET_DIR");
    job::run(&mut limit::limited(&install, INSTALL_SECONDS)?)?;
    Ok(runs(&own).then_some(own))
}
