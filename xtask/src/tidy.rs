//! `cargo xtask tidy`: the rules of the house that no compiler checks. It also runs as a test of this package.
//!
//! The rules are in `tidy/rules.rs`, the exceptions with their reasons in `tidy/allowed.rs`; `tidy/source.rs` tells code from comments
//! and strings, `tidy/evidence.rs` looks for the tests that `docs/` names.

mod allowed;
mod evidence;
mod rules;
mod source;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::Result;
use source::Source;

/// A breach of a rule.
#[derive(Debug)]
struct Finding {
    rule: &'static str,
    /// Relative to the root of the workspace, with forward slashes.
    path: String,
    line: usize,
    what: String,
}

pub(crate) fn main() -> Result<ExitCode> {
    let (crates, findings) = check(&root())?;
    for line in &findings {
        println!("{line}");
    }
    println!("tidy: {crates} crates, {} findings", findings.len());
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Checks every crate under `crates/`: their number, and what is not allowed.
fn check(root: &Path) -> Result<(usize, Vec<String>)> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(root.join("crates"))? {
        let folder = entry?.path();
        if folder.join("Cargo.toml").is_file() {
            folders.push(folder);
        }
    }
    folders.sort();
    let mut findings = Vec::new();
    for folder in &folders {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml"))?;
        findings.extend(rules::package(
            &relative(root, folder),
            &manifest,
            folder.join("README.md").is_file(),
        ));
        for path in rust_files(&folder.join("src"))? {
            let source = Source::new(relative(root, &path), std::fs::read_to_string(&path)?);
            findings.extend(rules::file(&source));
        }
    }
    findings.extend(evidence::check(root)?);
    Ok((folders.len(), judge(findings, allowed::EXCEPTIONS)))
}

/// Takes the exceptions out. An exception that excuses nothing any more is itself a finding.
fn judge(findings: Vec<Finding>, exceptions: &[allowed::Exception]) -> Vec<String> {
    let excused = |finding: &Finding, exception: &allowed::Exception| {
        exception.rule == finding.rule && exception.path == finding.path && !exception.reason.is_empty()
    };
    let mut lines: Vec<String> = Vec::new();
    for finding in
        findings.iter().filter(|finding| !exceptions.iter().any(|exception| excused(finding, exception)))
    {
        lines.push(format!("{}:{}: {} [{}]", finding.path, finding.line, finding.what, finding.rule));
    }
    for exception in
        exceptions.iter().filter(|exception| !findings.iter().any(|finding| excused(finding, exception)))
    {
        lines.push(format!(
            "xtask/src/tidy/allowed.rs: {} no longer breaks the rule [{}]",
            exception.path, exception.rule
        ));
    }
    lines
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string().replace('\\', "/")
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::{Finding, allowed::Exception, check, judge, root};

    #[test]
    fn the_house_is_tidy() {
        let (crates, findings) = check(&root()).unwrap();
        assert!(crates > 0);
        assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
    }

    #[test]
    fn an_exception_excuses_and_must_be_needed() {
        let finding = || Finding { rule: "os", path: "a.rs".into(), line: 3, what: "names an OS".into() };
        let exception = |path| Exception { rule: "os", path, reason: "because" };
        assert_eq!(judge(vec![finding()], &[]), ["a.rs:3: names an OS [os]"]);
        assert!(judge(vec![finding()], &[exception("a.rs")]).is_empty());
        assert_eq!(judge(vec![finding()], &[exception("a.rs"), exception("b.rs")]).len(), 1);
    }
}
