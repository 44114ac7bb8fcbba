//! `cargo xtask bench NAME`: measurements that are not tests, because their outcome depends on the machine.
//!
//! Each prints a table for people, or one JSON object with `--json`. Not here: judgement. The bounds stand
//! in `docs/benches.md` beside what was measured.

mod delta;

use crate::Failure;
use std::path::Path;

/// The benches, for the help.
pub(crate) const NAMES: &[&str] = &["delta"];

/// Runs a bench.
pub(crate) fn run(root: &Path, name: &str, json: bool) -> Result<(), Failure> {
    match name {
        "delta" => delta::run(root, json),
        _ => Err(Failure::Check(format!(
            "there is no bench {name:?}; there are: {}",
            NAMES.join(", ")
        ))),
    }
}
