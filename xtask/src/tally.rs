//! Reads the results that test programs print.

use crate::limit::{AGAIN, BEGINS};

/// What the test programs behind one command said about themselves.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) ignored: u32,
    /// The names of the tests that failed.
    pub(crate) names: Vec<String>,
    /// The programs that failed and were run a second time, which is what counts.
    pub(crate) again: Vec<String>,
    /// How it stood when the program began that may be run a second time.
    before: Option<Box<Tally>>,
}

impl Tally {
    /// Takes one line of output into account, if it is a result.
    pub(crate) fn read(&mut self, line: &str) {
        let line = line.trim_end();
        if line.starts_with(BEGINS) {
            self.before = Some(Box::new(Tally { before: None, ..self.clone() }));
        } else if let Some(program) = line.strip_prefix(AGAIN) {
            let mut all = self.before.as_deref().cloned().unwrap_or_default();
            let failed = self.names.get(all.names.len()..).unwrap_or_default().join(", ");
            all.again.push(format!("{program}: {failed}"));
            *self = all;
        } else if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += count(result, "passed");
            self.failed += count(result, "failed");
            self.ignored += count(result, "ignored");
        } else if let Some(name) =
            line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.names.push(name.to_owned());
        }
    }
}

/// The number before `word` in `ok. 3 passed; 0 failed; ...`.
fn count(result: &str, word: &str) -> u32 {
    let words: Vec<&str> = result.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
    words.windows(2).find(|pair| pair[1] == word).and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{AGAIN, BEGINS, Tally};

    #[test]
    fn adds_up_the_lines_of_several_programs() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 4 filtered out; finished in 2.50s\r",
        ] {
            tally.read(line);
        }
        let expected =
            Tally { passed: 13, failed: 1, ignored: 1, names: vec!["a::c".into()], ..Tally::default() };
        assert_eq!(tally, expected);
    }

    #[test]
    fn the_second_time_is_what_counts() {
        let mut tally = Tally::default();
        let begins = format!("{BEGINS}some/program");
        let again = format!("{AGAIN}some/program (code 101)");
        for line in [
            &*begins,
            "test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            &begins,
            "test a::b ... FAILED",
            "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            &again,
            "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        ] {
            tally.read(line);
        }
        assert_eq!((tally.passed, tally.failed, tally.ignored, tally.names.len()), (6, 0, 1, 0));
        assert_eq!(tally.again, ["some/program (code 101): a::b"]);
    }
}
