//! What may break a rule, and why.

/// One file, or one crate, that is excused from one rule.
#[derive(Debug)]
pub(super) struct Exception {
    pub(super) rule: &'static str,
    pub(super) path: &'static str,
    pub(super) reason: &'static str,
}

pub(super) const EXCEPTIONS: &[Exception] = &[
    Exception {
        rule: "os",
        path: "crates/mp-process/src/testing.rs",
        reason: "the macro names, in its user's crate, the section of the image that lists what runs before main",
    },
    Exception {
        rule: "sleep",
        path: "crates/mp-manager/src/gateway/remote/wire.rs",
        reason: "a listener that is not there yet, on another machine perhaps, sends no event: pauses between attempts to connect",
    },
    Exception {
        rule: "sleep",
        path: "crates/mp-sys/src/imp/macos/wait_on_address.rs",
        reason: "a macOS that has neither way of waiting on an address: slices",
    },
    Exception {
        rule: "sleep",
        path: "crates/mp-sys/src/imp/unix/child.rs",
        reason: "waiting for a child with a deadline where there are no pidfds: nothing else can be waited for",
    },
    Exception {
        rule: "sleep",
        path: "crates/mp-sys/src/imp/windows/park.rs",
        reason: "the system has no event left to wait on: slices",
    },
];
