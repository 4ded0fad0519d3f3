//! The step that runs every example. An example asserts what it shows, so that it ends well is the test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Context;
use crate::Result;
use crate::job;
use crate::limit;
use crate::report::Report;

const PACKAGE: &str = "mp-examples";
/// What one example may take. They are written to end within five.
const SECONDS: u64 = 60;

pub(super) fn run(context: &Context, report: &mut Report) -> Result<()> {
    let examples = context.project.package(PACKAGE).map_or(&[][..], |package| &package.examples);
    if examples.is_empty() {
        report.fail(format_args!("{PACKAGE} has no examples"));
        return Ok(());
    }
    if !job::run(context.project.cargo("build").args(["--release", "--package", PACKAGE, "--examples"]))? {
        report.fail("the examples do not build");
        return Ok(());
    }
    for example in examples {
        if example == "checksum" {
            checksum(context, report)?;
        } else {
            let good = job::run(&mut limit::limited(&command(context, example), SECONDS)?)?;
            report.check(format_args!("example {example}"), good);
        }
    }
    Ok(())
}

fn command(context: &Context, example: &str) -> Command {
    let mut command = context.project.cargo("run");
    command.args(["--quiet", "--release", "--package", PACKAGE, "--example", example]);
    command
}

/// The main job on a small tree with difficult names, compared with what `sha256sum` says about the same files.
fn checksum(context: &Context, report: &mut Report) -> Result<()> {
    let tree = Tree::make(&context.project.target.join("checksum-tree"))?;
    let mut command = command(context, "checksum");
    command.arg("--").arg(&tree.root);
    println!("$ checksum {}", tree.root.display());
    let output = limit::limited(&command, SECONDS)?.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    report.check("example checksum", output.status.success());

    let reference = Command::new("sha256sum").args(&tree.files).stdin(Stdio::null()).output();
    match reference {
        // the ports to Windows mark binary files and escape backslashes
        Ok(reference) if reference.status.success() && !cfg!(windows) => {
            let lines = |bytes: &[u8]| {
                let mut lines: Vec<Vec<u8>> =
                    bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
                lines.sort();
                lines
            };
            let same = lines(&output.stdout) == lines(&reference.stdout);
            if !same {
                println!("checksum printed:\n{}", String::from_utf8_lossy(&output.stdout));
                println!("sha256sum printed:\n{}", String::from_utf8_lossy(&reference.stdout));
            }
            report.check("checksum and sha256sum differ", same);
        }
        _ => report.skip("checksum beside sha256sum", "install coreutils, on a Unix"),
    }
    Ok(())
}

/// A folder of files, removed when dropped.
struct Tree {
    root: PathBuf,
    files: Vec<PathBuf>,
}

impl Tree {
    fn make(root: &Path) -> Result<Tree> {
        if root.exists() {
            std::fs::remove_dir_all(root)?;
        }
        let mut tree = Tree { root: root.to_owned(), files: Vec::new() };
        for (name, size) in [
            ("empty", 0),
            ("a/one", 1),
            ("a/deep/er/page", 4096),
            ("with space", 100_000),
            ("ümlaut", 65),
            ("big", 3 << 20),
        ] {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(root))?;
            let bytes: Vec<u8> = (0..size).map(|index: usize| (index * 31 % 251) as u8).collect();
            std::fs::write(&path, bytes)?;
            tree.files.push(path);
        }
        for number in 0..50 {
            let path = root.join(format!("a/file-{number:03}"));
            std::fs::write(&path, format!("file {number}\n"))?;
            tree.files.push(path);
        }
        Ok(tree)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.root) {
            eprintln!("xtask: cannot remove {}: {error}", self.root.display());
        }
    }
}
