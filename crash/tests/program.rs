//! The program itself: it finds what is broken, and its two ways of watching see the same.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))] // the other way exists there alone

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mp-crash"));
    for name in ["SCENE", "IMAGE", "SECOND", "OTHER"] {
        command.env_remove(format!("MP_CRASH_{name}"));
    }
    let output = command.args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output, text)
}

/// Scenes and how many images they have.
fn images(text: &str) -> Vec<(&str, &str)> {
    let mut found: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once(" images "))
        .filter_map(|(head, _)| head.rsplit_once(' '))
        .map(|(name, count)| (name.trim(), count))
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn both_ways_of_watching_see_the_same_images() {
    let scenes = ["--only", "table: retain", "--only", "thread: register", "--sample", "0"];
    let (faults, by_faults) = run(&scenes);
    let (steps, by_steps) = run(&[&scenes[..], &["--steps"]].concat());
    assert!(faults.status.success() && steps.status.success(), "{by_faults}\n{by_steps}");
    assert!(images(&by_faults).len() > 2);
    assert_eq!(images(&by_faults), images(&by_steps));
}

#[test]
fn recoveries_are_cut_off_as_well() {
    let (output, text) = run(&["--only", "session/table: release the last", "--sample", "3"]);
    assert!(output.status.success() && !text.contains(" 0 of them from"), "{text}");
}

#[test]
fn what_is_broken_is_found() {
    let (output, text) = run(&["--broken", "--patience", "2", "--sample", "0"]);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("half done") && text.contains("scenes/broken.rs"), "{text}");
    assert!(text.contains("objects are left"), "{text}");
    assert!(text.contains("hangs, in"), "{text}");
    assert!(text.contains("3 failed"), "{text}");
}
