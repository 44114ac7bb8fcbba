//! `cargo xtask bench <name>`: measures on this machine, beside the best that others have where there is
//! something to compare with, and says what was measured on what.
//!
//! **A bench ends with 1 when a bound that we state is missed.**

mod scrub;

use crate::Failure;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};

/// Something that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bench {
    /// The scrubber beside `sentry-relay`.
    Scrub,
}

/// The bench of that name.
pub(crate) fn named(name: &str) -> Option<Bench> {
    match name {
        "scrub" => Some(Bench::Scrub),
        _ => None,
    }
}

/// Measures.
pub(crate) fn run(bench: Bench, root: &Path, json: bool) -> Result<(), Failure> {
    match bench {
        Bench::Scrub => scrub::run(root, json),
    }
}

/// What it was measured on.
fn machine() -> Value {
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split_once(':'))
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    let load = file("/proc/loadavg");
    json!({
        "processor": field(&file("/proc/cpuinfo"), "model name"),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": field(&file("/proc/meminfo"), "MemTotal"),
        "system": output(Command::new("uname").args(["-s", "-r", "-m"])).unwrap_or_default(),
        "load_before": load.split(' ').next().unwrap_or_default(),
    })
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
