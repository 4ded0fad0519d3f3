//! The rules, each a function from a source to its findings.

use super::Finding;
use super::source::{Source, words};

/// A file that is longer holds more than one idea.
const LONGEST: usize = 500;
/// The crate that holds the operating system.
const SYSTEM_CRATE: &str = "crates/mp-sys";
/// Dependencies that only that crate may have outside of tests.
const SYSTEM_DEPENDENCIES: [&str; 5] = ["libc", "windows-sys", "windows", "nix", "rustix"];
/// The crates whose algorithms run over shared memory: model checks replace their atomics.
const MODELLED_CRATES: [&str; 7] = [
    "crates/mp-session",
    "crates/mp-sync",
    "crates/mp-shared",
    "crates/mp-queue",
    "crates/mp-pipe",
    "crates/mp-pool",
    "crates/mp-manager",
];
/// The module that is replaced.
const PRIMITIVE: &str = "crates/mp-session/src/primitive";

/// The rules for a crate as a whole. `folder` is relative to the root.
pub(super) fn package(folder: &str, manifest: &str, readme: bool) -> Vec<Finding> {
    let path = format!("{folder}/Cargo.toml");
    let finding = |rule, line, what: String| Finding { rule, path: path.clone(), line, what };
    let mut findings = Vec::new();
    if !readme {
        findings.push(finding("readme", 1, "the crate has no README.md".into()));
    }
    let mut section = "";
    let mut lints = false;
    for (number, line) in manifest.lines().map(str::trim).enumerate() {
        if line.starts_with('[') {
            section = line;
        }
        lints |= section == "[lints]" && line.replace(' ', "") == "workspace=true";
        let named = line.split(['=', '.', ' ', '"']).next().unwrap_or_default();
        let dependency = section.ends_with("dependencies]") && !section.contains("dev-dependencies");
        if dependency && SYSTEM_DEPENDENCIES.contains(&named) && folder != SYSTEM_CRATE {
            findings.push(finding(
                "os",
                number + 1,
                format!("only mp-sys names an OS, and this depends on {named}"),
            ));
        }
    }
    if !lints {
        findings.push(finding("lints", 1, "the crate does not have `[lints] workspace = true`".into()));
    }
    findings
}

/// The rules for a file of a crate's `src`.
pub(super) fn file(source: &Source) -> Vec<Finding> {
    [length, stubs, reasons, system, sleeps, clocks, atomics]
        .into_iter()
        .flat_map(|rule| rule(source))
        .collect()
}

fn finding(source: &Source, rule: &'static str, offset: usize, what: impl Into<String>) -> Finding {
    Finding { rule, path: source.path.clone(), line: source.line(offset), what: what.into() }
}

fn length(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().count();
    let long = lines >= LONGEST;
    long.then(|| finding(source, "length", 0, format!("{lines} lines; a file stays under {LONGEST}")))
        .into_iter()
        .collect()
}

fn stubs(source: &Source) -> Vec<Finding> {
    let calls = ["todo!", "unimplemented!"].into_iter().flat_map(|call| source.code.match_indices(call));
    calls.map(|(at, call)| finding(source, "stubs", at, format!("{call} is not a feature"))).collect()
}

/// Each `unsafe { }` and `unsafe impl` has its SAFETY comment. Clippy looks at each block; this counts, which also covers code that
/// is not compiled for the host.
fn reasons(source: &Source) -> Vec<Finding> {
    let sites: Vec<usize> =
        words(&source.code, "unsafe").filter(|at| needs_a_reason(&source.code[*at..])).collect();
    let reasons = source.comments.matches("SAFETY:").count();
    match sites.first() {
        Some(first) if sites.len() > reasons => {
            let what = format!("{} unsafe blocks and impls, {reasons} SAFETY comments", sites.len());
            vec![finding(source, "safety", *first, what)]
        }
        _ => Vec::new(),
    }
}

fn needs_a_reason(code: &str) -> bool {
    let after = code["unsafe".len()..].trim_start();
    after.starts_with('{') || after.starts_with("impl")
}

/// Only mp-sys names an operating system.
fn system(source: &Source) -> Vec<Finding> {
    if source.path.starts_with(&format!("{SYSTEM_CRATE}/")) || is_test(source) {
        return Vec::new();
    }
    let code = &source.library;
    let mut places: Vec<(usize, &str)> = Vec::new();
    for word in ["target_os", "target_family", "target_env", "libc", "windows_sys", "nix", "rustix"] {
        places.extend(words(code, word).map(|at| (at, word)));
    }
    for word in ["unix", "windows"] {
        let named = words(code, word).filter(|at| in_cfg(&code[..*at]) || code[..*at].ends_with("std::os::"));
        places.extend(named.map(|at| (at, word)));
    }
    for word in ["std::os::linux", "std::os::macos", "std::os::android"] {
        places.extend(words(code, word).map(|at| (at, word)));
    }
    places.sort_unstable();
    places
        .into_iter()
        .map(|(at, word)| finding(source, "os", at, format!("only mp-sys names an OS: {word}")))
        .collect()
}

/// Whether the text ends inside `cfg(...)`, `cfg!(...)` or `cfg_attr(...)`.
fn in_cfg(before: &str) -> bool {
    let Some(start) = ["cfg(", "cfg!(", "cfg_attr("].into_iter().filter_map(|open| before.rfind(open)).max()
    else {
        return false;
    };
    let inside = &before[start..];
    inside.matches('(').count() > inside.matches(')').count()
}

/// Library code waits for events.
fn sleeps(source: &Source) -> Vec<Finding> {
    if is_test(source) {
        return Vec::new();
    }
    let calls = words(&source.library, "thread::sleep");
    calls
        .map(|at| finding(source, "sleep", at, "library code waits for an event, it does not sleep"))
        .collect()
}

/// A clock that somebody may set is no measure of how long to wait: no timeout changes with it.
fn clocks(source: &Source) -> Vec<Finding> {
    if is_test(source) {
        return Vec::new();
    }
    let names =
        ["SystemTime::now", "CLOCK_REALTIME", "FUTEX_CLOCK_REALTIME", "gettimeofday", "sem_timedwait"];
    let places = names.into_iter().flat_map(|name| words(&source.library, name));
    places.map(|at| finding(source, "clock", at, "time is measured by clocks that nobody sets")).collect()
}

/// What a model check does not know of, it cannot interleave. (Clippy's `disallowed-types` cannot tell a type from its re-export.)
fn atomics(source: &Source) -> Vec<Finding> {
    let modelled = MODELLED_CRATES.iter().any(|folder| source.path.starts_with(&format!("{folder}/")));
    if !modelled || source.path.starts_with(PRIMITIVE) || is_test(source) {
        return Vec::new();
    }
    words(&source.library, "sync::atomic")
        .map(|at| finding(source, "atomics", at, "atomics are named through mp_session's `primitive`"))
        .collect()
}

/// Whether the whole file is a test module, by the name that such files have here.
fn is_test(source: &Source) -> bool {
    let path = &source.path;
    path.ends_with("/tests.rs") || path.ends_with("_tests.rs") || path.contains("/tests/")
}

#[cfg(test)]
mod tests {
    use super::{Source, file, package};

    fn rules_broken(path: &str, text: &str) -> Vec<&'static str> {
        file(&Source::new(path.into(), text.into())).iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn each_rule_finds_its_breach() {
        let path = "crates/mp-sync/src/lock.rs";
        assert_eq!(rules_broken(path, "fn f() {}\n"), [""; 0]);
        assert_eq!(rules_broken(path, &"\n".repeat(500)), ["length"]);
        assert_eq!(rules_broken(path, "fn f() { todo!() }"), ["stubs"]);
        assert_eq!(rules_broken(path, "fn f() { unsafe { g() } }"), ["safety"]);
        assert_eq!(
            rules_broken(path, "fn f() {\n// SAFETY: g is good.\nunsafe { g() } }\nunsafe fn g() {}"),
            [""; 0]
        );
        assert_eq!(rules_broken(path, "fn f() { std::thread::sleep(x) }"), ["sleep"]);
        assert_eq!(
            rules_broken(path, "#[cfg(test)]\nmod tests { fn f() { std::thread::sleep(x) } }"),
            [""; 0]
        );
    }

    #[test]
    fn nobody_looks_at_a_clock_that_can_be_set() {
        let path = "crates/mp-sys/src/imp/linux/park.rs";
        assert_eq!(rules_broken(path, "let now = SystemTime::now();"), ["clock"]);
        assert_eq!(rules_broken(path, "wait(word, libc::CLOCK_REALTIME)"), ["clock"]);
        assert_eq!(rules_broken(path, "wait(word, libc::CLOCK_MONOTONIC)"), [""; 0]);
    }

    #[test]
    fn atomics_come_through_the_primitive_module() {
        let text = "use std::sync::atomic::AtomicU64;";
        assert_eq!(rules_broken("crates/mp-queue/src/ring.rs", text), ["atomics"]);
        assert_eq!(rules_broken("crates/mp-process/src/current.rs", text), [""; 0]);
        assert_eq!(rules_broken("crates/mp-session/src/primitive.rs", text), [""; 0]);
        let test = format!("#[cfg(test)]\nmod tests {{ {text} }}");
        assert_eq!(rules_broken("crates/mp-queue/src/ring.rs", &test), [""; 0]);
    }

    #[test]
    fn only_the_system_crate_names_an_os() {
        for text in [
            "#[cfg(unix)]",
            "if cfg!(all(a, windows)) {}",
            "#[cfg(target_os = \"linux\")]",
            "use libc::c_int;",
            "use std::os::unix::x;",
        ] {
            assert_eq!(rules_broken("crates/mp-sync/src/lock.rs", text), ["os"], "{text}");
            assert_eq!(rules_broken("crates/mp-sys/src/lock.rs", text), [""; 0], "{text}");
        }
        assert_eq!(
            rules_broken("crates/mp-sync/src/lock.rs", "for pair in list.windows(2) {} // cfg(unix)"),
            [""; 0]
        );
    }

    #[test]
    fn a_crate_has_what_belongs_to_it() {
        let good =
            "[package]\nname = \"x\"\n[lints]\nworkspace = true\n[dev-dependencies]\nlibc.workspace = true\n";
        assert!(package("crates/mp-sync", good, true).is_empty());
        let bad = "[dependencies]\nlibc.workspace = true\n";
        let rules: Vec<_> =
            package("crates/mp-sync", bad, false).iter().map(|finding| finding.rule).collect();
        assert_eq!(rules, ["readme", "os", "lints"]);
    }
}
