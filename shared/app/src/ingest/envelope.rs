//! Framing of Sentry envelopes: `{headers}\n({item headers}\n{payload}\n)*`.
//!
//! **A broken item never loses its neighbours.** A length that cannot be right is ignored and the
//! payload ends at the next line break instead; after a header that cannot be read, reading goes on at
//! the next line that is an item's header.

use super::items::known_kind;
use super::json::{self, Json as _};
use kintsugi_domain::limits::ENVELOPE_ITEMS_MAX;
use serde_json::{Map, Value};

/// Longest header of an envelope or an item, bytes. What the former it says is read again for each item, so it has a bound of its own; clients send a few
/// hundred bytes.
pub const ENVELOPE_HEADER_BYTES_MAX: usize = 64 * 1024;

/// What the header of an item says that is read. The rest is let go at once: an envelope has up to a thousand items.
const ITEM_HEADER: [&str; 5] = [
    "type",
    "length",
    "filename",
    "content_type",
    "attachment_type",
];

/// The first line of an envelope is no JSON object, or too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("envelope header is not a JSON object on the first line")]
pub struct MalformedHeader;

/// An envelope, taken apart.
#[derive(Debug)]
pub struct Parts<'b> {
    /// The envelope's header.
    pub header: Map<String, Value>,
    /// Its items, in order.
    pub items: Vec<Item<'b>>,
    /// Items whose header could not be read.
    pub broken: usize,
    /// Items beyond those that we take.
    pub more: usize,
}

/// One item.
#[derive(Debug, PartialEq, Eq)]
pub struct Item<'b> {
    /// Its type: `event`, `session` …
    pub kind: String,
    /// Its header.
    pub header: Map<String, Value>,
    /// Its payload.
    pub payload: &'b [u8],
}

impl<'b> Parts<'b> {
    /// A body that is one item of that kind.
    pub(super) fn one(kind: &'static str, payload: &'b [u8]) -> Self {
        Self {
            header: Map::new(),
            items: vec![Item {
                kind: kind.to_owned(),
                header: Map::new(),
                payload,
            }],
            broken: 0,
            more: 0,
        }
    }
}

/// Takes an envelope apart.
pub fn parse(body: &[u8]) -> Result<Parts<'_>, MalformedHeader> {
    let (first, mut rest) = line(body);
    if first.len() > ENVELOPE_HEADER_BYTES_MAX {
        return Err(MalformedHeader);
    }
    let mut parts = Parts {
        header: object(first).ok_or(MalformedHeader)?,
        items: Vec::new(),
        broken: 0,
        more: 0,
    };
    let mut lost = false;
    while !rest.is_empty() {
        let (head, after) = line(rest);
        if head.iter().all(u8::is_ascii_whitespace) {
            rest = after;
            continue;
        }
        let fits = head.len() <= ENVELOPE_HEADER_BYTES_MAX;
        let header = fits.then(|| object(head)).flatten();
        let header = header.filter(|header| !lost || is_item_header(header));
        let kind = header
            .as_ref()
            .and_then(|header| header.get("type")?.as_str())
            .map(str::to_owned);
        let (Some(header), Some(kind)) = (header, kind) else {
            parts.broken += usize::from(!lost);
            lost = true;
            rest = after;
            continue;
        };
        lost = false;
        let (payload, next) = payload(&header, after);
        rest = next;
        if parts.items.len() == ENVELOPE_ITEMS_MAX {
            parts.more += 1;
            continue;
        }
        let is_read = |(name, value): &(String, Value)| {
            ITEM_HEADER.contains(&name.as_str()) && value.is_scalar()
        };
        parts.items.push(Item {
            kind,
            header: header.into_iter().filter(is_read).collect(),
            payload,
        });
    }
    Ok(parts)
}

/// The next line without its break, and what follows.
fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let line = parts.next().unwrap_or_default();
    (
        line.strip_suffix(b"\r").unwrap_or(line),
        parts.next().unwrap_or_default(),
    )
}

/// A header. Names of files and transactions in it come from the product, so it is read as leniently as a payload.
fn object(line: &[u8]) -> Option<Map<String, Value>> {
    match json::read(line)? {
        Value::Object(header) => Some(header),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            None
        }
    }
}

/// Whether an object can only be an item's header, and not a payload of an item that was lost.
fn is_item_header(header: &Map<String, Value>) -> bool {
    let known = header
        .get("type")
        .and_then(Value::as_str)
        .is_some_and(|kind| known_kind(kind).is_some());
    known && !header.contains_key("event_id") && !header.contains_key("timestamp")
}

/// A payload and what follows it. The length counts if a line break or the end follows the payload.
fn payload<'b>(header: &Map<String, Value>, bytes: &'b [u8]) -> (&'b [u8], &'b [u8]) {
    let length = header
        .get("length")
        .and_then(Value::as_u64)
        .and_then(|length| usize::try_from(length).ok());
    if let Some((payload, rest)) = length.and_then(|length| bytes.split_at_checked(length)) {
        match rest {
            [] => return (payload, rest),
            [b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..] => return (payload, rest),
            _ => {}
        }
    }
    line(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(body: &str) -> Vec<(String, String)> {
        let parts = parse(body.as_bytes()).unwrap();
        parts
            .items
            .into_iter()
            .map(|item| {
                let payload = String::from_utf8(item.payload.to_vec()).unwrap();
                (item.kind, payload)
            })
            .collect()
    }

    fn item(kind: &str, payload: &str) -> (String, String) {
        (kind.into(), payload.into())
    }

    #[test]
    fn lengths_and_last_line_breaks_are_optional() {
        let expected = [item("event", "{\"a\":1}"), item("session", "{}")];
        for body in [
            "{}\n{\"type\":\"event\",\"length\":7}\n{\"a\":1}\n{\"type\":\"session\"}\n{}\n",
            "{}\n{\"type\":\"event\"}\n{\"a\":1}\n{\"type\":\"session\"}\n{}",
            "{}\r\n{\"type\":\"event\"}\r\n{\"a\":1}\r\n\r\n{\"type\":\"session\"}\r\n{}",
            "{}\n{\"type\":\"event\",\"length\":\"7\"}\n{\"a\":1}\n{\"type\":\"session\"}\n{}\n\n\n",
        ] {
            assert_eq!(kinds(body), expected, "{body:?}");
        }
    }

    #[test]
    fn of_an_items_header_what_is_read_is_kept_and_a_very_long_one_is_broken() {
        let list = "0,".repeat(20_000) + "0";
        let long = "0,".repeat(ENVELOPE_HEADER_BYTES_MAX) + "0";
        let body = format!(
            "{{}}\n{{\"type\":\"event\",\"x\":[{list}],\"length\":2,\"filename\":[1]}}\n{{}}\n{{\"type\":\"event\",\"x\":[{long}]}}\n{{\"a\":1}}\n{{\"type\":\"session\"}}\n{{}}"
        );
        let parts = parse(body.as_bytes()).unwrap();
        let headers: Vec<Value> = parts
            .items
            .into_iter()
            .map(|item| item.header.into())
            .collect();
        assert_eq!(
            headers,
            [
                serde_json::json!({"type": "event", "length": 2}),
                serde_json::json!({"type": "session"})
            ]
        );
        assert_eq!(parts.broken, 1);
    }

    #[test]
    fn a_payload_with_a_length_may_hold_line_breaks() {
        let body = "{}\n{\"type\":\"attachment\",\"length\":5}\na\nb\nc\n{\"type\":\"event\"}\n{}";
        assert_eq!(
            kinds(body),
            [item("attachment", "a\nb\nc"), item("event", "{}")]
        );
    }

    #[test]
    fn a_length_that_cannot_be_right_is_ignored() {
        for length in ["3", "900000", "-1", "18446744073709551615"] {
            let body = format!(
                "{{}}\n{{\"type\":\"event\",\"length\":{length}}}\n{{\"a\":1}}\n{{\"type\":\"session\"}}\n{{}}"
            );
            let expected = [item("event", "{\"a\":1}"), item("session", "{}")];
            assert_eq!(kinds(&body), expected, "{length}");
        }
    }

    #[test]
    fn a_header_that_cannot_be_read_loses_only_its_own_item() {
        let body = "{}\n{\"type\":\n{\"type\":\"event\",\"event_id\":\"a\"}\n{\"type\":\"event\"}\n{\"b\":2}\n";
        let parts = parse(body.as_bytes()).unwrap();
        assert_eq!(parts.broken, 1);
        assert_eq!(kinds(body), [item("event", "{\"b\":2}")]);
    }

    #[test]
    fn an_envelope_needs_a_header_and_nothing_else() {
        for body in ["", "\n", "[]", "x", "\"{}\"", "{", "\u{feff}{}"] {
            assert!(parse(body.as_bytes()).is_err(), "{body:?}");
        }
        assert!(parse(b"{}").unwrap().items.is_empty());
    }

    #[test]
    fn a_header_that_each_item_would_read_again_has_a_bound() {
        let header = |bytes: usize| format!("{{\"sdk\":\"{}\"}}\n", "a".repeat(bytes - 10));
        assert!(parse(header(ENVELOPE_HEADER_BYTES_MAX).as_bytes()).is_ok());
        assert!(parse(header(ENVELOPE_HEADER_BYTES_MAX + 1).as_bytes()).is_err());
    }

    #[test]
    fn items_beyond_the_bound_are_left_off() {
        let body = "{}\n".to_owned() + &"{\"type\":\"event\"}\n{}\n".repeat(ENVELOPE_ITEMS_MAX + 5);
        let parts = parse(body.as_bytes()).unwrap();
        assert_eq!(parts.items.len(), ENVELOPE_ITEMS_MAX);
        assert_eq!(parts.more, 5);
    }
}
