//! A claim in `docs/` that names a test names one that exists.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Finding, relative, rust_files};
use crate::Result;

/// Where tests are.
const TESTS: [&str; 4] = ["crates", "crash", "models", "xtask"];

/// Looks at every page under `docs/`.
pub(super) fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut functions = BTreeSet::new();
    for folder in TESTS {
        for path in rust_files(&root.join(folder))? {
            let text = std::fs::read_to_string(path)?;
            functions.extend(text.split("fn ").skip(1).map(|rest| name(rest).to_owned()));
        }
    }
    let mut findings = Vec::new();
    for entry in std::fs::read_dir(root.join("docs"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        for (number, line) in text.lines().enumerate() {
            for named in tests_named(line).filter(|named| !functions.contains(*named)) {
                findings.push(Finding {
                    rule: "evidence",
                    path: relative(root, &path),
                    line: number + 1,
                    what: format!("there is no test called {named}"),
                });
            }
        }
    }
    Ok(findings)
}

/// The identifier that a text begins with.
fn name(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

/// What a row of a table names in its last column. A test's name is a sentence: it has three words or more.
fn tests_named(line: &str) -> impl Iterator<Item = &str> {
    let row = line.strip_prefix('|').and_then(|row| row.trim_end().strip_suffix('|'));
    let last = row.and_then(|row| row.rsplit('|').next()).unwrap_or_default();
    last.split('`').skip(1).step_by(2).filter(|quoted| {
        quoted.matches('_').count() >= 2
            && quoted.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_')
    })
}

#[cfg(test)]
mod tests {
    use super::{name, tests_named};

    #[test]
    fn names_are_found_in_the_last_column() {
        let row = "| a `not_this_one` | what | `one_of_them`; see `two_of_them_all`, `MP_X_Y` and `fd` |";
        assert_eq!(tests_named(row).collect::<Vec<_>>(), ["one_of_them", "two_of_them_all"]);
        assert_eq!(tests_named("`not_a_row`").count(), 0);
        assert_eq!(name("one_of_them() {"), "one_of_them");
    }
}
