//! What becomes of the fields of an event, in every shape in which clients send them.

use super::{at, home, request};
use kintsugi_domain::limits::{EXCEPTIONS_MAX, FRAME_VARS_MAX, FRAMES_MAX, TEXT_CHARS_MAX};
use serde_json::{Value, json};

/// Checks what becomes of events: each expected member is in the event that was handed on.
fn check(cases: &[(Value, Value)]) {
    for (event, expected) in cases {
        let found = serde_json::to_value(home().event(event)).unwrap();
        assert!(
            contains(&found, expected),
            "{event} gave {found}, not {expected}"
        );
    }
}

#[test]
#[rustfmt::skip]
fn names_and_levels_may_have_any_shape() {
    check(&[
        (json!({"level": "critical"}), json!({"level": "fatal"})),
        (json!({"level": "warn"}), json!({"level": "warning"})),
        (json!({"level": 30}), json!({"level": "warning"})),
        (json!({"level": null}), json!({"level": "error"})),
        (json!({"platform": "Python", "release": " "}), json!({"platform": "python", "release": null})),
        (json!({"environment": 7, "sdk": 3}), json!({"environment": "7", "sdk": "3"})),
        (json!({"event_id": "8992C60F-E837-44E8-BBA1-4FCCEC5C99CD"}),
         json!({"id": "8992c60fe83744e8bba14fccec5c99cd"})),
        (json!({"fingerprint": "one"}), json!({"fingerprint": ["one"]})),
        (json!({"fingerprint": ["{{ default }}"]}), json!({"fingerprint": []})),
        (json!({"fingerprint": ["{{ default }}", 7]}), json!({"fingerprint": ["{{ default }}", "7"]})),
    ]);
}

#[test]
#[rustfmt::skip]
fn times_and_labels_may_have_any_shape() {
    check(&[
        (json!({"timestamp": 1_799_999_990.25}), json!({"occurred_at": "2027-01-15T07:59:50.25Z"})),
        (json!({"timestamp": "2099-01-01T00:00:00Z"}), json!({"occurred_at": "2027-01-15T08:00:00Z"})),
        (json!({"timestamp": {}}), json!({"occurred_at": "2027-01-15T08:00:00Z"})),
        (json!({"tags": {"a": 1, "b": null, "c": true}}), json!({"tags": {"a": "1", "c": "true"}})),
        (json!({"tags": [["a", "b"], ["c"], null, 3]}), json!({"tags": {"a": "b"}})),
        (json!({"tags": [{"key": "a", "value": "b"}]}), json!({"tags": {"a": "b"}})),
        (json!({"contexts": {"os": {"name": "Linux", "version": "6.1"}}}),
         json!({"system": {"os": "Linux 6.1"}})),
        (json!({"contexts": {"device": {"name": "Alice's", "model": "X1"}}}),
         json!({"system": {"device": "X1"}})),
        (json!({"contexts": [1]}), json!({"system": {}})),
    ]);
}

#[test]
#[rustfmt::skip]
fn messages_and_exceptions_may_have_any_shape() {
    check(&[
        (json!({"logentry": {"message": "m %s", "params": {}}}), json!({"message": "m %s"})),
        (json!({"logentry": {"formatted": "f", "message": "m"}}), json!({"message": "f"})),
        (json!({"message": {"message": "m"}}), json!({"message": "m"})),
        (json!({"message": ["x"]}), json!({"message": null})),
        (json!({"exception": [{"type": "A"}]}), json!({"exceptions": [{"kind": "A", "value": ""}]})),
        (json!({"exception": {"type": "A", "value": {"x": 1}}}),
         json!({"exceptions": [{"kind": "A", "value": "{\"x\":1}"}]})),
        (json!({"exception": {"values": [null, {"value": "v"}]}}),
         json!({"exceptions": [{"kind": "Error", "value": "v"}]})),
        (json!({"exception": null, "extra": null, "user": null}), json!({"exceptions": [], "user": null})),
        (json!({"exception": 7, "breadcrumbs": "x"}), json!({"exceptions": [], "breadcrumbs": []})),
        (json!({"breadcrumbs": {"values": [{"type": "http", "data":
            {"method": "GET", "url": "/a", "status_code": 404}}]}}),
         json!({"breadcrumbs": [{"category": "http", "message": "GET /a [404]"}]})),
    ]);
}

/// Whether every member of `part` is in `whole`; lists have the same length.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part.iter().all(|(name, part)| {
            whole.get(name).is_some_and(|whole| {
                let exact = name == "tags" || name == "system";
                if exact {
                    whole == part
                } else {
                    contains(whole, part)
                }
            })
        }),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len()
                && whole
                    .iter()
                    .zip(part)
                    .all(|(whole, part)| contains(whole, part))
        }
        _ => whole == part,
    }
}

#[test]
fn every_way_to_write_a_users_id_is_the_same_user() {
    let user = |user: Value| home().event(&json!({"user": user})).user;
    let expected = user(json!({"id": "5"}));
    assert!(expected.is_some());
    for written in [
        json!({"id": 5}),
        json!("5"),
        json!(5),
        json!({"username": "5"}),
    ] {
        assert_eq!(user(written), expected);
    }
    assert_eq!(user(json!({"ip_address": "{{auto}}"})), None);
}

#[test]
fn an_event_without_an_id_is_named_by_its_content() {
    let named = |text: &str| home().event(&json!({"message": text})).id;
    assert_eq!(named("a"), named("a"));
    assert_ne!(named("a"), named("b"));
    assert_eq!(named("a").as_str().len(), 32);
}

#[test]
fn the_drift_of_a_clients_clock_is_taken_out() {
    let home = home();
    let header = json!({"sent_at": "2020-01-01T00:00:10Z"});
    let event = json!({"timestamp": "2020-01-01T00:00:00Z"});
    home.run(request(format!(
        "{header}\n{{\"type\":\"event\"}}\n{event}\n"
    )));
    assert_eq!(home.events()[0].occurred_at, at(-10));
}

#[test]
fn frames_are_the_products_unless_something_says_otherwise() {
    let frames = json!([
        {"filename": "till/totals.py"},
        {"filename": "urllib3/pool.py", "abs_path": "/venv/lib/python3.11/site-packages/urllib3/pool.py"},
        {"filename": "<frozen runpy>", "in_app": true},
        {"filename": "lib.py", "in_app": false},
        {"filename": "node_modules/x/index.js"},
        {"module": "java.lang.Thread", "function": "run"},
        {"filename": "core.rs", "abs_path": "/rustc/abc/library/core/src/panicking.rs"},
        {"filename": "x.py", "abs_path": "/venv/lib/python3.11/site-packages/x.py", "in_app": true},
        {},
    ]);
    let event = json!({"exception": [{"type": "E", "stacktrace": {"frames": frames}}]});
    let event = home().event(&event);
    let in_app: Vec<bool> = event.exceptions[0]
        .frames
        .iter()
        .map(|frame| frame.in_app)
        .collect();
    assert_eq!(
        in_app,
        [true, false, false, false, false, false, false, true, true]
    );
}

#[test]
fn frames_beside_the_exceptions_find_their_place() {
    let stack = json!({"frames": [{"filename": "a.py", "function": "f", "lineno": "3"}]});
    for event in [
        json!({"message": "m", "stacktrace": stack}),
        json!({"message": "m", "threads": {"values": [{"id": 1, "stacktrace": {}}, {"crashed": true, "stacktrace": stack}]}}),
        json!({"message": "m", "threads": [{"stacktrace": stack}]}),
    ] {
        let event = home().event(&event);
        assert_eq!(event.title(), "Message: m");
        assert_eq!(event.exceptions[0].frames[0].line, Some(3));
    }
    let event = json!({"exception": [{"type": "E", "value": "v"}], "stacktrace": stack});
    let event = home().event(&event);
    assert_eq!(
        (event.title().as_str(), event.exceptions[0].frames.len()),
        ("E: v", 1)
    );
}

#[test]
fn hostile_sizes_are_cut_to_the_limits() {
    let frames: Vec<Value> = (0..10_000)
        .map(|line| json!({"filename": "a", "lineno": line}))
        .collect();
    let vars: serde_json::Map<String, Value> = (0..500)
        .map(|number| (format!("v{number:03}"), json!("1")))
        .collect();
    let mut deep = json!("end");
    for _ in 0..90 {
        deep = json!([deep]);
    }
    let mut exceptions = vec![json!({"type": "Old"}); 100];
    exceptions.push(json!({"type": "New", "stacktrace": {"frames": frames}}));
    let event = home().event(&json!({
        "exception": exceptions,
        "breadcrumbs": vec![json!({"message": "x"}); 5_000],
        "message": "y".repeat(100_000),
    }));
    assert_eq!(event.exceptions.len(), EXCEPTIONS_MAX);
    let raised = event.raised().unwrap();
    assert_eq!(
        (raised.kind.as_str(), raised.frames.len()),
        ("New", FRAMES_MAX)
    );
    assert_eq!(raised.frames.last().unwrap().line, Some(9_999));
    assert!(event.message.unwrap().chars().count() <= TEXT_CHARS_MAX);
    let event = home().event(
        &json!({"exception": [{"type": "E", "stacktrace": {"frames": [
        {"filename": "a", "vars": vars}, {"filename": "b", "vars": {"deep": deep}}]}}]}),
    );
    assert_eq!(event.exceptions[0].frames[0].vars.len(), FRAME_VARS_MAX);
    assert!(event.exceptions[0].frames[1].vars["deep"].to_string().len() < 40);
}

#[test]
fn an_id_of_zeros_is_none() {
    let ids = ["a", "b"].map(|message| {
        let event = json!({"event_id": "0".repeat(32), "message": message});
        home().event(&event).id
    });
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn texts_in_headers_need_not_be_whole() {
    for (header, item) in [
        (
            &b"{\"trace\":{\"transaction\":\"\\ud83d\"}}"[..],
            &b"{\"type\":\"event\"}"[..],
        ),
        (
            b"{\"sdk\":{\"name\":\"caf\xe9\"}}",
            b"{\"type\":\"event\",\"filename\":\"caf\xe9\"}",
        ),
    ] {
        let body = [header, item, b"{\"message\":\"m\"}"].join(&b'\n');
        let home = home();
        home.run(request(body));
        assert_eq!(home.events()[0].message.as_deref(), Some("m"));
    }
}
