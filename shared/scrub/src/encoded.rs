//! Percent-encoded parts of queries and forms (RFC 3986 §2.1, and `+` for a space), read decoded.
//!
//! Not here: parts that were encoded twice.

use crate::marks::with_marks;
use crate::rules::Rules;
use crate::scan::built_in;
use crate::text::{Hit, Reading, Text, is_hex, is_word};

/// Longest part read decoded at once, bytes.
const PART_MAX: usize = 4096;
/// How far back a part may begin before its first encoded byte, bytes.
const BEFORE_MAX: usize = 256;

/// A part that was decoded.
pub(crate) struct Part {
    /// Where it ends in the text.
    pub(crate) end: usize,
    /// The text that it stands for; nothing when that is not UTF-8.
    decoded: Option<String>,
    /// For each decoded byte, and for the end, where it stands in the text.
    places: Vec<usize>,
}

/// The part around the `%` at a position, if that begins an encoded byte.
pub(crate) fn part(text: Text<'_>, percent: usize, floor: usize) -> Option<Part> {
    byte_at(text, percent)?;
    let start = text.run_back(percent, floor, BEFORE_MAX, is_part);
    let mut budget = PART_MAX;
    let end = text.run(start, |byte| {
        budget = budget.saturating_sub(1);
        budget > 0 && is_part(byte)
    });
    // A part that is cut off is not cut inside an encoded byte.
    let end = match (text.before(end), text.second_before(end)) {
        (b'%', _) => end - 1,
        (_, b'%') => end - 2,
        _ => end,
    };
    let mut bytes = Vec::with_capacity(end.saturating_sub(start));
    let mut places = Vec::with_capacity(end.saturating_sub(start) + 1);
    let mut position = start;
    while position < end {
        places.push(position);
        let (byte, length) = match (text.at(position), byte_at(text, position)) {
            (b'%', Some(byte)) => (byte, 3),
            (b'+', _) => (b' ', 1),
            (byte, _) => (byte, 1),
        };
        bytes.push(byte);
        position += length;
    }
    places.push(position);
    Some(Part {
        end: position.max(percent + 1),
        decoded: String::from_utf8(bytes).ok(),
        places,
    })
}

impl Part {
    /// What is found in it, by where it stands in the text; nothing when it is no text.
    pub(crate) fn scan(&self, reading: Reading, rules: &Rules) -> Option<Vec<Hit>> {
        let place = |position: usize| self.places.get(position).copied().unwrap_or(self.end);
        let text = self.decoded.as_deref()?;
        let hits = with_marks(text, |marks| {
            built_in(Text::new(text, rules), marks, reading, false)
        });
        let placed = hits.into_iter().map(|hit| Hit {
            start: place(hit.start),
            end: place(hit.end),
            rule: hit.rule,
        });
        Some(placed.collect())
    }
}

fn is_part(byte: u8) -> bool {
    // Some encoders leave slashes as they are.
    is_word(byte) || matches!(byte, b'-' | b'.' | b'~' | b'+' | b'%' | b'/')
}

/// The byte that is encoded at a position.
fn byte_at(text: Text<'_>, percent: usize) -> Option<u8> {
    let [high, low] = [text.at(percent + 1), text.at(percent + 2)];
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let encodes = text.at(percent) == b'%' && is_hex(high) && is_hex(low);
    encodes
        .then(|| u8::try_from(digit(high)? * 16 + digit(low)?).ok())
        .flatten()
}
