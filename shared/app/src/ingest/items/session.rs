//! Sessions: one that is told of as it goes, or many that the client counted itself.

use super::Origin;
use crate::ingest::json::{self, items, member, text_of};
use crate::ingest::keep::Kept;
use kintsugi_domain::accounting::Category;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::health::{Session, SessionStatus};
use kintsugi_domain::limits::SESSION_AGGREGATES_MAX;
use kintsugi_domain::series::Measure;
use serde_json::Value;
use std::collections::BTreeMap;

/// Most sessions that one aggregate may stand for; more is a mistake.
const AGGREGATE_MAX: u64 = 1_000_000;

/// What is said of a session: in `attrs`, or beside it.
fn attributes(value: &Value) -> &Value {
    member(value, "attrs").unwrap_or(value)
}

fn number(value: &Value, name: &str) -> Option<u64> {
    let value = value.get(name)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// One session, as it is going.
pub(in crate::ingest) fn one(value: &Value, origin: &Origin<'_>) -> Option<Kept> {
    let id = text_of(value, "sid")?;
    let said = text_of(value, "status").unwrap_or_default();
    let status = match said.as_str() {
        "crashed" => SessionStatus::Crashed,
        "abnormal" => SessionStatus::Abnormal,
        "exited" | "errored" | "unhandled" => SessionStatus::Exited,
        _ => SessionStatus::Ok,
    };
    let told = u64::from(["errored", "unhandled"].contains(&&*said));
    let errors = number(value, "errors").unwrap_or(0).max(told);
    let started = value.get("started").and_then(json::time);
    let seconds = value.get("duration").and_then(Value::as_f64);
    Some(Kept::Session {
        series: origin.series(Measure::Health, attributes(value)),
        session: Session {
            id: named(&id),
            project: origin.frame.project,
            series: String::new(),
            status,
            errors: u32::try_from(errors).unwrap_or(u32::MAX),
            user: text_of(value, "did").map(|id| origin.scrubber.user_hash(&id)),
            started: started.map_or(origin.frame.received_at, |at| {
                at.min(origin.frame.received_at)
            }),
            duration_ms: seconds.and_then(millis),
        },
    })
}

/// The name of a session's record: an id of any form is good; it is a key here, so it gets ours.
pub(in crate::ingest) fn named(sid: &str) -> String {
    Digest::of(sid.as_bytes()).short(32)
}

/// Seconds as whole milliseconds, if they are a duration.
pub(super) fn millis(seconds: f64) -> Option<u64> {
    if !(0.0..=1e9).contains(&seconds) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 1e12"
    )]
    let millis = (seconds * 1e3).round() as u64;
    Some(millis)
}

/// Sessions that the client counted. They have no ids: whoever sends them twice counts them twice.
pub(super) fn many(value: &Value, origin: &Origin<'_>) -> Option<Kept> {
    let aggregates = items(value.get("aggregates"));
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    let mut all = 0_u64;
    for aggregate in aggregates.into_iter().take(SESSION_AGGREGATES_MAX) {
        for (name, field) in [
            ("exited", None),
            ("errored", Some("errored")),
            ("abnormal", Some("abnormal")),
            ("crashed", Some("crashed")),
        ] {
            let count = number(aggregate, name).unwrap_or(0).min(AGGREGATE_MAX);
            all += count;
            if let Some(field) = field {
                *sums.entry(field.to_owned()).or_default() += i64::try_from(count).unwrap_or(0);
            }
        }
    }
    sums.insert(
        kintsugi_domain::health::SESSIONS.to_owned(),
        i64::try_from(all).unwrap_or(0),
    );
    sums.retain(|_, by| *by > 0);
    (!sums.is_empty()).then(|| Kept::Sums {
        series: origin.series(Measure::Health, attributes(value)),
        category: Category::Session,
        sums,
    })
}
