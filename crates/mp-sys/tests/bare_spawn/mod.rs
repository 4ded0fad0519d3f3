//! What a started process gets, and how its end is told. On every platform.

use crate::{
    Named,
    common::{self, Kid, Words, soon, told},
};
use mp_sys::{Exit, OsHandle, Program, Signal, Stdio, same_variable, spawn};
use std::{
    ffi::OsString,
    io::{ErrorKind, Read},
    path::Path,
    time::{Duration, Instant},
};

pub(crate) const TESTS: &[Named] = &[
    ("arguments_arrive_as_they_are", arguments_arrive_as_they_are),
    ("the_environment_is_the_one_given", the_environment_is_the_one_given),
    ("streams_can_be_crossed", streams_can_be_crossed),
    ("it_starts_where_told", it_starts_where_told),
    ("what_cannot_be_started_is_an_error", what_cannot_be_started_is_an_error),
    (
        "names_of_variables_are_compared_as_the_system_does",
        names_of_variables_are_compared_as_the_system_does,
    ),
    ("ends_are_told_apart", ends_are_told_apart),
    ("a_wait_keeps_its_deadline", a_wait_keeps_its_deadline),
    ("a_signal_does_not_wait_for_a_wait", a_signal_does_not_wait_for_a_wait),
];

pub(crate) const ROLES: &[Named] = &[
    ("arguments", show_arguments),
    ("environment", || print!("{:?}", sorted(std::env::vars_os()))),
    ("streams", || {
        print!("to out");
        eprint!("to err");
    }),
    ("directory", || print!("{}", std::env::current_dir().expect("directory").display())),
    ("exit", || mp_sys::exit_now(told().expect("told")[0] as i32)),
    ("stay", || {
        let words = Words::inherited(told().expect("told")[0]);
        words.set(0, 1);
        words.stay();
    }),
];

fn sorted(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    let mut variables: Vec<_> = variables.collect();
    variables.sort();
    variables
}

fn show_arguments() {
    for argument in std::env::args_os().skip(3) {
        print!("{}\u{1f}", argument.to_str().expect("text"));
    }
}

/// Runs a role to its end, with one of its streams caught.
fn output(mut request: mp_sys::SpawnRequest<'_>, stream: usize) -> String {
    let (mut reader, writer) = std::io::pipe().expect("pipe");
    request.stdio[stream] = Stdio::Handle(OsHandle::from(writer));
    let kid = Kid(spawn(&request).expect("spawn"));
    drop(request); // and with it our copy of the writing end
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("read");
    assert_eq!(kid.0.wait(soon()).expect("wait"), Some(Exit::Code(0)));
    text
}

fn arguments_arrive_as_they_are() {
    let hard = [
        "plain",
        "",
        " ",
        "two words",
        "a\"quote",
        "\"",
        "\\",
        "\\\\",
        "end\\",
        "end with space \\",
        "\\\"",
        "a\\\\\"b",
        "*.rs",
        "$HOME",
        "%PATH%",
        "^&|<>",
        "tab\there",
        "new\nline",
        "gr\u{fc}n",
        "\u{1f980}",
        "--",
        "-x=1",
    ];
    let args: Vec<&str> = ["role", "arguments"].into_iter().chain(hard).collect();
    let expected: String = hard.iter().map(|a| format!("{a}\u{1f}")).collect();
    assert_eq!(output(common::request(&args, &[], &[]), 1), expected);
}

fn the_environment_is_the_one_given() {
    let mut request = common::request(&["role", "environment"], &[], &[]);
    // What the platform cannot start a program without: Windows' own variables, and the emulators'.
    let needed = ["SYSTEMROOT", "WINEPREFIX", "QEMU_LD_PREFIX"];
    request.env.retain(|(key, _)| needed.iter().any(|name| key.eq_ignore_ascii_case(name)));
    request.env.extend([("MP_ONE".into(), "1 = \"one\"".into()), ("MP_NONE".into(), "".into())]);
    let expected = format!("{:?}", sorted(request.env.iter().cloned()));
    let text = output(request, 1);
    if cfg!(windows) {
        // Windows (and wine) adds some of its own.
        assert!(text.contains(r#""MP_ONE", "1 = \"one\"""#) && !text.contains("CARGO"), "{text}");
    } else {
        assert_eq!(text, expected);
    }
}

fn streams_can_be_crossed() {
    assert_eq!(output(common::request(&["role", "streams"], &[], &[]), 1), "to out");
    let mut request = common::request(&["role", "streams"], &[], &[]);
    request.stdio[1] = Stdio::Null;
    assert_eq!(output(request, 2), "to err");
}

fn it_starts_where_told() {
    let mut request = common::request(&["role", "directory"], &[], &[]);
    let directory = std::env::temp_dir().canonicalize().expect("directory");
    request.cwd = Some(directory.clone());
    let text = output(request, 1);
    assert_eq!(Path::new(&text).canonicalize().expect("directory"), directory);
}

fn what_cannot_be_started_is_an_error() {
    let failed = |request: &mp_sys::SpawnRequest<'_>| spawn(request).expect_err("spawn").kind();
    let mut request = common::request(&[], &[], &[]);
    request.program = Program::Path(Path::new("/no/such/program"));
    if common::emulated() {
        eprintln!("skipped: under the emulator the child of vfork cannot tell why it failed");
    } else {
        assert_eq!(failed(&request), ErrorKind::NotFound);
    }
    let mut request = common::request(&["role\0"], &[], &[]);
    assert_eq!(failed(&request), ErrorKind::InvalidInput);
    request.args.clear();
    request.env.push(("A=B".into(), "".into()));
    assert_eq!(failed(&request), ErrorKind::InvalidInput);
    request.env.pop();
    request.env.push(("A".into(), "B\0".into()));
    assert_eq!(failed(&request), ErrorKind::InvalidInput);
}

fn names_of_variables_are_compared_as_the_system_does() {
    let same = |a: &str, b: &str| same_variable(a.as_ref(), b.as_ref());
    assert!(same("PATH", "PATH") && !same("PATH", "PATHS") && !same("", "A"));
    assert_eq!(same("Path", "PATH"), cfg!(windows));
    assert_eq!(same("größe", "GRÖßE"), cfg!(windows));
}

fn ends_are_told_apart() {
    for code in [0, 1, 42, 255] {
        let kid = Kid(spawn(&common::request(&["role", "exit"], &[code], &[])).expect("spawn"));
        assert_eq!(kid.0.wait(None).expect("wait"), Some(Exit::Code(code as i32)));
    }
    let words = Words::create();
    let number = words.object.as_inherited();
    for (signal, end) in [(Signal::Terminate, 15), (Signal::Kill, 9), (Signal::Interrupt, 2)] {
        words.set(0, 0);
        let kid = Kid(spawn(&common::request(&["role", "stay"], &[number], &[number])).expect("spawn"));
        words.wait_for(0, 1);
        kid.0.signal(signal).expect("signal");
        assert_eq!(kid.0.wait(soon()).expect("wait"), Some(Exit::Signal(end)));
    }
}

fn a_wait_keeps_its_deadline() {
    let words = Words::create();
    let number = words.object.as_inherited();
    let kid = Kid(spawn(&common::request(&["role", "stay"], &[number], &[number])).expect("spawn"));
    for millis in [0, 1, 40] {
        let start = Instant::now();
        assert_eq!(kid.0.wait(Some(start + Duration::from_millis(millis))).expect("wait"), None);
        assert!(start.elapsed() >= Duration::from_millis(millis));
    }
    assert_eq!(kid.0.try_wait().expect("try"), None);
}

fn a_signal_does_not_wait_for_a_wait() {
    let words = Words::create();
    let number = words.object.as_inherited();
    for deadline in [None, soon()] {
        words.set(0, 0);
        let kid = Kid(spawn(&common::request(&["role", "stay"], &[number], &[number])).expect("spawn"));
        std::thread::scope(|s| {
            let waiter = s.spawn(|| kid.0.wait(deadline));
            words.wait_for(0, 1);
            kid.0.signal(Signal::Kill).expect("kill");
            assert_eq!(waiter.join().expect("join").expect("wait"), Some(Exit::Signal(9)));
        });
    }
}
