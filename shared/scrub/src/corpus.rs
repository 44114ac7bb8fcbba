//! Measures precision and recall on a labelled corpus: lines written by hand, and values made by
//! generators put into carriers. Each line marks what must go as `{{rule|value}}`.

mod made;

use crate::scan::scan;
use crate::text::Reading;
use made::{CARRIERS, Dice, negative, positive};
use std::collections::BTreeMap;

/// Lines with something to remove, and lines with nothing.
const WRITTEN: &str = include_str!("../corpus/labelled.txt");

/// A labelled text: the plain text and the ranges that must go, by rule.
struct Labelled {
    text: String,
    spans: Vec<(usize, usize, String)>,
}

fn labelled(line: &str) -> Labelled {
    let line = line.replace("\\n", "\n").replace("~~", "");
    let mut text = String::new();
    let mut spans = Vec::new();
    let mut rest = line.as_str();
    while let Some((before, after)) = rest.split_once("{{") {
        let (label, tail) = after.split_once("}}").unwrap();
        let (rule, value) = label.split_once('|').unwrap();
        text.push_str(before);
        let start = text.len();
        text.push_str(value);
        spans.push((start, text.len(), rule.to_owned()));
        rest = tail;
    }
    text.push_str(rest);
    Labelled { text, spans }
}

fn corpus() -> Vec<Labelled> {
    let mut dice = Dice(0x6b69_6e74_7375_6769);
    let mut all: Vec<Labelled> = WRITTEN
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("##"))
        .map(labelled)
        .collect();
    for _ in 0..4_000 {
        let (rule, value) = positive(&mut dice);
        let carrier = dice.one(&CARRIERS);
        all.push(labelled(
            &carrier.replace('@', &format!("{{{{{rule}|{value}}}}}")),
        ));
        let value = negative(&mut dice);
        let carrier = dice.one(&CARRIERS);
        all.push(labelled(&carrier.replace('@', &value)));
    }
    all
}

#[derive(Default)]
struct Tally {
    right: usize,
    missed: usize,
    wrong: usize,
}

fn measure(corpus: &[Labelled]) -> (BTreeMap<String, Tally>, Vec<String>) {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut faults = Vec::new();
    for Labelled { text, spans } in corpus {
        let mut hits: Vec<(usize, usize, String)> = scan(text, Reading::Prose)
            .into_iter()
            .map(|hit| (hit.start, hit.end, hit.rule.name().to_owned()))
            .collect();
        for span in spans {
            let tally = tallies.entry(span.2.clone()).or_default();
            if let Some(found) = hits.iter().position(|hit| hit == span) {
                hits.remove(found);
                tally.right += 1;
            } else {
                tally.missed += 1;
                faults.push(format!("missed {:?} in {text:?}", text.get(span.0..span.1)));
            }
        }
        for (start, end, rule) in hits {
            tallies.entry(rule.clone()).or_default().wrong += 1;
            faults.push(format!(
                "wrong {rule} {:?} in {text:?}",
                text.get(start..end)
            ));
        }
    }
    (tallies, faults)
}

#[test]
fn precision_and_recall_on_the_labelled_corpus_are_at_least_99_percent() {
    let corpus = corpus();
    let (tallies, faults) = measure(&corpus);
    let mut all = Tally::default();
    println!(
        "{:20} {:>6} {:>6} {:>6}",
        "rule", "right", "missed", "wrong"
    );
    for (rule, tally) in &tallies {
        println!(
            "{rule:20} {:6} {:6} {:6}",
            tally.right, tally.missed, tally.wrong
        );
        all.right += tally.right;
        all.missed += tally.missed;
        all.wrong += tally.wrong;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of thousands")]
    let share = |part: usize, rest: usize| part as f64 / (part + rest) as f64;
    let (precision, recall) = (share(all.right, all.wrong), share(all.right, all.missed));
    println!(
        "{} texts, precision {precision:.4}, recall {recall:.4}",
        corpus.len()
    );
    for fault in faults.iter().take(60) {
        println!("{fault}");
    }
    assert!(precision >= 0.99, "precision {precision}");
    assert!(recall >= 0.99, "recall {recall}");
}

#[test]
fn every_line_written_by_hand_is_right() {
    let written: Vec<Labelled> = WRITTEN
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("##"))
        .map(labelled)
        .collect();
    let (_, faults) = measure(&written);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
