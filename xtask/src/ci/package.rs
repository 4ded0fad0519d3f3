//! The step that packs every crate as it would be published.

use super::Context;
use crate::Result;
use crate::job;
use crate::report::Report;

/// Packs all crates at once, so that cargo takes those that are not on the registry yet from each other. They are not built
/// again: the same sources have just been, and the scratch programs build them from outside.
pub(super) fn run(context: &Context, report: &mut Report) -> Result<()> {
    let mut command = context.project.cargo("package");
    command.args(["--no-verify", "--allow-dirty"]);
    let crates: Vec<_> = context.project.packages.iter().filter(|package| package.publishable).collect();
    for package in &crates {
        command.args(["--package", &package.name]);
    }
    if crates.is_empty() {
        report.fail("no crate of the workspace can be published");
        return Ok(());
    }
    report.check("cargo package", job::run(&mut command)?);
    Ok(())
}
