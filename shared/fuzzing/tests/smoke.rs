//! A moment of every target in every test run: its seeds, and some of them damaged.
#![expect(clippy::unwrap_used, reason = "test code")]
use kintsugi_fuzzing::mutate::{Dice, damaged};
use kintsugi_fuzzing::{TARGETS, Target};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the seeds and `executions` damaged ones; an input that fails is shown.
fn smoke(name: &str, executions: usize) {
    let target = kintsugi_fuzzing::target(name).unwrap();
    let seeds = (target.seeds)();
    assert!(seeds.len() > 3, "{name} has hardly a seed");
    for seed in &seeds {
        run(&target, seed);
    }
    let mut dice = Dice::new(1);
    for _ in 0..executions {
        run(&target, &damaged(&seeds, target.words, &mut dice));
    }
}

fn run(target: &Target, input: &[u8]) {
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.one)(input)));
    assert!(
        outcome.is_ok(),
        "{} fails on b\"{}\"",
        target.name,
        input.escape_ascii()
    );
}

#[test]
fn damaged_envelopes_end_in_an_account_that_adds_up() {
    smoke("envelope", 2_000);
}

#[test]
fn damaged_seals_are_never_opened() {
    smoke("batch_seal", 500);
}

#[test]
fn damaged_contents_of_batches_lose_no_other_line() {
    smoke("batch_content", 2_000);
}

#[test]
fn damaged_telemetry_loses_no_other_record() {
    smoke("otlp", 2_000);
}

#[test]
fn damaged_minidumps_end_in_an_answer() {
    smoke("minidump", 2_000);
}

#[test]
fn damaged_texts_are_scrubbed_once_and_for_all() {
    smoke("scrub", 2_000);
}

#[test]
fn hostile_rules_are_refused_or_hold() {
    smoke("scrub_rules", 1_000);
}

#[test]
fn damaged_stack_traces_keep_their_bounds() {
    smoke("stacktrace", 3_000);
}

#[test]
fn every_target_has_its_program() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz");
    let manifest = std::fs::read_to_string(format!("{folder}/Cargo.toml")).unwrap();
    for target in TARGETS {
        let path = format!("fuzz_targets/{}.rs", target.name);
        assert!(manifest.contains(&format!("path = \"{path}\"")), "{path}");
        let program = std::fs::read_to_string(format!("{folder}/{path}")).unwrap();
        let call = format!("kintsugi_fuzzing::run(\"{}\", input)", target.name);
        assert!(program.contains(&call), "{path}");
    }
}
