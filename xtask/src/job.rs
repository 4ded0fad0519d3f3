//! Runs a program, shows its output as it comes, and reads it along.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::Result;

/// How long we listen on for output after the program has ended: something that it left behind may hold the pipe open.
const DRAIN: Duration = Duration::from_secs(3);

enum Event {
    Line(Vec<u8>),
    NoMoreLines,
    Ended(std::io::Result<ExitStatus>),
}

/// Runs the command and gives each line of its output (both streams, in order) to `each` after printing it.
/// True when the command succeeded.
pub(crate) fn watch(command: &mut Command, mut each: impl FnMut(&str)) -> Result<bool> {
    println!("$ {}", shown(command));
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().map_err(|error| format!("{}: {error}", shown(command)))?;
    // our ends of the pipe live in the command: without this the reader would never see the end
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let (sender, events) = mpsc::channel();
    let ends = sender.clone();
    std::thread::spawn(move || ends.send(Event::Ended(child.wait())));
    std::thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while let Ok(1..) = reader.read_until(b'\n', &mut line) {
            if sender.send(Event::Line(std::mem::take(&mut line))).is_err() {
                return;
            }
        }
        // nobody listens any more when the drain time is over, and then it does not matter
        drop(sender.send(Event::NoMoreLines));
    });

    let mut status = None;
    let mut open = true;
    while status.is_none() || open {
        let event = if status.is_none() {
            events.recv()?
        } else {
            events.recv_timeout(DRAIN).unwrap_or(Event::NoMoreLines)
        };
        match event {
            Event::Line(line) => {
                std::io::stdout().write_all(&line)?;
                each(String::from_utf8_lossy(&line).trim_end());
            }
            Event::NoMoreLines => open = false,
            Event::Ended(how) => status = Some(how?),
        }
    }
    Ok(status.is_some_and(|status| status.success()))
}

/// Runs the command and prints its output.
pub(crate) fn run(command: &mut Command) -> Result<bool> {
    watch(command, |_| {})
}

/// The command as one would type it: programs by their names, and without the time limit in front.
fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().display().to_string()];
    words.extend(command.get_args().map(|argument| argument.display().to_string()));
    if words.get(1).is_some_and(|word| word == "limit") {
        words.drain(..3.min(words.len()));
    }
    if let Some(program) = words.first_mut()
        && let Some(name) = std::path::Path::new(program.as_str()).file_name()
    {
        *program = name.display().to_string();
    }
    for word in &mut words {
        if word.is_empty() || word.contains([' ', '"', '\'', '$', '*']) {
            *word = format!("'{word}'");
        }
    }
    words.join(" ")
}
