//! Records, counters and the outbox in maps behind one lock: a commit is one turn of the lock.

use super::locked;
use async_trait::async_trait;
use kintsugi_domain::envelope::Envelope;
use kintsugi_domain::id::{MessageId, ProjectId};
use kintsugi_domain::limits::{COMMIT_WRITES_MAX, PAGE_RECORDS_MAX};
use kintsugi_domain::ports::{
    Add, Commit, PortError, Query, RawRecord, RecordKey, Store, Write, check_append_only,
};
use kintsugi_domain::record::{IndexEntry, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// A store in memory. Clones share their content.
///
/// Ids of sent messages are remembered for as long as the store lives.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

/// The fields of each counter of each project.
type Counters = BTreeMap<(ProjectId, String), BTreeMap<String, i64>>;

#[derive(Debug, Clone, Default)]
struct State {
    records: BTreeMap<RecordKey, Row>,
    counters: Counters,
    outbox: BTreeMap<u64, Envelope>,
    known_messages: BTreeSet<MessageId>,
    next_place: u64,
}

#[derive(Debug, Clone)]
struct Row {
    version: u64,
    format: u16,
    body: String,
    indexes: Vec<IndexEntry>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every record of a kind in every project, in order of project and key: for invariants that look at
    /// everything.
    pub fn records(&self, kind: Kind) -> Vec<RawRecord> {
        let state = locked(&self.state);
        let of_kind = state.records.iter().filter(|(key, _)| key.kind == kind);
        of_kind.map(|(key, row)| row.raw(key)).collect()
    }
}

impl Row {
    fn raw(&self, key: &RecordKey) -> RawRecord {
        RawRecord {
            key: key.clone(),
            version: self.version,
            format: self.format,
            body: self.body.clone(),
        }
    }
}

impl State {
    /// Says whether the commit can be applied, without applying any of it.
    fn check(&self, commit: &Commit) -> Result<(), PortError> {
        check_append_only(commit)?;
        if commit.writes.len() > COMMIT_WRITES_MAX {
            let why = format!(
                "{} records where {COMMIT_WRITES_MAX} are allowed",
                commit.writes.len()
            );
            return Err(PortError::broken("commit", why));
        }
        let mut keys = BTreeSet::new();
        for write in &commit.writes {
            if !keys.insert(&write.key) {
                return Err(PortError::broken(&write.key, "written twice in one commit"));
            }
            let stored = self.records.get(&write.key).map_or(0, |row| row.version);
            if stored != write.expected {
                let what = write.key.to_string();
                return Err(PortError::Conflict { what });
            }
        }
        Ok(())
    }

    fn write(&mut self, write: Write) {
        let row = Row {
            version: write.expected.saturating_add(1),
            format: write.format,
            body: write.body,
            indexes: write.indexes,
        };
        self.records.insert(write.key, row);
    }

    fn hand_on(&mut self, envelope: Envelope) {
        if self.known_messages.insert(envelope.id.clone()) {
            self.outbox.insert(self.next_place, envelope);
            self.next_place += 1;
        }
    }
}

/// The counters after the additions, or a refusal when one would leave the range of 64 bits.
fn added(counters: &Counters, adds: &[Add]) -> Result<Counters, PortError> {
    let mut changed = Counters::new();
    for add in adds {
        let name = (add.project, add.counter.clone());
        let fields = changed
            .entry(name.clone())
            .or_insert_with(|| counters.get(&name).cloned().unwrap_or_default());
        let value = fields.entry(add.field.clone()).or_insert(0);
        *value = value.checked_add(add.by).ok_or_else(|| {
            let what = format!("counter {} of project {}", add.counter, add.project);
            PortError::broken(what, "the sum does not fit 64 bits")
        })?;
    }
    Ok(changed)
}

#[async_trait]
impl Store for MemoryStore {
    async fn get(&self, key: &RecordKey) -> Result<Option<RawRecord>, PortError> {
        Ok(locked(&self.state).records.get(key).map(|row| row.raw(key)))
    }

    async fn list(&self, query: &Query) -> Result<Vec<RawRecord>, PortError> {
        let state = locked(&self.state);
        let from = RecordKey {
            project: query.project,
            kind: query.kind,
            key: query.after.clone().unwrap_or_default(),
        };
        let page = state
            .records
            .range(from..)
            .take_while(|(key, _)| key.project == query.project && key.kind == query.kind)
            .filter(|(key, _)| query.after.as_ref().is_none_or(|after| key.key > *after))
            .filter(|(_, row)| {
                let wanted = query.index.as_ref();
                wanted.is_none_or(|entry| row.indexes.contains(entry))
            })
            .take(query.limit.min(PAGE_RECORDS_MAX))
            .map(|(key, row)| row.raw(key))
            .collect();
        Ok(page)
    }

    async fn counter(
        &self,
        project: ProjectId,
        counter: &str,
    ) -> Result<BTreeMap<String, i64>, PortError> {
        let state = locked(&self.state);
        let fields = state.counters.get(&(project, counter.to_owned()));
        Ok(fields.cloned().unwrap_or_default())
    }

    async fn commit(&self, commit: Commit) -> Result<(), PortError> {
        let mut state = locked(&self.state);
        state.check(&commit)?;
        let counters = added(&state.counters, &commit.adds)?;
        // From here on nothing can fail.
        state.counters.extend(counters);
        for write in commit.writes {
            state.write(write);
        }
        for envelope in commit.messages {
            state.hand_on(envelope);
        }
        Ok(())
    }

    async fn projects(&self) -> Result<Vec<ProjectId>, PortError> {
        let state = locked(&self.state);
        let projects: BTreeSet<ProjectId> = state
            .records
            .keys()
            .filter(|key| key.kind == Kind::Project)
            .map(|key| key.project)
            .collect();
        Ok(projects.into_iter().collect())
    }

    async fn outbox(&self, limit: usize) -> Result<Vec<Envelope>, PortError> {
        let state = locked(&self.state);
        Ok(state.outbox.values().take(limit).cloned().collect())
    }

    async fn sent(&self, ids: &[MessageId]) -> Result<(), PortError> {
        let mut state = locked(&self.state);
        state
            .outbox
            .retain(|_, envelope| !ids.contains(&envelope.id));
        Ok(())
    }
}
