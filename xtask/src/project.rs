//! Where the workspace is and what it holds, as cargo tells it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::json::Json;

/// The workspace as found on disk.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    /// Cargo's target directory, which `CARGO_TARGET_DIR` may have moved.
    pub(crate) target: PathBuf,
    /// The host's target triple.
    pub(crate) host: String,
    pub(crate) packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) publishable: bool,
    /// Whether a program can depend on it: a library or a macro crate.
    pub(crate) library: bool,
    pub(crate) examples: Vec<String>,
    pub(crate) benches: Vec<String>,
}

impl Project {
    /// Asks `cargo` and `rustc`, offline.
    pub(crate) fn load() -> Result<Project> {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("xtask has no parent folder")?.to_owned();
        let metadata =
            said(cargo().current_dir(&root).args(["metadata", "--no-deps", "--format-version=1"]))?;
        let metadata = Json::parse(&metadata)?;
        let version = said(Command::new("rustc").arg("-vV").current_dir(&root))?;
        let host =
            version.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc names no host")?;
        Ok(Project {
            root: metadata.get("workspace_root").text().into(),
            target: metadata.get("target_directory").text().into(),
            host: host.to_owned(),
            packages: metadata.get("packages").list().iter().map(Package::read).collect(),
        })
    }

    /// The member called `name`.
    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// `cargo SUBCOMMAND` in the root of the workspace.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = cargo();
        command.current_dir(&self.root).arg(subcommand);
        command
    }
}

impl Package {
    fn read(value: &Json) -> Package {
        let of_kind = |kinds: &[&str]| -> Vec<String> {
            let targets = value.get("targets").list().iter();
            let wanted = targets
                .filter(|target| target.get("kind").list().iter().any(|kind| kinds.contains(&kind.text())));
            wanted.map(|target| target.get("name").text().to_owned()).collect()
        };
        let manifest = PathBuf::from(value.get("manifest_path").text());
        Package {
            name: value.get("name").text().to_owned(),
            folder: manifest.parent().unwrap_or(Path::new("")).to_owned(),
            publishable: value.get("publish") == &Json::Null,
            library: !of_kind(&["lib", "proc-macro"]).is_empty(),
            examples: of_kind(&["example"]),
            benches: of_kind(&["bench"]),
        }
    }
}

/// The cargo that runs us.
fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The output of a command that must succeed.
fn said(command: &mut Command) -> Result<String> {
    let output = command.stderr(std::process::Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
