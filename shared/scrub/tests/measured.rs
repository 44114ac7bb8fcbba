//! Precision and recall on the corpus that `cargo xtask bench scrub` measures with.
#![expect(clippy::indexing_slicing, reason = "test code")]

#[path = "../benches/scrub/corpus.rs"]
mod corpus;
#[path = "../benches/scrub/dice.rs"]
mod dice;
#[path = "../benches/scrub/lookalikes.rs"]
mod lookalikes;
#[path = "../benches/scrub/made.rs"]
mod made;
#[path = "../benches/scrub/personal.rs"]
mod personal;
#[path = "../benches/scrub/score.rs"]
mod score;
#[path = "../benches/scrub/secrets.rs"]
mod secrets;

use kintsugi_scrub::Scrubber;
use score::Score;
use serde_json::Value;

/// Another seed than the bench's: what was tuned on one corpus has to hold on the next.
const SEED: u64 = 20_261_121;

#[test]
fn precision_and_recall_on_the_labelled_corpus_are_at_least_99_percent() {
    let cases = corpus::corpus(SEED);
    let scrubber = Scrubber::new(b"salt");
    let out: Vec<Value> = cases
        .iter()
        .map(|case| {
            let (scrubbed, _) = scrubber.scrub_json(&case.event.to_string()).unwrap();
            serde_json::from_str(&scrubbed).unwrap()
        })
        .collect();
    let score = Score::of(cases.iter().zip(&out));
    println!("{:#}", score.to_json());
    println!("{}", score.faults.join("\n"));
    assert!(score.total().precision() >= 0.99);
    assert!(score.total().recall() >= 0.99);
}

#[test]
fn a_scrubber_that_does_nothing_or_removes_everything_is_seen_through() {
    let cases = corpus::corpus(SEED);
    let same: Vec<Value> = cases.iter().map(|case| case.event.clone()).collect();
    let lazy = Score::of(cases.iter().zip(&same)).total();
    assert!(lazy.recall() < 0.001);
    let none: Vec<Value> = cases.iter().map(|_| Value::Null).collect();
    let zealous = Score::of(cases.iter().zip(&none)).total();
    assert!(zealous.recall() > 0.999 && zealous.precision() < 0.55);
}
