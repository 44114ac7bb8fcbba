//! Values that stand behind a name which promises a secret: `password=…`, `"api_key": "…"`,
//! `Cookie: …`, `--token …`, `("Authorization", "…")`.

use crate::blank::{is_made_up, is_prose, says_nothing};
use crate::forms::{form_part, user_flag};
use crate::keys::{self, Promise};
use crate::text::{Hit, Reading, Rule, Text, is_hex, is_name, is_quote, is_word};

/// Longest name read before a separator, bytes.
pub(crate) const NAME_MAX: usize = 64;

/// What a name like `password` promises.
pub(crate) const PASSWORD: Promise = Promise {
    rule: Rule::NamedSecret,
    weak: false,
    folder: false,
};

/// Longest password in a sentence or behind a user's name, bytes.
pub(crate) const PASSWORD_MAX: usize = 128;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    Quoted,
    Bracketed,
    Bare,
}

/// A value: where its content begins and ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) written: Written,
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
    let source = reading == Reading::Source;
    // Of source text only quoted literals are values, and most of what is assigned is none.
    let unquoted = (compares || source) && !begins_quoted(text, separator);
    if compares && unquoted {
        return None;
    }
    // A literal of a source line may hold a whole address or connection string.
    let parameter = source && is_parameter(text, separator, floor);
    if unquoted && !parameter {
        return None;
    }
    let quoted_only = compares || (source && !parameter);
    let operator = if matches!(before, b'=' | b'!' | b':' | b'+' | b'<' | b'>') {
        separator - 1
    } else {
        separator
    };
    if sign == b'=' && text.has_before(separator, b"form-data; name") {
        return form_part(text, separator);
    }
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
    let spoken = sign == b':' && !name.quoted;
    // `auth:8080` is a host and its port.
    let port = spoken && from == separator + 1 && name.promise.weak && is_port(text, value);
    if port {
        return None;
    }
    remove(text, value, name.promise, spoken)
}

/// Whether a parameter with a value that was made up is assigned here: `&password=…`, `;Password=…`. Most of what looks so is none, and
/// is read again: so only short values are looked at.
fn is_parameter(text: Text<'_>, sign: usize, floor: usize) -> bool {
    if text.at(sign) != b'=' {
        return false;
    }
    let name = text.run_back(sign, floor, NAME_MAX, is_name);
    if name == sign || !matches!(text.before(name), b'&' | b'?' | b';') {
        return false;
    }
    let end = text.run_to(sign + 1, PASSWORD_MAX, is_bare);
    end - sign <= PASSWORD_MAX && is_made_up(text.rules(), text.slice(sign + 1, end))
}

fn is_port(text: Text<'_>, value: Value) -> bool {
    let content = text.slice(value.start, value.end);
    content.len() <= 5 && content.bytes().all(|byte| byte.is_ascii_digit())
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
    if text.slice(dashes + 2, name_end) == "user" && quote == b' ' {
        return user_flag(text, dashes, from);
    }
    let promise = keys::promise(text.rules(), text.slice(dashes + 2, name_end))?;
    let value = value_at(text, from, promise)?;
    if text.at(value.start) == b'-' || (quote != b' ' && value.written != Written::Quoted) {
        return None;
    }
    remove(text, value, promise, false)
}

/// What is removed of a value. `spoken`: its name stands as in a sentence, so that the value may be the next word of it.
pub(crate) fn remove(text: Text<'_>, value: Value, promise: Promise, spoken: bool) -> Option<Hit> {
    let content = text.slice(value.start, value.end);
    let nothing = says_nothing(text.rules(), content, promise)
        || (spoken && value.written == Written::Bare && is_prose(content, promise));
    (!nothing && value.end > value.start).then_some(Hit {
        start: value.start,
        end: value.end,
        rule: promise.rule,
    })
}

/// Most backslashes before a quote of JSON that stands in JSON that stands in JSON and so on, bytes.
pub(crate) const ESCAPES_MAX: usize = 16;

/// The name that is listed before its value: `{"name": "…", "value": `, `key="…" value=`. The word `value` begins here.
fn listed_name(text: Text<'_>, value: usize, floor: usize) -> &str {
    let end = text.run_back(value, floor, 24, |byte| {
        is_quote(byte) || byte.is_ascii_whitespace() || matches!(byte, b',' | b'\\')
    });
    let start = text.run_back(end, floor, NAME_MAX, is_name);
    let is_mark = |byte: u8| is_quote(byte) || matches!(byte, b'\\' | b' ');
    let sign = text.run_back(start, floor, ESCAPES_MAX, is_mark);
    if end == value || !matches!(text.before(sign), b':' | b'=') {
        return "";
    }
    let label_end = text.run_back(sign - 1, floor, ESCAPES_MAX, is_mark);
    let label = text.run_back(label_end, floor, 8, is_word);
    if matches!(
        text.slice(label, label_end),
        "name" | "key" | "Name" | "Key"
    ) {
        text.slice(start, end)
    } else {
        ""
    }
}

/// The name that ends before an operator, if it promises something.
fn name_before(text: Text<'_>, operator: usize, floor: usize, spoken: bool) -> Option<Name<'_>> {
    let end = text.run_back(operator, floor, 2, |byte| byte == b' ');
    let closed = text.run_back(end, floor, ESCAPES_MAX, |byte| {
        is_quote(byte) || matches!(byte, b']' | b'\\')
    });
    let quoted = closed < end;
    // `user%5Bpassword%5D=…`: how forms encode the brackets of `user[password]`.
    let bracket = matches!(text.before(closed), b'D' | b'd')
        && text
            .slice(closed.saturating_sub(3), closed)
            .eq_ignore_ascii_case("%5D");
    let closed = closed - if bracket { 3 } else { 0 };
    // `settings.auth.timeout`: the last part names the value.
    let last = text.run_back(closed, floor, NAME_MAX, |byte| {
        is_name(byte) && byte != b'.'
    });
    let start = text.run_back(last, floor, NAME_MAX - (closed - last), is_name);
    let last = last + escape(text, last, closed);
    let name = text.slice(last, closed);
    if name.is_empty() {
        return None;
    }
    let name = if name.eq_ignore_ascii_case("value") && last == start {
        listed_name(text, start, floor)
    } else {
        name
    };
    // Who has an address with a signature has what it leads to.
    let signature = name == "sig" && matches!(text.before(start), b'&' | b'?');
    if signature && text.rules().says_of(name).is_none() {
        return Some(Name {
            text: name,
            promise: PASSWORD,
            quoted,
        });
    }
    let promise = keys::promise(text.rules(), name).filter(|_| {
        let token = name.eq_ignore_ascii_case("token") || name.eq_ignore_ascii_case("tokens");
        !(spoken && !quoted && token && keys::is_parsing(previous_word(text, start, floor)))
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

/// How many bytes of an escape stand before a name, as in `\\ntoken`, `\\u0026token` and `%5Btoken`.
fn escape(text: Text<'_>, start: usize, end: usize) -> usize {
    let hex = |from: usize, to: usize| (from..to).all(|place| is_hex(text.at(start + place)));
    let length = match (text.before(start), text.at(start)) {
        (b'%', _) if hex(0, 2) => 2,
        (b'\\', b'n' | b'r' | b't') => 1,
        (b'\\', b'u') if hex(1, 5) => 5,
        _ => 0,
    };
    if start + length < end { length } else { 0 }
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
    let mut parameters = false;
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
        parameters = ["digest", "oauth"]
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known));
        (known && beginning.len() > scheme.len()).then_some(from + scheme.len() + 1)
    };
    let Some(start) = start else {
        return value_at(text, from, keys::promise(text.rules(), name)?);
    };
    let end = if parameters {
        parameters_end(text, start)
    } else {
        text.run(start, is_value)
    };
    let content = text.slice(start, end).trim_end();
    Some(Value {
        start,
        end: start + content.len(),
        written: Written::Quoted,
    })
}

/// Where `username="…", response="…"` (RFC 7616 §3.4) ends, in a text in which the quotes may be escaped.
fn parameters_end(text: Text<'_>, start: usize) -> usize {
    let (mut position, mut inside) = (start, false);
    while let Some(byte) = text.get(position) {
        let mark = text.run_to(position, ESCAPES_MAX, |byte| byte == b'\\');
        if text.at(mark) == b'"' && (inside || text.before(position) == b'=') {
            inside = !inside;
            position = mark;
        } else if mark > position || matches!(byte, b'\n' | b'\r') || (!inside && is_quote(byte)) {
            break;
        }
        position += 1;
    }
    position
}

/// Schemes of `Authorization`, and words that stand in their place.
const SCHEMES: [&str; 8] = [
    "basic",
    "bearer",
    "digest",
    "oauth",
    "negotiate",
    "token",
    "apikey",
    "sentry",
];

/// How much of a header is looked at before it is believed to be one, bytes.
const HEADER_LOOK: usize = 256;

/// The value that begins here.
pub(crate) fn value_at(text: Text<'_>, from: usize, promise: Promise) -> Option<Value> {
    let prefix = text.run(from, |byte| {
        matches!(byte, b'b' | b'B' | b'u' | b'U' | b'r' | b'R' | b'f' | b'F')
    });
    // `b'…'`, `u"…"`: Python says so before the quote.
    let quote_at = if prefix - from <= 2 && is_quote(text.at(prefix)) {
        prefix
    } else {
        from
    };
    let content = text.run_to(quote_at, ESCAPES_MAX, |byte| byte == b'\\');
    let quote = text.at(content);
    if is_quote(quote) {
        return Some(quoted(text, content + 1, quote, content - quote_at));
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
    // `Some("…")`: what stands in the brackets is the value, unless that is looked up by its name: `getenv("API_KEY")`.
    if matches!(text.before(end), b'(' | b'[') && begins_with_quote(text, end) {
        let inner = value_at(text, end, promise)?;
        let name = text.slice(inner.start, inner.end);
        return keys::promise(text.rules(), name).is_none().then_some(inner);
    }
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

/// Whether a quote stands here, escaped or not.
fn begins_with_quote(text: Text<'_>, from: usize) -> bool {
    let quote = text.run_to(from, ESCAPES_MAX, |byte| byte == b'\\');
    is_quote(text.at(quote))
}

fn is_bare(byte: u8) -> bool {
    byte > b' '
        && !is_quote(byte)
        && !matches!(
            byte,
            b',' | b';' | b'&' | b')' | b']' | b'}' | b'>' | b'|' | b'\\'
        )
}

/// A quoted value: to its closing quote, or to the end of the line where that was cut off. `escapes`: how many backslashes stand before
/// the opening quote, and so before the closing one.
fn quoted(text: Text<'_>, start: usize, quote: u8, escapes: usize) -> Value {
    let mut backslashes = 0;
    let mut done = false;
    let end = text.run(start, |byte| {
        if byte == b'\n' {
            return false;
        }
        // More backslashes escape a quote inside of the value.
        done = byte == quote && (backslashes <= escapes || (escapes == 0 && backslashes % 2 == 0));
        backslashes = if byte == b'\\' { backslashes + 1 } else { 0 };
        !done
    });
    let closing = text.run_back(end, start, escapes, |byte| done && byte == b'\\');
    Value {
        start,
        end: closing,
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
