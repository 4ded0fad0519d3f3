//! `cargo xtask fuzz [--seconds N] [TARGET]...`: the fuzz targets of `fuzz/`, one after the other.
//!
//! The targets are libFuzzer's. They are built here by themselves, with the flags that cargo-fuzz would pass, so that a nightly
//! compiler and a C++ compiler for libFuzzer are all it takes; cargo-fuzz runs the same targets (`cargo +nightly fuzz run TARGET`).
//! A corpus to begin from is made by `fuzz/src/seeds.rs`; what libFuzzer adds to it stays in `target/fuzz/corpus`, and what fails in
//! `target/fuzz/artifacts`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use crate::Result;
use crate::job;
use crate::limit;
use crate::project::Project;

/// How long each target runs, where nothing else is asked for.
const SECONDS: u64 = 60;
/// What starting and ending a target may take besides.
const GRACE: u64 = 120;
/// More memory than this is a failure (MiB), and longer inputs are not tried.
const MEMORY: u32 = 1024;
const LONGEST: u32 = 4096;

/// What cargo-fuzz passes: the address sanitizer, and counters for each edge and comparison.
const FLAGS: &str = "--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cdebug-assertions -Coverflow-checks";

/// How they are built: a short run would spend minutes on what a long one gains by being fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Build {
    ForLong,
    ForShort,
}

impl Build {
    /// What cargo's release profile is changed to.
    fn profile(self) -> [(&'static str, &'static str); 3] {
        let (optimised, units) = if self == Build::ForLong { ("3", "1") } else { ("1", "16") };
        [
            ("CARGO_PROFILE_RELEASE_OPT_LEVEL", optimised),
            ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", units),
            ("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only"),
        ]
    }
}

/// The targets, built, or why they cannot be.
pub(crate) struct Fuzzer {
    folder: PathBuf,
    programs: PathBuf,
    pub(crate) targets: Vec<String>,
}

/// What stands in the way, and how to enable it.
pub(crate) struct Missing(pub(crate) &'static str, pub(crate) &'static str);

impl Fuzzer {
    /// Builds the targets and the corpus. The inner error: it cannot be done here.
    pub(crate) fn build(project: &Project, build: Build) -> Result<std::result::Result<Fuzzer, Missing>> {
        if !works("rustc", &["+nightly", "--version"]) {
            return Ok(Err(Missing("fuzzing: no nightly compiler", "rustup toolchain install nightly")));
        }
        if !["c++", "g++", "clang++"].iter().any(|compiler| works(compiler, &["--version"])) {
            return Ok(Err(Missing("fuzzing: no C++ compiler for libFuzzer", "install g++ or clang")));
        }
        let folder = project.target.join("fuzz");
        let mut command = Command::new("cargo");
        command.current_dir(project.root.join("fuzz")).args(["+nightly", "build", "--release", "--bins"]);
        // The target is named so that the flags are not those of build scripts and macros.
        command.args(["--target", &project.host]).env("CARGO_TARGET_DIR", &folder).env("RUSTFLAGS", FLAGS);
        command.envs(build.profile());
        // Whatever asked cargo to run us has named its own toolchain.
        for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
            command.env_remove(name);
        }
        if !job::run(&mut command)? {
            return Err("the fuzz targets do not build".into());
        }
        let programs = folder.join(&project.host).join("release");
        let fuzzer = Fuzzer { targets: targets(&project.root)?, programs, folder };
        if !job::run(Command::new(fuzzer.programs.join("seeds")).arg(fuzzer.folder.join("corpus")))? {
            return Err("the corpus to begin from was not made".into());
        }
        Ok(Ok(fuzzer))
    }

    /// Runs one target; `true` if nothing was found.
    pub(crate) fn run(&self, target: &str, time: Duration) -> Result<bool> {
        let artifacts = self.folder.join("artifacts").join(target);
        std::fs::create_dir_all(&artifacts)?;
        let mut command = Command::new(self.programs.join(target));
        command.current_dir(&self.folder).arg(self.folder.join("corpus").join(target));
        command.arg(format!("-max_total_time={}", time.as_secs()));
        command.arg(format!("-artifact_prefix={}/", artifacts.display()));
        command.args([format!("-rss_limit_mb={MEMORY}"), format!("-max_len={LONGEST}")]);
        command.args(["-timeout=20", "-print_final_stats=1", "-print_funcs=0", "-verbosity=0"]);
        job::run(&mut limit::limited(&command, time.as_secs() + GRACE)?)
    }
}

/// The targets are the files that are there.
fn targets(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for file in std::fs::read_dir(root.join("fuzz/fuzz_targets"))? {
        let path = file?.path();
        names.extend(path.file_stem().map(|stem| stem.display().to_string()));
    }
    names.sort();
    Ok(names)
}

/// Whether a program is there and does that.
pub(crate) fn works(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command.env_remove("RUSTUP_TOOLCHAIN").status().is_ok_and(|status| status.success())
}

/// Runs what the arguments ask for.
pub(crate) fn main(arguments: &[String]) -> Result<ExitCode> {
    let (mut seconds, mut wanted) = (SECONDS, Vec::new());
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seconds" => seconds = words.next().ok_or("how many seconds?")?.parse()?,
            name => wanted.push(name.to_owned()),
        }
    }
    let fuzzer = match Fuzzer::build(&Project::load()?, Build::ForLong)? {
        Ok(fuzzer) => fuzzer,
        Err(Missing(what, enable)) => {
            println!("skipped: {what} (how to enable: {enable})");
            return Ok(ExitCode::SUCCESS);
        }
    };
    if let Some(unknown) = wanted.iter().find(|name| !fuzzer.targets.contains(name)) {
        return Err(format!("no target is called {unknown}; there are {}", fuzzer.targets.join(", ")).into());
    }
    let mut good = true;
    for target in fuzzer.targets.iter().filter(|name| wanted.is_empty() || wanted.contains(name)) {
        println!("==== {target}");
        good &= fuzzer.run(target, Duration::from_secs(seconds))?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
