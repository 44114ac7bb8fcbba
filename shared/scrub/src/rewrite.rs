//! Applies finds to a text until it is at rest, and says where the placeholders stand afterwards.

use crate::rules::Rules;
use crate::scan::scan;
use crate::text::{CUT_MARK, Hit, REMOVED, Reading, Rule};

/// Passes over one text. What was removed can reveal a new boundary; a second pass finds nothing in
/// any text that was not made for it, and a text that is not at rest after the last one is removed.
const PASSES_MAX: usize = 5;

/// A placeholder in the text as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) rule: Rule,
    pub(crate) range: (usize, usize),
}

/// The text without what must go, or nothing when it can stay as it is.
pub(crate) fn clean(
    text: &str,
    reading: Reading,
    rules: &Rules,
    chars_max: usize,
) -> Option<(String, Vec<Mark>)> {
    let mut now: Option<String> = None;
    let mut marks = Vec::new();
    for _ in 0..PASSES_MAX {
        let current = now.as_deref().unwrap_or(text);
        let hits = scan(current, reading, rules);
        let long = is_long(current, chars_max);
        if hits.is_empty() && !long {
            return now.map(|now| (now, marks));
        }
        let mut next = apply(current, &hits, rules, &mut marks);
        cut(&mut next, &mut marks, chars_max);
        now = Some(next);
    }
    let mark = Mark {
        rule: Rule::Unsettled,
        range: (0, REMOVED.len()),
    };
    Some((REMOVED.to_owned(), vec![mark]))
}

/// Replaces the finds and moves the marks with the text; marks inside a find are gone with it.
fn apply(text: &str, hits: &[Hit], rules: &Rules, marks: &mut Vec<Mark>) -> String {
    let mut next = String::with_capacity(text.len());
    let mut moved = Vec::with_capacity(hits.len() + marks.len());
    let mut old = std::mem::take(marks).into_iter().peekable();
    let mut copied = 0;
    for hit in hits {
        while let Some(mark) = old.next_if(|mark| mark.range.1 <= hit.start) {
            moved.push(shifted(mark, copied, next.len()));
        }
        while old.next_if(|mark| mark.range.0 < hit.end).is_some() {}
        next.push_str(text.get(copied..hit.start).unwrap_or_default());
        let start = next.len();
        next.push_str(rules.placeholder(hit.rule));
        moved.push(Mark {
            rule: hit.rule,
            range: (start, next.len()),
        });
        copied = hit.end;
    }
    moved.extend(old.map(|mark| shifted(mark, copied, next.len())));
    next.push_str(text.get(copied..).unwrap_or_default());
    *marks = moved;
    next
}

/// A mark after the text up to `from` has become the text up to `to`.
fn shifted(mark: Mark, from: usize, to: usize) -> Mark {
    let (start, end) = mark.range;
    Mark {
        rule: mark.rule,
        range: (
            to + start.saturating_sub(from),
            to + end.saturating_sub(from),
        ),
    }
}

/// Whether a text has more characters than it may.
pub(crate) fn is_long(text: &str, chars_max: usize) -> bool {
    text.len() > chars_max && text.chars().count() > chars_max
}

/// Cuts an over-long text, before a placeholder rather than inside it.
fn cut(text: &mut String, marks: &mut Vec<Mark>, chars_max: usize) {
    if !is_long(text, chars_max) {
        return;
    }
    let kept = chars_max - CUT_MARK.chars().count();
    let mut end = text
        .char_indices()
        .nth(kept)
        .map_or(text.len(), |(at, _)| at);
    if let Some(split) = marks
        .iter()
        .find(|mark| mark.range.0 < end && mark.range.1 > end)
    {
        end = split.range.0;
    }
    marks.retain(|mark| mark.range.1 <= end);
    text.truncate(end);
    text.push_str(CUT_MARK);
    marks.push(Mark {
        rule: Rule::Length,
        range: (end, text.len()),
    });
}
