//! `xtask limit [--again] SECONDS PROGRAM ARGUMENT...`: a program under a time limit.
//!
//! Cargo gets this command as the *runner* of a target, so every test program and every set of doctests that it starts has
//! its own limit, and its own process group. The limit ends:
//!
//! - a program that runs too long, with all its descendants;
//! - everything, when our own parent goes away (Ctrl-C reaches only the terminal's foreground group);
//! - what a program that ended by itself left running, after a short grace. That is a failure too: nothing that this project
//!   starts may outlive its test.
//!
//! With `--again` a program that fails gets a second chance, and both are said aloud: for emulators, which have failures of their own.

use std::ffi::{OsStr, OsString};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::Result;
use crate::processes;

/// The exit codes of `timeout(1)` and of a shell, so that logs read as usual.
const RAN_TOO_LONG: u8 = 124;
const LEFT_PROCESSES: u8 = 125;
const CANNOT_START: u8 = 127;

/// How often we look whether our parent is still there.
const PARENT_CHECK: Duration = Duration::from_millis(500);
/// How long a daemon of the program may need to notice that its parent is gone.
const GRACE: Duration = Duration::from_secs(2);

/// What `--again` prints before a program begins, and when it is run a second time: [`Tally`](crate::tally::Tally) reads it.
pub(crate) const BEGINS: &str = "xtask limit: begins: ";
pub(crate) const AGAIN: &str = "xtask limit: failed, and is run once more: ";

/// The command as cargo or a step of `ci` starts it.
pub(crate) fn main(arguments: &[OsString]) -> ExitCode {
    let (again, arguments) = match arguments {
        [first, rest @ ..] if first == "--again" => (true, rest),
        all => (false, all),
    };
    let [seconds, program, arguments @ ..] = arguments else {
        eprintln!("usage: xtask limit [--again] SECONDS PROGRAM ARGUMENT...");
        return ExitCode::from(2);
    };
    let Some(seconds) = seconds.to_str().and_then(|text| text.parse().ok()) else {
        eprintln!("xtask limit: not a number of seconds: {}", seconds.display());
        return ExitCode::from(2);
    };
    let limit = Duration::from_secs(seconds);
    let named = || arguments.first().unwrap_or(program).display();
    let outcome = if again {
        println!("{BEGINS}{}", named());
        run(limit, program, arguments).and_then(|code| match code {
            0 => Ok(0),
            code => {
                println!("{AGAIN}{} (code {code})", named());
                run(limit, program, arguments)
            }
        })
    } else {
        run(limit, program, arguments)
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("xtask limit: {}: {error}", program.display());
            ExitCode::from(CANNOT_START)
        }
    }
}

/// The words that put a command under a limit: `WORDS... PROGRAM ARGUMENT...`.
pub(crate) fn words(seconds: u64) -> Result<Vec<OsString>> {
    Ok(vec![std::env::current_exe()?.into(), "limit".into(), seconds.to_string().into()])
}

/// `command` under a limit of `seconds`.
pub(crate) fn limited(command: &Command, seconds: u64) -> Result<Command> {
    let words = words(seconds)?;
    let mut outer = Command::new(&words[0]);
    outer.args(&words[1..]).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        outer.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    Ok(outer)
}

/// The `--config` that makes cargo run everything for `target` under a limit, in front of the runner it has: what needs one is an
/// emulator, and gets `--again`.
pub(crate) fn runner(target: &str, seconds: u64, inner: Option<&str>) -> Result<String> {
    let mut words = words(seconds)?;
    if inner.is_some() {
        words.insert(2, "--again".into());
    }
    words.extend(inner.into_iter().flat_map(str::split_whitespace).map(OsString::from));
    let quoted: Vec<String> = words.iter().map(|word| format!("{:?}", word.display().to_string())).collect();
    Ok(format!("target.{target}.runner=[{}]", quoted.join(", ")))
}

fn run(limit: Duration, program: &OsStr, arguments: &[OsString]) -> Result<u8> {
    let deadline = Instant::now() + limit;
    let parent = parent();
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    lead_a_group(&mut command);
    let mut child = command.spawn()?;
    let leader = child.id();

    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait()));
    let status = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match ended.recv_timeout(left.min(PARENT_CHECK)) {
            Ok(status) => break status?,
            Err(mpsc::RecvTimeoutError::Timeout) if parent != self::parent() => {
                processes::end_family(leader);
                return Ok(RAN_TOO_LONG);
            }
            Err(mpsc::RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
            Err(mpsc::RecvTimeoutError::Timeout) => {
                print_family(leader);
                let ended = processes::end_family(leader);
                eprintln!(
                    "xtask limit: {} ran longer than {limit:?}: killed ({ended} processes)",
                    program.display()
                );
                return Ok(RAN_TOO_LONG);
            }
            Err(error @ mpsc::RecvTimeoutError::Disconnected) => return Err(error.into()),
        }
    };
    if outlived(leader) {
        print_family(leader);
        processes::end_family(leader);
        eprintln!("xtask limit: {} ended ({status}) and left processes behind: killed", program.display());
        return Ok(LEFT_PROCESSES);
    }
    Ok(code(status, program))
}

/// Whether something of the ended leader's group still runs when the grace is over.
fn outlived(leader: u32) -> bool {
    let end = Instant::now() + GRACE;
    while processes::family(leader).iter().any(|process| !processes::of_wine(process)) {
        if Instant::now() >= end {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn print_family(leader: u32) {
    for process in processes::family(leader) {
        eprintln!(
            "xtask limit: still running: {} (parent {}): {}",
            process.id, process.parent, process.arguments
        );
    }
}

fn code(status: ExitStatus, program: &OsStr) -> u8 {
    match status.code() {
        Some(code) => u8::try_from(code).unwrap_or(1),
        None => {
            eprintln!("xtask limit: {}: {status}", program.display());
            1
        }
    }
}

#[cfg(unix)]
fn lead_a_group(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(not(unix))]
fn lead_a_group(_: &mut Command) {}

#[cfg(unix)]
fn parent() -> u32 {
    std::os::unix::process::parent_id()
}

/// Windows never gives an orphan a new parent; there the job of the terminal ends us.
#[cfg(not(unix))]
fn parent() -> u32 {
    0
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    fn ended_with(script: &str) -> u8 {
        run(Duration::from_secs(1), OsStr::new("sh"), &["-c".into(), script.into()]).unwrap()
    }

    /// Whether a process with these arguments is alive.
    fn alive(arguments: &str) -> bool {
        processes::list().iter().any(|process| process.arguments.trim() == arguments)
    }

    #[test]
    fn what_ends_in_time_keeps_its_code() {
        assert_eq!(ended_with("exit 7"), 7);
        assert_eq!(ended_with("kill -9 $$"), 1);
    }

    #[test]
    fn what_runs_too_long_ends_with_all_it_started() {
        assert_eq!(ended_with("sleep 71.25 & setsid sleep 71.25 & sleep 71.25"), RAN_TOO_LONG);
        assert!(!alive("sleep 71.25"));
    }

    #[test]
    fn what_is_left_running_is_ended_and_a_failure() {
        assert_eq!(ended_with("sleep 72.25 & exit 0"), LEFT_PROCESSES);
        assert!(!alive("sleep 72.25"));
    }
}
