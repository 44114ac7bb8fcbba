//! OpenTelemetry's logs and traces. Of the first byte the low bit says which signal, the next one which encoding; where the third one is
//! set, the input is one record between two good ones, or one group between two good ones where the fourth one is set too.

use crate::event;
use crate::home::{self, KEY, PROJECT, with_home};
use futures::executor::block_on;
use kintsugi_app::ingest::otlp::{Answer, Encoding, PROJECT_HEADER, Request, Signal};
use kintsugi_domain::event::Event;
use kintsugi_domain::limits::ENVELOPE_ITEMS_MAX;
use serde_json::{Value, json};

#[rustfmt::skip]
pub(crate) const WORDS: &[&str] = &[
    "resourceLogs", "scopeLogs", "logRecords", "resourceSpans", "scopeSpans", "spans", "events", "attributes", "\"key\":\"", "\"value\":{",
    "stringValue", "intValue", "doubleValue", "boolValue", "arrayValue", "kvlistValue", "bytesValue", "\"values\":[", "exception",
    "exception.type", "exception.message", "exception.stacktrace", "exception.escaped", "service.name", "service.version",
    "telemetry.sdk.language", "telemetry.sdk.name", "deployment.environment", "timeUnixNano", "severityNumber", "traceId", "spanId", "body",
    "user.id", "http.route", "os.name", "\n\u{3}", "\u{12}\u{4}", "\u{a}\u{4}", "2\u{10}", "Z\u{9}",
];

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

pub(crate) fn one(input: &[u8]) {
    let Some((form, rest)) = input.split_first() else {
        return;
    };
    let signal = if form & 1 == 0 {
        Signal::Logs
    } else {
        Signal::Traces
    };
    let encoding = if form & 2 == 0 {
        Encoding::Protobuf
    } else {
        Encoding::Json
    };
    if form & 4 == 0 {
        with_home(|home| drop(run(home, signal, encoding, rest.to_vec())));
        return;
    }
    let is_group = form & 8 != 0;
    let Some(body) = between_neighbours(signal, encoding, is_group, rest) else {
        return;
    };
    with_home(|home| {
        let (answer, events) = run(home, signal, encoding, body);
        assert_eq!(answer.status, 200, "{answer:?}");
        let said = |event: Option<&Event>, words: &str| {
            event.is_some_and(|event| event.title() == format!("E: {words}"))
        };
        assert!(said(events.first(), "first"), "the first record is lost");
        if events.len() < ENVELOPE_ITEMS_MAX {
            assert!(said(events.last(), "last"), "the last record is lost");
        }
    });
}

fn run(
    home: &home::Home,
    signal: Signal,
    encoding: Encoding,
    body: Vec<u8>,
) -> (Answer, Vec<Event>) {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let request = Request {
        signal,
        query: None,
        headers: vec![
            header(PROJECT_HEADER, &PROJECT.to_string()),
            header("Authorization", &format!("Bearer {KEY}")),
            header("Content-Type", encoding.media_type()),
        ],
        body,
        at: home::now(),
    };
    let answer = block_on(home.ingest.take_otlp(request)).unwrap();
    let events = home.events();
    home.account();
    assert!(events.len() <= ENVELOPE_ITEMS_MAX);
    assert_eq!(answer.encoding, encoding);
    assert!(matches!(answer.status, 200 | 400), "{answer:?}");
    assert!(answer.status == 200 || events.is_empty());
    events.iter().for_each(event::check);
    (answer, events)
}

fn exception(message: &str) -> Value {
    json!([
        text("exception.type", "E"),
        text("exception.message", message)
    ])
}

fn text(name: &str, value: &str) -> Value {
    json!({"key": name, "value": {"stringValue": value}})
}

fn record(signal: Signal, message: &str) -> Value {
    match signal {
        Signal::Logs => json!({"attributes": exception(message)}),
        Signal::Traces => {
            json!({"name": "s", "events": [{"name": "exception", "attributes": exception(message)}]})
        }
    }
}

fn group(signal: Signal, items: &Value, resource: &Value) -> Value {
    let resource = json!({"attributes": resource});
    match signal {
        Signal::Logs => json!({"resource": resource, "scopeLogs": [{"logRecords": items}]}),
        Signal::Traces => json!({"resource": resource, "scopeSpans": [{"spans": items}]}),
    }
}

fn request(signal: Signal, groups: &Value) -> Value {
    match signal {
        Signal::Logs => json!({"resourceLogs": groups}),
        Signal::Traces => json!({"resourceSpans": groups}),
    }
}

/// Nothing where the input could not be a record or group of that encoding, whatever stands beside it.
fn between_neighbours(
    signal: Signal,
    encoding: Encoding,
    is_group: bool,
    input: &[u8],
) -> Option<Vec<u8>> {
    let (first, last) = (record(signal, "first"), record(signal, "last"));
    match encoding {
        Encoding::Json => {
            let hostile: Value = serde_json::from_slice(input).ok()?;
            let group = |items: Value| group(signal, &items, &json!([]));
            let groups = if is_group {
                json!([group(json!([first])), hostile, group(json!([last]))])
            } else {
                json!([group(json!([first, hostile, last]))])
            };
            let body = request(signal, &groups).to_string();
            // As deep as it was, it may be too deep now.
            serde_json::from_str::<Value>(&body).ok()?;
            Some(body.into_bytes())
        }
        Encoding::Protobuf => {
            let (first, last) = (item(signal, &first), item(signal, &last));
            let (first, last) = (put(2, &first), put(2, &last));
            let group = |items: &[u8]| put(1, &put(2, items));
            Some(if is_group {
                [group(&first), put(1, input), group(&last)].concat()
            } else {
                group(&[first, put(2, input), last].concat())
            })
        }
    }
}

/// A field of bytes (protobuf.dev, "Encoding").
fn put(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![(tag << 3) | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    field.push(u8::try_from(length).unwrap());
    [field, bytes.to_vec()].concat()
}

fn attributes(tag: u8, pairs: &Value) -> Vec<u8> {
    let field = |value: &Value, name: &str| -> Vec<u8> {
        value
            .get(name)
            .and_then(Value::as_str)
            .unwrap()
            .bytes()
            .collect()
    };
    let pair = |pair: &Value| {
        let value = field(pair.get("value").unwrap(), "stringValue");
        put(
            tag,
            &[put(1, &field(pair, "key")), put(2, &put(1, &value))].concat(),
        )
    };
    let pairs = pairs.as_array().unwrap();
    pairs.iter().flat_map(pair).collect()
}

/// A record of the JSON form as protobuf.
fn item(signal: Signal, record: &Value) -> Vec<u8> {
    match signal {
        Signal::Logs => attributes(6, record.get("attributes").unwrap()),
        Signal::Traces => {
            let pairs = record.pointer("/events/0/attributes").unwrap();
            let event = [put(2, b"exception"), attributes(3, pairs)].concat();
            [put(5, b"s"), put(11, &event)].concat()
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let stack =
        "Traceback (most recent call last):\n  File \"till/a.py\", line 3, in f\n    x()\nE: m\n";
    let pairs = json!([
        text("exception.type", "till.E"),
        text("exception.message", "for alice@example.org"),
        text("exception.stacktrace", stack),
        text("user.id", "7"),
        text("http.route", "/sales"),
    ]);
    let resource = json!([
        text("service.name", "till"),
        text("service.version", "1.0.0"),
        text("telemetry.sdk.language", "python"),
        text("os.name", "Linux"),
    ]);
    let mut seeds = Vec::new();
    for (form, signal) in [(0_u8, Signal::Logs), (1, Signal::Traces)] {
        let rich = match signal {
            Signal::Logs => {
                json!({"timeUnixNano": "1799999990000000000", "severityNumber": 21, "body": {"stringValue": "failed"},
                "attributes": pairs, "traceId": TRACE, "spanId": SPAN})
            }
            Signal::Traces => json!({"name": "pay", "traceId": TRACE, "spanId": SPAN,
                "events": [{"name": "exception", "timeUnixNano": 1_799_999_990_000_000_000_u64, "attributes": pairs}]}),
        };
        let values = json!([{"key": "l", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"doubleValue": 1.5}]}}},
            {"key": "m", "value": {"kvlistValue": {"values": [{"key": "b", "value": {"boolValue": true}}]}}},
            {"key": "x", "value": {"bytesValue": "AAAA"}}]);
        let odd = json!({"attributes": values, "body": {"kvlistValue": {"values": []}}});
        let group = group(signal, &json!([rich, odd, record(signal, "x")]), &resource);
        let body = request(signal, &json!([group]));
        seeds.push([&[form | 2], body.to_string().as_bytes()].concat());
        seeds.push([&[form | 0xe], group.to_string().as_bytes()].concat());
        seeds.push([&[form | 6], rich.to_string().as_bytes()].concat());
        seeds.push([&[form | 6], odd.to_string().as_bytes()].concat());
        let proto = item(signal, &rich);
        seeds.push([&[form | 4], proto.as_slice()].concat());
        let scope = put(2, &put(2, &proto));
        let group = [put(1, &attributes(1, &resource)), scope].concat();
        seeds.push([&[form | 0xc], group.as_slice()].concat());
        seeds.push([&[form], put(1, &group).as_slice()].concat());
    }
    // Every wire type and every form of a value, in the body of a log record.
    let mut values = vec![0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0x0d, 1, 2, 3, 4, 2 << 3, 21];
    values.extend(put(5, &put(5, &put(1, &[3 << 3, 0x80, 1]))));
    values.extend(put(
        5,
        &put(6, &put(1, &[put(1, b"k"), put(2, &[2 << 3, 1])].concat())),
    ));
    values.extend(put(5, &put(7, b"bytes")));
    values.extend(put(5, &[0x21, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f]));
    seeds.push([&[4], values.as_slice()].concat());
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_of_whole_requests_make_events_in_both_encodings() {
        for form in 0..4_u8 {
            let seed = seeds().into_iter().find(|seed| seed.first() == Some(&form));
            let (signal, encoding) = (
                [Signal::Logs, Signal::Traces][usize::from(form & 1)],
                [Encoding::Protobuf, Encoding::Json][usize::from(form >> 1)],
            );
            let body = seed.unwrap().split_off(1);
            let (_, events) = with_home(|home| run(home, signal, encoding, body));
            let event = events.first().unwrap();
            assert_eq!(event.title(), "till.E: for [email]", "{form}");
            assert_eq!(event.release.as_deref(), Some("till@1.0.0"), "{form}");
        }
    }
}
