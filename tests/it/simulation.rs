//! A deterministic simulation: all stages over memory ports, under a scheduler that a seed drives.
//!
//! The scheduler chooses which effect of which process comes next. It delivers messages in any order, twice and late;
//! ends processes before, after and between any two effects; lets time pass; and has users report, devices install and
//! people decide at any moment. After every commit the invariants are checked against the records that the commits
//! made ([`mirror`]), and against what is served, as a client sees it ([`served`]). Then the faults stop, and
//! everything must come to rest ([`rest`]).
//!
//! **Invariants: the same seed gives the same run, to the byte of the trace. A failing seed prints how to see it
//! again.** `KINTSUGI_SEED=n` shows one run, `KINTSUGI_SEEDS=n` runs so many in all.
//!
//! Not here: real adapters (the contract suites and the pipeline tests), HTTP, product code.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod engine;
mod fleet;
mod followed;
mod machines;
mod mirror;
mod observed;
mod people;
mod random;
mod rest;
mod run;
mod served;
mod world;

use observed::Sabotage;
use run::run;

/// Seeds of one normal test run.
const SEEDS: u64 = 2_000;
/// Tests that share them.
const PARTS: u64 = 4;

fn number(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "how a person asks for a replay")]
    let text = std::env::var(name).ok()?;
    text.parse().ok()
}

fn part(part: u64) {
    let seeds = number("KINTSUGI_SEEDS").unwrap_or(SEEDS);
    let mut counts = [0; 6];
    for seed in (0..seeds).filter(|seed| seed % PARTS == part) {
        match run(seed, Sabotage::None, false) {
            Ok(summary) => {
                for (sum, count) in counts.iter_mut().zip(summary.counts) {
                    *sum += count;
                }
            }
            Err(failure) => panic!("{failure}"),
        }
    }
    // Runs in which nothing comes about would prove nothing.
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

#[test]
fn every_invariant_holds_whatever_comes_in_whatever_order_first_part() {
    part(0);
}

#[test]
fn every_invariant_holds_whatever_comes_in_whatever_order_second_part() {
    part(1);
}

#[test]
fn every_invariant_holds_whatever_comes_in_whatever_order_third_part() {
    part(2);
}

#[test]
fn every_invariant_holds_whatever_comes_in_whatever_order_fourth_part() {
    part(3);
}

#[test]
fn one_seed_gives_one_run() {
    let seed = number("KINTSUGI_SEED");
    let once = run(seed.unwrap_or(7), Sabotage::None, seed.is_some());
    let once = once.unwrap_or_else(|failure| panic!("{failure}"));
    let again = run(seed.unwrap_or(7), Sabotage::None, false);
    assert_eq!(once, again.unwrap_or_else(|failure| panic!("{failure}")));
}

/// The rule that a broken home breaks, within a few seeds.
fn caught(sabotage: Sabotage) -> &'static str {
    (0..40)
        .find_map(|seed| run(seed, sabotage, false).err())
        .map_or("none", |failure| failure.violation.invariant)
}

#[test]
fn a_lost_message_is_noticed() {
    assert_eq!(
        caught(Sabotage::LosesSignOrders),
        "every bundle comes to its end"
    );
}

#[test]
fn a_forgotten_event_is_noticed() {
    assert_eq!(
        caught(Sabotage::ForgetsFiledEvents),
        "an issue counts each of its events once"
    );
}

#[test]
fn a_blind_write_is_noticed() {
    assert_ne!(caught(Sabotage::OverwritesBlindly), "none");
}
