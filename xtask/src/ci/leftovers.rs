//! The step that looks for what the other steps left behind: processes, shared memory, temporary files.
//!
//! The promise of the project is that the kernel cleans up, so anything that is still there is a failure. What was there before
//! the run is not ours.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Context;
use crate::Result;
use crate::processes::{self, Process};
use crate::project::Project;
use crate::report::Report;

/// How long something may need to go away after the last step.
const GRACE: Duration = Duration::from_secs(5);

/// What was there before the run.
#[derive(Debug)]
pub(crate) struct Before {
    found: BTreeSet<String>,
}

impl Before {
    pub(crate) fn look(project: &Project) -> Before {
        Before { found: look(project) }
    }
}

pub(super) fn run(context: &Context, report: &mut Report) -> Result<()> {
    let end = Instant::now() + GRACE;
    let left = loop {
        let now = look(&context.project);
        let left: Vec<String> = now.difference(&context.before.found).cloned().collect();
        if left.is_empty() || Instant::now() >= end {
            break left;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    if left.is_empty() {
        report.pass();
    }
    for thing in left {
        report.fail(format_args!("left behind: {thing}"));
    }
    if !processes::LISTED {
        report.skip("looking for processes and shared memory left behind", "run on Linux");
    }
    Ok(())
}

/// Everything that could be a leftover of ours, as lines for a human.
fn look(project: &Project) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in entries(Path::new("/dev/shm")).filter(|path| is_ours(path)) {
        found.insert(format!("shared memory {}", path.display()));
    }
    for path in entries(&std::env::temp_dir()).filter(|path| is_ours(path)) {
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mp-")) {
            found.insert(format!("file {}", path.display()));
        }
    }
    let all = processes::list();
    let ancestors = ancestors(&all);
    for process in all.iter().filter(|process| !ancestors.contains(&process.id)) {
        if runs_from(process, &project.target) {
            found.insert(format!("process {} ({})", process.id, process.arguments.trim()));
        }
    }
    found
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Whether the file belongs to our user: others may use the machine at the same time.
#[cfg(unix)]
fn is_ours(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let owner = |path: &Path| path.symlink_metadata().map(|metadata| metadata.uid()).ok();
    let ours = owner(Path::new("/proc/self"));
    ours.is_none() || owner(path) == ours
}

#[cfg(not(unix))]
fn is_ours(_: &Path) -> bool {
    true
}

/// Whether the process runs something that we built. Under wine and qemu the executable is theirs and ours an argument.
fn runs_from(process: &Process, target: &Path) -> bool {
    let target_text = target.display().to_string();
    let arguments = process.arguments.replace('\\', "/");
    let compiler = |name: &str| process.program.file_name().is_some_and(|program| program == name);
    process.program.starts_with(target)
        || (arguments.contains(&target_text) && !["cargo", "rustc", "rustdoc"].into_iter().any(compiler))
}

/// We and those that started us.
fn ancestors(all: &[Process]) -> Vec<u32> {
    let mut line = vec![std::process::id()];
    while let Some(process) = all.iter().find(|process| Some(&process.id) == line.last()) {
        if line.contains(&process.parent) {
            break;
        }
        line.push(process.parent);
    }
    line
}
