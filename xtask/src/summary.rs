//! What a person reads: progress lines, durations, the closing lines of a test runner.

use std::io::Write;
use std::time::{Duration, Instant};

/// Writes a line for the person who watches. A reader that went away is no reason to stop.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// A duration as people say it: `0.4 s`, `12 s`, `3 min 07 s`.
pub(crate) fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds >= 60 {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    } else if seconds >= 10 {
        format!("{seconds} s")
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

/// How long something takes.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "a program that tells people how long it took"
    )]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The counts of a test run, read from the lines that its runner prints.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// The runner's own closing line, when it prints one for the whole run.
    pub(crate) closing: Option<String>,
}

impl Tally {
    /// Takes one line of output into account. Both runners are understood: `cargo test` prints a
    /// `test result:` line for each binary, nextest one `Summary` line for the run.
    pub(crate) fn read(&mut self, line: &str) {
        let line = line.trim();
        if let Some((_, counts)) = line
            .strip_prefix("test result:")
            .and_then(|rest| rest.split_once(". "))
        {
            self.passed += count_before(counts, "passed");
            self.failed += count_before(counts, "failed");
        } else if line.starts_with("Summary [") {
            self.passed += count_before(line, "passed");
            self.failed += count_before(line, "failed");
            self.closing = Some(line.to_owned());
        }
    }

    /// One line about the run.
    pub(crate) fn line(&self) -> String {
        self.closing.clone().unwrap_or_else(|| {
            format!(
                "{} tests run: {} passed, {} failed",
                self.passed + self.failed,
                self.passed,
                self.failed
            )
        })
    }
}

/// The number that stands before `word`, as in `12 passed; 0 failed` or `3 passed (1 slow)`.
fn count_before(text: &str, word: &str) -> u64 {
    let mut before = None;
    for piece in text.split(|c: char| !c.is_alphanumeric()) {
        if piece == word {
            return before.unwrap_or(0);
        }
        if !piece.is_empty() {
            before = piece.parse().ok();
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_exact_enough() {
        assert_eq!(spoken(Duration::from_millis(432)), "0.4 s");
        assert_eq!(spoken(Duration::from_secs(12)), "12 s");
        assert_eq!(spoken(Duration::from_secs(187)), "3 min 07 s");
    }

    #[test]
    fn result_lines_of_cargo_test_add_up() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 9 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
        ] {
            tally.read(line);
        }
        assert_eq!((tally.passed, tally.failed), (12, 2));
        assert_eq!(tally.line(), "14 tests run: 12 passed, 2 failed");
    }

    #[test]
    fn the_summary_line_of_nextest_is_kept_as_it_is() {
        let mut tally = Tally::default();
        let line = "Summary [   8.530s] 14/20 tests run: 12 passed (1 slow), 2 failed, 0 skipped";
        tally.read(&format!("     {line}"));
        assert_eq!((tally.passed, tally.failed), (12, 2));
        assert_eq!(tally.line(), line);
    }

    #[test]
    fn other_lines_count_nothing() {
        let mut tally = Tally::default();
        tally.read("test a_summary_says_3 passed ... ok");
        assert_eq!(tally, Tally::default());
    }
}
