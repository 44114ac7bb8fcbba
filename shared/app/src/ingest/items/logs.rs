//! Containers of log entries (`application/vnd.sentry.items.log+json`). Each entry is an item of its own.

use super::Origin;
use crate::ingest::found::Found;
use crate::ingest::json::{self, any_text_of, bounded, member, text_of};
use crate::ingest::keep::Kept;
use kintsugi_domain::accounting::Category;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::event::Remark;
use kintsugi_domain::kept::{LogEntry, Logs};
use kintsugi_domain::limits::LOG_ENTRIES_MAX;
use serde_json::{Map, Value, json};

/// Most attributes kept of one entry.
const ATTRIBUTES_MAX: usize = 100;
/// Deepest nesting kept of an attribute.
const DEPTH_MAX: usize = 4;
/// Most remarks kept of a container.
const REMARKS_MAX: usize = kintsugi_scrub::REMARKS_MAX;

/// Reads a container, of which there is a quota for so many entries. Entries that cannot be read are dropped one by one.
pub(super) fn take(payload: &[u8], quota: usize, origin: &Origin<'_>, found: &mut Found) {
    let category = Category::LogItem;
    let value = json::read(payload);
    let Some(items) = value.as_ref().and_then(items) else {
        found.receive(category, 1);
        return found.drop(category, "broken", 1);
    };
    found.receive(category, items.len());
    let mut logs = Logs {
        project: origin.frame.project,
        at: origin.frame.received_at,
        digest: Digest::of(payload),
        entries: Vec::new(),
        remarks: Vec::new(),
    };
    let most = items.len().min(LOG_ENTRIES_MAX);
    for item in items.iter().take(most.min(quota)) {
        match entry(item, logs.entries.len(), origin) {
            Some((entry, remarks)) => {
                let room = REMARKS_MAX.saturating_sub(logs.remarks.len());
                logs.remarks.extend(remarks.into_iter().take(room));
                logs.entries.push(entry);
            }
            None => found.drop(category, "broken", 1),
        }
    }
    let limited = most.saturating_sub(quota);
    if limited > 0 {
        found.refuse(category, "rate_limited", limited);
    }
    let more = items.len().saturating_sub(LOG_ENTRIES_MAX);
    if more > 0 {
        found.drop(category, "too_many", more);
    }
    if !logs.entries.is_empty() {
        found.keep(Kept::Logs(logs));
    }
}

fn items(value: &Value) -> Option<&Vec<Value>> {
    value.get("items")?.as_array()
}

/// How many entries of a container are asked of the quota. What its header says of them is its sender's word.
pub(super) fn charged(payload: &[u8]) -> usize {
    let value = json::read(payload);
    let count = value.as_ref().and_then(items).map_or(1, Vec::len);
    count.clamp(1, LOG_ENTRIES_MAX)
}

fn entry(value: &Value, place: usize, origin: &Origin<'_>) -> Option<(LogEntry, Vec<Remark>)> {
    let received = origin.frame.received_at;
    let attributes: Map<String, Value> = member(value, "attributes")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .take(ATTRIBUTES_MAX)
        .map(|(name, attribute)| {
            // `{"value": …, "type": …}`, or the value itself.
            let value = attribute.get("value").unwrap_or(attribute);
            (name.clone(), bounded(value, DEPTH_MAX, ATTRIBUTES_MAX))
        })
        .collect();
    let mut said = json!({
        "body": any_text_of(value, "body")?,
        "attributes": attributes,
    });
    let remarks = origin
        .scrubber
        .scrub_value(&format!("entries.{place}"), &mut said);
    let at = value.get("timestamp").and_then(json::time);
    let trace = text_of(value, "trace_id");
    let entry = LogEntry {
        at: at.map_or(received, |at| at.min(received)),
        level: level(value),
        body: text_of(&said, "body").unwrap_or_default(),
        trace: trace.filter(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())),
        attributes: said
            .get_mut("attributes")
            .and_then(Value::as_object_mut)
            .map(std::mem::take)
            .into_iter()
            .flatten()
            .collect(),
    };
    Some((entry, remarks))
}

/// The level by its name, else by its number in OpenTelemetry's data model for logs.
fn level(value: &Value) -> String {
    let name = text_of(value, "level")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let known = ["trace", "debug", "info", "warn", "error", "fatal"];
    let number = value.get("severity_number").and_then(Value::as_u64);
    let known =
        match name.as_str() {
            "warning" => "warn",
            name => known.into_iter().find(|known| *known == name).unwrap_or(
                match number.unwrap_or(9) {
                    0..=4 => "trace",
                    5..=8 => "debug",
                    9..=12 => "info",
                    13..=16 => "warn",
                    17..=20 => "error",
                    _ => "fatal",
                },
            ),
        };
    known.to_owned()
}
