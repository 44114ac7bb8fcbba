//! Requests of exporters over memory ports. The protobuf is written here, field by field, as protobuf.dev has it.

use super::super::tests::limits::limited;
use super::super::tests::{Home, KEY, PROJECT, at, home};
use super::*;
use futures::executor::block_on;
use kintsugi_domain::event::Level;
use proptest::prelude::*;

const STACK: &str =
    "Traceback (most recent call last):\n  File \"till/a.py\", line 3, in load\n    x\nE: y\n";
const TRACE: &str = "0102030405060708090a0b0c0d0e0f10";
const SPAN: &str = "0102030405060708";

fn request(signal: Signal, content_type: &str, body: impl Into<Vec<u8>>) -> Request {
    let headers = [
        ("content-type", content_type),
        ("authorization", &format!("Bearer {KEY}")),
        (PROJECT_HEADER, &PROJECT.to_string()),
    ];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Request {
        signal,
        query: None,
        headers: headers.into_iter().map(owned).collect(),
        body: body.into(),
        at: at(0),
    }
}

fn take(home: &Home, request: Request) -> Answer {
    block_on(home.ingest.take_otlp(request)).unwrap()
}

fn attribute(name: &str, value: &str) -> Value {
    json!({"key": name, "value": {"stringValue": value}})
}

fn resource() -> Value {
    json!({"attributes": [
        attribute("service.name", "till"), attribute("service.version", "1.0.0"),
        attribute("deployment.environment.name", "production"), attribute("telemetry.sdk.language", "python"),
        attribute("telemetry.sdk.name", "opentelemetry"), attribute("telemetry.sdk.version", "1.30.0"),
    ]})
}

fn exception() -> Value {
    json!([
        attribute("exception.type", "till.LoadError"),
        attribute("exception.message", "for alice@example.org"),
        attribute("exception.stacktrace", STACK),
        attribute("http.route", "/sales"),
        attribute("user.id", "alice"),
    ])
}

fn logs(records: &Value) -> String {
    json!({"resourceLogs": [{"resource": resource(), "scopeLogs": [{"logRecords": records}]}]})
        .to_string()
}

fn spans(spans: &Value) -> String {
    json!({"resourceSpans": [{"resource": resource(), "scopeSpans": [{"spans": spans}]}]})
        .to_string()
}

/// A field of two, a text or a message.
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

/// The JSON form above as protobuf.
fn pairs(tag: u8, attributes: &Value) -> Vec<u8> {
    let each = attributes.as_array().unwrap().iter().map(|pair| {
        let text = pair["value"]["stringValue"].as_str().unwrap();
        let value = put(1, text.as_bytes());
        put(
            tag,
            &[
                put(1, pair["key"].as_str().unwrap().as_bytes()),
                put(2, &value),
            ]
            .concat(),
        )
    });
    each.collect::<Vec<_>>().concat()
}

fn proto_group(item: &[u8]) -> Vec<u8> {
    let resource = put(1, &pairs(1, &resource()["attributes"]));
    put(1, &[resource, put(2, &put(2, item))].concat())
}

fn proto_time(tag: u8) -> Vec<u8> {
    let time = u64::try_from(at(-5).as_nanosecond()).unwrap();
    [vec![(tag << 3) | 1], time.to_le_bytes().to_vec()].concat()
}

fn ids(first: u8) -> Vec<u8> {
    [put(first, &hex(TRACE)), put(first + 1, &hex(SPAN))].concat()
}

fn hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn an_exception_in_a_log_record_becomes_an_event_in_both_encodings() {
    let time = at(-5).as_nanosecond().to_string();
    let record = json!([
        {"timeUnixNano": time, "severityNumber": 21, "body": {"stringValue": "load failed"},
            "attributes": exception(), "traceId": TRACE, "spanId": SPAN},
        {"body": {"stringValue": "all is well"}, "attributes": []},
    ]);
    let proto = [
        proto_time(1),
        vec![2 << 3, 21],
        put(5, &put(1, b"load failed")),
        pairs(6, &exception()),
        ids(9),
    ]
    .concat();
    let proto = [
        proto_group(&proto),
        proto_group(&put(5, &put(1, b"all is well"))),
    ]
    .concat();
    let mut seen = Vec::new();
    for (content_type, body) in [
        (
            "application/json; charset=utf-8",
            logs(&record).into_bytes(),
        ),
        ("application/x-protobuf", proto),
    ] {
        let home = home();
        let answer = take(&home, request(Signal::Logs, content_type, body));
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.body,
            if answer.encoding == Encoding::Json {
                b"{}".to_vec()
            } else {
                vec![]
            }
        );
        let event = home.events().remove(0);
        assert_eq!(event.title(), "till.LoadError: for [email]");
        assert_eq!(event.level, Level::Fatal);
        assert_eq!(event.platform, "python");
        assert_eq!(event.release.as_deref(), Some("till@1.0.0"));
        assert_eq!(event.environment.as_deref(), Some("production"));
        assert_eq!(event.transaction.as_deref(), Some("/sales"));
        assert_eq!(event.message.as_deref(), Some("load failed"));
        assert_eq!(event.sdk.as_deref(), Some("opentelemetry/1.30.0"));
        assert_eq!(event.occurred_at, at(-5));
        assert_eq!(event.tags["trace_id"], TRACE);
        assert!(event.user.as_ref().is_some_and(|user| user.len() == 32));
        let culprit = event.culprit().unwrap();
        assert_eq!(
            (culprit.file.as_str(), culprit.line),
            ("till/a.py", Some(3))
        );
        let counters = home.counters(PROJECT);
        assert_eq!(
            counters,
            BTreeMap::from([
                ("accepted/error".into(), 1),
                ("dropped/log_item/without_exception".into(), 1),
                ("received/error".into(), 1),
                ("received/log_item".into(), 1),
            ])
        );
        seen.push(event);
    }
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn records_beyond_the_quota_are_rejected_and_a_request_without_any_may_come_again() {
    let home = limited(&json!({"categories": {"error": 2}}));
    let record = |message: &str| json!({"attributes": [attribute("exception.message", message)]});
    let plain = json!({"body": {"stringValue": "all is well"}});
    let first = json!([record("a"), plain, record("b"), record("c")]);
    let send = |records: &Value| {
        take(
            &home,
            request(Signal::Logs, "application/json", logs(records)),
        )
    };
    let answer = send(&first);
    assert_eq!((answer.status, answer.retry_after), (200, None));
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["partialSuccess"]["rejectedLogRecords"], "1");
    assert_eq!(body["partialSuccess"]["errorMessage"], LIMITED);
    assert_eq!(home.events().len(), 2);
    let answer = send(&json!([record("c"), plain]));
    assert_eq!((answer.status, answer.retry_after), (429, Some(30)));
    let account = home.account();
    assert!(account.adds_up(), "{account:?}");
    let error = &account.categories["error"];
    assert_eq!((error.accepted, error.refused["rate_limited"]), (2, 2));
    // What holds no exception needs no quota.
    assert_eq!(send(&json!([plain])).status, 200);
}

#[test]
fn an_exception_of_a_span_is_the_same_event_as_that_in_the_log() {
    let span = json!([
        {"name": "GET /sales", "traceId": TRACE, "spanId": SPAN, "events": [
            {"name": "exception", "timeUnixNano": "1", "attributes": exception()}, {"name": "retry"}]},
        {"name": "fine"},
    ]);
    let event = [put(2, b"exception"), pairs(3, &exception())].concat();
    let proto = proto_group(
        &[
            ids(1),
            put(5, b"GET /sales"),
            put(11, &event),
            put(11, &put(2, b"retry")),
        ]
        .concat(),
    );
    let log = json!([{"attributes": exception(), "traceId": TRACE, "spanId": SPAN}]);
    let mut ids = Vec::new();
    for (signal, content_type, body) in [
        (
            Signal::Traces,
            "application/json",
            spans(&span).into_bytes(),
        ),
        (Signal::Traces, "application/x-protobuf", proto),
        (Signal::Logs, "application/json", logs(&log).into_bytes()),
    ] {
        let home = home();
        assert_eq!(take(&home, request(signal, content_type, body)).status, 200);
        let event = home.events().remove(0);
        if signal == Signal::Traces {
            assert_eq!(event.transaction.as_deref(), Some("GET /sales"));
        }
        ids.push(event.id);
    }
    assert!(ids.windows(2).all(|two| two[0] == two[1]), "{ids:?}");
}

#[test]
fn a_record_that_cannot_be_read_is_told_and_loses_no_other() {
    let good = json!({"attributes": exception()});
    let home = home();
    let body = logs(&json!([good, 7, null, good]));
    let answer = take(&home, request(Signal::Logs, "application/json", body));
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(told["partialSuccess"]["rejectedLogRecords"], "2");
    assert_eq!(home.events().len(), 2);
    let home = super::super::tests::home();
    let body = [proto_group(&[0xff]), proto_group(&pairs(6, &exception()))].concat();
    let answer = take(&home, request(Signal::Logs, "application/x-protobuf", body));
    assert!(
        answer.body.starts_with(&[(1 << 3) | 2]) && answer.body[2..4] == [1 << 3, 1],
        "{answer:?}"
    );
    assert_eq!(home.events().len(), 1);
    assert_eq!(
        home.counters(PROJECT)["dropped/log_item/otlp_record_broken"],
        1
    );
}

/// What a request of protobuf becomes: its events, and how many records it is told to have had that cannot be read.
fn protobuf(body: Vec<u8>) -> (Vec<kintsugi_domain::event::Event>, i64) {
    let home = home();
    let answer = take(&home, request(Signal::Logs, "application/x-protobuf", body));
    assert_eq!(answer.status, 200, "{answer:?}");
    let counters = home.counters(PROJECT);
    let broken = counters.get("dropped/log_item/otlp_record_broken");
    assert_eq!(answer.body.is_empty(), broken.is_none(), "{answer:?}");
    (home.events(), broken.copied().unwrap_or(0))
}

#[test]
fn a_group_that_cannot_be_read_counts_once_and_loses_no_other() {
    let good = proto_group(&pairs(6, &exception()));
    let scope = put(2, &put(2, &pairs(6, &exception())));
    // Of a kind that protobuf does not have; and a length beyond the end.
    for broken in [&[7][..], &[(2 << 3) | 2, 0xff, 0xff, 0xff, 0xff, 0xf]] {
        for (group, kept) in [
            (put(1, broken), 2),
            // A scope; beside it another.
            (put(1, &put(2, broken)), 2),
            (put(1, &[put(2, broken), scope.clone()].concat()), 3),
            // The group itself, after a scope.
            (put(1, &[&scope, broken].concat()), 3),
            // What it comes from, and an attribute of that.
            (put(1, &[put(1, broken), scope.clone()].concat()), 3),
            (
                put(1, &[put(1, &put(1, broken)), scope.clone()].concat()),
                3,
            ),
        ] {
            let body = [good.clone(), group.clone(), good.clone()].concat();
            let (events, told) = protobuf(body);
            assert_eq!((events.len(), told), (kept, 1), "{group:?}");
        }
        // Nobody knows where a next group would begin.
        let (events, told) = protobuf([&good, broken, &good].concat());
        assert_eq!((events.len(), told), (1, 1));
    }
}

#[test]
fn a_request_is_made_of_so_many_values_and_no_more() {
    let list = put(5, &put(5, &[10, 0].repeat(VALUES_MAX / 2)));
    let without = proto_group(&list);
    let with = proto_group(&[list, pairs(6, &exception())].concat());
    let small = proto_group(&pairs(6, &exception()));
    let body = [&without, &without, &without, &with, &small, &with, &small];
    let (events, told) = protobuf(body.map(Vec::as_slice).concat());
    assert_eq!((events.len(), told), (3, 1));
    let many = format!(
        "{{\"resourceLogs\":[{}]}}",
        vec!["0"; VALUES_MAX + 1].join(",")
    );
    let home = home();
    let answer = take(&home, request(Signal::Logs, "application/json", many));
    assert_eq!(answer.status, 413);
    assert!(home.account().adds_up());
}

#[test]
fn what_can_be_read_of_a_resource_is_kept() {
    let pairs_of = pairs(1, &resource()["attributes"]);
    let resource = put(1, &[put(1, &[0xff]), pairs_of].concat());
    let scope = put(2, &put(2, &pairs(6, &exception())));
    let (events, told) = protobuf(put(1, &[resource, scope].concat()));
    assert_eq!(events[0].release.as_deref(), Some("till@1.0.0"));
    assert_eq!((events.len(), told), (1, 1));
}

#[test]
fn refusals_are_a_status_in_the_encoding_of_the_request() {
    let home = home();
    let good = logs(&json!([{"attributes": exception()}]));
    let ask = |content_type: &str, body: &str, change: &dyn Fn(&mut Request)| {
        let mut request = request(Signal::Logs, content_type, body);
        change(&mut request);
        take(&home, request).status
    };
    assert_eq!(
        ask("application/json", &good, &|request| request
            .headers
            .truncate(1)),
        403
    );
    assert_eq!(
        ask("application/json", &good, &|request| request
            .headers
            .truncate(2)),
        403
    );
    assert_eq!(ask("text/plain", &good, &|_| ()), 415);
    assert_eq!(ask("application/json", "[]", &|_| ()), 400);
    assert_eq!(ask("application/x-protobuf", "not protobuf", &|_| ()), 400);
    let unpacked = |request: &mut Request| {
        request
            .headers
            .push(("content-encoding".into(), "gzip".into()));
    };
    assert_eq!(ask("application/json", &good, &unpacked), 400);
    let by_query = |request: &mut Request| {
        request.headers.truncate(1);
        request.query = Some(format!("project={PROJECT}&sentry_key={KEY}"));
    };
    assert_eq!(ask("application/json", &good, &by_query), 200);
    let status = take(&home, request(Signal::Logs, "application/x-protobuf", "x"));
    assert_eq!(status.body.first(), Some(&((2 << 3) | 2)));
    assert_eq!(home.counters(PROJECT)["refused/request/otlp_broken"], 3);
    assert_eq!(home.counters(ProjectId(0))["refused/request/wrong_key"], 2);
}

#[test]
fn too_many_exceptions_and_deep_values_are_bounded() {
    let many = vec![json!({"attributes": exception()}); ENVELOPE_ITEMS_MAX + 3];
    let home = home();
    let answer = take(
        &home,
        request(Signal::Logs, "application/json", logs(&json!(many))),
    );
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(told["partialSuccess"]["rejectedLogRecords"], "3");
    let mut deep = put(1, b"x");
    for _ in 0..10_000 {
        deep = put(5, &put(1, &deep));
    }
    let record = [put(5, &deep), pairs(6, &exception())].concat();
    let home = super::super::tests::home();
    assert_eq!(
        take(
            &home,
            request(Signal::Logs, "application/x-protobuf", proto_group(&record))
        )
        .status,
        200
    );
    assert_eq!(home.events().len(), 1);
}

proptest! {
    #[test]
    fn hostile_bodies_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..500), at in 0..200_usize) {
        for signal in [Signal::Logs, Signal::Traces] {
            let _ = proto::read(signal, &body);
            let _ = json::read(signal, &body);
            let good = [pairs(6, &exception()), put(11, &[put(2, b"exception"), pairs(3, &exception())].concat())].concat();
            let mut damaged = proto_group(&good);
            for (to, from) in damaged.iter_mut().skip(at).zip(body.iter().take(3)) {
                *to = *from;
            }
            let _ = proto::read(signal, &damaged);
        }
    }
}

/// Found by reading for the fuzz target: a request with one long name and a thousand exceptions became a thousand long names, and its
/// resource was written anew for each of them.
#[test]
fn what_many_records_share_is_kept_once_and_cut() {
    let long = "é".repeat(1_000_000);
    let pairs = json!([attribute("exception.type", "E")]);
    let events = vec![json!({"name": "exception", "attributes": pairs}); 500];
    let value = json!({"kvlistValue": {"values": [{"key": "a", "value": {"stringValue": long}}]}});
    let resource = json!({"attributes": [attribute("service.name", &long), {"key": "host.arch", "value": value}]});
    let spans = json!([{"name": long, "events": events}]);
    let body = json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]});
    let event = put(11, &[put(2, b"exception"), self::pairs(3, &pairs)].concat());
    let span = [put(5, long.as_bytes()), event.repeat(500)].concat();
    let name = put(
        1,
        &put(
            1,
            &[put(1, b"service.name"), put(2, &put(1, long.as_bytes()))].concat(),
        ),
    );
    let group = put(1, &[name, put(2, &put(2, &span))].concat());
    let written = body.to_string();
    for records in [
        json::read(Signal::Traces, written.as_bytes()).unwrap(),
        proto::read(Signal::Traces, &group).unwrap(),
    ] {
        assert_eq!(records.found.len(), 500);
        let first = &records.found[0];
        let name = first.transaction.as_ref().unwrap();
        assert_eq!(name.len(), SHARED_BYTES_MAX);
        for record in &records.found {
            assert!(Arc::ptr_eq(record.transaction.as_ref().unwrap(), name));
            assert!(Arc::ptr_eq(&record.resource, &first.resource));
        }
        for value in first.resource.attributes.values() {
            assert!(value.as_str().unwrap().len() <= SHARED_BYTES_MAX);
        }
    }
}

#[test]
fn a_severity_may_be_said_by_name_or_text_only() {
    let level = |record: &Value| {
        let records = json!([record]);
        let home = home();
        take(
            &home,
            request(Signal::Logs, "application/json", logs(&records)),
        );
        home.events().remove(0).level
    };
    for (number, text, expected) in [
        (json!(13), "ERROR", Level::Warning),
        (json!("13"), "", Level::Warning),
        (json!("SEVERITY_NUMBER_WARN2"), "", Level::Warning),
        (json!(0), "Warning", Level::Warning),
        (json!(null), "FATAL", Level::Fatal),
        (json!(null), "Information", Level::Info),
        (json!(null), "strange", Level::Error),
    ] {
        let record =
            json!({"severityNumber": number, "severityText": text, "attributes": exception()});
        assert_eq!(level(&record), expected, "{record}");
    }
    let record = [put(3, b"WARN"), pairs(6, &exception())].concat();
    let home = home();
    take(
        &home,
        request(Signal::Logs, "application/x-protobuf", proto_group(&record)),
    );
    assert_eq!(home.events()[0].level, Level::Warning);
}

#[test]
fn ids_of_zeros_are_none_so_that_errors_outside_of_spans_stay_apart() {
    let zeros = json!({"traceId": "0".repeat(32), "spanId": "0".repeat(16)});
    let records: Vec<Value> = ["1", "2"]
        .into_iter()
        .map(|time| {
            let mut record = zeros.clone();
            record["timeUnixNano"] = json!(time);
            record["attributes"] = exception();
            record
        })
        .collect();
    let json = request(Signal::Logs, "application/json", logs(&json!(records)));
    let zeros = [put(9, &[0; 16]), put(10, &[0; 8])].concat();
    let each = [1_u8, 2].map(|time| {
        let time = [vec![(1 << 3) | 1, time], vec![0; 7]].concat();
        proto_group(&[time, zeros.clone(), pairs(6, &exception())].concat())
    });
    let proto = request(Signal::Logs, "application/x-protobuf", each.concat());
    for request in [json, proto] {
        let home = home();
        take(&home, request);
        let events = home.events();
        assert_eq!(events.len(), 2);
        assert_ne!(events[0].id, events[1].id);
        assert!(!events[0].tags.contains_key("trace_id"));
    }
}
