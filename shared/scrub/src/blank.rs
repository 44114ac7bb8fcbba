//! What stands where a secret could, and is none: words of a sentence, empty values, places for values.

use crate::keys::{self, Promise};
use crate::rules::Rules;
use crate::text::is_word;

/// Texts that stand for no value.
const LITERALS: [&str; 17] = [
    "include",
    "omit",
    "same-origin",
    "true",
    "false",
    "none",
    "null",
    "nil",
    "undefined",
    "''",
    "\"\"",
    "{}",
    "[]",
    "()",
    "%s",
    "nan",
    "n/a",
];

/// Longest value that can say nothing, bytes.
const NOTHING_MAX: usize = 512;

/// Longest of them, bytes.
const LITERAL_MAX: usize = 11;

/// What everyday things are, rather than what they hold: `cookies=enabled`.
const STATES: [&str; 13] = [
    "enabled", "disabled", "required", "optional", "active", "inactive", "expired", "missing",
    "valid", "invalid", "ok", "on", "off",
];

/// Whether a text says nothing worth hiding under a name that promises a secret.
pub(crate) fn says_nothing(rules: &Rules, value: &str, promise: Promise) -> bool {
    let lower = if value.len() <= LITERAL_MAX {
        value.to_ascii_lowercase()
    } else {
        String::new()
    };
    let literal = value.is_empty()
        || LITERALS.contains(&lower.trim_start_matches('<').trim_end_matches('>'))
        || (promise.weak && STATES.contains(&lower.as_str()));
    // A longer one is worth hiding whatever it looks like; so no long text is looked through twice.
    if value.len() > NOTHING_MAX {
        return rules.allows(value);
    }
    // Objects print their class and address, not what they hold.
    let object = value.starts_with('<')
        && (value.contains(" object at 0x")
            || value.starts_with("<class ")
            || value.starts_with("<function ")
            || value.starts_with("<module "));
    let blank = is_blank(value) || is_reference(rules, value);
    let folder = promise.folder && is_folder(value);
    let small = promise.weak && value.len() <= 3 && value.bytes().all(|byte| byte.is_ascii_digit());
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let wordy = digits < promise.digits_min();
    let stays = rules.is_placeholder(value) || rules.allows(value);
    literal || object || blank || folder || small || wordy || stays
}

/// Whether a text is a place for a value: `${TOKEN}`, `{{token}}`, `$TOKEN`, `****`.
pub(crate) fn is_blank(value: &str) -> bool {
    let variable = value.strip_prefix('$').is_some_and(|name| {
        name.len() >= 4
            && name
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    });
    let hidden = value.len() >= 3 && value.bytes().all(|byte| matches!(byte, b'*' | b'x' | b'.'));
    value.starts_with("${") || value.starts_with("{{") || variable || hidden
}

/// Whether a text says where in a program the value is: `config.apiKey`, `process.env.DB_PASSWORD`.
fn is_reference(rules: &Rules, value: &str) -> bool {
    value.rsplit_once('.').is_some_and(|(owner, name)| {
        value
            .as_bytes()
            .first()
            .is_some_and(u8::is_ascii_alphabetic)
            && owner.bytes().all(|byte| is_word(byte) || byte == b'.')
            && name.bytes().all(is_word)
            && keys::promise(rules, name).is_some()
    })
}

/// Whether a text is the path of a folder.
fn is_folder(value: &str) -> bool {
    let drive = matches!(value.as_bytes(), [letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic());
    value.starts_with('/') || value.starts_with("~/") || value == "~" || drive
}

/// Whether a word has letters and digits and is not the name of something secret, such as a field.
pub(crate) fn is_made_up(rules: &Rules, word: &str) -> bool {
    let digit = word.bytes().any(|byte| byte.is_ascii_digit());
    let letter = word.bytes().any(|byte| byte.is_ascii_alphabetic());
    word.len() >= 6
        && digit
        && letter
        && !word.contains(' ')
        && keys::promise(rules, word).is_none()
}

/// Words that go on a sentence after `password:`, or name a type.
const SENTENCE: [&str; 50] = [
    "focus",
    "hover",
    "must",
    "is",
    "was",
    "are",
    "not",
    "required",
    "missing",
    "invalid",
    "incorrect",
    "expected",
    "wrong",
    "cannot",
    "can",
    "should",
    "has",
    "have",
    "too",
    "field",
    "this",
    "that",
    "the",
    "a",
    "an",
    "please",
    "enter",
    "mismatch",
    "failed",
    "expired",
    "denied",
    "no",
    "unknown",
    "error",
    "do",
    "does",
    "did",
    "at",
    "ensure",
    "value",
    "length",
    "minimum",
    "input",
    "str",
    "string",
    "optional",
    "bytes",
    "int",
    "bool",
    "any",
];

/// Whether a bare value after `name: ` is a word of a sentence.
pub(crate) fn is_prose(value: &str, promise: Promise) -> bool {
    let word = value.trim_end_matches(['.', '!', '?', ':']);
    let letters = word
        .bytes()
        .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'\''));
    let everyday = promise.weak && letters && word.len() < 20;
    everyday || SENTENCE.contains(&word.to_ascii_lowercase().as_str())
}
