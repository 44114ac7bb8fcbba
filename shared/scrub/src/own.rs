//! Patterns of a project's own, matched beside the built-in rules.
//!
//! **A text costs time linear in its length**: a pattern sees one line at a time and of a long line a
//! window at a time, so that even a search that begins again after each match is bounded.

use crate::rules::Rules;
use crate::text::{Hit, Rule};
use regex::Regex;
use std::cmp::Reverse;

/// How much of a line a pattern sees at once, bytes.
const WINDOW: usize = 1024;
/// How much of a window the next one sees again: the longest match that is found for certain, bytes.
const OVERLAP: usize = 256;

/// What the patterns of the project find, in order and without overlaps.
pub(crate) fn find(text: &str, rules: &Rules) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (rule, own) in rules.own() {
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            in_line(line, start, rule, &own.pattern, &mut hits);
            start += line.len();
        }
    }
    hits.retain(|hit| rules.is_on(hit.rule) && stays_clear(text, *hit, rules));
    hits.retain(|hit| !rules.allows(text.get(hit.start..hit.end).unwrap_or_default()));
    merged(hits, Vec::new())
}

fn in_line(line: &str, offset: usize, rule: Rule, pattern: &Regex, hits: &mut Vec<Hit>) {
    let mut from = 0;
    while from < line.len() {
        let end = line.floor_char_boundary((from + WINDOW).min(line.len()));
        let window = line.get(..end).unwrap_or_default();
        match pattern
            .find_at(window, from)
            .filter(|found| !found.is_empty())
        {
            Some(found) => {
                hits.push(Hit {
                    start: offset + found.start(),
                    end: offset + found.end(),
                    rule,
                });
                from = found.end();
            }
            None if end == line.len() => return,
            None => from = line.floor_char_boundary(end - OVERLAP).max(from + 1),
        }
        from = line.ceil_char_boundary(from);
    }
}

/// Whether a match is no part of a placeholder, nor has a part of one: what was removed is at rest.
fn stays_clear(text: &str, hit: Hit, rules: &Rules) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let bytes = text.as_bytes();
    let head = bytes.get(..hit.start).unwrap_or_default();
    let back = head
        .iter()
        .rev()
        .take(40)
        .take_while(|byte| is_name(byte))
        .count();
    let mut open = (hit.start - back).saturating_sub(1);
    while open < hit.end {
        if bytes.get(open) == Some(&b'[') {
            let tail = bytes.get(open + 1..).unwrap_or_default();
            let close = open
                + 1
                + tail
                    .iter()
                    .take(40)
                    .take_while(|byte| is_name(byte))
                    .count();
            let candidate = text.get(open..=close).unwrap_or_default();
            if close >= hit.start && rules.is_placeholder(candidate) {
                return false;
            }
        }
        open += 1;
    }
    true
}

/// Two lists of finds as one, without overlaps: what overlaps goes as a whole, by
/// the rule of the first one, of the longest where several begin alike.
pub(crate) fn merged(mut hits: Vec<Hit>, more: Vec<Hit>) -> Vec<Hit> {
    hits.extend(more);
    hits.sort_by_key(|hit| (hit.start, Reverse(hit.end)));
    let mut merged: Vec<Hit> = Vec::with_capacity(hits.len());
    for hit in hits {
        match merged.last_mut() {
            Some(last) if hit.start < last.end => last.end = last.end.max(hit.end),
            _ => merged.push(hit),
        }
    }
    merged
}
