//! One pass over a text, left to right: each position that can start something is shown to the few
//! finders that could know it, and what is found is skipped.
//!
//! **The finds do not overlap and are in order.**

use crate::text::{Hit, Reading, Rule, Text, is_base64url, is_word};
use crate::{net, numbers, pairs, paths, secrets};

/// Everything to remove from a text.
pub(crate) fn scan(text: &str, reading: Reading) -> Vec<Hit> {
    let mut scanner = Scanner {
        text: Text::new(text),
        reading,
        floor: 0,
        token_end: 0,
    };
    let mut hits: Vec<Hit> = Vec::new();
    let mut position = 0;
    while position < scanner.text.len() {
        match scanner.find(position) {
            Ok(hit) => {
                // Every finder removes at least one byte at or after the position.
                position = hit.end.max(position + 1);
                scanner.floor = hit.end;
                hits.push(hit);
            }
            Err(next) => position = next,
        }
    }
    hits
}

struct Scanner<'t> {
    text: Text<'t>,
    reading: Reading,
    /// Where the last find ended: looking back stops here.
    floor: usize,
    /// Where the last measured run of base64url bytes ends, so that none is measured twice.
    token_end: usize,
}

impl Scanner<'_> {
    /// What is at a position, or where to look next.
    #[inline]
    fn find(&mut self, position: usize) -> Result<Hit, usize> {
        let text = self.text;
        let next = position + 1;
        let found = match text.at(position) {
            byte if is_word(byte) => {
                return self
                    .word(position, byte)
                    .ok_or_else(|| text.run(position, is_word));
            }
            b'@' => net::email(text, position, 1, self.floor),
            b'%' if text.has(next, b"40") => net::email(text, position, 3, self.floor),
            b':' => self.colon(position),
            b'=' => pairs::assigned(text, position, self.floor, self.reading),
            b',' => pairs::tuple(text, position, self.floor),
            b'+' => numbers::phone(text, position),
            b'-' if text.at(next) == b'-' => {
                secrets::pem(text, position).or_else(|| pairs::flag(text, position))
            }
            b'/' | b'\\' => paths::user(text, position),
            _ => None,
        };
        found.ok_or(next)
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

    /// What a word that begins at a position is.
    #[inline]
    fn word(&mut self, position: usize, first: u8) -> Option<Hit> {
        let text = self.text;
        if first.is_ascii_hexdigit()
            && let Some(hit) = net::mac(text, position).or_else(|| self.ipv6(position))
        {
            return Some(hit);
        }
        if first.is_ascii_digit() {
            return self.number(position);
        }
        if text.at(position + 2).is_ascii_digit()
            && let Some(hit) = numbers::iban(text, position)
        {
            return Some(hit);
        }
        match first {
            b'e' if text.has(position, b"eyJ") => {
                if self.token_end <= position {
                    self.token_end = text.run(position, is_base64url);
                }
                secrets::jwt(text, position, self.token_end)
            }
            b'b' | b'B' => secrets::scheme(text, position),
            _ => None,
        }
        .or_else(|| secrets::vendor_key(text, position))
    }

    fn number(&self, position: usize) -> Option<Hit> {
        let text = self.text;
        if self.reading != Reading::Release
            && let Some(hit) = net::ipv4(text, position, self.floor)
        {
            return Some(hit);
        }
        numbers::card(text, position)
            .map(|end| (end, Rule::Card))
            .or_else(|| numbers::ssn(text, position).map(|end| (end, Rule::Ssn)))
            .map(|(end, rule)| Hit {
                start: position,
                end,
                rule,
            })
            .or_else(|| secrets::vendor_key(text, position))
    }
}
