//! The step that runs the fuzz targets, each for some seconds.

use std::time::Duration;

use super::Context;
use crate::Result;
use crate::fuzz::{Build, Fuzzer, Missing};
use crate::report::Report;

/// How long each target runs in an ordinary run.
const SHORT: Duration = Duration::from_secs(3);

pub(super) fn short(context: &Context, report: &mut Report) -> Result<()> {
    match Fuzzer::build(&context.project, Build::ForShort)? {
        Ok(fuzzer) => {
            for target in &fuzzer.targets {
                let good = fuzzer.run(target, SHORT)?;
                report.check(format_args!("fuzz target {target}"), good);
            }
        }
        Err(Missing(what, enable)) => report.skip(what, enable),
    }
    Ok(())
}
