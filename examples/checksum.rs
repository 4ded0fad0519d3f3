//! The main job: the SHA-256 of every file under a folder, by a pool of processes, as `sha256sum` prints it.
//!
//! `cargo run --release --example checksum -- PATH`
//!
//! The sums come in the order of the walk (folders depth first, names in byte order) however the workers finish. Nothing
//! is read ahead further than keeps the workers busy, so a million files need no more memory than a hundred. A worker that
//! is killed costs nothing but time: its file is summed again. What could not be read is listed at
//! the end, and the exit code is 1 then.

mod checksum_walk;

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use checksum_walk::Walk;
use indicatif::{ProgressBar, ProgressStyle};
use mp::prelude::*;
use sha2::{Digest, Sha256};

/// A file is tried again so often before a death over it is taken for the file's fault.
const TRIES: u32 = 5;

fn sha256_of_file(path: OsString) -> io::Result<[u8; 32]> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(n) => hash.update(&buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

#[mp::main]
fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let Some(root) = std::env::args_os().nth(1) else {
        eprintln!("usage: checksum PATH");
        return Ok(ExitCode::from(2));
    };
    let pool = Pool::new(mp::cpu_count())?;
    let bar = progress_bar();
    let mut out = BufWriter::new(io::stdout().lock());
    let mut failed: Vec<String> = Vec::new();

    // The walk goes ahead of the sums: names wait here for theirs.
    let names = std::cell::RefCell::new(std::collections::VecDeque::new());
    let walk_errors = std::cell::RefCell::new(Vec::new());
    let files = Walk::new(Path::new(&root)).filter_map(|found| match found {
        Ok(path) => {
            names.borrow_mut().push_back(path.clone());
            Some(path)
        }
        Err(error) => {
            walk_errors.borrow_mut().push(error);
            None
        }
    });
    // A file may be summed twice: whoever is killed over it only costs time.
    for sum in pool.with_retries(TRIES).imap(sha256_of_file, files) {
        let name = names.borrow_mut().pop_front().unwrap_or_default();
        match sum {
            Ok(sum) => print_line(&mut out, &sum, &name)?,
            Err(error) => failed.push(format!("{}: {}", Path::new(&name).display(), reason(&error))),
        }
        bar.inc(1);
    }
    out.flush()?;
    bar.finish_and_clear();
    failed.extend(walk_errors.into_inner());
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("checksum: {} could not be read:", failed.len());
    for line in &failed {
        eprintln!("  {line}");
    }
    Ok(ExitCode::FAILURE)
}

fn progress_bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {pos} files, {per_sec}, {elapsed}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

fn reason(error: &mp::Error) -> String {
    match error {
        mp::Error::Failed(failure) => failure.message.clone(),
        other => other.to_string(),
    }
}

/// As `sha256sum` does it: a name with a backslash, a newline or a carriage return is escaped, and the line says so.
fn print_line(out: &mut impl Write, sum: &[u8; 32], name: &OsString) -> io::Result<()> {
    let name = name.as_encoded_bytes();
    if name.iter().any(|b| matches!(b, b'\\' | b'\n' | b'\r')) {
        out.write_all(b"\\")?;
    }
    for byte in sum {
        write!(out, "{byte:02x}")?;
    }
    out.write_all(b"  ")?;
    for byte in name {
        match byte {
            b'\\' => out.write_all(b"\\\\")?,
            b'\n' => out.write_all(b"\\n")?,
            b'\r' => out.write_all(b"\\r")?,
            byte => out.write_all(&[*byte])?,
        }
    }
    out.write_all(b"\n")
}
