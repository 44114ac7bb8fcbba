//! Measures the scrubber: how much it finds, how much it finds wrongly, and how fast it is.
//!
//! ```text
//! scrub inputs DIR            writes corpus.jsonl and events.jsonl
//! scrub measure DIR SECONDS   prints our throughput and score as JSON
//! scrub score DIR NAME        prints the score of what another scrubber made of the corpus, NAME.jsonl
//! scrub faults DIR NAME       prints what it got wrong
//! scrub hostile               prints the time per byte of the slowest texts that were made to be slow
//! ```
//!
//! `cargo xtask bench scrub` runs all of it, beside `sentry-relay`.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench ends when something does not go as it must"
)]

mod corpus;
mod dice;
mod events;
mod lookalikes;
mod made;
mod personal;
mod score;
mod secrets;

use kintsugi_scrub::Scrubber;
use score::Score;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The seed of the corpus that is reported. Any other gives another corpus of the same kind.
const SEED: u64 = 0x6b69_6e74_7375_6769;
/// Different events to measure with, so that no cache knows them by heart.
const EVENTS: usize = 64;

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["inputs", folder] => inputs(Path::new(folder)),
        ["measure", folder, seconds] => {
            println!("{}", measure(Path::new(folder), seconds.parse().unwrap()));
        }
        ["score", folder, name] => println!("{}", judged(Path::new(folder), name).to_json()),
        ["faults", folder, name] => {
            for fault in judged(Path::new(folder), name).faults {
                println!("{fault}");
            }
        }
        ["hostile"] => hostile(),
        _ => println!(
            "scrub inputs DIR | measure DIR SECONDS | score DIR NAME | faults DIR NAME | hostile"
        ),
    }
}

fn inputs(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let corpus: Vec<String> = corpus::corpus(SEED)
        .iter()
        .map(|case| case.event.to_string())
        .collect();
    fs::write(folder.join("corpus.jsonl"), corpus.join("\n")).unwrap();
    let events: Vec<String> = events::events(SEED, EVENTS)
        .iter()
        .map(Value::to_string)
        .collect();
    fs::write(folder.join("events.jsonl"), events.join("\n")).unwrap();
}

/// Text in, text out: parsing and writing count, as they do for the other side.
fn scrubbed(scrubber: &Scrubber, line: &str) -> (String, usize) {
    let (event, remarks) = scrubber.scrub_json(line).unwrap();

    (event, remarks.len())
}

fn measure(folder: &Path, seconds: u64) -> Value {
    let scrubber = Scrubber::new(b"bench");
    let cases = fs::read_to_string(folder.join("corpus.jsonl")).unwrap();
    let out: Vec<String> = cases
        .lines()
        .map(|line| scrubbed(&scrubber, line).0)
        .collect();
    fs::write(folder.join("ours.jsonl"), out.join("\n")).unwrap();
    let events = fs::read_to_string(folder.join("events.jsonl")).unwrap();
    let events: Vec<&str> = events.lines().collect();
    let mut removed = 0;
    let as_read = timed(seconds, || {
        removed = events.iter().map(|line| scrubbed(&scrubber, line).1).sum();
    });
    // The other way: the event in memory, as ingestion has it, and written again.
    let in_memory = timed(seconds, || {
        for line in &events {
            let mut event: Value = serde_json::from_str(line).unwrap();
            scrubber.scrub_value("", &mut event);
            std::hint::black_box(event.to_string());
        }
    });
    let bytes: usize = events.iter().map(|line| line.len()).sum();
    let mut result = speed(&as_read, events.len());
    result["in_memory"] = speed(&in_memory, events.len());
    result["event_bytes"] = json!(bytes / events.len());
    result["removals_per_event"] = json!(removed / events.len());
    result["score"] = judged(folder, "ours").to_json();
    result
}

/// For each round, the time of the clock and of the processor.
fn timed(seconds: u64, mut round: impl FnMut()) -> Vec<(Duration, Duration)> {
    let mut rounds = Vec::new();
    let until = now() + Duration::from_secs(seconds);
    while rounds.len() < 5 || now() < until {
        let (start, busy) = (now(), processor_time());
        round();
        rounds.push((start.elapsed(), processor_time().saturating_sub(busy)));
    }
    rounds
}

fn speed(rounds: &[(Duration, Duration)], events: usize) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "counts of thousands")]
    let events = events as f64;
    let (mut wall, mut processor): (Vec<_>, Vec<_>) = rounds.iter().copied().unzip();
    json!({
        "events_per_second": events / median(&mut wall),
        "events_per_processor_second": events / median(&mut processor),
        "rounds": rounds.len(),
    })
}

/// Pieces that begin something and never end it: where time is linear, the time per byte of a text made
/// of them does not grow with its length.
const HOSTILE: [&str; 32] = [
    "token=\"",
    "token='",
    "token=\\\"",
    "secret={",
    "['--token', '",
    "[user](",
    "x@y.",
    " ",
    "password=",
    "password: ",
    "token=<",
    "token=(",
    "token={{",
    "token==(",
    "Cookie: ",
    "Authorization: Basic ",
    "'--token',(",
    "(\"cookie\",'",
    "a@",
    "%41",
    "%FF",
    "%40",
    "::",
    "1:",
    "a://",
    "eyJ-",
    "-----BEGIN A-----",
    "\\Users\\a ",
    "+1 ",
    "4111 ",
    "DE89 ",
    "api key ",
];

fn hostile() {
    let scrubber = Scrubber::new(b"bench");
    let pairs = HOSTILE
        .iter()
        .flat_map(|first| HOSTILE.map(|second| format!("{first}{second}")));
    let pieces = HOSTILE.map(str::to_owned).into_iter().chain(pairs);
    let mut found: Vec<(u128, u128, String)> = pieces
        .map(|piece| {
            let nanoseconds = |length: usize| {
                let text = piece.repeat(length / piece.len());
                let start = processor_time();
                std::hint::black_box(scrubber.scrub_long_text("", &text));
                processor_time().saturating_sub(start).as_nanos() / length as u128
            };
            (nanoseconds(1 << 18), nanoseconds(1 << 15), piece)
        })
        .collect();
    found.sort_by(|left, right| right.cmp(left));
    println!(
        "ns/byte at 256 KiB, at 32 KiB; the 12 slowest of {}",
        found.len()
    );
    for (long, short, piece) in found.iter().take(12) {
        println!("{long:6} {short:6} {piece:?}");
    }
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

/// The time that a processor spent on this process: on a busy machine it says more than the clock.
fn processor_time() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(spent).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a bench measures")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

fn judged(folder: &Path, name: &str) -> Score {
    let cases = corpus::corpus(SEED);
    let out = fs::read_to_string(folder.join(format!("{name}.jsonl"))).unwrap();
    let out: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(out.len(), cases.len(), "every case has an answer");
    Score::of(cases.iter().zip(&out))
}
