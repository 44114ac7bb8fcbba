//! A record with an exception as an event, by OpenTelemetry's semantic conventions.

use super::proto::text;
use super::{Attributes, Record};
use kintsugi_domain::Timestamp;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::event::{Event, Exception, Level};
use kintsugi_domain::id::{EventId, ProjectId};
use kintsugi_domain::stacktrace::{Language, parse};
use kintsugi_scrub::Scrubber;
use std::collections::BTreeMap;

/// Most attributes kept as tags.
const TAGS_MAX: usize = 100;

fn attribute(attributes: &Attributes, names: &[&str]) -> Option<String> {
    let mut found = names.iter().filter_map(|name| attributes.get(*name));
    found
        .next()
        .cloned()
        .map(text)
        .filter(|text| !text.is_empty())
}

/// The event of a record. Not scrubbed yet.
pub(super) fn event(
    record: &Record,
    project: ProjectId,
    received_at: Timestamp,
    scrubber: &Scrubber,
) -> Event {
    let of = |names: &[&str]| attribute(&record.attributes, names);
    let resource = |names: &[&str]| attribute(&record.resource.attributes, names);
    let kind = of(&["exception.type"]);
    let message = of(&["exception.message"]);
    let stack = of(&["exception.stacktrace"]).unwrap_or_default();
    let language = resource(&["telemetry.sdk.language"]);
    let language = language.as_deref().and_then(Language::named);
    let trace = parse(&stack, language);
    let platform = trace.as_ref().map(|trace| trace.language).or(language);
    let is_handled = of(&["exception.escaped"]).map(|escaped| escaped != "true");
    let exceptions = exceptions(
        trace.map(|trace| trace.exceptions),
        kind.as_deref(),
        message.as_deref(),
        is_handled,
    );
    let name = resource(&["service.name"]);
    let release = match (name, resource(&["service.version"])) {
        (Some(name), Some(version)) => Some(format!("{name}@{version}")),
        (_, version) => version,
    };
    let sdk = resource(&["telemetry.sdk.name"]).unwrap_or_else(|| "opentelemetry".to_owned());
    let sdk = match resource(&["telemetry.sdk.version"]) {
        Some(version) => format!("{sdk}/{version}"),
        None => sdk,
    };
    Event {
        id: id(record, project, &exceptions, &stack),
        project,
        occurred_at: occurred_at(record.time_ns, received_at),
        received_at,
        level: level(record.severity),
        platform: platform.map_or("other", Language::platform).to_owned(),
        release,
        environment: resource(&["deployment.environment.name", "deployment.environment"]),
        transaction: record
            .transaction
            .as_deref()
            .map(str::to_owned)
            .or_else(|| of(&["http.route", "code.function.name", "code.function"])),
        message: record.body.clone().filter(|body| !body.is_empty()),
        exceptions,
        breadcrumbs: Vec::new(),
        user: of(&["user.id", "enduser.id"]).map(|id| scrubber.user_hash(&id)),
        fingerprint: Vec::new(),
        tags: tags(record),
        system: system(&record.resource.attributes),
        sdk: Some(sdk),
        remarks: Vec::new(),
        category: kintsugi_domain::accounting::Category::Error,
        details: BTreeMap::new(),
    }
}

/// The chain that the stack says, the last one named as the attributes say.
fn exceptions(
    parsed: Option<Vec<Exception>>,
    kind: Option<&str>,
    message: Option<&str>,
    handled: Option<bool>,
) -> Vec<Exception> {
    let mut exceptions = parsed.unwrap_or_default();
    if exceptions.is_empty() {
        exceptions.push(Exception::default());
    }
    if let Some(raised) = exceptions.last_mut() {
        raised.handled = handled;
        if let Some(kind) = kind {
            // The stack's own `module` and short name stay where the attribute is both of them together.
            let is_whole = raised.module.as_ref().is_some_and(|module| {
                kind.strip_prefix(module.as_str())
                    .is_some_and(|rest| rest.get(1..) == Some(raised.kind.as_str()))
            });
            if !is_whole {
                kind.clone_into(&mut raised.kind);
            }
        }
        if let Some(message) = message {
            message.clone_into(&mut raised.value);
        }
        if raised.kind.is_empty() {
            "Error".clone_into(&mut raised.kind);
        }
    }
    exceptions
}

/// What names the event: its trace, span, type and message, or all there is where it has no trace.
fn id(record: &Record, project: ProjectId, exceptions: &[Exception], stack: &str) -> EventId {
    let raised = exceptions.last();
    let kind = raised.map_or("", |raised| raised.kind.as_str());
    let value = raised.map_or("", |raised| raised.value.as_str());
    let project = project.0.to_be_bytes();
    let has_trace = !record.trace_id.is_empty() && !record.span_id.is_empty();
    let digest = if has_trace {
        let (trace, span) = (record.trace_id.as_bytes(), record.span_id.as_bytes());
        Digest::of_parts(&[
            b"otlp",
            &project,
            trace,
            span,
            kind.as_bytes(),
            value.as_bytes(),
        ])
    } else {
        let resource = &record.resource.digest;
        let attributes = format!("{:?}", record.attributes);
        let time = record.time_ns.to_be_bytes();
        Digest::of_parts(&[
            b"otlp",
            &project,
            &time,
            resource.as_bytes(),
            attributes.as_bytes(),
            stack.as_bytes(),
        ])
    };
    EventId::from_digest(digest)
}

fn occurred_at(time_ns: u64, received_at: Timestamp) -> Timestamp {
    let said = Timestamp::from_nanosecond(i128::from(time_ns)).ok();
    said.filter(|_| time_ns > 0)
        .unwrap_or(received_at)
        .min(received_at)
}

/// The level of a severity number (logs data model, "Severity Fields").
fn level(severity: u64) -> Level {
    match severity {
        1..=8 => Level::Debug,
        9..=12 => Level::Info,
        13..=16 => Level::Warning,
        21..=24 => Level::Fatal,
        _ => Level::Error,
    }
}

fn tags(record: &Record) -> BTreeMap<String, String> {
    let skipped = ["exception.", "user.", "enduser.", "thread.id"];
    let attributes = record.attributes.iter();
    let mut tags: BTreeMap<String, String> = attributes
        .filter(|(name, _)| !skipped.iter().any(|start| name.starts_with(start)))
        .take(TAGS_MAX)
        .map(|(name, value)| (name.clone(), text(value.clone())))
        .collect();
    for (name, id) in [("trace_id", &record.trace_id), ("span_id", &record.span_id)] {
        if !id.is_empty() {
            tags.insert(name.to_owned(), id.clone());
        }
    }
    tags
}

/// Names and versions; nothing that names a person's machine.
fn system(resource: &Attributes) -> BTreeMap<String, String> {
    let mut system = BTreeMap::new();
    for (name, parts) in [
        ("os", ["os.name", "os.version"]),
        (
            "runtime",
            ["process.runtime.name", "process.runtime.version"],
        ),
        ("arch", ["host.arch", ""]),
    ] {
        let parts = parts.iter().filter_map(|part| attribute(resource, &[part]));
        let fact = parts.collect::<Vec<_>>().join(" ");
        if !fact.is_empty() {
            system.insert(name.to_owned(), fact);
        }
    }
    system
}
