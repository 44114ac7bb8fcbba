//! The lines of a batch: events, sessions, metrics, and what the reporter threw away.
//!
//! Each is read so far that its category is known, then the quota is asked for as many as there are, and only what is let in is kept: no
//! event is scrubbed before. Of metrics a line is one item of the quota, as a body of them is elsewhere, and each metric one of the account.

use super::Refusal;
use crate::ingest::found::Found;
use crate::ingest::items::{Origin, metrics, minidump, session};
use crate::ingest::keep::Kept;
use crate::ingest::known::Known;
use crate::ingest::quotas::{Grants, Quotas};
use crate::ingest::{json, protocol, sentry};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kintsugi_domain::Timestamp;
use kintsugi_domain::accounting::Category;
use kintsugi_domain::id::{DsnKey, ProjectId};
use kintsugi_domain::limits::{BATCH_LINES_MAX, EVENT_BYTES_MAX};
use kintsugi_domain::ports::PortError;
use kintsugi_domain::report::ReportKind;
use kintsugi_domain::series::{FEATURE, SETTING};
use serde_json::Value;
use std::collections::BTreeMap;

/// What the line of a native crash begins with: a [minidump](kintsugi_minidump) in Base64, then the members of its event. It may be longer than
/// other lines, so it is not read as JSON as a whole.
const CRASH: &[u8] = b"{\"minidump\":\"";
/// Longest dump in a line, as Base64: 16 MiB.
const CRASH_TEXT_BYTES_MAX: usize = 16 * 1024 * 1024 / 3 * 4 + 4;
/// Lines are read ahead of the quota until they have so many bytes: read, they take many times that.
const PORTION_BYTES: usize = EVENT_BYTES_MAX;
/// Why an item is refused whose quota is used up.
const RATE_LIMITED: &str = "rate_limited";

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

/// A line that was read so far that its category is known.
enum Line<'c> {
    /// A trouble, and the line that it was read from.
    Event(Box<Value>, &'c [u8], ReportKind),
    /// A native crash: what follows [`CRASH`], and the whole line.
    Crash(&'c [u8], &'c [u8]),
    /// A word about a session, or one use of something.
    Kept(Box<Kept>),
    /// A report that is only counted.
    Counted(ReportKind),
    /// So many metrics.
    Metrics(Value, usize),
    /// What the reporter threw away.
    Discarded(&'c [u8]),
    /// Nothing that could be read.
    Broken(&'static str),
}

impl Line<'_> {
    /// Which quota it is asked of, and how many items of the account it holds. Nobody is charged for what cannot be read, nor for
    /// what clients say about themselves.
    fn charged(&self) -> Option<(Category, usize)> {
        match self {
            Self::Event(..) | Self::Crash(..) => Some((Category::Error, 1)),
            Self::Kept(kept) => Some((kept.category(), kept.items())),
            Self::Counted(_) => Some((Category::Default, 1)),
            Self::Metrics(_, 0) | Self::Discarded(_) | Self::Broken(_) => None,
            Self::Metrics(_, metrics) => Some((Category::MetricBucket, *metrics)),
        }
    }
}

/// The lines of one batch, being read.
pub(super) struct Reading<'k, 'c> {
    project: ProjectId,
    at: Timestamp,
    known: &'k Known,
    /// Reports that were only counted.
    pub(super) counted: usize,
    /// Items that there was no quota for.
    pub(super) refused: BTreeMap<Category, usize>,
    /// What else was found.
    pub(super) found: Found,
    /// What the reporter says that it threw away.
    discarded: Vec<&'c [u8]>,
}

impl<'k, 'c> Reading<'k, 'c> {
    /// Nothing was read yet.
    pub(super) fn new(known: &'k Known, project: ProjectId, at: Timestamp) -> Self {
        Self {
            project,
            at,
            known,
            counted: 0,
            refused: BTreeMap::new(),
            found: Found::default(),
            discarded: Vec::new(),
        }
    }

    /// Reads all lines. Where there was no quota for any of what could be read, the batch is refused: its sender may come again with it.
    /// What was counted of it until then holds either way.
    pub(super) async fn lines(
        &mut self,
        content: &'c [u8],
        quotas: &Quotas,
        key: &DsnKey,
    ) -> Result<Result<(), Refusal>, PortError> {
        let lines = content.split(|byte| *byte == b'\n');
        let mut lines = lines.filter(|line| !line.iter().all(u8::is_ascii_whitespace));
        let (mut portion, mut bytes) = (Vec::new(), 0);
        for line in lines.by_ref().take(BATCH_LINES_MAX) {
            portion.push(self.line(line));
            bytes += line.len();
            if bytes >= PORTION_BYTES {
                self.portion(std::mem::take(&mut portion), quotas, key)
                    .await?;
                bytes = 0;
            }
        }
        self.portion(portion, quotas, key).await?;
        for _ in lines {
            self.drop("too_many_items");
        }
        let is_limited = !self.refused.is_empty() && self.counted == 0 && self.found.is_empty();
        self.discards(is_limited);
        if !is_limited {
            return Ok(Ok(()));
        }
        let limits = self.found.limits.iter();
        let seconds = limits.map(|limit| limit.seconds).max().unwrap_or(1);
        Ok(Err(Refusal::RateLimited { seconds }))
    }

    /// Takes of some lines those that there is a quota for.
    async fn portion(
        &mut self,
        lines: Vec<Line<'c>>,
        quotas: &Quotas,
        key: &DsnKey,
    ) -> Result<(), PortError> {
        let mut wanted = BTreeMap::new();
        for (category, _) in lines.iter().filter_map(Line::charged) {
            *wanted.entry(category).or_insert(0) += 1;
        }
        let named = (self.project, key);
        let grants = quotas.grant(named, &self.known.quota, &wanted, self.at);
        let mut grants: Grants = grants.await?;
        self.found.limits.append(&mut grants.limits);
        for line in lines {
            match line.charged() {
                Some((category, items)) if !grants.spend(category) => {
                    self.refuse(category, items);
                }
                Some(_) | None => self.take(line),
            }
        }
        Ok(())
    }

    fn line(&self, line: &'c [u8]) -> Line<'c> {
        if let Some(rest) = line.strip_prefix(CRASH) {
            return Line::Crash(rest, line);
        }
        if line.len() > EVENT_BYTES_MAX {
            return Line::Broken("event_too_large");
        }
        let Some(value) = json::read(line).filter(Value::is_object) else {
            return Line::Broken("event_broken");
        };
        if let Some(metrics) = value.get("metrics") {
            let metrics = metrics.as_array().map_or(0, Vec::len);
            return Line::Metrics(value, metrics);
        }
        if value.get("discarded_events").is_some() {
            return Line::Discarded(line);
        }
        let kind = value.get("kind").and_then(Value::as_str);
        let kind = kind
            .and_then(ReportKind::named)
            .unwrap_or(ReportKind::Error);
        if kind.is_trouble() {
            Line::Event(Box::new(value), line, kind)
        } else {
            let kept = self.usage(&value, kind).map(Box::new);
            kept.map_or(Line::Counted(kind), Line::Kept)
        }
    }

    fn take(&mut self, line: Line<'c>) {
        match line {
            Line::Event(value, line, kind) => self.event(&value, line, kind),
            Line::Crash(rest, line) => match crash(rest) {
                Ok(event) => self.event(&event, line, ReportKind::UnhandledException),
                Err(reason) => self.drop(reason),
            },
            Line::Kept(kept) => {
                self.found.receive(kept.category(), kept.items());
                self.found.keep(*kept);
            }
            Line::Counted(kind) => {
                self.counted += 1;
                self.found.receive(Category::Default, 1);
                self.found.accept(Category::Default, 1);
                self.found.count(format!("usage/{}", kind.name()), 1);
            }
            Line::Metrics(value, _) => {
                let origin = self.origin();
                metrics::take(&value, &origin, &mut self.found);
            }
            Line::Discarded(line) => self.discarded.push(line),
            Line::Broken(reason) => self.drop(reason),
        }
    }

    /// What tells of no trouble, where it is more than a count.
    fn usage(&self, value: &Value, kind: ReportKind) -> Option<Kept> {
        let origin = self.origin();
        match kind {
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
        }
    }

    /// Counts what the reporter threw away, last: a batch that is to come again tells of it then.
    fn discards(&mut self, is_limited: bool) {
        for line in std::mem::take(&mut self.discarded) {
            if is_limited {
                self.refuse(Category::Internal, 1);
            } else {
                self.found.receive(Category::Internal, 1);
                let report = json::read(line).unwrap_or_default();
                protocol::client_report(&report, &mut self.found);
            }
        }
    }

    fn refuse(&mut self, category: Category, items: usize) {
        *self.refused.entry(category).or_default() += items;
        self.found.receive(category, items);
        self.found.refuse(category, RATE_LIMITED, items);
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
