//! What Sentry's protocol says back to a client, and what a client reports about itself.

use super::Done;
use super::found::Found;
use super::json;
use kintsugi_domain::accounting::Category;
use serde_json::{Value, json};

/// A quota that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The category.
    pub category: Category,
    /// Seconds until there is something again.
    pub seconds: u64,
}

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
/// `X-Sentry-Error`. Quotas that are used up stand in `X-Sentry-Rate-Limits` (`<seconds>:<category>:key:quota`, one for each) whatever the
/// status, and a request of which nothing was let in is told when to come again (`Retry-After`, RFC 9110 §10.2.3).
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
    let (Done::Accepted { limits, .. } | Done::Refused { limits, .. }) = done;
    if !limits.is_empty() {
        let each = limits
            .iter()
            .map(|limit| format!("{}:{}:key:quota", limit.seconds, limit.category));
        let all: Vec<String> = each.collect();
        headers.push(("X-Sentry-Rate-Limits", all.join(", ")));
    }
    if status == 429 {
        let seconds = limits.iter().map(|limit| limit.seconds).max();
        headers.push(("Retry-After", seconds.unwrap_or(1).to_string()));
    }
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
const REASONS: [&str; 16] = [
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
    // Ours: consent was withdrawn before it was sent.
    "consent",
];

/// Counts what a client says it discarded.
pub(super) fn client_report(report: &Value, found: &mut Found) {
    if !report.is_object() {
        return found.drop(Category::Internal, "broken", 1);
    }
    found.accept(Category::Internal, 1);
    for entry in json::items(report.get("discarded_events")) {
        let reason = entry.get("reason").and_then(Value::as_str);
        let reason = reason
            .and_then(|reason| REASONS.into_iter().find(|known| *known == reason))
            .unwrap_or("other");
        let category = entry.get("category").and_then(Value::as_str);
        let category = category.and_then(Category::named);
        let quantity = entry.get("quantity").and_then(Value::as_u64).unwrap_or(0);
        let quantity = usize::try_from(quantity.min(DISCARDED_MAX)).unwrap_or(0);
        if quantity > 0 {
            found.discarded(category.unwrap_or(Category::Default), reason, quantity);
        }
    }
}
