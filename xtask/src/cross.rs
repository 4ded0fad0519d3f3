//! `cargo xtask cross`: the targets that are not the host.
//!
//! A target is served by the toolchain of the host when rustup has its standard library, or else by a private toolchain that
//! `scripts/setup-cross.sh` prepares: it compiles the standard library from the distribution's sources, and brings wine and qemu to
//! run what was built. `MP_CROSS_DIR` says where that one is; `~/.cache/mp-cross` otherwise. Its file `env.sh`, written last, holds the
//! environment to build in.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use crate::Result;
use crate::job;
use crate::limit;
use crate::project::Project;

/// What the user's own test run may take per program.
const SECONDS: u64 = 600;
/// The exit code of the setup script that says: not on this machine.
const CANNOT_HERE: i32 = 3;

pub(crate) const ARM64: &str = "aarch64-unknown-linux-gnu";

/// A target that we look after.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Clippy with warnings as errors; otherwise the compiler alone.
    pub(crate) clippy: bool,
    /// Whether there is a way to run what was built.
    pub(crate) tested: bool,
}

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "x86_64-pc-windows-gnu", clippy: true, tested: true },
    Target { name: "aarch64-apple-darwin", clippy: true, tested: false },
    Target { name: "x86_64-pc-windows-msvc", clippy: false, tested: false },
    Target { name: ARM64, clippy: true, tested: true },
];

/// The packages whose tests run on other targets: those that hold the platform and what stands on it.
const TESTED: &[&str] = &[
    "mp-sys",
    "mp-wire",
    "mp-session",
    "mp-process",
    "mp-queue",
    "mp-pipe",
    "mp-shared",
    "mp-sync",
    "mp-pool",
    "mp-manager",
];

/// What can build for a target.
#[derive(Debug)]
pub(crate) enum Toolchain {
    Host,
    /// With its environment, as `env.sh` makes it.
    Private(Vec<(OsString, OsString)>),
}

/// How setting up went.
#[derive(Debug)]
pub(crate) enum Setup {
    Ready,
    /// Not on this machine, and what would help.
    CannotHere(String),
    Failed,
}

pub(crate) fn main(arguments: &[String]) -> Result<ExitCode> {
    let project = Project::load()?;
    let (command, argument) = match arguments {
        [command] => (command.as_str(), None),
        [command, argument] => (command.as_str(), Some(argument.as_str())),
        _ => ("", None),
    };
    let good = match command {
        "setup" => match setup(&project, argument)? {
            Setup::Ready => true,
            Setup::CannotHere(why) => {
                println!("skipped: setting up the private cross toolchain (how to enable: {why})");
                false
            }
            Setup::Failed => false,
        },
        "check" => each(&project, argument, |target, toolchain| {
            Ok(Some(toolchain.lint(&project, target, &["--all-targets"])))
        })?,
        "test" => each(&project, argument, |target, toolchain| toolchain.test(&project, target, SECONDS))?,
        _ => return Err("usage: cargo xtask cross setup [DIR] | check [TARGET] | test [TARGET]".into()),
    };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a command for the target called `wanted`, or for each.
fn each(
    project: &Project,
    wanted: Option<&str>,
    command: impl Fn(&Target, &Toolchain) -> Result<Option<Command>>,
) -> Result<bool> {
    if let Some(wanted) = wanted
        && TARGETS.iter().all(|target| target.name != wanted)
    {
        let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        return Err(format!("not a target that we look after: {wanted} (known: {})", known.join(", ")).into());
    }
    let mut good = true;
    for target in TARGETS.iter().filter(|target| wanted.is_none_or(|wanted| wanted == target.name)) {
        println!("\n==== {}", target.name);
        let toolchain = find(project, target);
        match toolchain.as_ref().map(|toolchain| command(target, toolchain)).transpose()?.flatten() {
            Some(mut command) => good &= job::run(&mut command)?,
            None if !target.tested && toolchain.is_some() => {
                println!("skipped: {} can only be checked", target.name)
            }
            None => println!("skipped: {} (how to enable: {})", target.name, how_to_enable(target)),
        }
    }
    Ok(good)
}

/// Runs the setup script.
pub(crate) fn setup(project: &Project, folder: Option<&str>) -> Result<Setup> {
    if !cfg!(target_os = "linux") {
        return Ok(Setup::CannotHere("run on Debian or Ubuntu; elsewhere use `rustup target add`".into()));
    }
    let mut command = Command::new("bash");
    command.current_dir(&project.root).arg("scripts/setup-cross.sh");
    command.arg(folder.map_or_else(private_folder, PathBuf::from));
    let status = command.stdin(Stdio::null()).status()?;
    Ok(match status.code() {
        Some(0) => Setup::Ready,
        Some(CANNOT_HERE) => Setup::CannotHere("see what scripts/setup-cross.sh said above".into()),
        _ => Setup::Failed,
    })
}

/// What a user does to get a target.
pub(crate) fn how_to_enable(target: &Target) -> String {
    match target.tested {
        true => format!(
            "cargo xtask cross setup; or rustup target add {}, with a linker and a runner",
            target.name
        ),
        false => format!("rustup target add {}; or cargo xtask cross setup", target.name),
    }
}

/// What can build for the target here, if anything.
pub(crate) fn find(project: &Project, target: &Target) -> Option<Toolchain> {
    let mut ask = Command::new("rustc");
    ask.current_dir(&project.root).args(["--print", "target-libdir", "--target", target.name]);
    if let Ok(answer) = ask.output()
        && PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim()).is_dir()
    {
        return Some(Toolchain::Host);
    }
    let script = private_folder().join("env.sh");
    if !script.is_file() {
        return None;
    }
    let mut read = Command::new("sh");
    read.args(["-c", ". \"$1\" && env -0", "sh"]).arg(script);
    // rustup puts its own libraries and its choice of toolchain into our environment, which the other must not see
    read.env_remove("LD_LIBRARY_PATH").stderr(Stdio::inherit());
    let output = read.output().ok().filter(|output| output.status.success())?;
    Some(Toolchain::Private(output.stdout.split(|byte| *byte == 0).filter_map(variable).collect()))
}

/// `NAME=VALUE`, as `env -0` writes it.
fn variable(bytes: &[u8]) -> Option<(OsString, OsString)> {
    let at = bytes.iter().position(|byte| *byte == b'=')?;
    let text = |bytes: &[u8]| OsString::from(String::from_utf8_lossy(bytes).into_owned());
    Some((text(&bytes[..at]), text(&bytes[at + 1..]))).filter(|(name, _)| !name.is_empty())
}

fn private_folder() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    std::env::var_os("MP_CROSS_DIR")
        .filter(|value| !value.is_empty())
        .map_or_else(|| home().join(".cache/mp-cross"), PathBuf::from)
}

impl Toolchain {
    /// The lints for a target, as `ci` wants them.
    pub(crate) fn lint(&self, project: &Project, target: &Target, what: &[&str]) -> Command {
        let mut command = self.cargo(project, if target.clippy { "clippy" } else { "check" }, target);
        // The benchmarks are for the host, and their peers take longer to build than all of ours.
        command.args(["--workspace", "--exclude", "mp-benches"]).args(what);
        if target.clippy {
            command.args(["--", "-D", "warnings"]);
            // where std has no native thread-locals, clippy asks for a `const` initialiser at those that have one
            command.args(["-A", "clippy::missing_const_for_thread_local"]);
        }
        command
    }

    /// The tests for a target; `None` when there is no way to run them.
    pub(crate) fn test(&self, project: &Project, target: &Target, seconds: u64) -> Result<Option<Command>> {
        let Some(runner) = self.runner(target).filter(|_| target.tested) else { return Ok(None) };
        let mut command = self.cargo(project, "test", target);
        // Linking what debuggers want to know takes longer than all the rest of the build.
        command.env("CARGO_PROFILE_DEV_DEBUG", "0");
        command.args(["--no-fail-fast", "--lib", "--bins", "--tests"]);
        for package in TESTED.iter().filter(|name| project.package(name).is_some()) {
            command.args(["--package", package]);
        }
        command.arg("--config").arg(limit::runner(target.name, seconds, Some(&runner))?);
        Ok(Some(command))
    }

    /// The program that runs what was built for the target.
    fn runner(&self, target: &Target) -> Option<String> {
        let name = format!("CARGO_TARGET_{}_RUNNER", target.name.replace('-', "_").to_uppercase());
        match self {
            Toolchain::Host => std::env::var(name).ok(),
            Toolchain::Private(variables) => {
                let found = variables.iter().find(|(known, _)| known == OsStr::new(&name));
                found.map(|(_, value)| value.to_string_lossy().into_owned())
            }
        }
    }

    /// `cargo SUBCOMMAND --target TARGET`, in a target directory apart from the host's.
    fn cargo(&self, project: &Project, subcommand: &str, target: &Target) -> Command {
        let mut command = match self {
            Toolchain::Host => project.cargo(subcommand),
            Toolchain::Private(variables) => {
                let mut command = Command::new("cargo");
                command.current_dir(&project.root).arg(subcommand);
                for (name, value) in variables.iter().filter(|(name, _)| !of_another_toolchain(name)) {
                    command.env(name, value);
                }
                for (name, _) in std::env::vars_os().filter(|(name, _)| of_another_toolchain(name)) {
                    command.env_remove(name);
                }
                command
            }
        };
        command.env("CARGO_TARGET_DIR", project.target.join("cross")).args(["--target", target.name]);
        command
    }
}

/// Variables by which the host's cargo and rustup would lead the private cargo astray.
fn of_another_toolchain(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    matches!(&*name, "CARGO" | "RUSTC" | "RUSTDOC" | "RUSTC_WRAPPER") || name.starts_with("RUSTUP_TOOLCHAIN")
}
