//! The kinds of items that clients send, one row each: its category, its bound, and what is done with it.
//!
//! Every reader here takes what it can read of an item and gives nothing only where there is nothing to keep. **Whatever it gives is
//! scrubbed.** A kind that is not in the table, or that nobody here has a use for, is counted and skipped.

mod attachment;
mod check_in;
mod feedback;
mod logs;
pub(super) mod metrics;
pub(super) mod minidump;
mod security;
pub(super) mod session;
mod transaction;

use super::envelope::Item;
use super::found::Found;
use super::json::{self, Json};
use super::keep::Kept;
use super::lean;
use super::multipart;
use super::protocol;
use super::sentry::{self, Frame};
use kintsugi_domain::accounting::Category;
use kintsugi_domain::config::IngestRules;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::limits::{
    ATTACHMENT_BYTES_MAX, EVENT_BYTES_MAX, ITEM_BYTES_MAX, REQUEST_DECODED_BYTES_MAX,
};
use kintsugi_domain::series::{Measure, Series};
use kintsugi_scrub::Scrubber;
use serde_json::{Value, json};

/// Most reports of one delivery of a browser that are read.
const SECURITY_REPORTS_MAX: usize = 100;

/// What is done with a kind of item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    Event,
    Minidump,
    RawSecurity,
    Transaction,
    Session,
    Sessions,
    Feedback,
    UserReport,
    Attachment,
    CheckIn,
    Logs,
    ClientReport,
    /// Metrics of our own.
    Metrics,
    /// Feedback in a form of our own.
    Said,
    /// Counted and skipped.
    Skipped,
}

/// A kind of item.
#[derive(Debug)]
pub(super) struct ItemKind {
    /// Its name in the protocol.
    pub(super) name: &'static str,
    /// Its category.
    pub(super) category: Category,
    /// Largest payload, bytes.
    bytes_max: usize,
    treatment: Treatment,
}

const fn kind(name: &'static str, category: Category, treatment: Treatment) -> ItemKind {
    let bytes_max = match treatment {
        Treatment::Event => EVENT_BYTES_MAX,
        Treatment::Attachment => ATTACHMENT_BYTES_MAX,
        Treatment::Minidump => REQUEST_DECODED_BYTES_MAX,
        Treatment::RawSecurity
        | Treatment::Transaction
        | Treatment::Session
        | Treatment::Sessions
        | Treatment::Feedback
        | Treatment::UserReport
        | Treatment::CheckIn
        | Treatment::Logs
        | Treatment::ClientReport
        | Treatment::Metrics
        | Treatment::Said
        | Treatment::Skipped => ITEM_BYTES_MAX,
    };
    ItemKind {
        name,
        category,
        bytes_max,
        treatment,
    }
}

/// Every kind that Sentry's clients send, and two of our own.
const KINDS: [ItemKind; 31] = [
    kind(METRICS, Category::MetricBucket, Treatment::Metrics),
    kind(FEEDBACK, Category::Feedback, Treatment::Said),
    kind("event", Category::Error, Treatment::Event),
    kind("security", Category::Security, Treatment::Event),
    kind("raw_security", Category::Security, Treatment::RawSecurity),
    kind("transaction", Category::Transaction, Treatment::Transaction),
    kind("session", Category::Session, Treatment::Session),
    kind("sessions", Category::Session, Treatment::Sessions),
    kind("feedback", Category::Feedback, Treatment::Feedback),
    kind("user_report", Category::Feedback, Treatment::UserReport),
    kind("attachment", Category::Attachment, Treatment::Attachment),
    kind("check_in", Category::Monitor, Treatment::CheckIn),
    kind("log", Category::LogItem, Treatment::Logs),
    kind("client_report", Category::Internal, Treatment::ClientReport),
    kind("form_data", Category::Default, Treatment::Skipped),
    kind("nel", Category::Default, Treatment::Skipped),
    kind("unreal_report", Category::Default, Treatment::Skipped),
    kind("statsd", Category::MetricBucket, Treatment::Skipped),
    kind("metric_buckets", Category::MetricBucket, Treatment::Skipped),
    kind("trace_metric", Category::MetricBucket, Treatment::Skipped),
    kind("profile", Category::Profile, Treatment::Skipped),
    kind("profile_chunk", Category::Profile, Treatment::Skipped),
    kind("profile_chunk_ui", Category::Profile, Treatment::Skipped),
    kind("replay_event", Category::Replay, Treatment::Skipped),
    kind("replay_recording", Category::Replay, Treatment::Skipped),
    kind("replay_video", Category::Replay, Treatment::Skipped),
    kind("span", Category::Span, Treatment::Skipped),
    kind("otel_span", Category::Span, Treatment::Skipped),
    kind("otel_traces_data", Category::Span, Treatment::Skipped),
    kind("otel_log", Category::LogItem, Treatment::Skipped),
    kind("integration", Category::Default, Treatment::Skipped),
];

/// What a dump becomes: an error like others. It is no kind that an envelope can name.
static MINIDUMP: ItemKind = kind(multipart::MINIDUMP, Category::Error, Treatment::Minidump);

/// The kind of a body of metrics.
pub(super) const METRICS: &str = "kintsugi.metrics";
/// The kind of feedback in our own form.
pub(super) const FEEDBACK: &str = "kintsugi.feedback";

/// What an item is to us: a dump, or the kind that its name says.
fn kind_of(item: &Item<'_>) -> Option<&'static ItemKind> {
    let attached = item.header.get("attachment_type").and_then(Value::as_str);
    let is_dump = item.kind == multipart::MINIDUMP || attached == Some("event.minidump");
    if is_dump {
        return Some(&MINIDUMP);
    }
    known_kind(&item.kind)
}

/// Puts the event of an envelope into the header of the dump beside it, which completes it: the two are one crash and one item.
pub(super) fn complete(items: &mut Vec<Item<'_>>) {
    let is_dump =
        |item: &Item<'_>| kind_of(item).is_some_and(|kind| kind.treatment == Treatment::Minidump);
    let is_event = |item: &Item<'_>| {
        item.kind == "event" && !is_dump(item) && item.payload.len() <= EVENT_BYTES_MAX
    };
    let found = (
        items.iter().position(is_dump),
        items.iter().position(is_event),
    );
    let (Some(dump), Some(place)) = found else {
        return;
    };
    let said = items.get(place).and_then(|item| json::read(item.payload));
    if let (Some(said), Some(dump)) = (said.filter(Value::is_object), items.get_mut(dump)) {
        dump.header.insert(multipart::EVENT.to_owned(), said);
        items.remove(place);
    }
}

/// The kind of that name.
pub(super) fn known_kind(name: &str) -> Option<&'static ItemKind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// What an item counts against a quota as: nothing for kinds that are skipped, and for what clients say about themselves.
pub(super) fn charged(item: &Item<'_>) -> Option<(Category, usize)> {
    let kind = kind_of(item)?;
    match kind.treatment {
        Treatment::Skipped | Treatment::ClientReport => None,
        // What is too long is dropped unread, as one.
        Treatment::Logs if item.payload.len() <= kind.bytes_max => {
            Some((kind.category, logs::charged(item.payload)))
        }
        Treatment::RawSecurity if item.payload.len() <= kind.bytes_max => {
            let value = json::read(item.payload).unwrap_or_default();
            let count = in_delivery(&value).len().min(SECURITY_REPORTS_MAX);
            Some((kind.category, count))
        }
        Treatment::Logs
        | Treatment::RawSecurity
        | Treatment::Event
        | Treatment::Minidump
        | Treatment::Transaction
        | Treatment::Session
        | Treatment::Sessions
        | Treatment::Feedback
        | Treatment::UserReport
        | Treatment::Attachment
        | Treatment::Metrics
        | Treatment::Said
        | Treatment::CheckIn => Some((kind.category, 1)),
    }
}

/// Where items come from.
pub(super) struct Origin<'r> {
    /// What the request says about all of them.
    pub(super) frame: Frame<'r>,
    /// Removes what must not be stored.
    pub(super) scrubber: &'r Scrubber,
    /// What the project keeps beyond what always is.
    pub(super) rules: &'r IngestRules,
    /// The query of the request, which some reports name their release in.
    pub(super) query: Option<&'r str>,
}

impl Origin<'_> {
    /// A short name, scrubbed as what it is: `release`, `environment` or other.
    pub(super) fn name(&self, field: &str, name: Option<String>) -> Option<String> {
        let mut value = json!({ field: name? });
        self.scrubber.scrub_value("", &mut value);
        value.get(field)?.as_str().map(str::to_owned)
    }

    /// The series of a release.
    fn series(&self, measure: Measure, said: &impl Json) -> Series {
        Series {
            project: self.frame.project,
            measure,
            name: String::new(),
            operation: String::new(),
            release: self.name("release", sentry::name_of(said, "release")),
            environment: self.name("environment", sentry::name_of(said, "environment")),
            since: self.frame.received_at,
        }
    }
}

/// Reads one item and puts what is of use into what was found. Of what holds several, logs and reports of a browser, no more than so
/// many `entries` are let in.
pub(super) fn take(item: &Item<'_>, entries: usize, origin: &Origin<'_>, found: &mut Found) {
    let Some(kind) = kind_of(item) else {
        found.receive(Category::Default, 1);
        found.drop(Category::Default, "unknown_item", 1);
        return;
    };
    if kind.treatment == Treatment::Logs && item.payload.len() <= kind.bytes_max {
        return logs::take(item.payload, entries, origin, found);
    }
    if kind.treatment == Treatment::Metrics && item.payload.len() <= kind.bytes_max {
        let value = json::read(item.payload).unwrap_or_default();
        return metrics::take(&value, origin, found);
    }
    found.receive(kind.category, 1);
    if kind.treatment == Treatment::Skipped {
        found.drop(kind.category, kind.name, 1);
    } else if item.payload.len() > kind.bytes_max {
        found.drop(kind.category, "too_large", 1);
    } else if kind.treatment == Treatment::Minidump {
        match minidump::as_event(item) {
            Ok(value) => event(kind, &value, item.payload, origin, found),
            Err(_) => undumped(kind, item, origin, found),
        }
    } else if kind.treatment == Treatment::Attachment {
        match attachment::read(item, origin) {
            Ok(kept) => found.keep(kept),
            Err(reason) => found.drop(kind.category, reason, 1),
        }
    } else if matches!(kind.treatment, Treatment::Event | Treatment::Transaction) {
        let mut mended = String::new();
        let value = lean::read(item.payload, &mut mended);
        match value.filter(|value| value.is_object() || value.as_array().is_some()) {
            None => found.drop(kind.category, "broken", 1),
            Some(value) if kind.treatment == Treatment::Event => {
                event(kind, &value, item.payload, origin, found);
            }
            Some(value) => keep(kind, transaction::read(&value, origin), found),
        }
    } else {
        let value = json::read(item.payload);
        match value.filter(|value| value.is_object() || value.is_array()) {
            Some(value) if kind.treatment == Treatment::RawSecurity => {
                let content = (&value, item.payload);
                reports(kind, content, entries, origin, found);
            }
            Some(value) => read(kind, &value, item.payload, origin, found),
            None => found.drop(kind.category, "broken", 1),
        }
    }
}

/// A dump that cannot be read. The event that it was to complete stays, if it said something of its own.
fn undumped(kind: &ItemKind, item: &Item<'_>, origin: &Origin<'_>, found: &mut Found) {
    match item.header.get(multipart::EVENT) {
        Some(said) if item.kind != multipart::MINIDUMP => {
            found.receive(Category::Attachment, 1);
            found.drop(Category::Attachment, "broken", 1);
            event(kind, said, item.payload, origin, found);
        }
        Some(_) | None => found.drop(kind.category, "broken", 1),
    }
}

/// Reads one item that is JSON.
fn read(kind: &ItemKind, value: &Value, payload: &[u8], origin: &Origin<'_>, found: &mut Found) {
    let kept: Option<Kept> = match kind.treatment {
        Treatment::ClientReport => return protocol::client_report(value, found),
        Treatment::Session => session::one(value, origin),
        Treatment::Sessions => session::many(value, origin),
        Treatment::Feedback => feedback::read(value, payload, origin),
        Treatment::UserReport => feedback::report(value, payload, origin),
        Treatment::Said => feedback::said(value, payload, origin),
        Treatment::CheckIn => check_in::read(value, origin),
        // Read or counted before they come here.
        Treatment::Event
        | Treatment::Transaction
        | Treatment::Attachment
        | Treatment::Minidump
        | Treatment::RawSecurity
        | Treatment::Logs
        | Treatment::Metrics
        | Treatment::Skipped => None,
    };
    keep(kind, kept, found);
}

fn keep(kind: &ItemKind, kept: Option<Kept>, found: &mut Found) {
    match kept {
        Some(kept) => found.keep(kept),
        None => found.drop(kind.category, "broken", 1),
    }
}

/// The reports in a delivery of a browser: the Reporting API gathers them in a list.
fn in_delivery(value: &Value) -> &[Value] {
    let list = value.as_array().filter(|list| !list.is_empty());
    list.map_or(std::slice::from_ref(value), Vec::as_slice)
}

/// Reads the reports of a browser, of which there is a quota for so many. Each is an item of its own.
fn reports(
    kind: &ItemKind,
    (value, payload): (&Value, &[u8]),
    quota: usize,
    origin: &Origin<'_>,
    found: &mut Found,
) {
    let list = in_delivery(value);
    let others = list.len().saturating_sub(1);
    if others > 0 {
        found.receive(kind.category, others);
    }
    let body = Digest::of(payload);
    let most = list.len().min(SECURITY_REPORTS_MAX);
    for (place, value) in list.iter().take(most.min(quota)).enumerate() {
        // They have no ids and are alike from visitor to visitor: each is named by when it came, too.
        let content = format!("{body} {} {place}", origin.frame.received_at);
        match security::as_event(value, origin.query) {
            Some(value) => event(kind, &value, content.as_bytes(), origin, found),
            None => found.drop(kind.category, "broken", 1),
        }
    }
    let limited = most.saturating_sub(quota);
    if limited > 0 {
        found.refuse(kind.category, "rate_limited", limited);
    }
    let more = list.len().saturating_sub(SECURITY_REPORTS_MAX);
    if more > 0 {
        found.drop(kind.category, "too_many", more);
    }
}

/// Reads and scrubs one event.
fn event(
    kind: &ItemKind,
    value: &impl Json,
    payload: &[u8],
    origin: &Origin<'_>,
    found: &mut Found,
) {
    // The id in the header belongs to the first event; a second one without an id has its own.
    let frame = Frame {
        header: origin.frame.header.filter(|_| found.events.is_empty()),
        ..origin.frame
    };
    let scrubber = origin.scrubber;
    match sentry::event(value, payload, &frame, |id| scrubber.user_hash(id)) {
        Some(mut event) => {
            scrubber.scrub_event(&mut event);
            event.category = kind.category;
            found.event(event);
        }
        None => found.drop(kind.category, "broken", 1),
    }
}
