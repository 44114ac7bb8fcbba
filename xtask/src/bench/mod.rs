//! `cargo xtask bench <name>`: measures on this machine, beside the best that others have where there is
//! something to compare with, and says what was measured on what.
//!
//! **A bench ends with 1 when a bound that we state is missed.**

mod cold_start;
mod cost;
mod delta;
mod emulator;
mod ingest;
mod lambda;
mod machine;
mod releases;
mod scrub;
mod sdk;
mod stats;

use crate::Failure;
use crate::checks::cargo;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Something that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bench {
    /// Functions beside a bare one.
    ColdStart,
    /// Deltas beside those of shipping tools.
    Delta,
    /// What events and update checks come to on AWS's bill.
    Cost,
    /// Reports into a local home, drained to issues.
    Ingest,
    /// The scrubber beside `sentry-relay`.
    Scrub,
    /// The reporter on the caller's thread, beside the `sentry` crate.
    Sdk,
}

/// Every bench, by its name.
pub(crate) const ALL: [(&str, Bench); 6] = [
    ("cold-start", Bench::ColdStart),
    ("delta", Bench::Delta),
    ("cost", Bench::Cost),
    ("ingest", Bench::Ingest),
    ("scrub", Bench::Scrub),
    ("sdk", Bench::Sdk),
];

/// The bench of that name.
pub(crate) fn named(name: &str) -> Option<Bench> {
    let found = ALL.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, bench)| bench)
}

/// Measures.
pub(crate) fn run(bench: Bench, root: &Path, json: bool) -> Result<(), Failure> {
    match bench {
        Bench::ColdStart => cold_start::run(root, json),
        Bench::Delta => delta::run(root, json),
        Bench::Cost => cost::run(root, json),
        Bench::Ingest => ingest::run(root, json),
        Bench::Scrub => scrub::run(root, json),
        Bench::Sdk => sdk::run(root, json),
    }
}

/// What a program printed, or why it did not end well.
fn output(command: &mut Command) -> Result<String, String> {
    let line = format!("{command:?}");
    let ended = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{line} does not start: {error}"))?;
    if !ended.status.success() {
        return Err(format!("{line} ended with {}", ended.status));
    }
    Ok(String::from_utf8_lossy(&ended.stdout).trim().to_owned())
}

/// The bench program of a crate, built for release. Cargo names it in its messages.
fn built(root: &Path, package: &str, bench: &str) -> Result<PathBuf, String> {
    let messages = output(
        Command::new(cargo())
            .args(["bench", "--quiet", "--package", package, "--bench", bench])
            .args(["--no-run", "--message-format", "json"])
            .current_dir(root),
    )?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| {
            message
                .pointer("/target/name")
                .is_some_and(|it| it == bench)
        })
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .ok_or_else(|| "cargo named no program for the bench".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_or_is_not_there_is_named() {
        assert_eq!(output(Command::new("echo").arg("x")).unwrap(), "x");
        assert!(
            output(&mut Command::new("false"))
                .unwrap_err()
                .contains("false")
        );
        assert!(
            output(&mut Command::new("/no/such"))
                .unwrap_err()
                .contains("/no/such")
        );
    }
}
