//! Figures as JSON, one object a line, appended to a file that several benchmarks share.

use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;

/// One row of one table. Figures that are not numbers become `null`.
#[derive(Debug, Serialize)]
pub(crate) struct Row<'a> {
    pub(crate) title: &'a str,
    pub(crate) placement: String,
    pub(crate) name: &'a str,
    pub(crate) unit: &'a str,
    /// Least, median, greatest.
    pub(crate) wall: [f64; 3],
    pub(crate) cpu: f64,
    pub(crate) failure: Option<&'a str>,
    pub(crate) goals: Vec<Goal<'a>>,
}

/// What the row was to reach.
#[derive(Debug, Serialize)]
pub(crate) struct Goal<'a> {
    /// So many times the peer, or so many of the unit where there is none.
    pub(crate) bound: f64,
    pub(crate) peer: Option<&'a str>,
    /// Least, median and greatest of the peer.
    pub(crate) other: Option<[f64; 3]>,
}

/// Adds the rows to the file.
pub(crate) fn append(file: &Path, rows: &[Row<'_>]) -> io::Result<()> {
    let mut text = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut text, row)?;
        text.push(b'\n');
    }
    std::fs::OpenOptions::new().create(true).append(true).open(file)?.write_all(&text)
}
