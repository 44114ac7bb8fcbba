//! The lines of a batch: events, sessions, metrics, and what the reporter threw away.

use crate::ingest::found::Found;
use crate::ingest::items::{Origin, metrics, minidump, session};
use crate::ingest::known::Known;
use crate::ingest::{json, protocol, sentry};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kintsugi_domain::Timestamp;
use kintsugi_domain::accounting::Category;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::limits::{BATCH_LINES_MAX, EVENT_BYTES_MAX};
use kintsugi_domain::report::ReportKind;
use kintsugi_domain::series::{FEATURE, SETTING};
use serde_json::Value;

/// What the line of a native crash begins with: a [minidump](kintsugi_minidump) in Base64, then the members of its event. It may be longer than
/// other lines, so it is not read as JSON as a whole.
const CRASH: &[u8] = b"{\"minidump\":\"";
/// Longest dump in a line, as Base64: 16 MiB.
const CRASH_TEXT_BYTES_MAX: usize = 16 * 1024 * 1024 / 3 * 4 + 4;

/// What the line of a native crash, after [`CRASH`], tells: the dump is read and let go of.
fn crash(rest: &[u8]) -> Result<Value, &'static str> {
    let end = rest.iter().position(|byte| *byte == b'"');
    let (dump, said) = rest.split_at(end.ok_or("event_broken")?);
    let said = said.strip_prefix(b"\",").ok_or("event_broken")?;
    if dump.len() > CRASH_TEXT_BYTES_MAX || said.len() > EVENT_BYTES_MAX {
        return Err("event_too_large");
    }
    let said = json::read(&[b"{", said].concat()).filter(Value::is_object);
    let said = said.ok_or("event_broken")?;
    let dump = STANDARD.decode(dump).map_err(|_| "event_broken")?;
    minidump::completed(&dump, Some(&said)).map_err(|_| "event_broken")
}

/// The lines of one batch, being read.
pub(super) struct Reading<'k> {
    project: ProjectId,
    at: Timestamp,
    known: &'k Known,
    /// Reports that were only counted.
    pub(super) counted: usize,
    /// What else was found.
    pub(super) found: Found,
}

impl<'k> Reading<'k> {
    /// Nothing was read yet.
    pub(super) fn new(known: &'k Known, project: ProjectId, at: Timestamp) -> Self {
        Self {
            project,
            at,
            known,
            counted: 0,
            found: Found::default(),
        }
    }

    /// Reads all lines.
    pub(super) fn lines(&mut self, content: &[u8]) {
        let lines = content.split(|byte| *byte == b'\n');
        let mut lines = lines.filter(|line| !line.iter().all(u8::is_ascii_whitespace));
        for line in lines.by_ref().take(BATCH_LINES_MAX) {
            self.line(line);
        }
        for _ in lines {
            self.drop("too_many_items");
        }
    }

    fn line(&mut self, line: &[u8]) {
        if let Some(rest) = line.strip_prefix(CRASH) {
            match crash(rest) {
                Ok(event) => self.event(&event, line, ReportKind::UnhandledException),
                Err(reason) => self.drop(reason),
            }
            return;
        }
        if line.len() > EVENT_BYTES_MAX {
            self.drop("event_too_large");
            return;
        }
        let Some(value) = json::read(line).filter(Value::is_object) else {
            self.drop("event_broken");
            return;
        };
        if value.get("metrics").is_some() {
            let origin = self.origin();
            metrics::take(&value, &origin, &mut self.found);
            return;
        }
        if value.get("discarded_events").is_some() {
            self.found.receive(Category::Internal, 1);
            protocol::client_report(&value, &mut self.found);
            return;
        }
        let kind = value.get("kind").and_then(Value::as_str);
        let kind = kind
            .and_then(ReportKind::named)
            .unwrap_or(ReportKind::Error);
        if kind.is_trouble() {
            self.event(&value, line, kind);
        } else {
            self.usage(&value, kind);
        }
    }

    /// What tells of no trouble.
    fn usage(&mut self, value: &Value, kind: ReportKind) {
        let origin = self.origin();
        let kept = match kind {
            ReportKind::SessionStart | ReportKind::SessionEnd => session::one(value, &origin),
            ReportKind::FeatureUsage => metrics::usage(value, FEATURE, &origin),
            ReportKind::ConfigurationChange => metrics::usage(value, SETTING, &origin),
            ReportKind::Error
            | ReportKind::UnhandledException
            | ReportKind::CompilationError
            | ReportKind::ValidationError
            | ReportKind::PerformanceDegradation
            | ReportKind::RateLimitApproaching
            | ReportKind::MemoryPressure
            | ReportKind::SlowQuery => None,
        };
        if let Some(kept) = kept {
            self.found.receive(kept.category(), kept.items());
            self.found.keep(kept);
            return;
        }
        self.counted += 1;
        self.found.receive(Category::Default, 1);
        self.found.accept(Category::Default, 1);
        self.found.count(format!("usage/{}", kind.name()), 1);
    }

    fn frame(&self) -> sentry::Frame<'static> {
        sentry::Frame {
            project: self.project,
            received_at: self.at,
            // A batch may have lain on disk for days: when it was sealed says nothing of the sender's clock.
            header: None,
        }
    }

    fn origin(&self) -> Origin<'k> {
        Origin {
            frame: self.frame(),
            scrubber: &self.known.scrubber,
            rules: &self.known.rules,
            query: None,
        }
    }

    fn event(&mut self, value: &Value, line: &[u8], kind: ReportKind) {
        let scrubber = &self.known.scrubber;
        let event = sentry::event(value, line, &self.frame(), |id| scrubber.user_hash(id));
        let Some(mut event) = event else {
            self.drop("event_broken");
            return;
        };
        event.tags.insert("kind".to_owned(), kind.name().to_owned());
        scrubber.scrub_event(&mut event);
        if let Some(sid) = json::text_of(value, "sid") {
            // Not named for a session: what bears that name is a secret to every scrubber.
            event.tags.insert("run".to_owned(), session::named(&sid));
        }
        self.found.receive(event.category, 1);
        self.found.event(event);
    }

    fn drop(&mut self, reason: &'static str) {
        self.found.receive(Category::Error, 1);
        self.found.drop(Category::Error, reason, 1);
    }
}
