//! What a stored thing is: a kind, a key in its project, a body with a format version, and the values
//! it can be found by. The same description serves SQLite and DynamoDB.

use crate::id::ProjectId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Every kind of record there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A product under care.
    Project,
    /// A filed event.
    Event,
    /// An issue.
    Issue,
    /// A diagnosis.
    Diagnosis,
    /// A fix.
    Fix,
    /// An order to the build engine.
    Job,
    /// A bundle.
    Bundle,
    /// A release.
    Release,
    /// A rollout.
    Rollout,
    /// What one install did.
    Outcome,
    /// The head of a project's signed repository.
    Head,
    /// A feature flag.
    Flag,
    /// An alert.
    Alert,
    /// One line of the audit log.
    Audit,
    /// Who may use the home.
    Access,
    /// An action that waits for a second person.
    Request,
    /// One session of a user.
    Session,
    /// Somebody who used a release.
    Visitor,
    /// What numbers are kept of.
    Series,
    /// What a user said.
    Feedback,
    /// A text that came with an event.
    Attachment,
    /// Entries of a log that arrived together.
    Logs,
    /// A job that says how it runs.
    Monitor,
    /// What a key may still send.
    Quota,
    /// A sealed batch that was taken.
    Batch,
}

impl Kind {
    /// The name used in tables and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Event => "event",
            Self::Issue => "issue",
            Self::Diagnosis => "diagnosis",
            Self::Fix => "fix",
            Self::Job => "job",
            Self::Bundle => "bundle",
            Self::Release => "release",
            Self::Rollout => "rollout",
            Self::Outcome => "outcome",
            Self::Head => "head",
            Self::Flag => "flag",
            Self::Alert => "alert",
            Self::Audit => "audit",
            Self::Access => "access",
            Self::Request => "request",
            Self::Session => "session",
            Self::Visitor => "visitor",
            Self::Series => "series",
            Self::Feedback => "feedback",
            Self::Attachment => "attachment",
            Self::Logs => "logs",
            Self::Monitor => "monitor",
            Self::Quota => "quota",
            Self::Batch => "batch",
        }
    }

    /// Whether it is something that was reported, or that only tells whether it was reported before. **It is kept for
    /// [`REPORT_DAYS`](crate::limits::REPORT_DAYS) after it was last written** and removed some time after that; whoever reads it
    /// must bear that it is gone.
    pub fn is_report(self) -> bool {
        match self {
            Self::Event
            | Self::Session
            | Self::Visitor
            | Self::Feedback
            | Self::Attachment
            | Self::Logs
            | Self::Quota
            | Self::Batch => true,
            Self::Project
            | Self::Issue
            | Self::Diagnosis
            | Self::Fix
            | Self::Job
            | Self::Bundle
            | Self::Release
            | Self::Rollout
            | Self::Outcome
            | Self::Head
            | Self::Flag
            | Self::Alert
            | Self::Audit
            | Self::Access
            | Self::Request
            | Self::Series
            | Self::Monitor => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A value by which a record can be found among those of its project and kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexEntry {
    /// The index.
    pub index: &'static str,
    /// The value.
    pub value: String,
}

impl IndexEntry {
    /// An entry.
    pub fn new(index: &'static str, value: &impl fmt::Display) -> Self {
        Self {
            index,
            value: value.to_string(),
        }
    }
}

/// Something that can be stored.
pub trait Record: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// Its kind.
    const KIND: Kind;
    /// The version of its stored form. A new meaning gets a new number.
    const FORMAT: u16 = 1;

    /// The project it belongs to.
    fn project(&self) -> ProjectId;
    /// Its key, unique among the records of its kind in its project.
    fn key(&self) -> String;
    /// Where else it can be found.
    fn indexes(&self) -> Vec<IndexEntry> {
        Vec::new()
    }
}

/// A record as read, with the version that a write must name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<T> {
    /// The record.
    pub value: T,
    /// The version read: 1 for a record that was written once.
    pub version: u64,
}
