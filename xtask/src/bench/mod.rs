//! `cargo xtask bench <name>`: what the budgets promise, measured on the machine that runs it.
//!
//! A bench builds what it measures, measures, and says on which machine and with which versions. It never judges by the
//! clock in a test: numbers are for people, and for the budgets in the table that it prints.
//!
//! Not here: the tests. No number of a bench decides whether a check passes.

mod cold_start;
mod emulator;
mod lambda;
mod machine;
mod stats;

use crate::Failure;
use std::path::Path;

/// The benches, as the help names them.
pub(crate) const NAMES: &[&str] = &["cold-start"];

/// Runs a bench: a table for people, or one JSON object with `json`.
pub(crate) fn run(root: &Path, name: &str, json: bool) -> Result<(), Failure> {
    match name {
        "cold-start" => cold_start::run(root, json),
        _ => Err(Failure::Check(format!(
            "there is no bench \"{name}\"; there is: {}",
            NAMES.join(", ")
        ))),
    }
}
