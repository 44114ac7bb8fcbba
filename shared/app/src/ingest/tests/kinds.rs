//! What is kept of each kind of item, and that none of it holds what must not be stored.

use super::{Home, KEY, PROJECT, at, envelope_of, home, project, request};
use crate::ingest::{Done, Endpoint, Ingest};
use crate::records;
use futures::executor::block_on;
use kintsugi_domain::health::ReleaseHealth;
use kintsugi_domain::issue::Issue;
use kintsugi_domain::kept::{Attachment, CheckStatus, Feedback, Logs, Monitor};
use kintsugi_domain::limits::ATTACHMENT_BYTES_MAX;
use kintsugi_domain::ports::{Blobs as _, Commit, Store as _};
use kintsugi_domain::project::Project;
use kintsugi_domain::record::{Kind, Record};
use kintsugi_domain::series::{Durations, Measure, Series};
use kintsugi_testkit::memory::MemoryHome;
use serde_json::{Value, json};
use std::collections::BTreeMap;

impl Home {
    pub(in crate::ingest) fn all<T: Record>(&self) -> Vec<T> {
        let found = block_on(records::all::<T>(&self.memory.store, PROJECT, None)).unwrap();
        found.into_iter().map(|stored| stored.value).collect()
    }

    fn send(&self, items: &[(&str, Value)]) -> Done {
        let items: Vec<(&str, String)> = items
            .iter()
            .map(|(kind, value)| (*kind, value.to_string()))
            .collect();
        let done = self.run(request(envelope_of(&items)));
        assert!(self.account().adds_up(), "{:?}", self.account());
        done
    }

    pub(in crate::ingest) fn numbers(&self, series: &Series) -> BTreeMap<String, i64> {
        block_on(
            self.memory
                .store
                .counter(PROJECT, &Series::counter(&series.key())),
        )
        .unwrap()
    }

    fn health(&self) -> ReleaseHealth {
        let series: Vec<Series> = self.all();
        let [series] = series.as_slice() else {
            panic!("{series:?}");
        };
        assert_eq!(series.release.as_deref(), Some("till@1.0.0"));
        ReleaseHealth::of(&self.numbers(series))
    }
}

fn session(sid: &str, more: &Value) -> Value {
    let mut session = json!({
        "sid": sid, "init": true, "started": "2027-01-15T07:59:00Z",
        "attrs": {"release": "till@1.0.0", "environment": "production"},
    });
    for (name, value) in more.as_object().unwrap() {
        session[name] = value.clone();
    }
    session
}

#[test]
fn durations_of_transactions_become_numbers_of_their_release() {
    let home = home();
    let transaction = |seconds: f64, status: &str| {
        json!({
            "type": "transaction", "transaction": "GET /checkout", "release": "till@1.0.0",
            "start_timestamp": 1_799_999_000.0, "timestamp": 1_799_999_000.0 + seconds,
            "contexts": {"trace": {"op": "http.server", "status": status}},
            "spans": [{"description": "SELECT secret"}],
        })
    };
    home.send(&[
        ("transaction", transaction(0.1, "ok")),
        ("transaction", transaction(0.3, "internal_error")),
        ("transaction", transaction(-1.0, "ok")),
    ]);
    home.send(&[("transaction", transaction(0.1, "ok"))]);
    let series: Vec<Series> = home.all();
    assert_eq!(series.len(), 1);
    assert_eq!(
        (
            series[0].measure,
            series[0].name.as_str(),
            series[0].operation.as_str()
        ),
        (Measure::Duration, "GET /checkout", "http.server")
    );
    let found = Durations::of(&home.numbers(&series[0]));
    assert_eq!((found.count, found.failed), (3, 1));
    assert!((found.mean_ms - 500.0 / 3.0).abs() < 0.01, "{found:?}");
    assert!((found.p50_ms - 100.0).abs() < 12.5, "{found:?}");
    let account = home.account();
    assert_eq!(account.categories["transaction"].accepted, 3);
    assert_eq!(account.categories["transaction"].dropped["broken"], 1);
}

#[test]
fn a_session_counts_once_where_it_ended_up() {
    let home = home();
    let crashed = session("a", &json!({"status": "crashed", "errors": 1, "did": "u1"}));
    home.send(&[(
        "session",
        session("a", &json!({"status": "ok", "did": "u1"})),
    )]);
    home.send(&[
        ("session", crashed.clone()),
        (
            "session",
            session("b", &json!({"status": "ok", "did": "u1"})),
        ),
        (
            "session",
            session("b", &json!({"status": "exited", "errors": 1, "did": "u1"})),
        ),
        (
            "session",
            session("c", &json!({"status": "exited", "did": "u2"})),
        ),
        ("session", session("d", &json!({"status": "abnormal"}))),
    ]);
    // Late and again: nothing changes.
    home.send(&[
        ("session", crashed),
        ("session", session("a", &json!({"status": "ok"}))),
    ]);
    let health = home.health();
    assert_eq!(
        (
            health.sessions,
            health.errored,
            health.abnormal,
            health.crashed
        ),
        (4, 1, 1, 1)
    );
    assert_eq!(health.crash_free_sessions, Some(75.0));
    assert_eq!((health.users, health.crash_free_users), (2, Some(50.0)));
    let stored = format!("{:?}", home.memory.store.records(Kind::Session));
    assert!(!stored.contains("u1"), "{stored}");
}

#[test]
fn sessions_that_the_client_counted_are_added() {
    let home = home();
    let sessions = json!({
        "attrs": {"release": "till@1.0.0", "environment": "production"},
        "aggregates": [
            {"started": "2027-01-15T07:59:00Z", "exited": 90, "errored": 5},
            {"started": "2027-01-15T08:00:00Z", "exited": 3, "crashed": 2},
            null, {"exited": "x"},
        ],
    });
    home.send(&[("sessions", sessions)]);
    let health = home.health();
    assert_eq!(
        (health.sessions, health.errored, health.crashed),
        (100, 5, 2)
    );
    assert_eq!(health.crash_free_sessions, Some(98.0));
}

#[test]
fn feedback_is_kept_without_who_gave_it() {
    let home = home();
    let feedback = json!({
        "event_id": "9ec79c33ec9942ab8353589fcb2e04dc",
        "release": "till@1.0.0",
        "contexts": {"feedback": {
            "message": "the till is stuck, call alice@example.org", "contact_email": "alice@example.org",
            "name": "Alice", "url": "https://shop.example/x",
            "associated_event_id": "8992c60fe83744e8bba14fccec5c99cd", "type": "bug",
        }},
    });
    let report = json!({
        "event_id": "8992c60fe83744e8bba14fccec5c99cd", "email": "alice@example.org", "name": "Alice",
        "comments": "it broke",
    });
    home.send(&[("feedback", feedback.clone()), ("user_report", report)]);
    home.send(&[("feedback", feedback)]);
    let kept: Vec<Feedback> = home.all();
    assert_eq!(kept.len(), 2);
    let said = kept.iter().find(|it| it.message != "it broke").unwrap();
    assert_eq!(said.message, "the till is stuck, call [email]");
    assert_eq!(said.tags["kind"], "bug");
    assert_eq!(
        said.event,
        kept.iter()
            .find(|it| it.message == "it broke")
            .unwrap()
            .event
    );
    assert!(said.user.is_some());
    let stored = format!("{:?}", home.memory.store.records(Kind::Feedback)).to_lowercase();
    assert!(!stored.contains("alice"), "{stored}");
    assert_eq!(
        home.account().categories["feedback"].dropped["duplicate"],
        1
    );
}

#[test]
fn texts_that_come_with_an_event_are_stored_scrubbed_and_others_are_not() {
    let home = home();
    let header = json!({"event_id": "8992c60fe83744e8bba14fccec5c99cd"});
    let mut body = format!("{header}\n").into_bytes();
    let mut attach = |name: &str, content: &[u8]| {
        let head = json!({"type": "attachment", "length": content.len(), "filename": name});
        body.extend(format!("{head}\n").bytes());
        body.extend(content);
        body.push(b'\n');
    };
    let log = "login of alice@example.org\n".repeat(2_000);
    attach("app.log", log.as_bytes());
    attach("settings.json", br#"{"password": "hunter2", "port": 80}"#);
    attach("screen.png", b"\x89PNG\r\n\x1a\n\0\0");
    attach("large.txt", &vec![b'x'; ATTACHMENT_BYTES_MAX + 1]);
    home.run(request(body));
    let kept: Vec<Attachment> = home.all();
    let names: Vec<&str> = kept.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(kept.len(), 2, "{names:?}");
    for attachment in &kept {
        assert_eq!(
            attachment.event.as_ref().unwrap().as_str(),
            "8992c60fe83744e8bba14fccec5c99cd"
        );
        assert!(!attachment.remarks.is_empty());
        let content = block_on(home.memory.blobs.get(&attachment.blob, usize::MAX))
            .unwrap()
            .unwrap();
        let text = String::from_utf8(content).unwrap();
        assert!(
            !text.contains("alice") && !text.contains("hunter2"),
            "{text}"
        );
        assert_eq!(attachment.bytes, text.len() as u64);
        if attachment.name == "app.log" {
            assert_eq!(text.lines().count(), 2_000, "nothing is cut");
        }
    }
    let account = home.account();
    assert!(account.adds_up());
    let dropped = &account.categories["attachment"].dropped;
    assert_eq!((dropped["not_text"], dropped["too_large"]), (1, 1));
}

#[test]
fn a_project_may_keep_attachments_that_are_no_text_as_they_came() {
    let memory = MemoryHome::new(1);
    let mut open: Project = project(PROJECT, KEY);
    open.config.ingest.keep_binary_attachments = true;
    block_on(memory.store.commit(Commit::new().create(&open))).unwrap();
    let ingest = Ingest::new(&memory.ports());
    let home = Home { memory, ingest };
    let picture = b"\x89PNG\r\n\x1a\n\0alice@example.org\0";
    let large = vec![0; ATTACHMENT_BYTES_MAX + 1];
    let mut body = b"{}\n".to_vec();
    for content in [&picture[..], b"mail alice@example.org", &large] {
        let length = content.len();
        let head =
            json!({"type": "attachment", "filename": "of alice@example.org", "length": length});
        body.extend_from_slice(format!("{head}\n").as_bytes());
        body.extend_from_slice(content);
        body.push(b'\n');
    }
    home.run(request(body));
    let kept: Vec<Attachment> = home.all();
    assert_eq!(kept.len(), 2);
    for attachment in kept {
        let content = block_on(home.memory.blobs.get(&attachment.blob, usize::MAX));
        let content = content.unwrap().unwrap();
        if attachment.is_binary {
            assert_eq!(content, picture);
        } else {
            assert_eq!(content, b"mail [email]");
        }
        assert_eq!(attachment.name, "of [email]");
    }
    let account = home.account();
    assert!(account.adds_up());
    assert_eq!(account.categories["attachment"].dropped["too_large"], 1);
}

#[test]
fn entries_of_a_log_are_kept_one_by_one() {
    let home = home();
    let logs = json!({"version": 2, "items": [
        {"timestamp": 1_799_999_990.0, "level": "warn", "body": "card 4111111111111111 declined",
         "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
         "attributes": {"user.email": {"value": "alice@example.org", "type": "string"}, "attempt": {"value": 3, "type": "integer"}}},
        {"severity_number": 17, "body": {"a": 1}},
        {"level": "info"},
        7,
    ]});
    home.send(&[("log", logs.clone())]);
    let mut again = request(envelope_of(&[("log", logs.to_string())]));
    again.at = at(60);
    home.run(again);
    let kept: Vec<Logs> = home.all();
    assert_eq!(kept.len(), 1, "a container that is sent again is the same");
    let entries = &kept[0].entries;
    assert_eq!(entries.len(), 2);
    assert_eq!(
        (entries[0].level.as_str(), entries[1].level.as_str()),
        ("warn", "error")
    );
    assert!(entries[0].body.contains("[card]"), "{}", entries[0].body);
    assert_eq!(entries[0].attributes["attempt"], 3);
    assert!(!serde_json::to_string(&kept).unwrap().contains("alice"));
    let row = home.account().categories["log_item"].clone();
    assert_eq!((row.received, row.accepted), (8, 2));
    assert_eq!((row.dropped["broken"], row.dropped["duplicate"]), (4, 2));
}

#[test]
fn a_monitored_job_is_followed_from_its_beginning_to_its_end() {
    let home = home();
    let id = "8992c60fe83744e8bba14fccec5c99cd";
    let word = |status: &str| {
        json!({
            "check_in_id": id, "monitor_slug": "nightly", "status": status, "duration": 1.5,
            "monitor_config": {"schedule": {"type": "crontab", "value": "0 3 * * *"}},
        })
    };
    home.send(&[("check_in", word("in_progress"))]);
    home.send(&[("check_in", word("ok")), ("check_in", word("in_progress"))]);
    home.send(&[("check_in", word("strange"))]);
    let monitors: Vec<Monitor> = home.all();
    assert_eq!(monitors.len(), 1);
    let checks = &monitors[0].checks;
    assert_eq!(checks.len(), 1);
    assert_eq!(
        (checks[0].status, checks[0].duration_ms),
        (CheckStatus::Ok, Some(1_500))
    );
    assert_eq!(
        monitors[0].schedule.as_ref().unwrap()["schedule"]["value"],
        "0 3 * * *"
    );
}

#[test]
fn requests_and_extra_data_of_an_event_are_kept_scrubbed() {
    let event = home().event(&json!({
        "message": "m",
        "request": {
            "method": "POST", "url": "https://shop.example/pay?token=abc123",
            "query_string": "token=abc123&page=2",
            "headers": [["Authorization", "Bearer abc123"], ["Accept", "text/html"]],
            "cookies": "sid=abc123",
            "data": "card=4111+1111+1111+1111&password=hunter2&amount=12",
        },
        "extra": {"password": "hunter2", "items": 3, "mail": "alice@example.org"},
        "contexts": {"os": {"name": "Linux"}, "cart": {"total": 12, "owner": "alice@example.org"}},
    }));
    let details = serde_json::to_string(&event.details).unwrap();
    for secret in ["abc123", "hunter2", "alice", "1111 1111"] {
        assert!(!details.contains(secret), "{secret} in {details}");
    }
    let request = &event.details["request"];
    assert_eq!(request["method"], "POST");
    assert_eq!(request["query_string"]["page"], "2");
    assert_eq!(request["headers"]["Accept"], "text/html");
    assert_eq!(request["data"]["amount"], "12");
    assert_eq!(event.details["extra"]["items"], 3);
    assert_eq!(event.details["contexts"]["cart"]["total"], 12);
    assert_eq!(event.details["contexts"].get("os"), None);
    assert!(
        event
            .remarks
            .iter()
            .any(|it| it.path.starts_with("details.request.data"))
    );
}

#[test]
fn json_in_a_request_body_is_read_as_what_it_is() {
    for data in [
        json!("{\"password\": \"hunter2\", \"n\": 1}"),
        json!({"password": "hunter2", "n": 1}),
    ] {
        let event = home().event(&json!({"request": {"data": data}}));
        let data = &event.details["request"]["data"];
        assert_eq!(data["n"], 1);
        assert_ne!(data["password"], "hunter2");
    }
}

#[test]
fn reports_of_security_policies_become_events() {
    for (report, title) in [
        (
            json!({"csp-report": {"document-uri": "https://shop.example/a", "effective-directive": "script-src-elem",
                "blocked-uri": "https://evil.example/x.js?q=1", "violated-directive": "script-src-elem 'self'"}}),
            "Blocked script-src-elem from https://evil.example",
        ),
        (
            json!([{"type": "csp-violation", "age": 1, "body": {"documentURL": "https://shop.example/a",
                "effectiveDirective": "style-src", "blockedURL": "inline"}}]),
            "Blocked style-src from inline",
        ),
        (
            json!({"expect-ct-report": {"hostname": "shop.example"}}),
            "expect-ct failed for shop.example",
        ),
        (
            json!({"expect-staple-report": {"hostname": "shop.example"}}),
            "expect-staple failed for shop.example",
        ),
        (
            json!({"known-pins": ["pin-sha256=x"], "hostname": "shop.example"}),
            "hpkp failed for shop.example",
        ),
    ] {
        let home = home();
        let mut sent = request(report.to_string());
        sent.endpoint = Endpoint::Security;
        sent.query = Some("sentry_release=till%401.0.0&sentry_environment=production".into());
        assert!(
            matches!(home.run(sent), Done::Accepted { events: 1, .. }),
            "{report}"
        );
        let event = home.events().remove(0);
        assert_eq!(event.title(), title);
        assert_eq!(event.release.as_deref(), Some("till@1.0.0"));
        assert_eq!(home.account().categories["security"].accepted, 1);
        // The same violation on another page is the same issue.
        assert!(event.fingerprint.len() > 1);
    }
    let home = home();
    let mut sent = request("{\"x\": 1}");
    sent.endpoint = Endpoint::Security;
    assert_eq!(home.refused(sent), (400, "item_broken"));
    assert!(home.account().adds_up());
}

#[test]
fn an_item_that_cannot_be_kept_loses_nothing_beside_it() {
    let home = home();
    let done = home.send(&[
        ("session", json!([])),
        ("session", session("a", &json!({"status": "exited"}))),
        ("transaction", json!("x")),
        ("event", json!({"message": "kept"})),
        ("feedback", json!({"contexts": 7})),
    ]);
    assert!(
        matches!(
            done,
            Done::Accepted {
                events: 1,
                items_skipped: 3,
                ..
            }
        ),
        "{done:?}"
    );
    assert_eq!(home.health().sessions, 1);
    assert_eq!(at(0), home.events()[0].received_at);
}

#[test]
fn each_report_of_a_browser_counts_whoever_else_sent_the_same() {
    let report = json!({"csp-report": {"effective-directive": "img-src", "blocked-uri": "https://cdn.example/a"}});
    let violation = |directive: &str| json!({"type": "csp-violation", "body": {"effectiveDirective": directive, "blockedURL": "inline"}});
    let several = json!([violation("font-src"), violation("font-src"), {"type": "deprecation", "body": {}}, violation("script-src")]);
    let home = home();
    for (seconds, body) in [(0, &report), (1, &report), (2, &several)] {
        let mut sent = request(body.to_string());
        sent.endpoint = Endpoint::Security;
        sent.at = at(seconds);
        sent.query = Some(format!("sentry_key={KEY}&sentry_release=till%401.0.0%2B7"));
        assert!(matches!(home.run(sent), Done::Accepted { .. }));
    }
    let row = home.account().categories["security"].clone();
    assert_eq!(
        (row.received, row.accepted, row.dropped["broken"]),
        (6, 5, 1)
    );
    let issues: Vec<Issue> = home.all();
    let seen: BTreeMap<&str, u64> = issues
        .iter()
        .map(|issue| (issue.title.as_str(), issue.events))
        .collect();
    assert_eq!(seen["Blocked img-src from https://cdn.example"], 2);
    assert_eq!(seen["Blocked font-src from inline"], 2);
    assert_eq!(seen["Blocked script-src from inline"], 1);
    let releases: Vec<_> = issues.iter().flat_map(|issue| &issue.releases).collect();
    assert_eq!(releases, ["till@1.0.0+7"; 3]);
}
