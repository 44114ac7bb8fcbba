//! Bodies of Sentry's protocol, through the whole stage. The first byte says which form the rest has.

use crate::event;
use crate::home::{self, Home, PROJECT, headers, with_home};
use crate::minidump;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use futures::executor::block_on;
use kintsugi_app::ingest::{Done, Endpoint, Request, envelope};
use kintsugi_app::stage::Stage as _;
use kintsugi_domain::limits::ENVELOPE_ITEMS_MAX;
use serde_json::{Value, json};
use std::io::Write as _;

/// The kinds of items that a hostile payload is put into, between two good events.
const KINDS: [&str; 13] = [
    "event",
    "security",
    "raw_security",
    "transaction",
    "session",
    "sessions",
    "feedback",
    "user_report",
    "attachment",
    "check_in",
    "log",
    "client_report",
    "nothing",
];

#[rustfmt::skip]
pub(crate) const WORDS: &[&str] = &[
    "{\"type\":\"event\"}\n", "{\"type\":\"event\",\"length\":2}\n{}\n", "\"length\":", "\"type\":", "\"event_id\":",
    "\"exception\":", "\"values\":[", "\"stacktrace\":", "\"frames\":[", "\"vars\":", "\"breadcrumbs\":", "\"tags\":", "\"user\":",
    "\"request\":", "\"headers\":", "\"cookies\":", "\"query_string\":", "\"data\":", "\"extra\":", "\"contexts\":", "\"logentry\":",
    "\"message\":", "\"formatted\":", "\"timestamp\":", "\"level\":", "\"release\":", "\"environment\":", "\"fingerprint\":",
    "\"threads\":", "\"crashed\":true", "\"mechanism\":", "\"handled\":false", "\"sdk\":", "\"name\":", "\"version\":",
    "\"transaction_info\":", "\"start_timestamp\":", "\"sid\":", "\"did\":", "\"status\":", "\"errors\":", "\"init\":true",
    "\"attrs\":", "\"aggregates\":[", "\"started\":", "\"exited\":", "\"crashed\":", "\"comments\":", "\"email\":",
    "\"monitor_slug\":", "\"check_in_id\":", "\"monitor_config\":", "\"schedule\":", "\"items\":[", "\"body\":", "\"attributes\":",
    "\"severity_number\":", "\"discarded_events\":[", "\"reason\":", "\"category\":", "\"quantity\":", "\"csp-report\":",
    "\"document-uri\":", "\"blocked-uri\":", "\"effective-directive\":", "\"expect-ct-report\":", "\"known-pins\":",
    "\"attachment_type\":\"event.minidump\"", "\"filename\":", "\"content_type\":", "\"item_count\":", "\"dsn\":", "\"sent_at\":",
    "\\ud800", "\\udc00", "\\u0000", "\u{feff}", "null", "true", "1e300", "-1", "18446744073709551615", "[[[[", "{\"a\":", "\n", "\r\n",
    "--b\r\n", "--b--", "Content-Disposition: form-data; name=\"upload_file_minidump\"; filename=\"a\"\r\n\r\n",
    "Content-Disposition: form-data; name=\"sentry\"\r\n\r\n", "name=\"sentry[tags][a]\"", "MDMP", "alice@example.org", "password",
];

pub(crate) fn one(input: &[u8]) {
    let Some((form, rest)) = input.split_first() else {
        return;
    };
    match form % 6 {
        0 => {
            framing(rest);
            ran(Endpoint::Envelope, &[], rest.to_vec());
        }
        1 => ran(Endpoint::Store, &[], rest.to_vec()),
        2 => ran(Endpoint::Security, &[], rest.to_vec()),
        3 => {
            let form = ("Content-Type", "multipart/form-data; boundary=b");
            ran(Endpoint::Minidump, &[form], rest.to_vec());
        }
        4 => between_neighbours(rest),
        _ => encoded(rest),
    }
}

/// Runs the stage and checks what it left.
fn ran(endpoint: Endpoint, more: &[(&str, &str)], body: Vec<u8>) {
    with_home(|home| drop(run(home, endpoint, more, body)));
}

fn run(home: &Home, endpoint: Endpoint, more: &[(&str, &str)], body: Vec<u8>) -> Done {
    let request = Request {
        project: PROJECT,
        endpoint,
        query: Some("sentry_release=till%401.0.0".to_owned()),
        headers: headers(more),
        body,
        at: home::now(),
    };
    let done = block_on(home.ingest.run(request)).unwrap();
    let events = home.events();
    home.account();
    match &done {
        Done::Accepted { events: count, .. } => assert_eq!(*count, events.len()),
        Done::Refused { status, .. } => {
            assert!(events.is_empty() && (400..500).contains(status), "{done:?}");
        }
    }
    events.iter().for_each(event::check);
    done
}

/// What is taken apart is in the body, and no more than may be.
fn framing(body: &[u8]) {
    let Ok(parts) = envelope::parse(body) else {
        return;
    };
    let lines = body.split(|byte| *byte == b'\n').count();
    let found = parts.items.len() + parts.broken + parts.more;
    assert!(found <= lines && parts.items.len() <= ENVELOPE_ITEMS_MAX);
    let mut bytes = 0;
    for item in &parts.items {
        bytes += item.payload.len();
    }
    assert!(bytes <= body.len(), "an item is in two payloads");
}

/// A hostile payload between two good events: both come through.
fn between_neighbours(input: &[u8]) {
    let Some((kind, payload)) = input.split_first() else {
        return;
    };
    let kind = KINDS.get(usize::from(*kind) % KINDS.len()).unwrap();
    let mut body = b"{}\n".to_vec();
    let items = [
        ("event", good("first").into_bytes()),
        (kind, payload.to_vec()),
        ("event", good("last").into_bytes()),
    ];
    for (kind, payload) in items {
        let head = json!({"type": kind, "length": payload.len(), "item_count": 1});
        writeln!(body, "{head}").unwrap();
        body.extend(payload);
        body.push(b'\n');
    }
    with_home(|home| {
        run(home, Endpoint::Envelope, &[], body);
        let events = home.events();
        let messages: Vec<_> = events
            .iter()
            .map(|event| event.message.as_deref())
            .collect();
        assert!(
            messages.first() == Some(&Some("first")) && messages.last() == Some(&Some("last")),
            "{kind} lost a neighbour: {messages:?}"
        );
    });
}

fn good(message: &str) -> String {
    json!({"message": message, "platform": "python"}).to_string()
}

/// A body in one of the encodings, or two; what is good in it is read as it is without.
fn encoded(input: &[u8]) {
    let Some((encoding, body)) = input.split_first() else {
        return;
    };
    let name = ["gzip", "deflate", "br", "zstd", "gzip, zstd", "zstd"]
        .get(usize::from(*encoding) % 6)
        .copied()
        .unwrap();
    ran(
        Endpoint::Store,
        &[("Content-Encoding", name)],
        body.to_vec(),
    );
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// An event with a little of everything.
pub(crate) fn full_event() -> Value {
    json!({
        "event_id": "8992c60fe83744e8bba14fccec5c99cd",
        "timestamp": 1_799_999_990.5, "level": "error", "platform": "python", "release": "till@1.0.0",
        "environment": "production", "transaction": "pay", "logentry": {"formatted": "no card for alice@example.org"},
        "exception": {"values": [{
            "type": "KeyError", "value": "'4111 1111 1111 1111'", "module": "builtins",
            "mechanism": {"type": "excepthook", "handled": false},
            "stacktrace": {"frames": [
                {"filename": "till/pay.py", "abs_path": "/home/alice/till/pay.py", "function": "pay", "lineno": 3,
                    "context_line": "    return cards[number]", "in_app": true,
                    "vars": {"password": "'hunter2'", "cards": {"a": [1, 2.5, null]}}},
            ]},
        }]},
        "breadcrumbs": {"values": [{"timestamp": "2027-01-15T07:59:50Z", "category": "http",
            "data": {"url": "https://u:pw@example.org/?token=abc", "method": "GET", "status_code": 200}}]},
        "user": {"id": "till-07"}, "tags": [["client", "10.1.2.3"], ["a", "b"]], "fingerprint": ["{{ default }}", "a"],
        "contexts": {"os": {"name": "Linux", "version": "6.1"}, "own": {"a": 1}}, "extra": {"b": "c"},
        "request": {"url": "https://example.org", "headers": [["Cookie", "sid=1"]], "query_string": "a=b&c=%40", "data": "a=1&b=2"},
        "sdk": {"name": "sentry.python", "version": "2.75.0"},
    })
}

/// One payload of each kind, in the order of the kinds.
fn payloads() -> Vec<Value> {
    vec![
        full_event(),
        json!({"message": "m"}),
        json!({"csp-report": {"document-uri": "https://a.example/", "blocked-uri": "inline", "effective-directive": "script-src"}}),
        json!({"type": "transaction", "transaction": "/pay", "start_timestamp": 1.0, "timestamp": 2.0, "release": "a@1",
            "contexts": {"trace": {"op": "http.server", "status": "ok"}}, "spans": []}),
        json!({"sid": "8992c60fe83744e8bba14fccec5c99cd", "did": "d", "init": true, "status": "crashed", "errors": 1,
            "started": "2027-01-15T07:59:50Z", "attrs": {"release": "a@1", "environment": "e"}}),
        json!({"aggregates": [{"started": "2027-01-15T07:59:50Z", "exited": 3, "errored": 1, "crashed": 1}],
            "attrs": {"release": "a@1"}}),
        json!({"event_id": "8992c60fe83744e8bba14fccec5c99cd", "contexts": {"feedback": {"message": "it hangs", "name": "A",
            "contact_email": "a@example.org"}}}),
        json!({"event_id": "8992c60fe83744e8bba14fccec5c99cd", "name": "A", "email": "a@example.org", "comments": "it hangs"}),
        json!({"token": "abc", "mail": "a@example.org"}),
        json!({"check_in_id": "8992c60fe83744e8bba14fccec5c99cd", "monitor_slug": "nightly", "status": "ok", "duration": 2.5,
            "monitor_config": {"schedule": {"type": "crontab", "value": "0 0 * * *"}}}),
        json!({"items": [{"timestamp": 1.0, "level": "warn", "body": "b", "severity_number": 13,
            "attributes": {"a": {"value": "x", "type": "string"}}}]}),
        json!({"timestamp": 1.0, "discarded_events": [{"reason": "sample_rate", "category": "error", "quantity": 3}]}),
        json!({}),
    ]
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let tagged = |tag: &[u8], body: &[u8]| [tag, body].concat();
    let event = full_event().to_string();
    let mut envelope = br#"{"event_id":"8992c60fe83744e8bba14fccec5c99cd","sent_at":"2027-01-15T08:00:00Z","sdk":{"name":"a","version":"1"}}"#.to_vec();
    envelope.push(b'\n');
    let mut seeds = Vec::new();
    for (index, (kind, payload)) in KINDS.iter().zip(payloads()).enumerate() {
        let payload = payload.to_string();
        let head = json!({"type": kind, "length": payload.len()});
        writeln!(envelope, "{head}\n{payload}").unwrap();
        let index = u8::try_from(index).unwrap();
        seeds.push(tagged(&[4, index], payload.as_bytes()));
        seeds.push(tagged(
            &[0],
            format!("{{}}\n{head}\n{payload}\n").as_bytes(),
        ));
    }
    seeds.push(tagged(&[0], &envelope));
    seeds.push(tagged(&[1], event.as_bytes()));
    for security in [
        payloads().swap_remove(2),
        json!([{"type": "csp-violation", "body": {"documentURL": "https://a.example/", "blockedURL": "https://b.example/x?y", "effectiveDirective": "img-src"}}]),
        json!({"expect-ct-report": {"hostname": "a.example"}}),
        json!({"hostname": "a.example", "known-pins": ["x"]}),
    ] {
        seeds.push(tagged(&[2], security.to_string().as_bytes()));
    }
    let form = |name: &str, content: &[u8]| {
        let head = format!("--b\r\nContent-Disposition: form-data; {name}\r\n\r\n");
        [head.as_bytes(), content, b"\r\n"].concat()
    };
    let dump = minidump::seeds().remove(0);
    let parts = [
        form("name=\"upload_file_minidump\"; filename=\"a.dmp\"", &dump),
        form("name=\"sentry[tags][a]\"", b"1"),
        form("name=\"sentry\"", br#"{"release":"a@1"}"#),
        form("name=\"log\"; filename=\"log.txt\"", b"token=abc"),
    ];
    seeds.push(tagged(
        &[3],
        &[parts.concat(), b"--b--\r\n".to_vec()].concat(),
    ));
    seeds.push(tagged(&[3], &dump));
    let zstd = zstd::encode_all(event.as_bytes(), 1).unwrap();
    seeds.push(tagged(&[5, 0], &gzip(event.as_bytes())));
    seeds.push(tagged(&[5, 1], &deflate(event.as_bytes())));
    // An uncompressed meta-block (RFC 7932 §9.2) and the empty last one.
    let brotli = [
        &b"\x0b\x11\x80"[..],
        br#"{"message":"m","platform":"python"}"#,
        b"\x03",
    ];
    seeds.push(tagged(&[5, 2], &brotli.concat()));
    seeds.push(tagged(&[5, 3], &zstd));
    seeds.push(tagged(
        &[5, 4],
        &zstd::encode_all(gzip(event.as_bytes()).as_slice(), 1).unwrap(),
    ));
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;
    use kintsugi_app::ingest::body::decode;

    #[test]
    fn the_encoded_seeds_can_be_decoded() {
        let seeds = seeds();
        let encoded = seeds.iter().filter(|seed| seed.starts_with(&[5]));
        let names = ["gzip", "deflate", "br", "zstd", "gzip, zstd"];
        for (name, seed) in names.into_iter().zip(encoded) {
            let decoded = decode(Some(name), seed.get(2..).unwrap().to_vec()).unwrap();
            assert!(serde_json::from_slice::<Value>(&decoded).is_ok(), "{name}");
        }
    }

    #[test]
    fn every_kind_of_item_has_a_seed_that_is_of_use() {
        for (kind, payload) in KINDS.iter().zip(payloads()) {
            let body = format!("{{}}\n{{\"type\":\"{kind}\"}}\n{payload}\n");
            let done = with_home(|home| run(home, Endpoint::Envelope, &[], body.into_bytes()));
            let is_of_use = matches!(
                done,
                Done::Accepted {
                    items_skipped: 0,
                    ..
                }
            );
            assert_eq!(is_of_use, *kind != "nothing", "{kind}: {done:?}");
        }
    }
}
