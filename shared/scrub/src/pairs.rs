//! Values that stand behind a name which promises a secret: `password=…`, `"api_key": "…"`,
//! `Cookie: …`, `--token …`, `("Authorization", "…")`.

use crate::keys::{self, Promise};
use crate::rules::Rules;
use crate::text::{Hit, Reading, Text, is_quote, is_word};

/// Longest name read before a separator, bytes.
const NAME_MAX: usize = 64;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Quoted,
    Bracketed,
    Bare,
}

/// A value: where its content begins and ends.
#[derive(Debug, Clone, Copy)]
struct Value {
    start: usize,
    end: usize,
    written: Written,
}

/// A name: what it promises, and whether it stood in quotes.
struct Name<'t> {
    text: &'t str,
    promise: Promise,
    quoted: bool,
}

/// The value assigned by the `=` or `:` here.
pub(crate) fn assigned(
    text: Text<'_>,
    separator: usize,
    floor: usize,
    reading: Reading,
) -> Option<Hit> {
    let (sign, before, after) = (
        text.at(separator),
        text.before(separator),
        text.at(separator + 1),
    );
    // `::` is a path, `==` and `:=` are handled at their second sign.
    if (sign == b':' && (before == b':' || after == b'=')) || (sign == b'=' && after == b'=') {
        return None;
    }
    let compares = sign == b'=' && matches!(before, b'=' | b'!');
    let quoted_only = compares || reading == Reading::Source;
    // Of source text only quoted literals are values, and most of what is assigned is none.
    if quoted_only && !begins_quoted(text, separator) {
        return None;
    }
    let operator = if matches!(before, b'=' | b'!' | b':' | b'+' | b'<' | b'>') {
        separator - 1
    } else {
        separator
    };
    let name = name_before(text, operator, floor, sign == b':')?;
    let arrow = usize::from(sign == b'=' && after == b'>');
    let from = text.run(separator + 1 + arrow, |byte| matches!(byte, b' ' | b'\t'));
    if from > separator + 1 + arrow + 8 {
        return None;
    }
    let value = if is_header(name.text) && !quoted_only {
        header_value(text, from, name.text)?
    } else {
        value_at(text, from, name.promise)?
    };
    if quoted_only && value.written != Written::Quoted {
        return None;
    }
    let prose = sign == b':' && !name.quoted && name.promise.plain;
    remove(text, value, name.promise, prose)
}

/// Whether a quoted value, perhaps with a prefix as in `b'…'`, begins behind a separator.
fn begins_quoted(text: Text<'_>, separator: usize) -> bool {
    let from = text.run(separator + 1, |byte| matches!(byte, b' ' | b'\t' | b'>'));
    let from = text.run(from, |byte| byte.is_ascii_alphabetic() || byte == b'\\');
    is_quote(text.at(from))
}

/// The value of a pair that is written as a tuple: `("cookie", "…")`, with the comma here.
pub(crate) fn tuple(text: Text<'_>, comma: usize, floor: usize) -> Option<Hit> {
    let quote = text.before(comma);
    if !is_quote(quote) {
        return None;
    }
    let name_end = comma - 1;
    let name_start = text.run_back(name_end, floor, NAME_MAX, is_name);
    let opening = name_start.checked_sub(2)?;
    if text.at(opening + 1) != quote || !matches!(text.at(opening), b'(' | b'[') {
        return None;
    }
    if !begins_quoted(text, comma) {
        return None;
    }
    let promise = keys::promise(text.rules(), text.slice(name_start, name_end))?;
    let from = text.run(comma + 1, |byte| byte == b' ');
    let value = value_at(text, from, promise)?;
    let closes = value.written == Written::Quoted && matches!(text.at(value.end + 1), b')' | b']');
    closes
        .then(|| remove(text, value, promise, false))
        .flatten()
}

/// The value of a command line flag: `--password …`, `['--password', '…']`.
pub(crate) fn flag(text: Text<'_>, dashes: usize) -> Option<Hit> {
    if is_word(text.before(dashes)) || text.before(dashes) == b'-' {
        return None;
    }
    let name_end = text.run_to(dashes + 2, NAME_MAX, is_name);
    if name_end - dashes > NAME_MAX {
        return None;
    }
    let quote = text.at(name_end);
    let from = match quote {
        b' ' => name_end + 1,
        b'"' | b'\'' if text.at(name_end + 1) == b',' => {
            text.run(name_end + 2, |byte| byte == b' ')
        }
        _ => return None,
    };
    // A list of printed words goes on with a printed word.
    if quote != b' ' && !begins_quoted(text, from - 1) {
        return None;
    }
    let promise = keys::promise(text.rules(), text.slice(dashes + 2, name_end))?;
    let value = value_at(text, from, promise)?;
    if text.at(value.start) == b'-' || (quote != b' ') != (value.written == Written::Quoted) {
        return None;
    }
    remove(text, value, promise, false)
}

/// Texts that stand for no value.
const LITERALS: [&str; 14] = [
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
const LITERAL_MAX: usize = 9;

/// Whether a text says nothing worth hiding under a name that promises a secret.
pub(crate) fn says_nothing(rules: &Rules, value: &str, promise: Promise) -> bool {
    let lower = if value.len() <= LITERAL_MAX {
        value.to_ascii_lowercase()
    } else {
        String::new()
    };
    let literal = value.is_empty() || LITERALS.contains(&lower.as_str());
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
    let template = value.starts_with("${") || value.starts_with("{{");
    let hidden = value.len() >= 3 && value.bytes().all(|byte| matches!(byte, b'*' | b'x' | b'.'));
    let small = promise.weak && value.len() <= 3 && value.bytes().all(|byte| byte.is_ascii_digit());
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let wordy = digits < promise.digits_min();
    let stays = rules.is_placeholder(value) || rules.allows(value);
    literal || object || template || hidden || small || wordy || stays
}

fn remove(text: Text<'_>, value: Value, promise: Promise, prose: bool) -> Option<Hit> {
    let content = text.slice(value.start, value.end);
    let nothing = says_nothing(text.rules(), content, promise)
        || (prose && value.written == Written::Bare && is_prose(content, promise));
    (!nothing && value.end > value.start).then_some(Hit {
        start: value.start,
        end: value.end,
        rule: promise.rule,
    })
}

/// Words that go on a sentence after `password:`, or name a type.
const SENTENCE: [&str; 48] = [
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
fn is_prose(value: &str, promise: Promise) -> bool {
    let word = value.trim_end_matches(['.', '!', '?', ':']);
    let letters = word
        .bytes()
        .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'\''));
    let everyday = promise.weak && letters && word.len() < 20;
    everyday || SENTENCE.contains(&word.to_ascii_lowercase().as_str())
}

fn is_name(byte: u8) -> bool {
    is_word(byte) || matches!(byte, b'-' | b'.')
}

/// The name that ends before an operator, if it promises something.
fn name_before(text: Text<'_>, operator: usize, floor: usize, spoken: bool) -> Option<Name<'_>> {
    let end = text.run_back(operator, floor, 2, |byte| byte == b' ');
    let closed = text.run_back(end, floor, 4, |byte| {
        is_quote(byte) || matches!(byte, b']' | b'\\')
    });
    let quoted = closed < end;
    let start = text.run_back(closed, floor, NAME_MAX, is_name);
    // `settings.auth.timeout`: the last part names the value.
    let last = text.run_back(closed, start, NAME_MAX, |byte| byte != b'.');
    let name = text.slice(last, closed);
    if name.is_empty() {
        return None;
    }
    let promise = keys::promise(text.rules(), name).filter(|promise| {
        let spoken = spoken && !quoted && promise.weak;
        !(spoken && keys::is_parsing(previous_word(text, start, floor)))
    });
    let promise = promise.or_else(|| {
        if quoted || last != start || !keys::may_end_name(name) {
            return None;
        }
        let before = previous_word(text, start, floor);
        if before.is_empty() {
            return None;
        }
        let first = previous_word(text, start - 1 - before.len(), floor);
        keys::spoken_promise(&[first, before, name])
            .filter(|promise| text.rules().is_on(promise.rule))
    })?;
    Some(Name {
        text: name,
        promise,
        quoted,
    })
}

/// The word that ends one space before a position.
fn previous_word(text: Text<'_>, position: usize, floor: usize) -> &str {
    match position.checked_sub(1) {
        Some(space) if text.at(space) == b' ' && space >= floor => {
            let start = text.run_back(space, floor, 24, |byte| byte.is_ascii_alphabetic());
            text.slice(start, space)
        }
        _ => "",
    }
}

fn is_header(name: &str) -> bool {
    [
        "cookie",
        "set-cookie",
        "authorization",
        "proxy-authorization",
    ]
    .iter()
    .any(|header| name.eq_ignore_ascii_case(header))
}

/// The value of an HTTP header, which goes to the end of the line or to the quote it stands in.
/// The scheme of `Authorization` stays.
fn header_value(text: Text<'_>, from: usize, name: &str) -> Option<Value> {
    if is_quote(text.at(from)) || matches!(text.at(from), b'\\' | b'(' | b'[' | b'{' | b'<') {
        return value_at(text, from, keys::promise(text.rules(), name)?);
    }
    let is_value = |byte: u8| !(is_quote(byte) || matches!(byte, b'\n' | b'\r' | b'\\'));
    // What is no header after all is a word of a sentence, or one bare token. Only the beginning is
    // looked at for that, so that a row of such words is not looked through once for each.
    let mut budget = HEADER_LOOK;
    let look = text.run(from, |byte| {
        budget = budget.saturating_sub(1);
        budget > 0 && is_value(byte)
    });
    let beginning = text.upto(from, look);
    let start = if name.to_ascii_lowercase().ends_with("cookie") {
        beginning.contains('=').then_some(from)
    } else {
        let scheme = beginning.split(' ').next().unwrap_or_default();
        let known = SCHEMES
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known))
            || scheme.starts_with("AWS4-HMAC");
        (known && beginning.len() > scheme.len()).then_some(from + scheme.len() + 1)
    };
    let Some(start) = start else {
        return value_at(text, from, keys::promise(text.rules(), name)?);
    };
    let end = text.run(start, is_value);
    let content = text.slice(start, end).trim_end();
    Some(Value {
        start,
        end: start + content.len(),
        written: Written::Quoted,
    })
}

/// Schemes of `Authorization`, and words that stand in their place.
const SCHEMES: [&str; 7] = [
    "basic",
    "bearer",
    "digest",
    "negotiate",
    "token",
    "apikey",
    "sentry",
];

/// How much of a header is looked at before it is believed to be one, bytes.
const HEADER_LOOK: usize = 256;

/// The value that begins here.
fn value_at(text: Text<'_>, from: usize, promise: Promise) -> Option<Value> {
    let prefix = text.run(from, |byte| {
        matches!(byte, b'b' | b'B' | b'u' | b'U' | b'r' | b'R' | b'f' | b'F')
    });
    // `b'…'`, `u"…"`: Python says so before the quote.
    let quote_at = if prefix - from <= 2 && is_quote(text.at(prefix)) {
        prefix
    } else {
        from
    };
    let escaped = text.at(quote_at) == b'\\' && is_quote(text.at(quote_at + 1));
    let quote = text.at(quote_at + usize::from(escaped));
    if is_quote(quote) {
        return Some(quoted(
            text,
            quote_at + usize::from(escaped) + 1,
            quote,
            escaped,
        ));
    }
    if matches!(text.at(from), b'(' | b'[' | b'{') {
        return Some(bracketed(text, from));
    }
    if text.at(from) == b'<' {
        let end = text.run(from, |byte| !matches!(byte, b'>' | b'\n'));
        let end = end + usize::from(text.at(end) == b'>');
        return Some(Value {
            start: from,
            end,
            written: Written::Bracketed,
        });
    }
    let mut end = text.run(from, is_bare);
    // `1234 5678 …`: a number goes on over spaces.
    while promise.numeric() && text.at(end) == b' ' {
        let next = text.run(end + 1, is_bare);
        let digits = text
            .slice(end + 1, next)
            .bytes()
            .any(|byte| byte.is_ascii_digit());
        if !digits {
            break;
        }
        end = next;
    }
    (end > from).then_some(Value {
        start: from,
        end,
        written: Written::Bare,
    })
}

fn is_bare(byte: u8) -> bool {
    byte > b' '
        && !is_quote(byte)
        && !matches!(
            byte,
            b',' | b';' | b'&' | b')' | b']' | b'}' | b'>' | b'|' | b'\\'
        )
}

/// A quoted value: to its closing quote, or to the end of the line where that was cut off.
fn quoted(text: Text<'_>, start: usize, quote: u8, escaped: bool) -> Value {
    let mut backslash = false;
    let mut done = false;
    let end = text.run(start, |byte| {
        if byte == b'\n' {
            return false;
        }
        // In an escaped quotation the closing quote is escaped as well.
        if byte == quote && (escaped || !backslash) {
            done = true;
        }
        backslash = byte == b'\\' && !backslash;
        !done
    });
    let end = if done && escaped && text.before(end) == b'\\' && end > start {
        end - 1
    } else {
        end
    };
    Value {
        start,
        end,
        written: Written::Quoted,
    }
}

/// A value in brackets, with them: to the closing one, or to the end of the line.
fn bracketed(text: Text<'_>, start: usize) -> Value {
    let mut depth = 0_usize;
    let end = text.run(start, |byte| {
        match byte {
            b'\n' => return false,
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if depth == 1 => return false,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        true
    });
    let closed = matches!(text.at(end), b')' | b']' | b'}');
    Value {
        start,
        end: end + usize::from(closed),
        written: Written::Bracketed,
    }
}
