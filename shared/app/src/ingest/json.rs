//! Reads JSON that clients wrote: every reader takes what it can and none fails.

use kintsugi_domain::Timestamp;
use serde::de::DeserializeSeed;
use serde_json::{Map, Value};
use std::marker::PhantomData;

/// A payload as JSON. Broken UTF-8 and lone surrogates, which some clients send in texts, are read as
/// the replacement character.
pub(super) fn read(payload: &[u8]) -> Option<Value> {
    read_as(payload, PhantomData::<Value>)
}

/// The same, read by a seed, which says what is kept.
pub(super) fn read_as<S>(payload: &[u8], seed: S) -> Option<Value>
where
    S: for<'de> DeserializeSeed<'de, Value = Value> + Copy,
{
    if let Ok(value) = parsed(payload, seed) {
        return Some(value);
    }
    let text = String::from_utf8_lossy(payload);
    parsed(without_lone_surrogates(&text).as_bytes(), seed).ok()
}

fn parsed<S>(text: &[u8], seed: S) -> Result<Value, serde_json::Error>
where
    S: for<'de> DeserializeSeed<'de, Value = Value>,
{
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Replaces `\ud800`–`\udfff` that are not a pair (RFC 8259 §8.2 lets them through).
fn without_lone_surrogates(text: &str) -> String {
    let mut fixed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        fixed.push_str(before);
        let (take, put) = match (surrogate(escape), escape.get(6..).and_then(surrogate)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, None),
            (Some(_), _) => (6, Some("\\ufffd")),
            // Any other escape is two bytes long, so that `\\ud800` stays a backslash and a text.
            (None, _) => {
                let second = escape.chars().nth(1).map_or(0, char::len_utf8);
                (1 + second, None)
            }
        };
        let (taken, after) = escape.split_at_checked(take).unwrap_or((escape, ""));
        fixed.push_str(put.unwrap_or(taken));
        rest = after;
    }
    fixed.push_str(rest);
    fixed
}

/// The surrogate that an escape at the beginning of a text stands for.
fn surrogate(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16)
        .ok()
        .filter(|code| (0xd800..=0xdfff).contains(code))
}

/// A member that is there and not null.
pub(super) fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    value.get(name).filter(|found| !found.is_null())
}

/// A text, number or truth value as text; empty texts count as absent.
pub(super) fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// A member as text.
pub(super) fn text_of(value: &Value, name: &str) -> Option<String> {
    text(value.get(name)?)
}

/// A member as text; anything that is not a scalar is written as JSON.
pub(super) fn any_text_of(value: &Value, name: &str) -> Option<String> {
    let found = member(value, name)?;
    text(found).or_else(|| (!found.is_string()).then(|| found.to_string()))
}

/// Items of a list that comes bare, as `{"values": […]}`, or as one object. Nulls are left out.
pub(super) fn items(value: Option<&Value>) -> Vec<&Value> {
    let Some(value) = value else {
        return Vec::new();
    };
    match value {
        Value::Array(items) => items.iter().filter(|item| !item.is_null()).collect(),
        Value::Object(fields) => match fields.get("values") {
            Some(Value::Array(items)) => items.iter().filter(|item| !item.is_null()).collect(),
            Some(_) => Vec::new(),
            None => vec![value],
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// A map that comes as an object, as pairs, or as `{"key", "value"}` objects.
pub(super) fn labels(value: Option<&Value>, max: usize) -> Vec<(String, String)> {
    let Some(value) = value else {
        return Vec::new();
    };
    let pair = |item: &Value| -> Option<(String, String)> {
        match item.as_array().map(Vec::as_slice) {
            Some([name, value]) => Some((text(name)?, text(value)?)),
            Some(_) => None,
            None => Some((text_of(item, "key")?, text_of(item, "value")?)),
        }
    };
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), text(value)?)))
            .take(max)
            .collect(),
        Value::Array(items) => items.iter().filter_map(pair).take(max).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// A time: seconds (or milliseconds) since 1970 as number or text, or RFC 3339, with or without zone.
pub(super) fn time(value: &Value) -> Option<Timestamp> {
    if let Some(seconds) = value.as_f64() {
        return seconds_time(seconds);
    }
    let text = value.as_str()?.trim();
    text.parse()
        .or_else(|_| format!("{text}Z").parse())
        .ok()
        .or_else(|| seconds_time(text.parse().ok()?))
}

fn seconds_time(seconds: f64) -> Option<Timestamp> {
    // Beyond the year 5138 in seconds: it was milliseconds.
    let seconds = if seconds > 1e11 {
        seconds / 1e3
    } else {
        seconds
    };
    if !(0.0..=1e11).contains(&seconds) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "at most 1e17, below the largest i64"
    )]
    let micros = (seconds * 1e6).round() as i64;
    Timestamp::from_microsecond(micros).ok()
}

/// A value no deeper than `depth` and no wider than `width`; what was left off is marked.
pub(super) fn bounded(value: &Value, depth: usize, width: usize) -> Value {
    let mark = || Value::String("…".to_owned());
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        Value::Array(_) | Value::Object(_) if depth == 0 => mark(),
        Value::Array(items) => {
            let kept = items.iter().take(width);
            let mut kept: Vec<Value> = kept.map(|item| bounded(item, depth - 1, width)).collect();
            if items.len() > width {
                kept.push(mark());
            }
            Value::Array(kept)
        }
        Value::Object(fields) => {
            let kept = fields.iter().take(width);
            let mut kept: Map<String, Value> = kept
                .map(|(name, field)| (name.clone(), bounded(field, depth - 1, width)))
                .collect();
            if fields.len() > width {
                kept.insert("…".to_owned(), mark());
            }
            Value::Object(kept)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lone_surrogates_and_broken_utf8_do_not_lose_an_event() {
        for (payload, expected) in [
            (&b"{\"a\":\"x\\ud800y\"}"[..], "x\u{fffd}y"),
            (b"{\"a\":\"\\udc00\"}", "\u{fffd}"),
            (b"{\"a\":\"\\ud83d\\ude00 \\ud800\"}", "\u{1f600} \u{fffd}"),
            (b"{\"a\":\"\\\\ud800 \\ud800\"}", "\\ud800 \u{fffd}"),
            (b"{\"a\":\"\xff\"}", "\u{fffd}"),
        ] {
            assert_eq!(read(payload), Some(json!({"a": expected})));
        }
        for payload in [&b""[..], b"{", b"{\"a\":\\", b"\\u", b"\\"] {
            assert_eq!(read(payload), None);
        }
    }

    #[test]
    fn times_come_as_numbers_and_texts() {
        let expected: Timestamp = "2026-11-21T03:30:47.5Z".parse().unwrap();
        for value in [
            json!(1_795_231_847.5),
            json!(1_795_231_847_500.0),
            json!("1795231847.5"),
            json!("2026-11-21T03:30:47.5Z"),
            json!("2026-11-21T03:30:47.500"),
            json!("2026-11-21T04:30:47.5+01:00"),
        ] {
            assert_eq!(time(&value), Some(expected), "{value}");
        }
        for value in [
            json!(-1),
            json!(1e300),
            json!("soon"),
            json!(null),
            json!([]),
        ] {
            assert_eq!(time(&value), None, "{value}");
        }
    }
}
