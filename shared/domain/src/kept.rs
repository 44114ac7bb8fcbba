//! What is kept of the smaller kinds of reports: feedback, attachments, logs, check-ins. One small record each.
//!
//! **Texts in here were scrubbed before they came here.** What is no text is opaque.

use crate::Timestamp;
use crate::digest::Digest;
use crate::event::Remark;
use crate::id::{EventId, ProjectId};
use crate::record::{IndexEntry, Kind, Record};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a user said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// Its id.
    pub id: EventId,
    /// The project.
    pub project: ProjectId,
    /// The event that it is about, if any.
    pub event: Option<EventId>,
    /// What they said.
    pub message: String,
    /// The page that they were on.
    pub url: Option<String>,
    /// The release, as reported.
    pub release: Option<String>,
    /// The environment, as reported.
    pub environment: Option<String>,
    /// Labels: `kind` (bug, feature, performance, ui), `severity` and whatever else the client set.
    pub tags: BTreeMap<String, String>,
    /// Hash of the address or name that they gave, salted per project; never either of them.
    pub user: Option<String>,
    /// When it arrived.
    pub at: Timestamp,
    /// What was removed before storing, and by which rule.
    pub remarks: Vec<Remark>,
}

impl Record for Feedback {
    const KIND: Kind = Kind::Feedback;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn indexes(&self) -> Vec<IndexEntry> {
        let event = self.event.iter();
        event.map(|event| IndexEntry::new("event", event)).collect()
    }
}

/// What came with an event: a text, or bytes where the project keeps such. Its content is a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The project.
    pub project: ProjectId,
    /// The event that it came with, if that was said.
    pub event: Option<EventId>,
    /// Its name.
    pub name: String,
    /// Its media type, as the client says.
    pub content_type: Option<String>,
    /// Whether it is no text. **Then nothing in it was scrubbed.**
    #[serde(default)]
    pub is_binary: bool,
    /// Where its content is, scrubbed if it is a text.
    pub blob: String,
    /// The digest of that content.
    pub digest: Digest,
    /// The length of that content, bytes.
    pub bytes: u64,
    /// When it arrived.
    pub at: Timestamp,
    /// What was removed before storing, and by which rule.
    pub remarks: Vec<Remark>,
}

impl Record for Attachment {
    const KIND: Kind = Kind::Attachment;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        let event = self.event.as_ref().map_or("none", EventId::as_str);
        let name = Digest::of(self.name.as_bytes()).short(8);
        format!("{event}-{}-{name}", self.digest.short(24))
    }

    fn indexes(&self) -> Vec<IndexEntry> {
        let event = self.event.iter();
        event.map(|event| IndexEntry::new("event", event)).collect()
    }
}

/// Entries of a log that arrived together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Logs {
    /// The project.
    pub project: ProjectId,
    /// When they arrived.
    pub at: Timestamp,
    /// The digest of what arrived.
    pub digest: Digest,
    /// The entries, as they stood.
    pub entries: Vec<LogEntry>,
    /// What was removed before storing, and by which rule.
    pub remarks: Vec<Remark>,
}

/// One entry of a log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When it was written.
    pub at: Timestamp,
    /// `trace`, `debug`, `info`, `warn`, `error` or `fatal`.
    pub level: String,
    /// The text.
    pub body: String,
    /// The trace that it belongs to.
    pub trace: Option<String>,
    /// Attributes.
    pub attributes: BTreeMap<String, Value>,
}

impl Record for Logs {
    const KIND: Kind = Kind::Logs;

    fn project(&self) -> ProjectId {
        self.project
    }

    /// In the order in which they were written. The same container that is sent again later has the same key.
    fn key(&self) -> String {
        let written = self.entries.first().map_or(self.at, |entry| entry.at);
        format!("{:020}-{}", written.as_microsecond(), self.digest.short(16))
    }
}

/// Most check-ins remembered of one monitor.
pub const CHECKS_MAX: usize = 20;

/// A job that says when it runs and how it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Monitor {
    /// The project.
    pub project: ProjectId,
    /// Its name.
    pub slug: String,
    /// When it should run, as the client says.
    pub schedule: Option<Value>,
    /// Its last runs, the newest at the end.
    pub checks: Vec<Check>,
}

/// One run of a monitored job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its id.
    pub id: EventId,
    /// How it went.
    pub status: CheckStatus,
    /// The environment, as reported.
    pub environment: Option<String>,
    /// How long it took, milliseconds.
    pub duration_ms: Option<u64>,
    /// When its last word came.
    pub at: Timestamp,
}

/// How a run of a monitored job went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// It began.
    InProgress,
    /// It ended well.
    Ok,
    /// It failed.
    Error,
}

impl Monitor {
    /// The key of its record: names of clients may hold anything.
    pub fn name(slug: &str) -> String {
        Digest::of(slug.as_bytes()).short(32)
    }

    /// Takes in a word of a run. The same word twice changes nothing, and the end of a run is not undone by its beginning.
    pub fn join(&mut self, check: Check) {
        if let Some(known) = self.checks.iter_mut().find(|known| known.id == check.id) {
            known.status = known.status.max(check.status);
            known.duration_ms = known.duration_ms.max(check.duration_ms);
            known.at = known.at.max(check.at);
        } else {
            self.checks.push(check);
            self.checks.sort_by_key(|check| check.at);
            let old = self.checks.len().saturating_sub(CHECKS_MAX);
            self.checks.drain(..old);
        }
    }
}

impl Record for Monitor {
    const KIND: Kind = Kind::Monitor;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        Self::name(&self.slug)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_run_is_not_undone_by_its_beginning() {
        let check = |id: &str, status, at| Check {
            id: id.parse().unwrap(),
            status,
            environment: None,
            duration_ms: None,
            at: Timestamp::from_second(at).unwrap(),
        };
        let mut monitor = Monitor {
            project: ProjectId(1),
            slug: "nightly".into(),
            schedule: None,
            checks: vec![],
        };
        for status in [
            CheckStatus::Error,
            CheckStatus::InProgress,
            CheckStatus::Error,
        ] {
            monitor.join(check("a", status, 5));
        }
        assert_eq!(monitor.checks, [check("a", CheckStatus::Error, 5)]);
        for number in 0..CHECKS_MAX {
            let at = 10 + i64::try_from(number).unwrap();
            monitor.join(check(&format!("b{number}"), CheckStatus::Ok, at));
        }
        assert_eq!(monitor.checks.len(), CHECKS_MAX);
        assert_eq!(monitor.checks[0].id.as_str(), "b0");
    }
}
