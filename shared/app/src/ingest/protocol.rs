//! What Sentry's protocol says back to a client, and what a client reports about itself.

use super::Done;
use super::json;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers beside the usual ones.
    pub headers: Vec<(&'static str, String)>,
    /// The body, JSON.
    pub body: String,
}

/// The answer to a Sentry client: `{"id": "…"}`, or `{"detail": "…", "causes": []}` with
/// `X-Sentry-Error`. Headers of rate limits are not set yet.
pub fn answer(done: &Done) -> Answer {
    let (status, error, body) = match done {
        Done::Accepted { id: Some(id), .. } => (200, None, json!({ "id": id.as_str() })),
        Done::Accepted { id: None, .. } => (200, None, json!({})),
        Done::Refused { status, why, .. } => {
            let body = json!({ "detail": why, "causes": [] });
            (*status, Some(header_text(why)), body)
        }
    };
    let mut headers = vec![("Content-Type", "application/json".to_owned())];
    headers.extend(error.map(|error| ("X-Sentry-Error", error)));
    Answer {
        status,
        headers,
        body: body.to_string(),
    }
}

/// A text as a header's value may hold it (RFC 9110 §5.5): visible ASCII and spaces.
fn header_text(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            ' '..='~' => character,
            _ => '?',
        })
        .collect()
}

/// Most events that one line of a client's report may say were discarded; more is a mistake.
const DISCARDED_MAX: u64 = 1_000_000;

/// Reasons that clients give for discarding events. Names that go into counters must not be theirs to
/// choose, so others are `other`.
const REASONS: [&str; 15] = [
    "queue_overflow",
    "cache_overflow",
    "buffer_overflow",
    "ratelimit_backoff",
    "network_error",
    "send_error",
    "internal_sdk_error",
    "sample_rate",
    "before_send",
    "event_processor",
    "insufficient_data",
    "backpressure",
    "no_parent_span",
    "ignored",
    "invalid",
];

/// Counts what a client says it discarded. A report that cannot be read counts as dropped.
pub(super) fn client_report(payload: &[u8], tally: &mut BTreeMap<String, i64>) {
    let mut count = |field: String, by: i64| {
        let total = tally.entry(field).or_default();
        *total = total.saturating_add(by);
    };
    let Some(report) = json::read(payload).filter(Value::is_object) else {
        count("dropped/client_report_broken".to_owned(), 1);
        return;
    };
    for entry in json::items(report.get("discarded_events")) {
        let reason = entry.get("reason").and_then(Value::as_str);
        let reason = reason
            .and_then(|reason| REASONS.into_iter().find(|known| *known == reason))
            .unwrap_or("other");
        let quantity = entry.get("quantity").and_then(Value::as_u64).unwrap_or(0);
        let quantity = i64::try_from(quantity.min(DISCARDED_MAX)).unwrap_or(0);
        if quantity > 0 {
            count(format!("client_discarded/{reason}"), quantity);
        }
    }
}
