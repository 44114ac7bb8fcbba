//! Lines written by hand, each with exactly what must go as `{{rule|value}}`.
//!
//! The large corpus, made by generators, is in `benches/scrub`; a test of `tests/measured.rs` runs it.

use crate::marks::{Marks, WIDTH};
use crate::rules::Rules;
use crate::scan::{scan, scan_part};
use crate::text::Reading;

/// Lines with something to remove, and lines with nothing.
const WRITTEN: &str = include_str!("../corpus/labelled.txt");

/// A labelled text: the plain text and the ranges that must go, by rule.
struct Labelled {
    text: String,
    spans: Vec<(usize, usize, String)>,
}

fn labelled(line: &str) -> Labelled {
    let line = line.replace("\\n", "\n").replace("~~", "");
    let line = line.replace("{break}", "\\n");
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

#[test]
fn every_line_written_by_hand_is_right() {
    let rules = Rules::default();
    let lines = WRITTEN
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("##"));
    let mut faults = Vec::new();
    for Labelled { text, spans } in lines.map(labelled) {
        let found: Vec<(usize, usize, String)> = scan(&text, Reading::Prose, &rules)
            .into_iter()
            .map(|hit| (hit.start, hit.end, hit.rule.words().0.to_owned()))
            .collect();
        if found != spans {
            faults.push(format!("{text:?}: expected {spans:?}, found {found:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Each line at every distance from where its 64 bytes begin.
#[test]
fn what_is_passed_over_has_nothing_to_find() {
    let rules = Rules::default();
    for line in WRITTEN.lines() {
        let line = labelled(line).text;
        for before in 0..WIDTH {
            let text = format!("{}{line}", " ".repeat(before));
            let looked = Marks::everywhere(&text);
            for reading in [Reading::Prose, Reading::Source, Reading::Release] {
                let all = scan_part(&text, looked.part(0, text.len()), reading, &rules);
                assert_eq!(scan(&text, reading, &rules), all, "{reading:?}: {text:?}");
            }
        }
    }
}
