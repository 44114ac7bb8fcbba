//! One pass over a text, left to right: each word and each sign that can start something is shown to
//! the few finders that could know it, and what is found is skipped. Which words and signs those are say
//! the [marks](crate::marks) of the text.
//!
//! **The finds do not overlap and are in order.**

use crate::encoded;
use crate::marks::{Bits, LONG, Part, WIDTH, with_marks};
use crate::rules::Rules;
use crate::text::{Hit, Reading, Rule, Text, is_base64url, is_hex, is_word};
use crate::{forms, net, numbers, own, pairs, paths, secrets};

/// Everything to remove from a text.
pub(crate) fn scan(text: &str, reading: Reading, rules: &Rules) -> Vec<Hit> {
    with_marks(text, |marks| scan_part(text, marks, reading, rules))
}

/// The same of a text whose marks are known.
pub(crate) fn scan_part(text: &str, marks: Part<'_>, reading: Reading, rules: &Rules) -> Vec<Hit> {
    let mut hits = built_in(Text::new(text, rules), marks, reading, true);
    if rules.has_own() {
        hits = own::merged(hits, own::find(text, rules));
    }
    hits
}

/// What the built-in rules find. `decode`: whether percent-encoded parts are read decoded as well.
pub(crate) fn built_in(
    text: Text<'_>,
    marks: Part<'_>,
    reading: Reading,
    decode: bool,
) -> Vec<Hit> {
    let mut scanner = Scanner {
        text,
        reading,
        decode,
        floor: 0,
        token_end: 0,
        decoded_end: 0,
    };
    let mut hits = Vec::new();
    let mut position = 0;
    while position < text.len() {
        position = scanner.window(position, marks.from(position), &mut hits);
    }
    hits
}

struct Scanner<'t> {
    text: Text<'t>,
    reading: Reading,
    decode: bool,
    /// Where the last find ended: looking back stops here.
    floor: usize,
    /// Where the last measured run of base64url bytes ends, so that none is measured twice.
    token_end: usize,
    /// Where the last part that was read decoded ends, so that none is read twice.
    decoded_end: usize,
}

impl Scanner<'_> {
    /// Looks at the words and signs in the bytes that begin here, up to the first find; says where to go on.
    fn window(&mut self, position: usize, bits: Bits, hits: &mut Vec<Hit>) -> usize {
        let text = self.text;
        // A word that reaches the end of the window may go on: it begins the next one.
        let width = match WIDTH - bits.word.leading_ones() as usize {
            0 => text.run(position, is_word) - position,
            width => width,
        };
        let (mut places, mut joints) = (bits.places(), bits.joints());
        // Few words before a mark begin something: they are looked at if they could.
        while joints != 0 {
            let end = joints.trailing_zeros() as usize;
            let length = (bits.word << (WIDTH - end)).leading_ones() as usize;
            let start = end - length;
            if may_go_on(text, position + start, position + end) {
                places |= 1 << start;
            }
            joints &= joints - 1;
        }
        while places != 0 {
            let place = places.trailing_zeros() as usize;
            if place >= width {
                break;
            }
            places &= places - 1;
            let start = position + place;
            let byte = text.at(start);
            let length = (bits.word >> place).trailing_ones() as usize;
            let found = if length > 0 {
                let end = if place + length == WIDTH {
                    position + width
                } else {
                    start + length
                };
                self.word(start, end, byte)
            } else {
                if byte == b'%' && self.encoded(start, hits) {
                    return self.decoded_end;
                }
                self.sign(start, byte)
            };
            if let Some(hit) = found.filter(|hit| text.rules().removes(*hit, text)) {
                self.floor = hit.end;
                hits.push(hit);
                // Every finder removes at least one byte at or after the position.
                return hit.end.max(start + 1);
            }
        }
        position + width
    }

    /// Reads a percent-encoded part decoded. Whether that was possible: then it is done with.
    fn encoded(&mut self, position: usize, hits: &mut Vec<Hit>) -> bool {
        if !self.decode || position < self.decoded_end {
            return false;
        }
        let Some(part) = encoded::part(self.text, position, self.floor) else {
            return false;
        };
        self.decoded_end = part.end;
        let Some(found) = part.scan(self.reading, self.text.rules()) else {
            return false;
        };
        if let Some(last) = found.last() {
            self.floor = last.end;
        }
        hits.extend(found);
        true
    }

    /// What a sign begins, or stands in the middle of.
    #[inline]
    fn sign(&mut self, position: usize, byte: u8) -> Option<Hit> {
        let text = self.text;
        match byte {
            b'@' => net::email(text, position, 1, self.floor)
                .or_else(|| net::driver_password(text, position, self.floor)),
            b'%' if text.has(position + 1, b"40") => net::email(text, position, 3, self.floor),
            b':' => self.colon(position),
            b'=' => pairs::assigned(text, position, self.floor, self.reading),
            b'>' => forms::element(text, position, self.floor),
            b',' => pairs::tuple(text, position, self.floor),
            b'+' => numbers::phone(text, position),
            b'(' => numbers::bracketed_phone(text, position),
            b'-' if text.at(position + 1) == b'-' => {
                secrets::pem(text, position).or_else(|| pairs::flag(text, position))
            }
            b'-' if text.has(position, b"-u ") && text.before(position) == b' ' => {
                forms::user_flag(text, position, position + 3)
            }
            b'/' | b'\\' => paths::user(text, position),
            _ => None,
        }
    }

    fn colon(&self, position: usize) -> Option<Hit> {
        let text = self.text;
        if text.has(position + 1, b"//") {
            return net::url_credentials(text, position);
        }
        if text.at(position + 1) == b':' {
            return self.ipv6(position);
        }
        pairs::assigned(text, position, self.floor, self.reading)
    }

    fn ipv6(&self, position: usize) -> Option<Hit> {
        if self.reading == Reading::Release {
            return None;
        }
        net::ipv6(self.text, position)
    }

    /// What a word is, or begins.
    #[inline]
    fn word(&mut self, start: usize, end: usize, first: u8) -> Option<Hit> {
        let text = self.text;
        let length = end - start;
        let next = text.at(end);
        // Most numbers are short, and nothing behind them goes on with them.
        let goes_on = matches!(next, b' ' | b'-' | b'+' | b'.' | b':');
        if matches!(first, b'1'..=b'9') && length < CARD_MIN && !goes_on {
            return None;
        }
        if length <= 4
            && is_hex(first)
            && let Some(hit) = self.address(start, length, next)
        {
            return Some(hit);
        }
        if first.is_ascii_digit() {
            return self.number(start, end);
        }
        // Few words are long, or a part of something that is: the others need no second look.
        let part = length >= LONG || matches!(next, b'-' | b'.' | b':');
        if part {
            return self.long_word(start, end);
        }
        match (length, first) {
            (4, _) => numbers::iban(text, start),
            (5 | 6, b'b' | b'B') => secrets::scheme(text, start, end),
            (8, b'p' | b'P') | (10, b'i' | b'I') => forms::stated(text, start, end),
            _ => None,
        }
    }

    /// What a word is that is long, or goes on behind its end.
    fn long_word(&mut self, start: usize, end: usize) -> Option<Hit> {
        let text = self.text;
        match text.four(start)? {
            [_, _, b'0'..=b'9', b'0'..=b'9'] => numbers::iban(text, start),
            [b'e', b'y', b'J', _] => {
                if self.token_end <= start {
                    self.token_end = text.run(start, is_base64url);
                }
                secrets::jwt(text, start, self.token_end)
            }
            _ => None,
        }
        .or_else(|| secrets::vendor_key(text, start, end))
    }

    /// What a short word of hexadecimal digits begins.
    #[inline]
    fn address(&self, start: usize, length: usize, next: u8) -> Option<Hit> {
        match (length, next) {
            (2, b':' | b'-') => net::mac(self.text, start).or_else(|| self.ipv6(start)),
            (_, b':') => self.ipv6(start),
            (4, b'.') if self.reading != Reading::Release => net::dotted_mac(self.text, start),
            _ => None,
        }
    }

    fn number(&self, start: usize, end: usize) -> Option<Hit> {
        let text = self.text;
        if self.reading != Reading::Release
            && text.at(end) == b'.'
            && let Some(hit) = net::ipv4(text, start, self.floor)
        {
            return Some(hit);
        }
        let found = match (end - start, text.at(end)) {
            (CARD_MIN..=19, _) | (4, b' ' | b'-' | b'+') => {
                numbers::card(text, start).map(|end| (end, Rule::Card))
            }
            (1 | 3, b' ' | b'-' | b'.') => numbers::ssn(text, start, self.floor)
                .map(|end| (end, Rule::Ssn))
                .or_else(|| numbers::domestic_phone(text, start).map(|end| (end, Rule::Phone))),
            _ => None,
        };
        let trunk = || {
            let is_phone = text.at(start) == b'0' && self.reading != Reading::Release;
            is_phone
                .then(|| numbers::trunk_phone(text, start, self.floor))
                .flatten()
        };
        found
            .or_else(|| trunk().map(|end| (end, Rule::Phone)))
            .map(|(end, rule)| Hit { start, end, rule })
            .or_else(|| secrets::vendor_key(text, start, end))
    }
}

/// Fewest digits of a card's number.
const CARD_MIN: usize = 12;

/// Whether a word that is followed by `-`, `.` or `:` can be the beginning of something longer, or of an address.
#[inline]
fn may_go_on(text: Text<'_>, start: usize, end: usize) -> bool {
    (end - start <= 4 && is_hex(text.at(start))) || secrets::may_be_key(text, start, end)
}
