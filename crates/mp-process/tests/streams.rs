//! A child's standard streams: inherited, nothing, pipes to the parent, files.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use mp_process::{Builder, Error, Process, StartMethod, Stream};

mp_process::enable_in_tests!();

fn methods() -> impl Iterator<Item = Builder> {
    StartMethod::available().iter().map(|m| Process::builder().start_method(*m))
}

/// A file without a name.
fn file() -> File {
    // Not the same name twice: where an open file keeps its name until it is closed, it is taken still.
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Relaxed);
    let path = std::env::temp_dir().join(format!("mp-streams-{}-{number}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file
}

fn contents(mut file: File) -> String {
    file.rewind().unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

fn talk() -> std::io::Result<u64> {
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line)?;
    print!("heard {line:?}"); // without a newline: what is left in the buffer is flushed at the end
    eprintln!("and says so");
    Ok(read as u64)
}

#[test]
fn pipes_lead_to_the_parent() {
    for b in methods() {
        let child =
            b.stdin(Stream::Piped).stdout(Stream::Piped).stderr(Stream::Piped).spawn(talk, ()).unwrap();
        let mut stdin = child.take_stdin().unwrap();
        assert!(child.take_stdin().is_none());
        writeln!(stdin, "hello").unwrap();
        let mut said = String::new();
        child.take_stdout().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said, "heard \"hello\\n\"");
        let mut errors = String::new();
        child.take_stderr().unwrap().read_to_string(&mut errors).unwrap();
        assert_eq!(errors, "and says so\n");
        assert_eq!(child.join().unwrap(), 6);
    }
}

/// More than any pipe holds, on both at once.
#[test]
fn all_output_is_captured() {
    for b in methods() {
        let child = b
            .stdin(Stream::Piped)
            .stdout(Stream::Piped)
            .stderr(Stream::Piped)
            .spawn(
                || {
                    let mut rest = Vec::new();
                    std::io::stdin().read_to_end(&mut rest).unwrap();
                    for _ in 0..3000 {
                        println!("{}", "o".repeat(99));
                        eprintln!("{}", "e".repeat(99));
                    }
                    assert!(!rest.is_empty(), "after all that");
                },
                (),
            )
            .unwrap();
        let captured = child.join_captured().unwrap();
        let value: Result<(), Error> = captured.value;
        assert!(matches!(value, Err(Error::Panicked(p)) if p.message.contains("after all that")));
        assert_eq!(captured.stdout.len(), 300_000);
        assert!(captured.stderr.starts_with(&b"e".repeat(99)) && captured.stderr.len() > 300_000);
        let again = child.join_captured().unwrap();
        assert!(again.stdout.is_empty() && again.value.is_err());
    }
}

#[test]
fn input_is_nothing_and_files_are_files() {
    for b in methods() {
        let (out, input) = (file(), file());
        (&input).write_all(b"from a file\n").unwrap();
        (&input).rewind().unwrap();
        let child = b.clone().stdout(out.try_clone().unwrap()).spawn(talk, ()).unwrap();
        assert_eq!(child.join().unwrap(), 0, "standard input is at its end");
        // The same builder twice: both children write to the same open file.
        let b = b.stdin(input).stdout(out.try_clone().unwrap()).stderr(Stream::Null);
        assert_eq!(b.clone().spawn(talk, ()).unwrap().join().unwrap(), 12);
        assert_eq!(b.spawn(talk, ()).unwrap().join().unwrap(), 0);
        assert_eq!(contents(out), "heard \"\"heard \"from a file\\n\"heard \"\"");
    }
}

/// Who drops its end is no longer there: the child reads an end, and writes nowhere.
#[test]
fn a_parent_that_drops_its_ends() {
    for b in methods() {
        let child = b
            .stdin(Stream::Piped)
            .stdout(Stream::Piped)
            .spawn(
                || {
                    let mut all = String::new();
                    std::io::stdin().read_to_string(&mut all)?;
                    let mut out = std::io::stdout();
                    loop {
                        if let Err(e) = out.write_all(&[b'x'; 4096]).and_then(|()| out.flush()) {
                            return Ok::<_, Error>((all, e.kind() == std::io::ErrorKind::BrokenPipe));
                        }
                    }
                },
                (),
            )
            .unwrap();
        let mut stdin = child.take_stdin().unwrap();
        stdin.write_all(b"all").unwrap();
        assert_eq!(child.join_timeout(Duration::from_millis(20)).unwrap(), None);
        drop(stdin);
        drop(child.take_stdout());
        assert_eq!(child.join().unwrap(), ("all".to_owned(), true));
    }
}
