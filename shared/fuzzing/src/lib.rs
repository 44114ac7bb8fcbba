//! What is fuzzed: one function for each place that strangers write to, with seeds and with what must hold.
//!
//! A [`Target`] is run in two ways: guided by coverage for as long as somebody likes (`cargo xtask fuzz NAME`; the programs are in
//! `fuzz/fuzz_targets`), and in every test run on its seeds and a few thousand damaged ones (`tests/smoke.rs`, [`mutate`]). Both call
//! [`Target::one`], which panics where something does not hold that must.
//!
//! **Invariant: the same input does the same**, whatever was run before it: no clock, no chance, no state that one execution leaves to the
//! next but caches of what never changes.
//!
//! Not here: deltas, archives and TUF metadata, which their crates damage themselves (`docs/fuzzing.md`).
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test code: a panic is how a target says what it found"
)]

mod batch;
mod envelope;
mod event;
mod home;
mod minidump;
pub mod mutate;
mod otlp;
mod scrub;
mod stacktrace;

/// Something that is fuzzed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is that of its program too.
    pub name: &'static str,
    /// Runs it on one input; panics where something does not hold.
    pub one: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words that the code compares with: a fuzzer does not guess them.
    pub words: &'static [&'static str],
}

/// Everything that is fuzzed here.
pub const TARGETS: [Target; 8] = [
    Target {
        name: "envelope",
        one: envelope::one,
        seeds: envelope::seeds,
        words: envelope::WORDS,
    },
    Target {
        name: "batch_seal",
        one: batch::seal_one,
        seeds: batch::seal_seeds,
        words: batch::SEAL_WORDS,
    },
    Target {
        name: "batch_content",
        one: batch::content_one,
        seeds: batch::content_seeds,
        words: batch::CONTENT_WORDS,
    },
    Target {
        name: "otlp",
        one: otlp::one,
        seeds: otlp::seeds,
        words: otlp::WORDS,
    },
    Target {
        name: "minidump",
        one: minidump::one,
        seeds: minidump::seeds,
        words: minidump::WORDS,
    },
    Target {
        name: "scrub",
        one: scrub::one,
        seeds: scrub::seeds,
        words: scrub::WORDS,
    },
    Target {
        name: "scrub_rules",
        one: scrub::rules_one,
        seeds: scrub::rules_seeds,
        words: scrub::RULES_WORDS,
    },
    Target {
        name: "stacktrace",
        one: stacktrace::one,
        seeds: stacktrace::seeds,
        words: stacktrace::WORDS,
    },
];

/// The target of that name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

/// Runs the target of that name on one input. The programs of `fuzz/fuzz_targets` do nothing else.
pub fn run(name: &str, input: &[u8]) {
    let found = target(name).unwrap_or_else(|| panic!("there is no target {name}"));
    (found.one)(input);
}
