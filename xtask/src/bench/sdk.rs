//! `bench sdk`: what the reporter of `kintsugi-sdk` costs the thread that reports, beside the `sentry` crate in the same process.
//!
//! The measuring program is `sdk/rust/benches/sdk`: reports that come alone and in bursts, breadcrumbs, and caught panics with each hook.
//! **The bound is on the median of a report.** The 99th percentile stands beside it: on a machine that does other work too it says as much about
//! that work. What a stack trace adds is unwinding, and is measured without a bound.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that has no such member reads as null"
)]

use super::machine::{Machine, locked_version};
use super::{built, output};
use crate::Failure;
use crate::checks::target_folder;
use crate::summary::say;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The bound on a report on the caller's thread, microseconds.
const REPORT_MAX: f64 = 20.0;
const SIDES: [&str; 2] = ["kintsugi", "sentry"];
const PACES: [&str; 2] = ["alone", "burst"];
/// A panic that does what the peer's does: it has no disk to save to.
const QUEUED: &str = "kintsugi, queued";
/// What is called at each pace.
const REPORTED: [&str; 3] = ["report", "report_with_backtrace", "breadcrumb"];

/// Measures, and says whether the bound is held.
pub(crate) fn run(root: &Path, json: bool) -> Result<(), Failure> {
    let machine = Machine::of(root);
    let mut result = measured(root).map_err(Failure::Check)?;
    result["machine"] = machine.json();
    result["versions"] = json!({"sentry": locked_version(root, "sentry")});
    if json {
        say(&result.to_string());
    } else {
        say(&format!("{}\n{}", machine.line(), spoken(&result)));
    }
    match missed(&result).as_slice() {
        [] => Ok(()),
        missed => Err(Failure::Check(format!("missed: {}", missed.join("; ")))),
    }
}

fn measured(root: &Path) -> Result<Value, String> {
    let program = built(root, "kintsugi-sdk", "sdk")?;
    let folder = target_folder(root).join("kintsugi-bench").join("sdk");
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed)?;
    }
    fs::create_dir_all(&folder).map_err(failed)?;
    let printed = output(Command::new(program).arg("measure").arg(&folder))?;
    let mut result: Value = serde_json::from_str(&printed)
        .map_err(|error| format!("what the bench printed: {error}"))?;
    result["bench"] = json!("sdk");
    result["ratio"] = ratios(&result);
    Ok(result)
}

/// How many times as long Sentry's own take as ours, by the medians.
fn ratios(result: &Value) -> Value {
    let ratio = |ours: &Value, theirs: &Value| {
        let ratio = theirs["median_us"].as_f64()? / ours["median_us"].as_f64()?;
        Some((ratio * 100.0).round() / 100.0)
    };
    let mut ratios = json!({});
    for name in REPORTED {
        for pace in PACES {
            let [ours, theirs] = SIDES.map(|side| &result[name][side][pace]);
            ratios[name][pace] = json!(ratio(ours, theirs));
        }
    }
    let panics = &result["panic"];
    ratios["panic"] = json!(ratio(&panics[QUEUED], &panics[SIDES[1]]));
    ratios
}

/// The bounds that were not held; a number that is none holds no bound.
fn missed(result: &Value) -> Vec<String> {
    let mut missed = Vec::new();
    for pace in PACES {
        let median = result["report"]["kintsugi"][pace]["median_us"].as_f64();
        let median = median.unwrap_or(f64::NAN);
        if median.is_nan() || median > REPORT_MAX {
            missed.push(format!("report, {pace}: {median} µs, not {REPORT_MAX}"));
        }
    }
    missed
}

/// The result for people, as a table that documents can take.
fn spoken(result: &Value) -> String {
    let mut lines = vec![
        format!(
            "sentry {}; {} breadcrumbs, {} frames; bound on the median of our reports: {REPORT_MAX} µs",
            result["versions"]["sentry"].as_str().unwrap_or("unknown"),
            result["breadcrumbs"],
            result["frames"],
        ),
        String::new(),
        "| on the caller's thread | side | calls | median, µs | p99, µs | sentry's median / kintsugi's |"
            .to_owned(),
        "|---|---|---:|---:|---:|---:|".to_owned(),
    ];
    let mut row = |what: &str, side: &str, told: &Value, ratio: &Value| {
        let ratio = ratio
            .as_f64()
            .filter(|_| side == SIDES[0] || side == QUEUED);
        let ratio = ratio.map_or_else(String::new, |ratio| ratio.to_string());
        lines.push(format!(
            "| {what} | {side} | {} | {} | {} | {ratio} |",
            told["calls"], told["median_us"], told["p99_us"]
        ));
    };
    for (name, called) in [
        ("report", "report"),
        ("report_with_backtrace", "report with a stack trace"),
        ("breadcrumb", "breadcrumb"),
    ] {
        for pace in PACES {
            for side in SIDES {
                row(
                    &format!("{called}, {pace}"),
                    side,
                    &result[name][side][pace],
                    &result["ratio"][name][pace],
                );
            }
        }
    }
    for (side, told) in result["panic"].as_object().into_iter().flatten() {
        row("caught panic", side, told, &result["ratio"]["panic"]);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(median: f64) -> Value {
        let side = json!({"alone": {"median_us": median}, "burst": {"median_us": 1.0}});
        let sides = json!({"kintsugi": side, "sentry": side});
        json!({"report": sides, "report_with_backtrace": sides, "breadcrumb": sides})
    }

    #[test]
    fn a_report_over_the_bound_is_named_and_so_is_a_number_that_is_none() {
        assert!(missed(&result(20.0)).is_empty());
        assert_eq!(missed(&result(20.5)), ["report, alone: 20.5 µs, not 20"]);
        assert_eq!(missed(&json!({})).len(), 2);
    }

    #[test]
    fn the_table_has_a_row_for_each_side_and_pace() {
        let rows = spoken(&result(1.5));
        assert_eq!(rows.lines().filter(|it| it.contains("| 1.5 |")).count(), 6);
    }

    #[test]
    fn the_ratio_is_how_much_longer_the_other_takes() {
        let mut both = result(2.0);
        both["report"]["sentry"]["alone"]["median_us"] = json!(7.0);
        both["ratio"] = ratios(&both);
        assert_eq!(both["ratio"]["report"]["alone"], 3.5);
        assert_eq!(both["ratio"]["panic"], Value::Null);
        assert!(spoken(&both).contains("| 3.5 |"));
    }
}
