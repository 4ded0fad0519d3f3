//! What may break a rule, and why.

/// One file, or one crate, that is excused from one rule.
#[derive(Debug)]
pub(super) struct Exception {
    pub(super) rule: &'static str,
    pub(super) path: &'static str,
    pub(super) reason: &'static str,
}

pub(super) const EXCEPTIONS: &[Exception] = &[];
