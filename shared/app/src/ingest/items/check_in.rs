//! Check-ins of jobs that say when they run and how it went.

use super::Origin;
use super::session::millis;
use crate::ingest::json::{bounded, member, text_of};
use crate::ingest::keep::Kept;
use crate::ingest::sentry::{name_of, sentry_id};
use kintsugi_domain::digest::Digest;
use kintsugi_domain::id::EventId;
use kintsugi_domain::kept::{Check, CheckStatus, Monitor};
use serde_json::Value;

/// Deepest nesting, and most members at each level, kept of a schedule.
const SCHEDULE_MAX: usize = 8;

/// What is kept of a check-in.
pub(super) fn read(value: &Value, origin: &Origin<'_>) -> Option<Kept> {
    let slug = origin.name("monitor", name_of(value, "monitor_slug"))?;
    let status = match text_of(value, "status")?.as_str() {
        "in_progress" => CheckStatus::InProgress,
        "ok" => CheckStatus::Ok,
        "error" | "timeout" | "missed" => CheckStatus::Error,
        _ => return None,
    };
    let at = origin.frame.received_at;
    let mut schedule = member(value, "monitor_config")
        .map(|schedule| bounded(schedule, SCHEDULE_MAX, SCHEDULE_MAX));
    if let Some(schedule) = &mut schedule {
        origin.scrubber.scrub_value("schedule", schedule);
    }
    let id = sentry_id(value.get("check_in_id"));
    Some(Kept::Check {
        // A job without an id says a word about its run once.
        check: Check {
            id: id.unwrap_or_else(|| {
                let now = at.as_microsecond().to_be_bytes();
                EventId::from_digest(Digest::of_parts(&[slug.as_bytes(), &now]))
            }),
            status,
            environment: origin.name("environment", name_of(value, "environment")),
            duration_ms: value
                .get("duration")
                .and_then(Value::as_f64)
                .and_then(millis),
            at,
        },
        monitor: Monitor {
            project: origin.frame.project,
            slug,
            schedule,
            checks: Vec::new(),
        },
    })
}
