//! Reads JSON that clients wrote: every reader takes what it can and none fails.

use kintsugi_domain::Timestamp;
use serde_json::{Map, Number, Value};

/// JSON that was read: a [`Value`], or one whose texts still lie in the payload.
pub trait Json: Sized {
    /// The member of that name; nothing where this is no object.
    fn get(&self, name: &str) -> Option<&Self>;
    /// The members, in their order; nothing where this is no object.
    fn members(&self) -> Option<impl Iterator<Item = (&str, &Self)>>;
    /// The items; nothing where this is no list.
    fn as_array(&self) -> Option<&[Self]>;
    /// The text, where this is one.
    fn as_str(&self) -> Option<&str>;
    /// The number, where this is one.
    fn as_number(&self) -> Option<&Number>;
    /// The truth value, where this is one.
    fn as_bool(&self) -> Option<bool>;

    /// Whether it is an object.
    fn is_object(&self) -> bool {
        self.members().is_some()
    }

    /// Whether it is a text, a number or a truth value.
    fn is_scalar(&self) -> bool {
        self.as_str().is_some() || self.as_number().is_some() || self.as_bool().is_some()
    }

    /// Whether it is `null`.
    fn is_null(&self) -> bool {
        !self.is_scalar() && self.as_array().is_none() && !self.is_object()
    }

    /// The number as a fraction, where this is one.
    fn as_f64(&self) -> Option<f64> {
        self.as_number()?.as_f64()
    }
}

impl Json for Value {
    fn get(&self, name: &str) -> Option<&Self> {
        self.get(name)
    }

    fn members(&self) -> Option<impl Iterator<Item = (&str, &Self)>> {
        let members = self.as_object()?;
        Some(members.iter().map(|(name, value)| (name.as_str(), value)))
    }

    fn as_array(&self) -> Option<&[Self]> {
        self.as_array().map(Vec::as_slice)
    }

    fn as_str(&self) -> Option<&str> {
        self.as_str()
    }

    fn as_number(&self) -> Option<&Number> {
        self.as_number()
    }

    fn as_bool(&self) -> Option<bool> {
        self.as_bool()
    }
}

/// Most values that a payload may be made of. A value takes 72 bytes of memory, and may have taken two of the payload.
pub(super) const VALUES_MAX: usize = 1_000_000;

/// Whether a payload may be made of more values than [`VALUES_MAX`]: each begins the payload or stands behind one of these signs. Those
/// in texts count as well, so it may be said of what has half as many.
pub(super) fn has_too_many(payload: &[u8]) -> bool {
    let begins = |byte: &&u8| matches!(byte, b'[' | b'{' | b',' | b':');
    payload.len() / 2 > VALUES_MAX && payload.iter().filter(begins).count() > VALUES_MAX
}

/// A payload as JSON. Broken UTF-8 and lone surrogates, which some clients send in texts, are read as
/// the replacement character. One of more than [`VALUES_MAX`] values is not read.
pub(super) fn read(payload: &[u8]) -> Option<Value> {
    if has_too_many(payload) {
        return None;
    }
    let read = serde_json::from_slice(payload).ok();
    read.or_else(|| serde_json::from_str(&mended(payload)).ok())
}

/// A payload that could not be read as it is, with the replacement character for what is no text in it.
pub(super) fn mended(payload: &[u8]) -> String {
    without_lone_surrogates(&String::from_utf8_lossy(payload))
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
pub(super) fn member<'v, J: Json>(value: &'v J, name: &str) -> Option<&'v J> {
    value.get(name).filter(|found| !found.is_null())
}

/// A text, number or truth value as text; empty texts count as absent.
pub(super) fn text(value: &impl Json) -> Option<String> {
    let text = value.as_str().map(str::to_owned);
    text.or_else(|| value.as_number().map(Number::to_string))
        .or_else(|| value.as_bool().map(|truth| truth.to_string()))
        .filter(|text| !text.is_empty())
}

/// A member as text.
pub(super) fn text_of(value: &impl Json, name: &str) -> Option<String> {
    text(value.get(name)?)
}

/// A member as text; anything that is not a scalar is written as JSON.
pub(super) fn any_text_of(value: &impl Json, name: &str) -> Option<String> {
    let found = member(value, name)?;
    if found.is_scalar() {
        text(found)
    } else {
        Some(written(found))
    }
}

/// JSON as a text.
pub(super) fn written(value: &impl Json) -> String {
    bounded(value, usize::MAX, usize::MAX).to_string()
}

/// Items of a list that comes bare, as `{"values": […]}`, or as one object. Nulls are left out.
pub(super) fn items<J: Json>(value: Option<&J>) -> Vec<&J> {
    let Some(value) = value else {
        return Vec::new();
    };
    let list = match value.get("values") {
        Some(values) => values.as_array().unwrap_or_default(),
        None if value.is_object() => return vec![value],
        None => value.as_array().unwrap_or_default(),
    };
    list.iter().filter(|item| !item.is_null()).collect()
}

/// A map that comes as an object, as pairs, or as `{"key", "value"}` objects.
pub(super) fn labels(value: Option<&impl Json>, max: usize) -> Vec<(String, String)> {
    let Some(value) = value else {
        return Vec::new();
    };
    if let Some(members) = value.members() {
        let labels = members.filter_map(|(name, value)| Some((name.to_owned(), text(value)?)));
        return labels.take(max).collect();
    }
    let items = value.as_array().unwrap_or_default().iter();
    items.filter_map(pair).take(max).collect()
}

fn pair(item: &impl Json) -> Option<(String, String)> {
    match item.as_array() {
        Some([name, value]) => Some((text(name)?, text(value)?)),
        Some(_) => None,
        None => Some((text_of(item, "key")?, text_of(item, "value")?)),
    }
}

/// A time: seconds (or milliseconds) since 1970 as number or text, or RFC 3339, with or without zone.
pub(super) fn time(value: &impl Json) -> Option<Timestamp> {
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
pub(super) fn bounded(value: &impl Json, depth: usize, width: usize) -> Value {
    if let Some(text) = value.as_str() {
        return text.into();
    }
    let mark = || Value::String("…".to_owned());
    if let Some(items) = value.as_array() {
        let Some(depth) = depth.checked_sub(1) else {
            return mark();
        };
        let kept = items.iter().take(width);
        let mut kept: Vec<Value> = kept.map(|item| bounded(item, depth, width)).collect();
        if items.len() > width {
            kept.push(mark());
        }
        return Value::Array(kept);
    }
    if let Some(mut members) = value.members() {
        let Some(depth) = depth.checked_sub(1) else {
            return mark();
        };
        let kept = members.by_ref().take(width);
        let mut kept: Map<String, Value> = kept
            .map(|(name, member)| (name.to_owned(), bounded(member, depth, width)))
            .collect();
        if members.next().is_some() {
            kept.insert("…".to_owned(), mark());
        }
        return Value::Object(kept);
    }
    let number = || value.as_number().cloned().map(Value::Number);
    let truth = value.as_bool().map(Value::Bool);
    truth.or_else(number).unwrap_or_default()
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
    fn a_payload_of_very_many_values_is_not_read() {
        let list = |items: usize| format!("[{}0]", "0,".repeat(items - 1));
        assert!(read(list(VALUES_MAX - 1).as_bytes()).is_some());
        assert_eq!(read(list(VALUES_MAX + 1).as_bytes()), None);
        let text = format!("{{\"a\":\"{}\"}}", "x".repeat(10 * VALUES_MAX));
        assert!(read(text.as_bytes()).is_some());
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
