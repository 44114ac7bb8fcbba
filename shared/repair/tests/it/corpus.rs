//! Small original programs with one fault each: the search runs on them as the engine runs it, and
//! `judge.py`, which the search never sees, says whether what it chose is right.
//!
//! The halves are kept apart: templates are tuned on `tune`, `report` only tells how they do.
//! A case without `expected.json` gets one written, and fails once, so that a person looks at it.
#![expect(clippy::unwrap_used, reason = "test code")]

use crate::support::{self, Checkout};
use kintsugi_domain::config::FixRules;
use kintsugi_domain::diagnosis::suspects;
use kintsugi_domain::id::IssueId;
use kintsugi_repair::{Candidate, candidates, lint, regression_test};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Candidates that are tried, and passing ones after which the search ends.
const TRIED_MAX: usize = 24;
const PASSING_MAX: usize = 2;

#[test]
fn the_tuning_half_is_as_expected() {
    check("tune");
}

#[test]
fn the_reporting_half_is_as_expected() {
    check("report");
}

fn check(half: &str) {
    let root = support::repository("shared/repair/tests/corpus").join(half);
    let mut cases: Vec<_> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    let mut differences = Vec::new();
    for case in cases {
        let name = case.file_name().unwrap().to_str().unwrap().to_owned();
        let (outcome, test) = outcome(&case);
        let text = serde_json::to_string_pretty(&outcome).unwrap() + "\n";
        for (file, found) in [("expected.json", text), ("expected_test.txt", test)] {
            match fs::read_to_string(case.join(file)) {
                Ok(expected) if expected == found => {}
                Ok(expected) => differences.push(format!("{name}/{file}\n{expected}\n{found}")),
                Err(_) => {
                    fs::write(case.join(file), found).unwrap();
                    differences.push(format!("{name}/{file}: written"));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// What the search makes of a case, and the regression test.
fn outcome(case: &Path) -> (Value, String) {
    let event = support::sent(&case.join("event.json"));
    let files = support::files(&case.join("product"));
    let sources = support::sources(&files, &event);
    let checkout = Checkout::of(&files);
    checkout.suite().unwrap();
    let issue: IssueId = "c0ffee00c0ffee00".parse().unwrap();
    let test = match regression_test(&event, &issue, &sources, "tests") {
        Ok(test) => test,
        Err(why) => return (json!({"refused": why.to_string()}), String::new()),
    };
    checkout.write(&test.path, &test.text);
    let before = checkout.unittest(&[&test.argv_module]).unwrap_err();
    assert!(before.contains(&event.raised().unwrap().kind), "{before}");

    let drafted = candidates(&event, &suspects(&event), &sources, TRIED_MAX);
    let mut passing: Vec<(usize, &Candidate)> = Vec::new();
    for (index, candidate) in drafted.iter().enumerate() {
        let original = sources
            .iter()
            .find(|source| source.path == candidate.path)
            .unwrap();
        if lint(candidate, original, &FixRules::default()).is_err() {
            continue;
        }
        checkout.write(&candidate.path, &candidate.new_text);
        if checkout.unittest(&[&test.argv_module]).is_ok() && checkout.suite().is_ok() {
            passing.push((index + 1, candidate));
        }
        checkout.write(&original.path, &original.text);
        if passing.len() == PASSING_MAX {
            break;
        }
    }
    // As `kintsugi_domain::fix::choose` ranks them.
    passing.sort_by(|(_, a), (_, b)| {
        let class = b.class.cmp(&a.class);
        class
            .then(b.prior.total_cmp(&a.prior))
            .then(a.size.cmp(&b.size))
    });
    let Some((rank, chosen)) = passing.first() else {
        return (json!({"fix": null}), test.text);
    };
    checkout.write(&chosen.path, &chosen.new_text);
    checkout.write(
        "judge.py",
        &fs::read_to_string(case.join("judge.py")).unwrap(),
    );
    let correct = checkout.unittest(&["judge"]).is_ok();
    let changed: Vec<&str> = chosen
        .diff
        .lines()
        .filter(|line| {
            line.starts_with(['+', '-']) && !line.starts_with("+++ ") && !line.starts_with("--- ")
        })
        .collect();
    let outcome = json!({
        "fix": chosen.rule,
        "class": chosen.class,
        "rank": rank,
        "correct": correct,
        "change": changed,
    });
    (outcome, test.text)
}
