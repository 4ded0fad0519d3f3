//! The files under a folder, one at a time.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Walks depth first, names in byte order, links not followed. What is not a regular file is passed over; what cannot be
/// read is an error of its own, and the walk goes on.
pub(crate) struct Walk {
    /// The file that was asked for itself, if it is no folder.
    single: Option<PathBuf>,
    open: Vec<Folder>,
    trouble: Option<String>,
}

/// What is left of a folder: its names, and which of them are folders; the next one last.
struct Folder {
    path: PathBuf,
    rest: Vec<(Box<OsStr>, bool)>,
}

impl Walk {
    pub(crate) fn new(root: &Path) -> Walk {
        let mut walk = Walk { single: None, open: Vec::new(), trouble: None };
        match std::fs::metadata(root) {
            Ok(found) if found.is_dir() => walk.enter(root.to_owned()),
            Ok(_) => walk.single = Some(root.to_owned()),
            Err(error) => walk.trouble = Some(format!("{}: {error}", root.display())),
        }
        walk
    }

    fn enter(&mut self, path: PathBuf) {
        match Folder::read(path.clone()) {
            Ok(folder) => self.open.push(folder),
            Err(error) => self.trouble = Some(format!("{}: {error}", path.display())),
        }
    }
}

impl Iterator for Walk {
    type Item = Result<OsString, String>;

    fn next(&mut self) -> Option<Result<OsString, String>> {
        loop {
            if let Some(trouble) = self.trouble.take() {
                return Some(Err(trouble));
            }
            if let Some(single) = self.single.take() {
                return Some(Ok(single.into_os_string()));
            }
            let folder = self.open.last_mut()?;
            match folder.next() {
                Some((path, true)) => self.enter(path),
                Some((path, false)) => return Some(Ok(path.into_os_string())),
                None => {
                    self.open.pop();
                }
            }
        }
    }
}

impl Folder {
    fn read(path: PathBuf) -> std::io::Result<Folder> {
        let mut rest = Vec::new();
        for entry in std::fs::read_dir(&path)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() || kind.is_file() {
                rest.push((entry.file_name().into_boxed_os_str(), kind.is_dir()));
            }
        }
        rest.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Folder { path, rest })
    }

    fn next(&mut self) -> Option<(PathBuf, bool)> {
        let (name, is_folder) = self.rest.pop()?;
        Some((self.path.join(&*name), is_folder))
    }
}
