//! What one decision changes.

use super::{PortError, RecordKey};
use crate::envelope::Envelope;
use crate::id::ProjectId;
use crate::record::{IndexEntry, Kind, Record, Stored};
use crate::trace::TraceId;

/// One record to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Its name.
    pub key: RecordKey,
    /// The version that was read, 0 for a record that must not exist yet.
    pub expected: u64,
    /// The version of the body's form.
    pub format: u16,
    /// The body, JSON.
    pub body: String,
    /// Where it can be found; replaces what was there.
    pub indexes: Vec<IndexEntry>,
}

/// One addition to a counter. Additions commute: order does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// The project.
    pub project: ProjectId,
    /// The counter: `ingest`, `tally/<rollout>` …
    pub counter: String,
    /// The field of the counter.
    pub field: String,
    /// How much.
    pub by: i64,
}

/// What one decision changes: records, counters and messages, all of it or none of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Commit {
    /// Records to write.
    pub writes: Vec<Write>,
    /// Counters to add to.
    pub adds: Vec<Add>,
    /// Messages to hand on, kept in the outbox until they are sent.
    pub messages: Vec<Envelope>,
}

impl Commit {
    /// An empty commit.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a record that must not exist yet.
    #[must_use]
    pub fn create<T: Record>(self, record: &T) -> Self {
        self.write(record, 0)
    }

    /// Replaces a record as it was read.
    #[must_use]
    pub fn update<T: Record>(self, record: &Stored<T>) -> Self {
        self.write(&record.value, record.version)
    }

    fn write<T: Record>(mut self, record: &T, expected: u64) -> Self {
        self.writes.push(Write {
            key: RecordKey {
                project: record.project(),
                kind: T::KIND,
                key: record.key(),
            },
            expected,
            format: T::FORMAT,
            // Records are made of strings, numbers and maps with string keys: they serialise.
            body: serde_json::to_string(record).unwrap_or_default(),
            indexes: record.indexes(),
        });
        self
    }

    /// Adds to a counter.
    #[must_use]
    pub fn add(mut self, project: ProjectId, counter: &str, field: &str, by: i64) -> Self {
        self.adds.push(Add {
            project,
            counter: counter.into(),
            field: field.into(),
            by,
        });
        self
    }

    /// Hands a message on, in the trace of the step that does.
    #[must_use]
    pub fn send(mut self, mut envelope: Envelope) -> Self {
        envelope.trace = envelope.trace.or_else(TraceId::current);
        self.messages.push(envelope);
        self
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.adds.is_empty() && self.messages.is_empty()
    }
}

/// Refuses a commit that would write a line of the audit log anew: lines are created and never changed. Every store calls it
/// first, and no port deletes records, so **the audit log only grows**.
pub fn check_append_only(commit: &Commit) -> Result<(), PortError> {
    let rewritten = |write: &&Write| write.key.kind == Kind::Audit && write.expected != 0;
    match commit.writes.iter().find(rewritten) {
        Some(write) => {
            let why = "a line of the audit log is never written again";
            Err(PortError::broken(&write.key, why))
        }
        None => Ok(()),
    }
}
