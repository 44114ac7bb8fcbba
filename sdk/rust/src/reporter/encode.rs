//! From reports to a sealed batch: completed, scrubbed, written as lines, compressed, sealed.
//!
//! **Nothing leaves this module in the clear.**

use super::crashes::Crash;
use super::metrics::Contents;
use super::numbers::Numbers;
use super::session::Word;
use super::trace::Names;
use super::{BatchKey, Options, ProjectId, Report, ReportKind, Severity};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kintsugi_domain::Timestamp;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::event::{Event, Exception, Frame};
use kintsugi_domain::health::SessionStatus;
use kintsugi_domain::id::{BatchId, EventId};
use kintsugi_domain::limits::METRICS_MAX;
use kintsugi_domain::report::severity;
use kintsugi_domain::stacktrace::rust_backtrace;
use kintsugi_scrub::Scrubber;
use kintsugi_trust::batch::{BATCH_FORMAT, BatchHeader, Compression, SEAL_RANDOM_BYTES, seal};
use rand_core::{OsRng, RngCore as _};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Zstandard's own default: fast, and three times smaller than the text.
const COMPRESSION_LEVEL: i32 = 3;
/// What makes a frame the reporter's own.
const OURS: &str = "kintsugi_sdk::reporter";

/// A sealed batch and what is in it.
pub(super) struct Batch {
    pub(super) id: BatchId,
    pub(super) contents: Contents,
    pub(super) created: Timestamp,
    pub(super) body: Vec<u8>,
}

pub(super) struct Encoder {
    project: ProjectId,
    key: BatchKey,
    release: Option<String>,
    environment: Option<String>,
    own_code: Vec<String>,
    device: Option<String>,
    scrubber: Scrubber,
    names: Names,
}

/// Random bytes of the system; nothing where it has none.
pub(super) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    OsRng.try_fill_bytes(&mut bytes).ok()?;
    Some(bytes)
}

impl Encoder {
    /// `device` names this install, and salts the hashes of users' ids: nobody can tell whether two devices have one user.
    pub(super) fn new(options: &Options, device: Option<String>) -> Self {
        let salt = device.clone().unwrap_or_default();
        Self {
            project: options.project,
            key: options.batch_key.clone(),
            release: options.release.clone(),
            environment: options.environment.clone(),
            own_code: options.own_code.clone(),
            scrubber: Scrubber::new(salt.as_bytes()),
            device,
            names: Names::default(),
        }
    }

    /// How bad a report sounds.
    pub(super) fn severity(report: &Report) -> Severity {
        let exceptions = report.exceptions.iter();
        let texts = exceptions.flat_map(|(kind, value)| [kind, value]);
        let texts = texts.chain(&report.message).map(|text| severity(text));
        texts.max().unwrap_or(Severity::Medium)
    }

    /// One report as a line: a Sentry event with its kind.
    pub(super) fn line(&self, report: Report, now: Timestamp) -> Option<String> {
        let id = EventId::from_digest(Digest::of(&random::<32>()?));
        Some(self.value(id, report, now).to_string())
    }

    /// A crash that was saved, as a line: the dump comes first, where the home looks for it. The same crash has the same id each time.
    pub(super) fn crash(&self, crash: &Crash) -> String {
        let mut report = Report::new(ReportKind::UnhandledException);
        report.at = Some(crash.at);
        let id = EventId::from_digest(Digest::of(&crash.dump));
        let mut event = self.value(id, report, crash.at);
        if let Some(fields) = event.as_object_mut() {
            // What it says of the system holds for this run, the dump knows better; and the product may be another version by now.
            fields.remove("contexts");
            fields.remove("exception");
            fields.insert(
                "release".to_owned(),
                json!(crash.release.as_ref().or(self.release.as_ref())),
            );
        }
        let event = event.to_string();
        let members = event.strip_prefix('{').unwrap_or_default();
        format!(
            "{{\"minidump\":\"{}\",{members}",
            STANDARD.encode(&crash.dump)
        )
    }

    fn value(&self, id: EventId, mut report: Report, now: Timestamp) -> Value {
        let severity = Self::severity(&report);
        let (kind, sid) = (report.kind, report.sid.take());
        let is_unhandled = report.is_unhandled;
        let mut event = self.event(id, report, now);
        event
            .tags
            .insert("severity".to_owned(), severity.name().to_owned());
        self.scrubber.scrub_event(&mut event);
        let mut line = written(&event, kind, is_unhandled);
        if let (Some(sid), Some(line)) = (sid, line.as_object_mut()) {
            line.insert("sid".to_owned(), json!(sid));
        }
        line
    }

    /// A word about a session as a line.
    pub(super) fn session(&self, word: &Word) -> String {
        let kind = match word.status {
            SessionStatus::Ok => ReportKind::SessionStart,
            SessionStatus::Exited | SessionStatus::Abnormal | SessionStatus::Crashed => {
                ReportKind::SessionEnd
            }
        };
        let name = |field: &str, name: Option<&String>| {
            let text = |name: &String| self.scrubber.scrub_text(field, name).0;
            name.map(text)
        };
        #[expect(clippy::cast_precision_loss, reason = "whole up to 2^53")]
        let seconds = word.duration_ms.map(|millis| millis as f64 / 1e3);
        json!({
            "kind": kind, "sid": word.sid, "did": self.device, "started": word.started,
            "status": word.status, "errors": word.errors, "duration": seconds,
            "release": name("release", word.release.as_ref()),
            "environment": name("environment", word.environment.as_ref()),
        })
        .to_string()
    }

    /// Numbers as lines, and how many metrics they have.
    pub(super) fn metrics(&self, numbers: &Numbers) -> (Vec<String>, u64) {
        let metrics = numbers.metrics(|name| self.scrubber.scrub_text("transaction", name).0);
        let lines = metrics.chunks(METRICS_MAX).map(|metrics| {
            let line = json!({
                "release": self.release, "environment": self.environment, "metrics": metrics,
            });
            line.to_string()
        });
        (lines.collect(), metrics.len() as u64)
    }

    fn event(&self, id: EventId, report: Report, now: Timestamp) -> Event {
        let frames = match (&report.trace, &report.place) {
            (Some(trace), place) => self.frames(&self.names.text(trace), place.as_ref()),
            (None, Some(place)) => vec![placed(place)],
            (None, None) => Vec::new(),
        };
        let mut exceptions: Vec<Exception> = report
            .exceptions
            .into_iter()
            .map(|(kind, value)| Exception {
                kind,
                value,
                ..Exception::default()
            })
            .collect();
        match exceptions.last_mut() {
            Some(raised) => raised.frames = frames,
            None if frames.is_empty() => {}
            None => exceptions.push(Exception {
                kind: report.kind.name().to_owned(),
                value: report.message.clone().unwrap_or_default(),
                frames,
                ..Exception::default()
            }),
        }
        let user = report.user.map(|id| self.scrubber.user_hash(&id));
        let at = report.at.unwrap_or(now);
        Event {
            id,
            project: self.project,
            occurred_at: at,
            received_at: at,
            level: report.level.unwrap_or(report.kind.level()),
            platform: "native".to_owned(),
            release: self.release.clone(),
            environment: self.environment.clone(),
            transaction: report.transaction,
            message: report.message,
            exceptions,
            breadcrumbs: report.crumbs.iter().map(|it| it.as_ref().clone()).collect(),
            user: user.or_else(|| self.device.clone()),
            fingerprint: Vec::new(),
            tags: report.tags,
            system: BTreeMap::from([
                ("os".to_owned(), std::env::consts::OS.to_owned()),
                ("arch".to_owned(), std::env::consts::ARCH.to_owned()),
            ]),
            sdk: Some(concat!("kintsugi.rust/", env!("CARGO_PKG_VERSION")).to_owned()),
            remarks: Vec::new(),
            category: kintsugi_domain::accounting::Category::Error,
            details: BTreeMap::new(),
        }
    }

    /// The frames of a backtrace without those of the reporter and of the machinery of panics below the product's.
    fn frames(&self, text: &str, place: Option<&(String, u32)>) -> Vec<Frame> {
        let mut frames = rust_backtrace(text);
        if let Some(end) = frames.iter().position(|it| it.function.contains(OURS)) {
            frames.truncate(end);
        }
        let is_machinery = |frame: &Frame| {
            let name = frame.function.trim_start_matches('<');
            [
                "std::panicking",
                "core::panicking",
                "rust_begin_unwind",
                "__rust",
                "std::sys",
                "alloc::boxed",
                "core::option::unwrap",
                "core::result::unwrap",
                "core::option::expect",
                "core::result::expect",
            ]
            .iter()
            .any(|start| name.starts_with(start))
        };
        while frames.last().is_some_and(is_machinery) {
            frames.pop();
        }
        if !self.own_code.is_empty() {
            for frame in &mut frames {
                let own = |part: &String| frame.function.contains(part.as_str());
                frame.in_app = self.own_code.iter().any(own);
            }
        }
        if frames.is_empty() {
            frames.extend(place.map(placed));
        }
        frames
    }

    /// Lines as a sealed batch.
    pub(super) fn seal(
        &self,
        lines: &[String],
        contents: Contents,
        now: Timestamp,
    ) -> Option<Batch> {
        let content = lines.join("\n");
        let content = zstd::encode_all(content.as_bytes(), COMPRESSION_LEVEL).ok()?;
        let id = BatchId::from_digest(Digest::of(&random::<32>()?));
        let header = BatchHeader {
            format: BATCH_FORMAT,
            project: self.project,
            key: self.key.id().to_owned(),
            batch: id.clone(),
            created: now,
            compression: Compression::Zstd,
        };
        let body = seal(&header, &content, &self.key, random::<SEAL_RANDOM_BYTES>()?).ok()?;
        Some(Batch {
            id,
            contents,
            created: now,
            body,
        })
    }
}

/// What was thrown away, as a line.
pub(super) fn discards(discards: &[((&'static str, &'static str), u64)]) -> String {
    let discards: Vec<Value> = discards
        .iter()
        .map(|((reason, category), count)| {
            json!({"reason": reason, "category": category, "quantity": count})
        })
        .collect();
    json!({ "discarded_events": discards }).to_string()
}

fn placed((file, line): &(String, u32)) -> Frame {
    Frame {
        file: file.clone(),
        function: "<unknown>".to_owned(),
        line: Some(*line),
        in_app: true,
        ..Frame::default()
    }
}

/// An event in Sentry's shape.
fn written(event: &Event, kind: ReportKind, is_unhandled: bool) -> Value {
    let frame = |frame: &Frame| {
        json!({
            "filename": frame.file, "function": frame.function, "module": frame.module,
            "lineno": frame.line, "in_app": frame.in_app,
        })
    };
    let last = event.exceptions.len().saturating_sub(1);
    let exceptions = event.exceptions.iter().enumerate();
    let exceptions: Vec<Value> = exceptions
        .map(|(place, it)| {
            let frames: Vec<Value> = it.frames.iter().map(frame).collect();
            json!({
                "type": it.kind, "value": it.value,
                "mechanism": {"type": "kintsugi", "handled": !(is_unhandled && place == last)},
                "stacktrace": {"frames": frames},
            })
        })
        .collect();
    let crumbs: Vec<Value> = event
        .breadcrumbs
        .iter()
        .map(|it| json!({"timestamp": it.at, "category": it.category, "message": it.message}))
        .collect();
    json!({
        "kind": kind, "event_id": event.id, "timestamp": event.occurred_at, "level": event.level,
        "platform": event.platform, "release": event.release, "environment": event.environment,
        "transaction": event.transaction, "message": event.message,
        "exception": {"values": exceptions}, "breadcrumbs": {"values": crumbs},
        "user": event.user.as_ref().map(|id| json!({"id": id})), "tags": event.tags,
        "contexts": {"os": {"name": event.system.get("os")}, "device": {"arch": event.system.get("arch")}},
        "sdk": event.sdk,
    })
}
