//! A Sentry event, as any client sends it, read into an [`Event`].
//!
//! Every field has its own fallback: a field that cannot be read is left out, and the event stays.
//! Nothing is scrubbed here; the stage scrubs before anything is stored.
//!
//! Deliberately not kept: source lines around a frame's own, lists of modules, names of hosts and
//! devices, and who the user is (only a keyed hash of the id).

use super::details::details;
use super::json::{self, Json, any_text_of, items, labels, member, text, text_of};
use super::stack;
use kintsugi_domain::Timestamp;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::event::{Breadcrumb, Event, Level};
use kintsugi_domain::id::{EventId, ProjectId};
use kintsugi_domain::limits::BREADCRUMBS_MAX;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Most tags kept of one event.
pub(super) const TAGS_MAX: usize = 200;
/// Most parts kept of a client's own grouping.
const FINGERPRINT_MAX: usize = 32;
/// A client's clock that is off by less than this many seconds is left alone.
const CLOCK_DRIFT_SECONDS: i64 = 60;
/// Longest of the short names: platform, environment, release, characters.
const NAME_CHARS_MAX: usize = 250;

/// What the request says about all of its events.
#[derive(Clone, Copy)]
pub struct Frame<'r> {
    /// The project.
    pub project: ProjectId,
    /// When the request arrived.
    pub received_at: Timestamp,
    /// The envelope's header, if there is one.
    pub header: Option<&'r Map<String, Value>>,
}

/// Reads one event. `content` is its payload as it arrived, which names an event that has no id, and
/// `user_hash` makes the keyed hash of a user's id. Nothing when the JSON is no object.
pub fn event(
    value: &impl Json,
    content: &[u8],
    frame: &Frame<'_>,
    user_hash: impl Fn(&str) -> String,
) -> Option<Event> {
    if !value.is_object() {
        return None;
    }
    let message = message(value);
    let exceptions = stack::exceptions(value, message.as_deref());
    Some(Event {
        id: id(value, content, frame),
        project: frame.project,
        occurred_at: occurred_at(value, frame),
        received_at: frame.received_at,
        level: level(value.get("level")),
        platform: name_of(value, "platform")
            .map_or_else(|| "other".to_owned(), |name| name.to_ascii_lowercase()),
        release: name_of(value, "release"),
        environment: name_of(value, "environment"),
        transaction: text_of(value, "transaction").or_else(|| text_of(value, "culprit")),
        message,
        exceptions,
        breadcrumbs: breadcrumbs(value),
        user: user(value).map(|id| user_hash(&id)),
        fingerprint: fingerprint(value.get("fingerprint")),
        tags: labels(value.get("tags"), TAGS_MAX).into_iter().collect(),
        system: system(value),
        details: details(value),
        sdk: sdk(value.get("sdk"))
            .or_else(|| sdk(frame.header.and_then(|header| header.get("sdk")))),
        remarks: Vec::new(),
        category: kintsugi_domain::accounting::Category::Error,
    })
}

/// An id as Sentry writes it: 32 hex digits, with or without dashes. Zeros alone are no id: clients that have none send them.
pub(super) fn sentry_id(value: Option<&impl Json>) -> Option<EventId> {
    let plain = value?
        .as_str()?
        .trim()
        .replace('-', "")
        .to_ascii_lowercase();
    let hex = plain.len() == 32 && plain.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_nil = plain.bytes().all(|byte| byte == b'0');
    (hex && !is_nil).then(|| plain.parse().ok()).flatten()
}

fn id(value: &impl Json, content: &[u8], frame: &Frame<'_>) -> EventId {
    sentry_id(value.get("event_id"))
        .or_else(|| sentry_id(frame.header.and_then(|header| header.get("event_id"))))
        .unwrap_or_else(|| {
            EventId::from_digest(Digest::of_parts(&[&frame.project.0.to_be_bytes(), content]))
        })
}

/// When it happened, by our clock: a client says when it sent the envelope, so the difference to when
/// that arrived is the drift of its clock. An event is never from the future.
fn occurred_at(value: &impl Json, frame: &Frame<'_>) -> Timestamp {
    let received = frame.received_at;
    let Some(said) = value.get("timestamp").and_then(json::time) else {
        return received;
    };
    let sent = frame
        .header
        .and_then(|header| header.get("sent_at"))
        .and_then(json::time);
    let drift = sent
        .map(|sent| received.duration_since(sent))
        .filter(|drift| drift.as_secs().abs() >= CLOCK_DRIFT_SECONDS);
    drift
        .map_or(Ok(said), |drift| said.checked_add(drift))
        .unwrap_or(received)
        .min(received)
}

fn level(value: Option<&impl Json>) -> Level {
    let name = value
        .and_then(text)
        .unwrap_or_default()
        .to_ascii_lowercase();
    match name.as_str() {
        "fatal" | "critical" | "crash" | "panic" | "emergency" | "alert" | "50" => Level::Fatal,
        "warning" | "warn" | "30" => Level::Warning,
        "info" | "information" | "informational" | "log" | "notice" | "20" => Level::Info,
        "debug" | "trace" | "verbose" | "10" => Level::Debug,
        _ => Level::Error,
    }
}

pub(super) fn name_of(value: &impl Json, name: &str) -> Option<String> {
    let text = text_of(value, name)?;
    let kept: String = text.trim().chars().take(NAME_CHARS_MAX).collect();
    (!kept.is_empty()).then_some(kept)
}

/// The log message: `logentry`, or `message` as a text or an object of the same shape.
fn message<J: Json>(value: &J) -> Option<String> {
    let entry = |entry: &J| {
        text(entry)
            .or_else(|| text_of(entry, "formatted"))
            .or_else(|| text_of(entry, "message"))
    };
    ["logentry", "message", "sentry.interfaces.Message"]
        .into_iter()
        .find_map(|name| entry(value.get(name)?))
}

fn breadcrumbs<J: Json>(value: &J) -> Vec<Breadcrumb> {
    let found: Vec<&J> = items(value.get("breadcrumbs"))
        .into_iter()
        .filter(|crumb| crumb.is_object())
        .collect();
    let skip = found.len().saturating_sub(BREADCRUMBS_MAX);
    found.into_iter().skip(skip).map(breadcrumb).collect()
}

fn breadcrumb(value: &impl Json) -> Breadcrumb {
    let said = any_text_of(value, "message");
    let data = member(value, "data").filter(|data| data.is_object());
    Breadcrumb {
        at: value.get("timestamp").and_then(json::time),
        category: text_of(value, "category")
            .or_else(|| text_of(value, "type"))
            .unwrap_or_else(|| "default".to_owned()),
        message: said.or_else(|| data.map(request)).unwrap_or_default(),
    }
}

/// What a request's breadcrumb says: `GET https://… [200]`, or its data as they are.
fn request(data: &impl Json) -> String {
    let Some(url) = text_of(data, "url") else {
        return json::written(data);
    };
    let method = text_of(data, "method").or_else(|| text_of(data, "http.method"));
    let status =
        text_of(data, "status_code").or_else(|| text_of(data, "http.response.status_code"));
    let method = method.map(|method| method + " ").unwrap_or_default();
    let status = status
        .map(|status| format!(" [{status}]"))
        .unwrap_or_default();
    format!("{method}{url}{status}")
}

/// What tells one user from another; only its hash is kept.
fn user(value: &impl Json) -> Option<String> {
    let user = member(value, "user").or_else(|| member(value, "sentry.interfaces.User"))?;
    text(user).or_else(|| {
        ["id", "email", "username", "ip_address"]
            .into_iter()
            .find_map(|name| text_of(user, name))
            .filter(|id| id != "{{auto}}")
    })
}

fn fingerprint(value: Option<&impl Json>) -> Vec<String> {
    let list = value.and_then(Json::as_array);
    let parts: Vec<String> = match list {
        Some(parts) => parts
            .iter()
            .filter_map(text)
            .take(FINGERPRINT_MAX)
            .collect(),
        None => value.and_then(text).into_iter().collect(),
    };
    // `{{ default }}` alone asks for our grouping.
    let default = |part: &String| part.split_whitespace().collect::<String>() == "{{default}}";
    if parts.iter().all(default) {
        Vec::new()
    } else {
        parts
    }
}

/// System facts from the contexts: names and versions, nothing that names a person's machine.
fn system(value: &impl Json) -> BTreeMap<String, String> {
    let mut system = BTreeMap::new();
    let Some(contexts) = member(value, "contexts") else {
        return system;
    };
    for name in ["os", "client_os", "runtime", "browser", "gpu"] {
        let Some(context) = member(contexts, name) else {
            continue;
        };
        let facts = [text_of(context, "name"), text_of(context, "version")];
        let fact = facts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        if !fact.is_empty() {
            system.insert(name.to_owned(), fact);
        }
    }
    for (key, context, names) in [
        ("device", "device", ["model", "family"]),
        ("arch", "device", ["arch", "processor"]),
        ("os.build", "os", ["build", "kernel_version"]),
        ("app", "app", ["app_version", "app_build"]),
    ] {
        let fact = member(contexts, context)
            .and_then(|context| names.into_iter().find_map(|name| text_of(context, name)));
        if let Some(fact) = fact {
            system.insert(key.to_owned(), fact);
        }
    }
    system
}

/// `name/version` of the client library.
fn sdk(value: Option<&impl Json>) -> Option<String> {
    let value = value?;
    let name = text(value).or_else(|| text_of(value, "name"))?;
    Some(match text_of(value, "version") {
        Some(version) => format!("{name}/{version}"),
        None => name,
    })
}
