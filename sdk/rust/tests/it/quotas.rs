//! What the reporter does where the home has no quota for it.

#![expect(clippy::unwrap_used, reason = "test code")]

use super::reports::{LONG, home, options, waiting};
use super::sessions::Hands;
use kintsugi_sdk::reporter::{Consent, Report, Reporter};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) fn clock() -> Hands {
    let now = "2026-11-21T12:00:00Z".parse().unwrap();
    Hands(Arc::new(Mutex::new(now)))
}

#[test]
fn a_batch_without_a_quota_is_sent_again_when_the_home_says_and_not_for_ever() {
    let mut left = 4;
    let home = home(Box::new(move |_| {
        left -= 1;
        let limited = json!({"code": "RATE_LIMITED", "retry_after": 60});
        (left > 0).then_some((429, limited))
    }));
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let hands = Arc::new(clock.clone());
    let options = options(&home.url, Some(folder.path()));
    let reporter = Reporter::start_with_clock(options, Consent::Given, hands).unwrap();
    reporter.report(Report::error("E", "one"));
    assert!(reporter.flush(LONG));
    assert_eq!(home.bodies.try_iter().count(), 1);
    // Whoever flushes is in a hurry, and the home has still no quota.
    assert!(reporter.flush(LONG));
    assert_eq!(home.bodies.try_iter().count(), 0);
    for seconds in [59, 1, 60] {
        assert_eq!(waiting(folder.path()).len(), 1);
        clock.advance(Duration::from_secs(seconds));
        assert!(reporter.flush(LONG));
    }
    assert_eq!(home.bodies.try_iter().count(), 2);
    assert_eq!(waiting(folder.path()), [] as [String; 0]);
    let metrics = reporter.metrics();
    assert_eq!((metrics.reported, metrics.sent, metrics.retries), (1, 0, 2));
    assert_eq!(metrics.discarded, BTreeMap::from([("rate_limited", 1)]));
    // The home counted it itself, so nobody tells it.
    reporter.report(Report::error("E", "two"));
    clock.advance(Duration::from_mins(1));
    assert!(reporter.flush(LONG));
    let lines = home.taken.recv_timeout(LONG).unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(reporter.metrics().sent, 1);
}

#[test]
fn what_was_refused_of_a_batch_is_in_the_account_and_not_told_to_whoever_refused_it() {
    let mut answers: Vec<Value> = vec![
        json!({"error": 2, "metric_bucket": 1}),
        json!({"error": 99}),
    ];
    let home = home(Box::new(move |id| {
        let refused = answers.pop()?;
        Some((200, json!({"batch": id, "events": 1, "refused": refused})))
    }));
    let reporter = Reporter::start(options(&home.url, None), Consent::Given).unwrap();
    // More than there was is no more than there was.
    reporter.report(Report::error("E", "one"));
    assert!(reporter.flush(LONG));
    for text in ["two", "three", "four"] {
        reporter.report(Report::error("E", text));
    }
    reporter.report(Report::feature("export"));
    assert!(reporter.flush(LONG));
    reporter.report(Report::error("E", "five"));
    assert!(reporter.flush(LONG));
    let lines: Vec<Value> = home.taken.try_iter().flatten().collect();
    assert!(
        lines
            .iter()
            .all(|line| line.get("discarded_events").is_none()),
        "{lines:?}"
    );
    let metrics = reporter.metrics();
    assert_eq!((metrics.sent, metrics.retries), (2, 0));
    // Three reports and a metric.
    assert_eq!(metrics.discarded["rate_limited"], 4);
}
