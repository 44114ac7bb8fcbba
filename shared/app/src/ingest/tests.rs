//! The stage over memory ports: what is accepted, what is refused, what is counted.

use super::*;
use crate::events;
use crate::triage::Triage;
use futures::executor::block_on;
use kintsugi_domain::accounting::Account;
use kintsugi_domain::envelope::Queue;
use kintsugi_domain::event::Level;
use kintsugi_domain::limits::EVENT_BYTES_MAX;
use kintsugi_domain::project::Project;
use kintsugi_testkit::memory::MemoryHome;
use serde_json::{Value, json};
use std::io::Write as _;
use std::time::Duration;

mod account;
mod bodies;
pub(in crate::ingest) mod forms;
mod kinds;
pub(in crate::ingest) mod limits;
mod native;
mod shapes;

pub(super) const KEY: &str = "0123456789abcdef0123456789abcdef";
pub(super) const PROJECT: ProjectId = ProjectId(1);
const SAMPLE: &str = include_str!("../../../../samples/till/sample-event.json");

pub(super) struct Home {
    pub(super) memory: MemoryHome,
    pub(super) ingest: Ingest,
}

pub(super) fn home() -> Home {
    let memory = MemoryHome::new(1);
    let ingest = Ingest::new(&memory.ports());
    let home = Home { memory, ingest };
    block_on(
        home.memory
            .store
            .commit(Commit::new().create(&project(PROJECT, KEY))),
    )
    .unwrap();
    home
}

pub(super) fn project(id: ProjectId, key: &str) -> Project {
    serde_json::from_value(json!({
        "id": id,
        "config": {
            "product": {"name": "till", "language": "python"},
            "test": {"command": ["python3", "-m", "unittest"]},
            "package": {"include": ["till"]},
            "health": {"command": ["python3", "-m", "till", "health"]},
        },
        "keys": [key],
        "repository": null,
        "added_at": "2026-01-01T00:00:00Z",
    }))
    .unwrap()
}

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn request(body: impl Into<Vec<u8>>) -> Request {
    Request {
        project: PROJECT,
        endpoint: Endpoint::Envelope,
        query: None,
        headers: vec![(
            "X-Sentry-Auth".into(),
            format!("Sentry sentry_key={KEY}, sentry_version=7, sentry_client=test/1"),
        )],
        body: body.into(),
        at: at(0),
    }
}

fn encoded(encoding: &str, body: impl Into<Vec<u8>>) -> Request {
    let mut request = request(body);
    request
        .headers
        .push(("Content-Encoding".into(), encoding.into()));
    request
}

fn envelope_of(payloads: &[(&str, String)]) -> Vec<u8> {
    let mut body = b"{}\n".to_vec();
    for (kind, payload) in payloads {
        let head = json!({"type": kind, "length": payload.len()});
        writeln!(body, "{head}\n{payload}").unwrap();
    }
    body
}

fn sample_envelope() -> Vec<u8> {
    let sample: Value = serde_json::from_str(SAMPLE).unwrap();
    envelope_of(&[("event", sample.to_string())])
}

impl Home {
    fn run(&self, request: Request) -> Done {
        block_on(self.ingest.run(request)).unwrap()
    }

    /// What is counted when triage has filed what was handed on.
    pub(super) fn counters(&self, project: ProjectId) -> BTreeMap<String, i64> {
        let triage = Triage::new(self.memory.ports());
        let answers = block_on(triage.run_all(&self.messages().iter().collect::<Vec<_>>()));
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        block_on(self.memory.store.counter(project, COUNTER)).unwrap()
    }

    pub(super) fn account(&self) -> Account {
        Account::of(&self.counters(PROJECT))
    }

    pub(super) fn messages(&self) -> Vec<Envelope> {
        let received = self
            .memory
            .queues
            .receive(Queue::Events, 100, Duration::ZERO);
        let received = block_on(received).unwrap().into_iter();
        received.map(|delivery| delivery.envelope).collect()
    }

    /// The events of the only message.
    pub(super) fn events(&self) -> Vec<Event> {
        let messages = self.messages();
        let [Envelope { message, .. }] = messages.as_slice() else {
            panic!("{} messages", messages.len());
        };
        if let Message::Reported { events } = message {
            return events.iter().map(|body| body.event().unwrap()).collect();
        }
        let Message::ReportedBatch { blob } = message else {
            panic!("{message:?}");
        };
        let batch = events::batch(&self.memory.blobs, blob);
        block_on(batch).unwrap().unwrap()
    }

    /// Runs one event given as JSON and returns what was handed on.
    fn event(&self, event: &Value) -> Event {
        let done = self.run(request(envelope_of(&[("event", event.to_string())])));
        assert!(matches!(done, Done::Accepted { events: 1, .. }), "{done:?}");
        self.events().remove(0)
    }

    fn refused(&self, request: Request) -> (u16, &'static str) {
        let outbox = self.messages().len();
        match self.run(request) {
            Done::Refused { status, code, .. } => {
                assert_eq!(
                    self.messages().len(),
                    outbox,
                    "a refused request left a message"
                );
                (status, code)
            }
            done @ Done::Accepted { .. } => panic!("{done:?}"),
        }
    }
}

#[test]
fn the_sample_event_arrives_whole() {
    let home = home();
    let done = home.run(request(sample_envelope()));
    let id: EventId = "8992c60fe83744e8bba14fccec5c99cd".parse().unwrap();
    assert_eq!(
        done,
        Done::Accepted {
            id: Some(id.clone()),
            events: 1,
            kept: 0,
            items_skipped: 0,
            limits: vec![],
        }
    );
    let event = home.events().remove(0);
    assert_eq!(event.id, id);
    assert_eq!(event.level, Level::Error);
    assert_eq!(event.platform, "python");
    assert_eq!(event.release.as_deref(), Some("till@1.0.0"));
    assert_eq!(event.environment.as_deref(), Some("production"));
    assert_eq!(event.sdk.as_deref(), Some("sentry.python/2.75.0"));
    assert_eq!(event.system["runtime"], "CPython 3.11.7");
    assert!(
        event
            .user
            .as_ref()
            .is_some_and(|user| user.len() == 32 && user != "till-07")
    );
    assert!(event.is_unhandled());
    assert_eq!(
        event.title(),
        "ZeroDivisionError: integer division or modulo by zero"
    );
    let raised = event.raised().unwrap();
    let in_app: Vec<bool> = raised.frames.iter().map(|frame| frame.in_app).collect();
    assert_eq!(
        in_app.first(),
        Some(&false),
        "a frozen module is not the product"
    );
    let culprit = event.culprit().unwrap();
    assert_eq!(culprit.file, "till/totals.py");
    assert_eq!(culprit.function, "average_sale");
    assert_eq!(culprit.line, Some(99));
    assert_eq!(
        culprit.source.as_deref(),
        Some("    return (total_cents + count // 2) // count")
    );
    assert_eq!(culprit.vars["count"], json!("0"));
    assert!(event.remarks.is_empty(), "{:?}", event.remarks);
    assert_eq!(
        home.counters(PROJECT),
        BTreeMap::from([("accepted/error".into(), 1), ("received/error".into(), 1)])
    );
    assert_eq!(home.messages()[0].queue(), Queue::Events);
}

#[test]
fn strangers_learn_nothing_and_are_counted() {
    let home = home();
    let mut wrong_key = request(sample_envelope());
    wrong_key.headers[0].1 = "Sentry sentry_key=wrong".into();
    let mut no_key = request(sample_envelope());
    no_key.headers.clear();
    let mut no_project = request(sample_envelope());
    no_project.project = ProjectId(99);
    let mut no_project_too_large = request(vec![0; REQUEST_BYTES_MAX + 1]);
    no_project_too_large.project = ProjectId(99);
    for request in [wrong_key, no_key, no_project, no_project_too_large] {
        assert_eq!(home.refused(request), (403, "wrong_key"));
    }
    let refused = |count| {
        BTreeMap::from([
            ("received/request".to_owned(), count),
            ("refused/request/wrong_key".to_owned(), count),
        ])
    };
    assert_eq!(home.counters(PROJECT), refused(2));
    assert_eq!(home.counters(ProjectId(0)), refused(2));
    assert_eq!(home.counters(ProjectId(99)), BTreeMap::new());
}

#[test]
fn a_tunnelled_envelope_names_its_key_in_its_header() {
    let home = home();
    let header = json!({"dsn": format!("https://{KEY}@example.org/1")});
    let body = format!("{header}\n{{\"type\":\"event\"}}\n{{}}\n");
    let mut tunnelled = request(body);
    tunnelled.headers.clear();
    assert!(matches!(
        home.run(tunnelled),
        Done::Accepted { events: 1, .. }
    ));
}

#[test]
fn projects_and_keys_are_remembered_for_a_while_and_no_longer() {
    let home = home();
    let accepts = |project: u32, seconds: i64| {
        let mut request = request(sample_envelope());
        request.project = ProjectId(project);
        request.at = at(seconds);
        matches!(home.run(request), Done::Accepted { .. })
    };
    assert!(accepts(1, 0));
    assert!(!accepts(2, 0));
    block_on(
        home.memory
            .store
            .commit(Commit::new().create(&project(ProjectId(2), KEY))),
    )
    .unwrap();
    assert!(!accepts(2, MISSING_SECONDS - 1));
    assert!(
        accepts(2, MISSING_SECONDS),
        "a new project must not wait long"
    );
    // The key of project 1 is withdrawn.
    let stored = kintsugi_domain::record::Stored {
        value: project(PROJECT, "other"),
        version: 1,
    };
    block_on(home.memory.store.commit(Commit::new().update(&stored))).unwrap();
    assert!(accepts(1, PROJECT_CACHE_SECONDS - 1));
    assert!(!accepts(1, PROJECT_CACHE_SECONDS));
}

#[test]
fn a_clock_that_was_set_back_keeps_nothing_in_memory() {
    let home = home();
    home.run(request(sample_envelope()));
    let stored = kintsugi_domain::record::Stored {
        value: project(PROJECT, "other"),
        version: 1,
    };
    block_on(home.memory.store.commit(Commit::new().update(&stored))).unwrap();
    let mut earlier = request(sample_envelope());
    earlier.at = at(-100);
    assert_eq!(home.refused(earlier), (403, "wrong_key"));
}

const MISSING_SECONDS: i64 = 2;

#[test]
fn a_replayed_request_is_the_same_message_even_later() {
    let home = home();
    home.run(request(sample_envelope()));
    let mut again = request(sample_envelope());
    again.at = at(10);
    let first = home.run(again);
    assert_eq!(home.messages().len(), 1);
    assert_eq!(first, home.run(request(sample_envelope())));
}

#[test]
fn many_events_go_through_a_stored_batch() {
    let home = home();
    let events: Vec<_> = (0..100)
        .map(|number| {
            let filler = "x".repeat(2_000);
            (
                "event",
                json!({"message": format!("{number} {filler}")}).to_string(),
            )
        })
        .collect();
    let done = home.run(request(envelope_of(&events)));
    assert!(matches!(done, Done::Accepted { events: 100, .. }));
    assert!(matches!(
        home.messages()[0].message,
        Message::ReportedBatch { .. }
    ));
    assert_eq!(home.memory.blobs.keys().len(), 1);
    assert!(home.memory.blobs.keys()[0].starts_with("events/1/"));
    assert_eq!(home.events().len(), 100);
}

#[test]
fn what_is_not_kept_is_counted_and_loses_nothing_beside_it() {
    let home = home();
    let report = json!({"discarded_events": [
        {"reason": "queue_overflow", "category": "error", "quantity": 3},
        {"reason": "my own <reason>", "category": "error", "quantity": 2},
        {"reason": "send_error", "quantity": -5}, null, 7,
    ]});
    let mut items: Vec<(&str, String)> = [
        "transaction",
        "session",
        "profile",
        "check_in",
        "log",
        "feedback",
        "user_report",
        "a/strange\ntype",
    ]
    .map(|kind| (kind, "{}".to_owned()))
    .into();
    items.push(("event", "{\"message\": \"kept\"}".into()));
    items.push(("event", "{\"broken".into()));
    items.push(("event", "[1]".into()));
    items.push((
        "event",
        json!({"message": "x".repeat(EVENT_BYTES_MAX)}).to_string(),
    ));
    items.push(("client_report", report.to_string()));
    items.push(("event", "{\"message\": \"kept too\"}".into()));
    let done = home.run(request(envelope_of(&items)));
    assert!(
        matches!(
            done,
            Done::Accepted {
                events: 2,
                items_skipped: 11,
                ..
            }
        ),
        "{done:?}"
    );
    let counters = home.counters(PROJECT);
    let expected = [
        ("accepted/error", 2),
        ("accepted/internal", 1),
        ("client_discarded/error/other", 2),
        ("client_discarded/error/queue_overflow", 3),
        ("dropped/default/unknown_item", 1),
        ("dropped/error/broken", 2),
        ("dropped/error/too_large", 1),
        ("dropped/feedback/broken", 2),
        ("dropped/log_item/broken", 1),
        ("dropped/monitor/broken", 1),
        ("dropped/profile/profile", 1),
        ("dropped/session/broken", 1),
        ("dropped/transaction/broken", 1),
        ("received/default", 1),
        ("received/error", 5),
        ("received/feedback", 2),
        ("received/internal", 1),
        ("received/log_item", 1),
        ("received/monitor", 1),
        ("received/profile", 1),
        ("received/session", 1),
        ("received/transaction", 1),
    ];
    let expected: BTreeMap<String, i64> = expected.map(|(name, by)| (name.into(), by)).into();
    assert_eq!(counters, expected);
    assert!(home.account().adds_up());
}

#[test]
fn an_event_that_is_too_large_alone_is_refused() {
    let large = json!({"message": "x".repeat(EVENT_BYTES_MAX)}).to_string();
    let refused = home().refused(request(envelope_of(&[("event", large.clone())])));
    assert_eq!(refused, (413, "item_too_large"));
    let mut store = request(large);
    store.endpoint = Endpoint::Store;
    assert_eq!(home().refused(store), (413, "item_too_large"));
}

#[test]
fn malformed_requests_get_the_protocols_own_answer() {
    for body in ["", "\n\n", "not json", "[]\n{}"] {
        assert_eq!(
            home().refused(request(body)),
            (400, "envelope_header"),
            "{body:?}"
        );
    }
    for body in ["", "[]", "{", "null"] {
        let mut store = request(body);
        store.endpoint = Endpoint::Store;
        assert_eq!(home().refused(store), (400, "item_broken"), "{body:?}");
    }
    let answer = answer(&home().run(request("x")));
    assert_eq!(answer.status, 400);
    assert_eq!(
        serde_json::from_str::<Value>(&answer.body).unwrap(),
        json!({"detail": "envelope header is not a JSON object on the first line", "causes": []})
    );
    assert!(answer.headers.iter().any(|(name, value)| {
        *name == "X-Sentry-Error" && value.starts_with("envelope header")
    }));
}

#[test]
fn an_accepted_request_is_answered_with_its_id() {
    let home = home();
    let answered = answer(&home.run(request(sample_envelope())));
    assert_eq!(answered.status, 200);
    assert_eq!(
        answered.body,
        "{\"id\":\"8992c60fe83744e8bba14fccec5c99cd\"}"
    );
    let dashed =
        "{\"event_id\":\"8992C60F-E837-44E8-BBA1-4FCCEC5C99CD\"}\n{\"type\":\"session\"}\n{}";
    let answered = answer(&home.run(request(dashed)));
    assert_eq!(
        answered.body,
        "{\"id\":\"8992c60fe83744e8bba14fccec5c99cd\"}"
    );
    let empty = answer(&home.run(request("{}")));
    assert_eq!((empty.status, empty.body.as_str()), (200, "{}"));
}

#[test]
fn the_store_endpoint_takes_one_event() {
    let home = home();
    let mut store = request("{\"message\": \"old client\"}");
    store.endpoint = Endpoint::Store;
    store.headers.clear();
    store.query = Some(format!("sentry_version=7&sentry_key={KEY}"));
    assert!(matches!(home.run(store), Done::Accepted { events: 1, .. }));
    assert_eq!(home.events()[0].message.as_deref(), Some("old client"));
}

#[test]
fn nothing_is_stored_before_it_is_scrubbed() {
    let home = home();
    let event = json!({
        "message": "mail to alice@example.org failed",
        "user": {"id": 5, "email": "alice@example.org"},
        "exception": {"values": [{"type": "E", "value": "password=hunter2", "stacktrace": {"frames": [
            {"filename": "a.py", "abs_path": "/home/alice/a.py", "vars": {"token": "'abc123'"}}]}}]},
        "tags": [["client", "10.1.2.3"]],
        "breadcrumbs": [{"message": "card 4111111111111111"}],
    });
    home.event(&event);
    let stored = serde_json::to_string(&home.messages()).unwrap();
    for secret in ["alice", "hunter2", "abc123", "10.1.2.3", "4111"] {
        assert!(!stored.contains(secret), "{secret} in {stored}");
    }
    for placeholder in ["[email]", "[secret]", "[user]", "[ip]", "[card]"] {
        assert!(stored.contains(placeholder), "{placeholder} in {stored}");
    }
}

#[test]
fn the_rules_of_the_project_decide_what_is_removed() {
    let home = home();
    let strict = ProjectId(PROJECT.0 + 1);
    let mut other = project(strict, KEY);
    other.config.scrub = serde_json::from_value(json!({
        "off": ["email"],
        "patterns": [{"name": "member", "pattern": "M-\\d{6}"}],
    }))
    .unwrap();
    block_on(home.memory.store.commit(Commit::new().create(&other))).unwrap();
    let event = json!({"message": "M-123456 is alice@example.org"}).to_string();
    for project in [PROJECT, strict] {
        let mut request = request(envelope_of(&[("event", event.clone())]));
        request.project = project;
        home.run(request);
    }
    let stored = serde_json::to_string(&home.messages()).unwrap();
    for message in ["M-123456 is [email]", "[member] is alice@example.org"] {
        assert!(stored.contains(message), "{message} in {stored}");
    }
}
