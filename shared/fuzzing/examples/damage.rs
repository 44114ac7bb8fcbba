//! Runs a target on damaged inputs, guided by nothing, several times as fast as with guidance:
//! `cargo run --release -p kintsugi-fuzzing --example damage -- TARGET EXECUTIONS SEED [FOLDER]`.
//!
//! It damages the target's seeds, and the inputs in the folder where one is given: what a guided run has found is a good place to begin.
//! The same seed and the same folder give the same executions.

use kintsugi_fuzzing::mutate::{Dice, damaged};
use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

/// Longest input, bytes.
const INPUT_BYTES_MAX: usize = 65_536;
/// How many executions lie between two lines of progress.
const PROGRESS: u64 = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |place: usize| words.get(place).map(String::as_str);
    let target = word(0).and_then(kintsugi_fuzzing::target);
    let target = target.ok_or("which target?")?;
    let executions: u64 = word(1).ok_or("how many executions?")?.parse()?;
    let seed: u64 = word(2).ok_or("from which seed?")?.parse()?;
    let mut inputs = (target.seeds)();
    if let Some(folder) = word(3) {
        let files: Result<Vec<PathBuf>, _> = fs::read_dir(folder)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect();
        let mut files = files?;
        files.sort();
        for file in files {
            inputs.push(fs::read(file)?);
        }
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}: {} inputs to damage", target.name, inputs.len())?;
    let mut dice = Dice::new(seed);
    for done in 1..=executions {
        let mut input = damaged(&inputs, target.words, &mut dice);
        input.truncate(INPUT_BYTES_MAX);
        if catch_unwind(AssertUnwindSafe(|| (target.one)(&input))).is_err() {
            return Err(format!("execution {done} fails on b\"{}\"", input.escape_ascii()).into());
        }
        if done.is_multiple_of(PROGRESS) {
            writeln!(out, "{done} executions")?;
        }
    }
    writeln!(out, "{executions} executions from seed {seed}, no failure")?;
    Ok(())
}
