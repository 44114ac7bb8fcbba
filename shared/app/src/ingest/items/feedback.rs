//! What users say: `feedback` items, the older `user_report`, and a form of our own. Who said it is kept as a keyed hash only.

use super::Origin;
use crate::ingest::json::{labels, member, text_of};
use crate::ingest::keep::Kept;
use crate::ingest::sentry::{TAGS_MAX, name_of, sentry_id};
use kintsugi_domain::digest::Digest;
use kintsugi_domain::id::EventId;
use kintsugi_domain::kept::Feedback;
use serde_json::{Value, json};

/// A `feedback` item: an event whose context `feedback` has the words.
pub(super) fn read(value: &Value, payload: &[u8], origin: &Origin<'_>) -> Option<Kept> {
    let contexts = member(value, "contexts")?;
    let said = member(contexts, "feedback")?;
    let mut tags = labels(value.get("tags"), TAGS_MAX);
    for name in ["kind", "type", "severity", "steps", "source"] {
        let Some(text) = text_of(said, name) else {
            continue;
        };
        let name = if name == "type" { "kind" } else { name };
        tags.push((name.to_owned(), text));
    }
    let who = ["contact_email", "name"].map(|name| text_of(said, name));
    keep(
        origin,
        sentry_id(value.get("event_id")).unwrap_or_else(|| named(payload, origin)),
        sentry_id(said.get("associated_event_id")),
        who.into_iter().flatten().next(),
        &mut json!({
            "message": text_of(said, "message")?,
            "url": text_of(said, "url"),
            "release": name_of(value, "release"),
            "environment": name_of(value, "environment"),
            "tags": tags.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        }),
    )
}

/// A `user_report` item.
pub(super) fn report(value: &Value, payload: &[u8], origin: &Origin<'_>) -> Option<Kept> {
    let who = ["email", "name"].map(|name| text_of(value, name));
    keep(
        origin,
        named(payload, origin),
        sentry_id(value.get("event_id")),
        who.into_iter().flatten().next(),
        &mut json!({"message": text_of(value, "comments")?}),
    )
}

/// Feedback in our own form:
///
/// ```json
/// {"message": "the total is wrong", "kind": "bug", "severity": "high", "steps": "1. …", "url": "https://…", "email": "…",
///  "release": "till@1.0.0", "environment": "production", "event": "<id>", "id": "<id>", "tags": {"drawer": "3"}}
/// ```
///
/// Only `message` has to be there.
pub(super) fn said(value: &Value, payload: &[u8], origin: &Origin<'_>) -> Option<Kept> {
    let mut tags = labels(value.get("tags"), TAGS_MAX);
    for name in ["kind", "severity", "steps"] {
        tags.extend(text_of(value, name).map(|text| (name.to_owned(), text)));
    }
    let who = ["email", "name"].map(|name| text_of(value, name));
    keep(
        origin,
        sentry_id(value.get("id")).unwrap_or_else(|| named(payload, origin)),
        sentry_id(value.get("event")),
        who.into_iter().flatten().next(),
        &mut json!({
            "message": text_of(value, "message")?,
            "url": text_of(value, "url"),
            "release": name_of(value, "release"),
            "environment": name_of(value, "environment"),
            "tags": tags.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        }),
    )
}

/// Feedback without an id is named by what it says.
fn named(payload: &[u8], origin: &Origin<'_>) -> EventId {
    let project = origin.frame.project.0.to_be_bytes();
    EventId::from_digest(Digest::of_parts(&[b"feedback", &project, payload]))
}

fn keep(
    origin: &Origin<'_>,
    id: EventId,
    event: Option<EventId>,
    who: Option<String>,
    said: &mut Value,
) -> Option<Kept> {
    let remarks = origin.scrubber.scrub_value("", said);
    Some(Kept::Feedback(Feedback {
        id,
        project: origin.frame.project,
        event,
        message: text_of(said, "message")?,
        url: text_of(said, "url"),
        release: text_of(said, "release"),
        environment: text_of(said, "environment"),
        tags: labels(said.get("tags"), TAGS_MAX).into_iter().collect(),
        user: who.map(|who| origin.scrubber.user_hash(&who)),
        at: origin.frame.received_at,
        remarks,
    }))
}
