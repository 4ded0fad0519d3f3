//! Steps for the targets that are not the host.

use super::Context;
use super::tests::watch;
use crate::Result;
use crate::cross::{self, Setup, TARGETS, Target};
use crate::job;
use crate::report::Report;

/// What one test program may take under wine, and under qemu.
const WINE_SECONDS: u64 = 300;
const QEMU_SECONDS: u64 = 900;

/// The tests of Windows under wine, and lints for the other system that cannot be run here. What these leave out is in [`lints`].
pub(super) fn run(context: &Context, report: &mut Report) -> Result<()> {
    let targets = not_the_host(context, |target| target.clippy && target.name != cross::ARM64);
    prepare(context, report, &targets)?;
    for target in targets {
        if target.tested {
            test(context, report, target, WINE_SECONDS)?;
        } else {
            lint(context, report, target, &["--lib", "--bins"])?;
        }
    }
    Ok(())
}

/// Lints of everything for every other target.
pub(super) fn lints(context: &Context, report: &mut Report) -> Result<()> {
    let targets = not_the_host(context, |_| true);
    prepare(context, report, &targets)?;
    targets.into_iter().try_for_each(|target| lint(context, report, target, &["--all-targets"]))
}

fn not_the_host(context: &Context, wanted: impl Fn(&Target) -> bool) -> Vec<&'static Target> {
    TARGETS.iter().filter(|target| target.name != context.project.host && wanted(target)).collect()
}

fn lint(context: &Context, report: &mut Report, target: &Target, what: &[&str]) -> Result<()> {
    let Some(toolchain) = cross::find(&context.project, target) else {
        report.skip(format_args!("checks for {}", target.name), cross::how_to_enable(target));
        return Ok(());
    };
    let good = job::run(&mut toolchain.lint(&context.project, target, what))?;
    report.check(format_args!("lints for {}", target.name), good);
    Ok(())
}

pub(super) fn arm64(context: &Context, report: &mut Report) -> Result<()> {
    let targets = not_the_host(context, |target| target.name == cross::ARM64);
    prepare(context, report, &targets)?;
    for target in targets {
        test(context, report, target, QEMU_SECONDS)?;
    }
    Ok(())
}

fn test(context: &Context, report: &mut Report, target: &Target, seconds: u64) -> Result<()> {
    let toolchain = cross::find(&context.project, target);
    let command =
        toolchain.as_ref().map(|toolchain| toolchain.test(&context.project, target, seconds)).transpose()?;
    match command.flatten() {
        Some(mut command) => watch(report, target.name, &mut command),
        None => {
            report.skip(format_args!("tests for {}", target.name), cross::how_to_enable(target));
            Ok(())
        }
    }
}

/// On a machine of continuous integration the private toolchain is set up when a target is missing; elsewhere that is the
/// user's decision.
fn prepare(context: &Context, report: &mut Report, targets: &[&'static Target]) -> Result<()> {
    let missing = targets.iter().any(|target| cross::find(&context.project, target).is_none());
    if !missing || std::env::var_os("CI").is_none_or(|value| value.is_empty() || value == "false") {
        return Ok(());
    }
    match cross::setup(&context.project, None)? {
        Setup::Ready => report.pass(),
        Setup::CannotHere(why) => report.skip("setting up the private cross toolchain", why),
        Setup::Failed => report.fail("scripts/setup-cross.sh"),
    }
    Ok(())
}
