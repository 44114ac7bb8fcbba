//! The same messages from OTLP's JSON: names in lowerCamelCase, ids as hex, 64-bit numbers as texts or numbers.

use super::super::json::read as read_json;
use super::proto::text;
use super::{Attributes, Record, Records, Resource, Signal, severity, short};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Deepest nesting of a value.
const DEPTH_MAX: usize = 8;
/// Most attributes kept of one record or resource.
const ATTRIBUTES_MAX: usize = 256;

/// `ExportLogsServiceRequest` or `ExportTraceServiceRequest`; nothing where it is neither.
pub(super) fn read(signal: Signal, body: &[u8]) -> Option<Records> {
    let (groups, scopes, items) = match signal {
        Signal::Logs => ("resourceLogs", "scopeLogs", "logRecords"),
        Signal::Traces => ("resourceSpans", "scopeSpans", "spans"),
    };
    let request = read_json(body).filter(Value::is_object)?;
    let mut records = Records::new();
    for group in list(&request, groups) {
        let resource = group.get("resource");
        let resource = resource.map(attributes).unwrap_or_default();
        let resource = Arc::new(Resource::new(resource));
        for scope in list(group, scopes) {
            for item in list(scope, items) {
                if !item.is_object() {
                    records.broken += 1;
                    continue;
                }
                match signal {
                    Signal::Logs => log(item, &resource, &mut records),
                    Signal::Traces => span(item, &resource, &mut records),
                }
            }
        }
    }
    Some(records)
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    let found = value.get(name).and_then(Value::as_array);
    found.into_iter().flatten()
}

fn number(value: &Value, name: &str) -> u64 {
    let found = value.get(name);
    let text = || found?.as_str()?.parse().ok();
    found.and_then(Value::as_u64).or_else(text).unwrap_or(0)
}

fn id(value: &Value, name: &str) -> String {
    let found = value.get(name).and_then(Value::as_str).unwrap_or_default();
    let is_id = found.len() <= 32 && found.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id {
        found.to_ascii_lowercase()
    } else {
        String::new()
    }
}

fn log(item: &Value, resource: &Arc<Resource>, records: &mut Records) {
    let observed = number(item, "observedTimeUnixNano");
    let time = number(item, "timeUnixNano");
    records.add(Record {
        resource: Arc::clone(resource),
        attributes: attributes(item),
        time_ns: if time > 0 { time } else { observed },
        severity: said_severity(item),
        body: item.get("body").and_then(|body| any(body, 0)).map(text),
        transaction: None,
        trace_id: id(item, "traceId"),
        span_id: id(item, "spanId"),
    });
}

/// The number of a severity, else what its name or its text say.
fn said_severity(item: &Value) -> u64 {
    let named = |name| severity(item.get(name).and_then(Value::as_str).unwrap_or_default());
    [
        number(item, "severityNumber"),
        named("severityNumber"),
        named("severityText"),
    ]
    .into_iter()
    .find(|number| *number > 0)
    .unwrap_or(0)
}

fn span(item: &Value, resource: &Arc<Resource>, records: &mut Records) {
    let is_exception =
        |event: &&Value| event.get("name").and_then(Value::as_str) == Some("exception");
    let mut has_exception = false;
    let name = item.get("name").and_then(Value::as_str);
    let name: Option<Arc<str>> = name.map(|name| Arc::from(short(name.to_owned())));
    for event in list(item, "events").filter(is_exception) {
        has_exception = true;
        records.add(Record {
            resource: Arc::clone(resource),
            attributes: attributes(event),
            time_ns: number(event, "timeUnixNano"),
            severity: 0,
            body: None,
            transaction: name.clone(),
            trace_id: id(item, "traceId"),
            span_id: id(item, "spanId"),
        });
    }
    records.without += usize::from(!has_exception);
}

fn attributes(value: &Value) -> Attributes {
    let pairs = list(value, "attributes").take(ATTRIBUTES_MAX);
    let pairs = pairs.filter_map(|pair| {
        let name = pair.get("key")?.as_str()?.to_owned();
        Some((name, any(pair.get("value")?, 0)?))
    });
    pairs.collect()
}

/// `AnyValue`
fn any(value: &Value, depth: usize) -> Option<Value> {
    let (name, found) = value.as_object()?.iter().next()?;
    let nested = |name: &str| list(found, name);
    match name.as_str() {
        "intValue" => {
            let text = || found.as_str()?.parse().ok();
            found.as_i64().or_else(text).map(Value::from)
        }
        "stringValue" | "boolValue" | "doubleValue" => Some(found.clone()),
        "bytesValue" => Some(Value::from("bytes")),
        "arrayValue" | "kvlistValue" if depth >= DEPTH_MAX => Some(Value::from("…")),
        "arrayValue" => {
            let items = nested("values").filter_map(|item| any(item, depth + 1));
            Some(items.collect())
        }
        "kvlistValue" => {
            let members = nested("values").filter_map(|pair| {
                let name = pair.get("key")?.as_str()?.to_owned();
                Some((name, any(pair.get("value")?, depth + 1)?))
            });
            Some(Value::Object(members.collect::<Map<_, _>>()))
        }
        _ => None,
    }
}
