//! What the command line of a benchmark may say.

use std::path::PathBuf;
use std::time::Duration;

/// What one row may take in one round of a quick run.
const QUICK: Duration = Duration::from_millis(20);

pub(crate) struct Options {
    /// How many rounds count.
    pub(crate) rounds: usize,
    /// Rows whose name contains this, and those that they are compared with.
    pub(crate) only: Option<String>,
    /// Few operations: a look, not a measurement to quote.
    quick: bool,
    /// Where the figures are appended, one JSON object a line.
    pub(crate) record: Option<PathBuf>,
}

impl Options {
    pub(crate) fn from_arguments() -> Options {
        let arguments: Vec<String> = std::env::args().collect();
        let after = |flag: &str| {
            arguments.iter().position(|a| a == flag).and_then(|at| arguments.get(at + 1)).cloned()
        };
        let quick = arguments.iter().any(|a| a == "--quick");
        let usual = if quick { 5 } else { 9 };
        Options {
            rounds: after("--rounds").and_then(|n| n.parse().ok()).unwrap_or(usual).max(5),
            only: after("--only"),
            quick,
            record: after("--record").map(PathBuf::from),
        }
    }

    /// How many operations the round before the first that counts does.
    pub(crate) fn first(&self, operations: u32) -> u32 {
        operations.div_ceil(if self.quick { 16 } else { 4 })
    }

    /// How many the others do, when `done` of them took so long.
    pub(crate) fn each(&self, operations: u32, done: u32, took: Duration) -> u32 {
        if !self.quick {
            return operations;
        }
        let fit = QUICK.as_secs_f64() / took.as_secs_f64().max(1e-9) * f64::from(done);
        // Never fewer than were tried: some rows need a whole batch to mean anything.
        operations.min((fit as u32).max(done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_runs_do_what_fits() {
        let options = |quick| Options { rounds: 5, only: None, quick, record: None };
        assert_eq!(options(false).each(1000, 250, Duration::from_secs(9)), 1000);
        assert_eq!(options(true).each(1000, 63, Duration::from_millis(2)), 630);
        assert_eq!(options(true).each(1000, 63, Duration::from_secs(9)), 63);
        assert_eq!(options(true).each(1000, 63, Duration::ZERO), 1000);
    }
}
