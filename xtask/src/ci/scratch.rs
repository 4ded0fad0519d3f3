//! The step that uses each crate as a stranger does: a program outside the workspace that depends on that crate alone.
//!
//! The programs are `xtask/scratch/NAME.rs`. One more, `renamed.rs`, knows the umbrella by another name, which macros that
//! expand to fixed paths would not survive. They share a target directory, so that only the first one builds the dependencies.

use std::path::{Path, PathBuf};

use super::Context;
use crate::Result;
use crate::job;
use crate::limit;
use crate::project::Package;
use crate::report::Report;

/// What one program may take to run.
const SECONDS: u64 = 60;
const UMBRELLA: &str = "multiproc";
const RENAMED: &str = "renamed";

pub(super) fn run(context: &Context, report: &mut Report) -> Result<()> {
    let folder = Folder::new()?;
    let crates = context.project.packages.iter().filter(|package| package.publishable && package.library);
    for package in crates {
        program(context, report, &folder.0, &package.name, &dependency(&package.name, package))?;
    }
    match context.project.package(UMBRELLA) {
        Some(umbrella) => program(context, report, &folder.0, RENAMED, &dependency("sub", umbrella)),
        None => {
            report.fail(format_args!("the workspace has no {UMBRELLA}"));
            Ok(())
        }
    }
}

/// The line of `[dependencies]`. Rust's quoting of a path is also TOML's. The package is only named when it goes by another name:
/// naming it would turn the library's name into the dependency's, and the umbrella's library is called otherwise.
fn dependency(name: &str, package: &Package) -> String {
    let renamed =
        if name == package.name { String::new() } else { format!("package = {:?}, ", package.name) };
    format!("{name} = {{ {renamed}path = {:?} }}", package.folder.display().to_string())
}

/// Writes, builds and runs the program called `name`.
fn program(
    context: &Context,
    report: &mut Report,
    folder: &Path,
    name: &str,
    dependency: &str,
) -> Result<()> {
    let source = context.project.root.join("xtask/scratch").join(name).with_extension("rs");
    if !source.exists() {
        report.fail(format_args!("xtask/scratch/{name}.rs is missing"));
        return Ok(());
    }
    let folder = folder.join(name);
    std::fs::create_dir_all(folder.join("src"))?;
    std::fs::copy(&source, folder.join("src/main.rs"))?;
    std::fs::write(
        folder.join("Cargo.toml"),
        format!(
            "[package]\nname = \"scratch-{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n\
             [dependencies]\n{dependency}\n\n[workspace]\n"
        ),
    )?;
    // the versions that the workspace was tested with; cargo drops those that are not needed
    let lock = context.project.root.join("Cargo.lock");
    if lock.exists() {
        std::fs::copy(lock, folder.join("Cargo.lock"))?;
    }
    let command = |subcommand: &str| {
        let mut command = context.project.cargo(subcommand);
        command.arg("--manifest-path").arg(folder.join("Cargo.toml"));
        command.arg("--target-dir").arg(context.project.target.join("scratch"));
        command
    };
    let good = job::run(&mut command("build"))? && job::run(&mut limit::limited(&command("run"), SECONDS)?)?;
    report.check(format_args!("scratch program {name}"), good);
    Ok(())
}

/// A folder outside the workspace, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder> {
        let path = std::env::temp_dir().join(format!("mp-scratch-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("xtask: cannot remove {}: {error}", self.0.display());
        }
    }
}
