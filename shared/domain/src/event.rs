//! One report from the field, decoded, limited and scrubbed. Immutable once stored.
//!
//! Shapes follow Sentry's event payload where it has a word for a thing, since most reports arrive in
//! it; whatever the wire was, everything after ingestion sees only this.

mod body;

use crate::Timestamp;
use crate::accounting::Category;
use crate::id::{EventId, ProjectId};
use crate::record::{IndexEntry, Kind, Record};
pub use body::Body;
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// How bad the reporter says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// For developers.
    Debug,
    /// Worth knowing.
    Info,
    /// Suspicious.
    Warning,
    /// Something failed.
    Error,
    /// The program ended.
    Fatal,
}

/// One report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The reporter's id: the same id twice is one event.
    pub id: EventId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// When the client says it happened.
    pub occurred_at: Timestamp,
    /// When we accepted it.
    pub received_at: Timestamp,
    /// How bad it is.
    pub level: Level,
    /// The language or runtime, as Sentry names it: `python`, `javascript`, `native` …
    pub platform: String,
    /// The release as reported, usually `name@version`.
    pub release: Option<String>,
    /// `production`, `staging` …
    pub environment: Option<String>,
    /// The transaction or command that was running.
    pub transaction: Option<String>,
    /// The log message, where there is one.
    pub message: Option<String>,
    /// The exceptions of the chain, the one that was raised last at the end.
    pub exceptions: Vec<Exception>,
    /// What happened before, oldest first.
    pub breadcrumbs: Vec<Breadcrumb>,
    /// Hash of the user's id, salted per project; never the id itself.
    pub user: Option<String>,
    /// The reporter's own grouping, if it gave one.
    pub fingerprint: Vec<String>,
    /// Searchable labels.
    pub tags: BTreeMap<String, String>,
    /// System facts: operating system, runtime, device.
    pub system: BTreeMap<String, String>,
    /// What else the client said, scrubbed: `request` (method, address, headers, body), `extra`, and `contexts` of its own.
    #[serde(default)]
    pub details: BTreeMap<String, Value>,
    /// Name and version of the client library.
    pub sdk: Option<String>,
    /// What was removed before storing, and by which rule.
    pub remarks: Vec<Remark>,
    /// What it is counted as.
    #[serde(default)]
    pub category: Category,
}

/// One exception of a chain.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Exception {
    /// The type's name: `ZeroDivisionError`.
    pub kind: String,
    /// The message.
    pub value: String,
    /// The module of the type.
    pub module: Option<String>,
    /// Whether the program caught it. Absent: not said.
    pub handled: Option<bool>,
    /// The frames, outermost call first, the raising one at the end.
    pub frames: Vec<Frame>,
}

/// One frame of a stack.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// The file, relative to the product where the client knew it.
    pub file: String,
    /// The file's whole path on the client's machine, user names scrubbed.
    pub path: Option<String>,
    /// The function.
    pub function: String,
    /// The module, dotted.
    pub module: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The source text of that line, if sent.
    pub source: Option<String>,
    /// Product code (true) or a library's (false).
    pub in_app: bool,
    /// Local variables, as the client printed them (for Python: `repr` of each leaf).
    pub vars: BTreeMap<String, Value>,
}

/// Something that happened before the event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Breadcrumb {
    /// When, if said.
    pub at: Option<Timestamp>,
    /// `http`, `ui.click` …
    pub category: String,
    /// Text.
    pub message: String,
}

/// A note that something was removed from an event before it was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// The rule that removed it.
    pub rule: String,
    /// Where: dotted path into the event.
    pub path: String,
    /// Byte range in the text as it is stored now, that is of the placeholder.
    pub range: (usize, usize),
}

impl Event {
    /// The exception that was raised last, which names the event.
    pub fn raised(&self) -> Option<&Exception> {
        self.exceptions.last()
    }

    /// Whether the program did not catch it.
    pub fn is_unhandled(&self) -> bool {
        self.level == Level::Fatal
            || self
                .exceptions
                .iter()
                .any(|exception| exception.handled == Some(false))
    }

    /// The version in `release`: what follows the last `@`, or all of it.
    pub fn version(&self) -> Option<Version> {
        let release = self.release.as_deref()?;
        let text = release.rsplit('@').next()?;
        Version::parse(text.trim_start_matches('v')).ok()
    }

    /// A line that names the event: `ZeroDivisionError: integer division or modulo by zero`.
    pub fn title(&self) -> String {
        let title = match (self.raised(), &self.message) {
            (Some(raised), _) if raised.value.is_empty() => raised.kind.clone(),
            (Some(raised), _) => format!("{}: {}", raised.kind, raised.value),
            (None, Some(message)) => message.clone(),
            (None, None) => format!("{} event without a message", self.platform),
        };
        title
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(200)
            .collect()
    }

    /// The raising frame in product code: `totals.average_sale`.
    pub fn culprit(&self) -> Option<&Frame> {
        let frames = &self.raised()?.frames;
        frames
            .iter()
            .rev()
            .find(|frame| frame.in_app)
            .or_else(|| frames.last())
    }
}

/// That an event was filed: once, in one issue. Its body lies in a batch, beside those that were filed with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiledEvent {
    /// The event.
    pub id: EventId,
    /// Its project.
    pub project: ProjectId,
    /// The issue it belongs to.
    pub issue: crate::id::IssueId,
    /// When we accepted it.
    pub received_at: Timestamp,
    /// The key of the blob that holds its body.
    pub batch: String,
}

impl Record for FiledEvent {
    const KIND: Kind = Kind::Event;
    // 1 held the whole event.
    const FORMAT: u16 = 2;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn indexes(&self) -> Vec<IndexEntry> {
        vec![IndexEntry::new("issue", &self.issue)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_common_release_names() {
        let mut event = sample();
        for (release, version) in [
            (Some("till@1.2.3"), Some(Version::new(1, 2, 3))),
            (Some("v1.2.3"), Some(Version::new(1, 2, 3))),
            (Some("nightly"), None),
            (None, None),
        ] {
            event.release = release.map(str::to_owned);
            assert_eq!(event.version(), version, "{release:?}");
        }
    }

    fn sample() -> Event {
        Event {
            id: "a".parse().unwrap(),
            project: ProjectId(1),
            occurred_at: Timestamp::UNIX_EPOCH,
            received_at: Timestamp::UNIX_EPOCH,
            level: Level::Error,
            platform: "python".into(),
            release: None,
            environment: None,
            transaction: None,
            message: None,
            exceptions: vec![],
            breadcrumbs: vec![],
            user: None,
            fingerprint: vec![],
            tags: BTreeMap::new(),
            system: BTreeMap::new(),
            details: BTreeMap::new(),
            sdk: None,
            remarks: vec![],
            category: Category::Error,
        }
    }
}
