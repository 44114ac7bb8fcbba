//! Metrics and feedback in forms of our own.

use super::{Home, KEY, PROJECT, at, home, project, request};
use crate::ingest::{Done, Endpoint, Ingest, Request};
use futures::executor::block_on;
use kintsugi_domain::kept::Feedback;
use kintsugi_domain::limits::METRICS_MAX;
use kintsugi_domain::ports::{Commit, Store as _};
use kintsugi_domain::project::Project;
use kintsugi_domain::series::{Durations, Measure, MemoryUse, Series};
use kintsugi_testkit::memory::MemoryHome;
use serde_json::{Value, json};

fn sent(endpoint: Endpoint, body: &Value) -> Request {
    Request {
        endpoint,
        headers: vec![("authorization".into(), format!("Bearer {KEY}"))],
        ..request(body.to_string())
    }
}

fn metrics(home: &Home, body: &Value) -> (usize, usize) {
    let done = home.run(sent(Endpoint::Metrics, body));
    assert!(home.account().adds_up(), "{:?}", home.account());
    let Done::Accepted {
        kept,
        items_skipped,
        ..
    } = done
    else {
        panic!("{done:?}");
    };
    (kept, items_skipped)
}

#[test]
fn metrics_become_numbers_of_their_release() {
    let home = home();
    let body = json!({"release": "till@1.0.0", "environment": "production", "metrics": [
        {"type": "duration", "name": "export", "operation": "ui", "values": [100, [200.0, 3]], "failed": 1},
        {"type": "memory", "values": [50_000_000, 70_000_000]},
        {"type": "feature", "name": "export", "count": 3},
        {"type": "setting", "name": "theme"},
        {"type": "duration", "name": "mail of alice@example.org", "values": [1]},
    ]});
    assert_eq!(metrics(&home, &body), (5, 0));
    assert_eq!(metrics(&home, &body), (5, 0));
    let all: Vec<Series> = home.all();
    let series = |measure, name: &str| {
        let mut found = all
            .iter()
            .filter(|it| it.measure == measure && it.name == name);
        let found = found.next().unwrap();
        assert_eq!(found.release.as_deref(), Some("till@1.0.0"));
        home.numbers(found)
    };
    let export = Durations::of(&series(Measure::Duration, "export"));
    assert_eq!((export.count, export.failed), (8, 2));
    assert!((export.mean_ms - 175.0).abs() < 0.01, "{export:?}");
    let memory = MemoryUse::of(&series(Measure::Memory, ""));
    assert_eq!((memory.count, memory.mean_bytes), (4, 60_000_000));
    assert_eq!(series(Measure::Usage, "export")["count"], 6);
    assert_eq!(series(Measure::Usage, "theme")["count"], 2);
    // Names are scrubbed like any other text.
    assert_eq!(series(Measure::Duration, "mail of [email]")["count"], 2);
    assert_eq!(all.len(), 5);
}

#[test]
fn a_metric_that_cannot_be_right_loses_no_other() {
    let home = home();
    let wild: Vec<Value> = (0..60).map(|log| json!(1.3_f64.powi(log))).collect();
    let body = json!({"metrics": [
        {"type": "duration", "name": "a", "values": [-1, "x", null, [1], 1e300, [5, -2], {}]},
        {"type": "duration", "values": [1]},
        {"type": "duration", "name": "b"},
        {"type": "memory", "values": [[17_592_186_044_416_u64, 1_000_000]]},
        {"type": "duration", "name": "wild", "values": wild},
        {"type": "spell", "name": "c", "values": [1]},
        {"type": "feature"},
        7,
        {"type": "duration", "name": "good", "values": [1, "x"]},
    ]});
    assert_eq!(metrics(&home, &body), (1, 8));
    let many: Vec<Value> = (0..METRICS_MAX + 3)
        .map(|_| json!({"type": "feature", "name": "a"}))
        .collect();
    assert_eq!(metrics(&home, &json!({"metrics": many})), (METRICS_MAX, 3));
    assert_eq!(metrics(&home, &json!({"metrics": []})), (0, 0));
    let account = home.account();
    let row = &account.categories["metric_bucket"];
    assert_eq!((row.dropped["broken"], row.dropped["too_many"]), (8, 3));
    for body in [json!(7), json!({"metrics": {}})] {
        assert_eq!(
            home.refused(sent(Endpoint::Metrics, &body)),
            (400, "item_broken")
        );
    }
    assert!(home.account().adds_up());
}

#[test]
fn feedback_of_our_own_form_is_kept_scrubbed_and_once() {
    let home = home();
    let body = json!({
        "message": "write to alice@example.org, the total is wrong", "kind": "bug", "severity": "high",
        "steps": "1. open the drawer", "email": "alice@example.org", "release": "till@1.0.0",
        "event": "9ec79c33ec9942ab8353589fcb2e04dc", "tags": {"drawer": "3"},
    });
    for _ in 0..2 {
        let done = home.run(sent(Endpoint::Feedback, &body));
        assert!(matches!(done, Done::Accepted { .. }), "{done:?}");
    }
    let all: Vec<Feedback> = home.all();
    let [feedback] = all.as_slice() else {
        panic!("{all:?}");
    };
    assert_eq!(feedback.message, "write to [email], the total is wrong");
    let tag = |name: &str| feedback.tags[name].as_str();
    assert_eq!(
        (tag("kind"), tag("severity"), tag("steps"), tag("drawer")),
        ("bug", "high", "1. open the drawer", "3")
    );
    assert_eq!(feedback.release.as_deref(), Some("till@1.0.0"));
    assert!(feedback.event.is_some() && feedback.user.is_some());
    assert!(!serde_json::to_string(feedback).unwrap().contains("alice"));
    let nothing = sent(Endpoint::Feedback, &json!({"kind": "bug"}));
    assert_eq!(home.refused(nothing), (400, "item_broken"));
    let account = home.account();
    assert!(account.adds_up());
    assert_eq!(account.categories["feedback"].accepted, 1);
    assert_eq!(account.categories["feedback"].dropped["duplicate"], 1);
}

#[test]
fn metrics_and_feedback_obey_the_quota_of_their_category() {
    let memory = MemoryHome::new(1);
    let mut limited: Project = project(PROJECT, KEY);
    let quota = json!({"categories": {"metric_bucket": 1, "feedback": 0}});
    limited.config.quota = serde_json::from_value(quota).unwrap();
    block_on(memory.store.commit(Commit::new().create(&limited))).unwrap();
    let ingest = Ingest::new(&memory.ports());
    let home = Home { memory, ingest };
    let one = json!({"metrics": [{"type": "feature", "name": "a"}]});
    assert_eq!(metrics(&home, &one), (1, 0));
    let mut again = sent(Endpoint::Metrics, &one);
    again.at = at(1);
    assert_eq!(home.refused(again), (429, "rate_limited"));
    let said = sent(Endpoint::Feedback, &json!({"message": "hm"}));
    assert_eq!(home.refused(said), (429, "rate_limited"));
    assert!(home.account().adds_up());
}

#[test]
fn a_bearer_key_is_no_key_of_sentrys_protocol_and_a_wrong_one_is_refused() {
    let home = home();
    let event = json!({"message": "x"});
    assert_eq!(
        home.refused(sent(Endpoint::Store, &event)),
        (403, "wrong_key")
    );
    let mut wrong = sent(Endpoint::Feedback, &event);
    wrong.headers = vec![("authorization".into(), "Bearer ffff".into())];
    assert_eq!(home.refused(wrong), (403, "wrong_key"));
    let mut asked = sent(Endpoint::Feedback, &event);
    asked.headers.clear();
    asked.query = Some(format!("sentry_key={KEY}"));
    assert!(matches!(home.run(asked), Done::Accepted { .. }));
}
