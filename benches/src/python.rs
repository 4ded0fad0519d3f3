//! CPython's multiprocessing, asked over a pipe.
//!
//! `peers.py` stays alive for the whole table, so that its rows interleave with the others: it reads `WHAT COUNT` and
//! answers with the seconds that so many operations took.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::table::{Failure, Spent};

/// A running interpreter.
#[derive(Debug)]
pub struct Python {
    process: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// What it is, as it says itself.
    pub version: String,
}

impl Python {
    /// Starts the best interpreter that is installed: 3.13, with which the goals were written, or whatever `python3` is.
    ///
    /// # Errors
    /// When there is none.
    pub fn start() -> Result<Python, Failure> {
        let (program, version) =
            find().ok_or("skipped: CPython (install python3, or put it on the PATH; 3.13 is preferred)")?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers.py");
        let mut process =
            Command::new(program).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let requests = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().ok_or("CPython has no output")?);
        Ok(Python { process, requests, answers, version })
    }

    /// So many operations of that kind.
    ///
    /// # Errors
    /// When the interpreter could not do it.
    pub fn run(&mut self, what: &str, count: u32) -> Result<Spent, Failure> {
        let mut requests = self.requests.as_ref().ok_or("CPython has no input")?;
        writeln!(requests, "{what} {count}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let seconds: f64 = line.trim().parse().map_err(|_| format!("CPython answered {line:?}"))?;
        Ok(Spent { wall: Duration::from_secs_f64(seconds), cpu: None })
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // The end of its input is the end of its work.
        self.requests = None;
        let _ = self.process.wait();
    }
}

/// The interpreter itself, not a script that looks for one, and its version.
fn find() -> Option<(PathBuf, String)> {
    let mut candidates: Vec<PathBuf> = vec!["python3.13".into(), "python3".into()];
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    for entry in std::fs::read_dir(home.join(".pyenv/versions")).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("3.13") {
            candidates.push(entry.path().join("bin/python3"));
        }
    }
    let found: Vec<(PathBuf, String)> = candidates.iter().filter_map(ask).collect();
    found.iter().find(|(_, version)| version.starts_with("3.13")).or(found.first()).cloned()
}

fn ask(program: &PathBuf) -> Option<(PathBuf, String)> {
    let question = "import sys, platform; print(sys.executable); print(platform.python_version())";
    let output = Command::new(program).args(["-c", question]).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut lines = text.lines().map(str::to_owned);
    let found = (PathBuf::from(lines.next()?), lines.next()?);
    output.status.success().then_some(found)
}
