//! Which events have one cause: a hash over what identifies them, with the parts kept so that people
//! can see why.
//!
//! Order of preference, as in the field's practice: the reporter's own fingerprint; type and top product
//! frames; type and parameterised message; message alone. Frames are named by module (or file) and
//! function, never by line, so that a group survives a new release; recursion is collapsed and
//! generated names are cut.
//!
//! Not here yet: similarity against recent groups, merge and split.

use crate::digest::Digest;
use crate::event::{Event, Frame};
use crate::id::{IssueId, ProjectId};
use serde::{Deserialize, Serialize};

/// Product frames that go into the hash, from the raising one outwards.
const FRAMES: usize = 3;

/// What identifies a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Which rule made it: `explicit`, `frames`, `message`.
    pub rule: String,
    /// The parts that were hashed, in order.
    pub parts: Vec<String>,
}

impl Fingerprint {
    /// The fingerprint of an event.
    pub fn of(event: &Event) -> Self {
        if !event.fingerprint.is_empty() {
            return Self::new("explicit", event.fingerprint.clone());
        }
        let Some(raised) = event.raised() else {
            let message = event.message.as_deref().unwrap_or_default();
            return Self::new(
                "message",
                vec![event.platform.clone(), parameterise(message)],
            );
        };
        let product: Vec<&Frame> = raised.frames.iter().filter(|frame| frame.in_app).collect();
        let frames = if product.is_empty() {
            raised.frames.iter().collect()
        } else {
            product
        };
        let mut names: Vec<String> = frames.iter().rev().map(|frame| name(frame)).collect();
        names.dedup();
        names.truncate(FRAMES);
        if names.is_empty() {
            return Self::new(
                "message",
                vec![raised.kind.clone(), parameterise(&raised.value)],
            );
        }
        let mut parts = vec![raised.kind.clone()];
        parts.extend(names);
        Self::new("frames", parts)
    }

    fn new(rule: &str, parts: Vec<String>) -> Self {
        Self {
            rule: rule.to_owned(),
            parts,
        }
    }

    /// The issue of that fingerprint.
    pub fn issue(&self, project: ProjectId) -> IssueId {
        let number = project.0.to_be_bytes();
        let mut parts: Vec<&[u8]> = vec![&number, self.rule.as_bytes()];
        parts.extend(self.parts.iter().map(String::as_bytes));
        IssueId::from_digest(Digest::of_parts(&parts))
    }
}

/// What a frame is called: module or cleaned file, and function, without generated parts.
fn name(frame: &Frame) -> String {
    let place = match &frame.module {
        Some(module) => module.clone(),
        None => frame.file.replace('\\', "/"),
    };
    let function: String = parameterise(&frame.function);
    format!("{place}:{function}")
}

/// A message with what varies replaced by its kind, so that `user 17 not found` and
/// `user 18 not found` are one message. Works on tokens; never looks inside a word that has letters
/// other than hex digits.
pub fn parameterise(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut token = String::new();
    for character in message.chars() {
        if character.is_alphanumeric() || matches!(character, '_' | '-' | '@' | '.') {
            token.push(character);
        } else {
            out.push_str(&kind_of(&token));
            token.clear();
            out.push(character);
        }
    }
    out.push_str(&kind_of(&token));
    out
}

/// The placeholder for a token, or the token itself.
fn kind_of(token: &str) -> String {
    let core = token.trim_matches(|c| matches!(c, '.' | '-' | '_'));
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    let has_digit = core.bytes().any(|b| b.is_ascii_digit());
    let placeholder = if !has_digit && !core.contains('@') {
        None
    } else if core.contains('@') && core.contains('.') {
        Some("<email>")
    } else if core.len() == 36 && core.split('-').all(is_hex) {
        Some("<uuid>")
    } else if core.bytes().all(|b| b.is_ascii_digit()) {
        Some("<int>")
    } else if core.parse::<f64>().is_ok() {
        Some("<float>")
    } else if core.split('.').count() == 4 && core.split('.').all(|part| part.parse::<u8>().is_ok())
    {
        Some("<ip>")
    } else if core.strip_prefix("0x").is_some_and(is_hex) || (core.len() >= 8 && is_hex(core)) {
        Some("<hex>")
    } else {
        None
    };
    match placeholder {
        Some(placeholder) => token.replacen(core, placeholder, 1),
        None => token.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_is_parameterised_and_words_are_not() {
        for (message, expected) in [
            ("user 17 not found", "user <int> not found"),
            ("took 1.25 s", "took <float> s"),
            ("at 0xdeadbeef.", "at <hex>."),
            ("id 6f1ed002ab5595859014ebf0951522d9", "id <hex>"),
            ("mail a.b@c.io bounced", "mail <email> bounced"),
            ("10.0.0.1 refused", "<ip> refused"),
            ("550e8400-e29b-41d4-a716-446655440000 gone", "<uuid> gone"),
            ("utf8 decode failed", "utf8 decode failed"),
            ("facade missing", "facade missing"),
        ] {
            assert_eq!(parameterise(message), expected);
        }
    }
}
