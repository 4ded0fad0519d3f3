//! CPython at the other end: it listens and we connect, we listen and it connects; old versions and new ones.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use mp_pipe::{Address, Client, Error, Link, Listener};
use sha2::{Digest, Sha256};

use super::{PATIENCE, bytes_of};

const KEY: &[u8] = b"a key with \x00 and \xff";
const SIZES: [usize; 8] = [0, 1, 100, 16_383, 16_384, 16_385, 70_000, 1 << 20];

/// Every interpreter that is here, and its version.
fn interpreters() -> Vec<(PathBuf, String)> {
    let mut candidates: Vec<PathBuf> = vec!["python3".into(), "/usr/bin/python3".into()];
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    for entry in std::fs::read_dir(home.join(".pyenv/versions")).into_iter().flatten().flatten() {
        candidates.push(entry.path().join("bin/python3"));
    }
    let mut found: Vec<(PathBuf, String)> = candidates.iter().filter_map(ask).collect();
    found.sort();
    found.dedup();
    found
}

fn ask(program: &PathBuf) -> Option<(PathBuf, String)> {
    let question = "import sys, platform; print(sys.executable); print(platform.python_version())";
    let output = Command::new(program).args(["-c", question]).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut lines = text.lines().map(str::to_owned);
    Some((PathBuf::from(lines.next()?), lines.next()?))
}

/// Messages, and what the echo says of them.
fn messages() -> Vec<(Vec<u8>, String)> {
    let message = |size: usize| {
        let message = bytes_of(size as u64, size);
        let hash: String = Sha256::digest(&message).iter().map(|byte| format!("{byte:02x}")).collect();
        (message, format!("{size} {hash}"))
    };
    SIZES.map(message).into()
}

/// Messages to an echo, and back.
fn talk(link: &Link, messages: &[(Vec<u8>, String)]) {
    for (message, description) in messages {
        link.send_bytes(message).unwrap();
        assert_eq!(link.recv_bytes().unwrap(), description.as_bytes());
        assert_eq!(&link.recv_bytes().unwrap(), message);
    }
}

struct Python {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Python {
    /// The rest of its next line, which begins with that word.
    fn next(&mut self, word: &str) -> String {
        let line = self.lines.next().expect("it went on").unwrap();
        line.strip_prefix(word)
            .unwrap_or_else(|| panic!("it said {line:?} in place of {word}"))
            .trim()
            .to_owned()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // It has ended, unless the test has failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn both_ways_with_every_cpython() {
    let (interpreters, messages) = (interpreters(), messages());
    if interpreters.is_empty() {
        println!("skipped: links with CPython (install python3, or put it on the PATH)");
    }
    for (program, version) in interpreters {
        println!("CPython {version}");
        let mut listeners = vec![Listener::bind(Address::tcp(("127.0.0.1", 0)).unwrap(), KEY).unwrap()];
        if let Ok(path @ Address::Path(_)) = Address::unused() {
            listeners.push(Listener::bind(path, KEY).unwrap());
        }
        let mut process = Command::new(program)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cpython_peer.py"))
            .args(listeners.iter().map(|listener| listener.address().to_string()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut python = Python { process, lines };
        let rounds = SIZES.len().to_string();
        for _ in 0..2 {
            let address: Address = python.next("listening").parse().unwrap();
            let client = Client::new().timeout(PATIENCE);
            talk(&client.clone().authkey(KEY).connect(&address).unwrap(), &messages);
            assert_eq!(python.next("echoed"), rounds);
            let wrong = client.authkey("wrong").connect(&address).unwrap_err();
            assert!(matches!(wrong, Error::Authentication { .. }), "{wrong}");
            python.next("refused");
        }
        for listener in &listeners {
            talk(&listener.accept_timeout(PATIENCE).unwrap(), &messages);
            assert_eq!(python.next("echoed"), rounds);
            python.next("refused");
            let refused = loop {
                if let Some(refused) = listener.take_refused().pop() {
                    break refused;
                }
                std::thread::yield_now();
            };
            assert!(matches!(refused.error, Error::Authentication { .. }), "{refused:?}");
        }
        assert!(python.process.wait().unwrap().success());
    }
}
