//! What an event says beside what happened: the request that was being answered, extra data, contexts of the client's own.
//!
//! All of it is bounded here and scrubbed with the event: names of headers and fields decide, so whatever came as a list of pairs or as one
//! text is taken apart first.

use super::json::{Json, bounded, labels, member, text_of};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Deepest nesting kept.
const DEPTH_MAX: usize = 6;
/// Most members kept at each level.
const WIDTH_MAX: usize = 100;
/// Contexts whose facts are the event's own fields.
const READ: [&str; 8] = [
    "os",
    "client_os",
    "runtime",
    "browser",
    "gpu",
    "device",
    "app",
    "culture",
];

/// What else an event says.
pub(super) fn details(event: &impl Json) -> BTreeMap<String, Value> {
    let mut details = BTreeMap::new();
    let request = member(event, "request").or_else(|| member(event, "sentry.interfaces.Http"));
    if let Some(request) = request.filter(|request| request.is_object()) {
        details.insert("request".to_owned(), self::request(request));
    }
    let extra = member(event, "extra").filter(|extra| extra.is_object());
    if let Some(extra) = extra {
        details.insert("extra".to_owned(), bounded(extra, DEPTH_MAX, WIDTH_MAX));
    }
    let contexts = member(event, "contexts").and_then(Json::members);
    let own: Map<String, Value> = contexts
        .into_iter()
        .flatten()
        .filter(|(name, context)| !READ.contains(name) && !context.is_null())
        .take(WIDTH_MAX)
        .map(|(name, context)| ((*name).to_owned(), bounded(context, DEPTH_MAX, WIDTH_MAX)))
        .collect();
    if !own.is_empty() {
        details.insert("contexts".to_owned(), Value::Object(own));
    }
    details
}

/// The request that was being answered (or made) when it happened.
fn request(request: &impl Json) -> Value {
    let mut kept = Map::new();
    for name in ["method", "url", "fragment", "api_target"] {
        if let Some(text) = text_of(request, name) {
            kept.insert(name.to_owned(), Value::String(text));
        }
    }
    for name in ["headers", "cookies", "env", "query_string"] {
        let pairs = labels(request.get(name), WIDTH_MAX);
        let pairs = match request.get(name).and_then(Json::as_str) {
            Some(text) if name == "query_string" => form(text),
            Some(text) => vec![(name.to_owned(), text.to_owned())],
            None => pairs,
        };
        if !pairs.is_empty() {
            let pairs: Map<String, Value> = pairs
                .into_iter()
                .map(|(name, value)| (name, Value::String(value)))
                .collect();
            kept.insert(name.to_owned(), Value::Object(pairs));
        }
    }
    if let Some(body) = member(request, "data") {
        kept.insert("data".to_owned(), self::body(body));
    }
    Value::Object(kept)
}

/// A body. One that is JSON or a form has names for its values, and they say what must go.
fn body(body: &impl Json) -> Value {
    let Some(text) = body.as_str() else {
        return bounded(body, DEPTH_MAX, WIDTH_MAX);
    };
    if text.trim_start().starts_with(['{', '['])
        && let Ok(value) = serde_json::from_str::<Value>(text)
    {
        return bounded(&value, DEPTH_MAX, WIDTH_MAX);
    }
    let is_form = text.contains('=') && !text.contains(char::is_whitespace);
    if is_form {
        let fields: BTreeMap<String, String> = form(text).into_iter().collect();
        return json!(fields);
    }
    Value::String(text.to_owned())
}

/// The fields of a form or a query (`application/x-www-form-urlencoded`); escapes of ASCII are undone, so that a scrubber sees the
/// text that they stand for.
fn form(text: &str) -> Vec<(String, String)> {
    let text = text.strip_prefix('?').unwrap_or(text);
    text.split('&')
        .filter(|field| !field.is_empty())
        .take(WIDTH_MAX)
        .map(|field| {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            (unescaped(name), unescaped(value))
        })
        .collect()
}

/// A text of a form or a query without its escapes.
pub(super) fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escape = (*first == b'%')
            .then(|| after.first_chunk::<2>())
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let (byte, taken) = match (escape, *first) {
            (Some(byte), _) => (byte, 2),
            (None, b'+') => (b' ', 0),
            (None, byte) => (byte, 0),
        };
        bytes.push(byte);
        rest = after.get(taken..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
