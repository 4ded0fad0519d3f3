//! Steps that check models.

use super::{Context, tests};
use crate::Result;
use crate::model;
use crate::report::Report;

/// How often each model is tried in an ordinary run, and in a full one.
const SHORT: u64 = 2_000;
const LONG: u64 = 100_000;

pub(super) fn short(context: &Context, report: &mut Report) -> Result<()> {
    check(context, report, SHORT)
}

pub(super) fn long(context: &Context, report: &mut Report) -> Result<()> {
    check(context, report, LONG)
}

fn check(context: &Context, report: &mut Report, iterations: u64) -> Result<()> {
    tests::watch(report, "model checks", &mut model::command(&context.project, Some(iterations), None, &[])?)
}
