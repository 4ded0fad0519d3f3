//! What passed, what failed, what was skipped and how to enable it.

use std::time::{Duration, Instant};

/// The account of a run: steps report here, and the summary at the end is read from here.
#[derive(Debug, Default)]
pub(crate) struct Report {
    passed: u32,
    failed: u32,
    skipped: u32,
    step: String,
    steps: Vec<(String, Duration, bool)>,
    failures: Vec<String>,
    skips: Vec<String>,
    /// What did not go as it should and is no failure.
    notes: Vec<String>,
}

impl Report {
    /// Prints the heading of a step, runs it and notes its time.
    pub(crate) fn step(
        &mut self,
        name: &str,
        about: &str,
        run: impl FnOnce(&mut Report) -> crate::Result<()>,
    ) {
        println!("\n==== {name}: {about}");
        let failed_before = self.failed;
        name.clone_into(&mut self.step);
        let start = Instant::now();
        if let Err(error) = run(self) {
            self.fail(error);
        }
        let took = start.elapsed();
        let good = self.failed == failed_before;
        println!("---- {name}: {} in {:.1} s", if good { "passed" } else { "FAILED" }, took.as_secs_f64());
        self.steps.push((name.to_owned(), took, good));
    }

    /// Counts one check that passed.
    pub(crate) fn pass(&mut self) {
        self.passed += 1;
    }

    /// Counts one check that failed, and says which.
    pub(crate) fn fail(&mut self, what: impl std::fmt::Display) {
        self.failed += 1;
        let line = format!("failed: {}: {what}", self.step);
        println!("{line}");
        self.failures.push(line);
    }

    /// Counts one check by its outcome.
    pub(crate) fn check(&mut self, what: impl std::fmt::Display, good: bool) {
        if good { self.pass() } else { self.fail(what) }
    }

    /// Says what could not run here, and how it would.
    pub(crate) fn skip(&mut self, what: impl std::fmt::Display, enable: impl std::fmt::Display) {
        self.skip_many(1, what, enable);
    }

    /// The same for several checks at once.
    pub(crate) fn skip_many(
        &mut self,
        count: u32,
        what: impl std::fmt::Display,
        enable: impl std::fmt::Display,
    ) {
        self.skipped += count;
        let line = format!("skipped: {what} (how to enable: {enable})");
        println!("{line}");
        self.skips.push(line);
    }

    /// Adds the results of test programs. `good` is how their command ended: when it failed and no test did, a program
    /// crashed, did not build or ran out of time, which counts as one failure.
    pub(crate) fn tests(&mut self, what: &str, good: bool, tally: crate::tally::Tally) {
        self.passed += tally.passed;
        for name in &tally.names {
            self.failures.push(format!("failed: {}: test {name}", self.step));
        }
        for program in &tally.again {
            self.notes.push(format!("run a second time: {what}: {program}"));
        }
        self.failed += tally.failed;
        if !good && tally.failed == 0 {
            self.fail(format_args!(
                "{what}: a test program did not build, crashed, ran out of time or left processes behind"
            ));
        }
        if tally.ignored > 0 {
            self.skip_many(
                tally.ignored,
                format_args!("{} ignored tests ({what})", tally.ignored),
                "cargo test -- --ignored",
            );
        }
    }

    /// Prints the summary; true when nothing failed.
    pub(crate) fn summary(&self) -> bool {
        println!("\n==== summary");
        for (name, took, good) in &self.steps {
            println!("{:>8.1} s  {}  {name}", took.as_secs_f64(), if *good { "passed" } else { "FAILED" });
        }
        for line in self.notes.iter().chain(&self.skips).chain(&self.failures) {
            println!("{line}");
        }
        println!("ci: {} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
        self.failed == 0
    }
}
