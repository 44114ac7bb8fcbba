//! Records, counters and the outbox in one DynamoDB table.
//!
//! | What | `pk` | `sk` | Other attributes |
//! |---|---|---|---|
//! | record | `record#<project>#<kind>#<lane>` | its key | `version`, `format`, `body` or `blob`, `by1`, `by2`; of a report `expires` |
//! | project | `projects` | its number, ten digits | |
//! | counter | `counter#<project>#<shard>#<counter>` | `counter` | one number per field, `f.<field>` |
//! | messages of a commit | `outbox#<lane>` | their place in the order of commits | `body` or `blob` |
//! | sent message | `sent#<id>` | `sent` | `expires`: the table's time to live |
//! | parked message | `parked#<queue>` | its place in the order of parking | `body` or `blob`, `cause` |
//!
//! `by1` and `by2` are `<project>#<kind>#<lane>#<index>#<value>` and the partition keys of two global indexes of the same names,
//! whose sort key is `sk` and which hold keys only. A list by index reads both, then the records themselves, consistently,
//! and drops those that have left the index meanwhile. **A record that has just entered an index may be missing from it for
//! a moment**; the port asks for more only of `get`.
//!
//! **Load.** DynamoDB bears 1000 writes a second on one partition, and splits a partition that stays hot between sort keys. The
//! keys of records are digests, so they split well; the kinds that come in floods have [`LANES`] partitions from the
//! start. Counters have [`COUNTER_SHARDS`] shards, of which an addition takes one at random; the outbox has [`OUTBOX_LANES`] lanes.
//!
//! **A commit is one transaction**: one item per record, one per counter, and one for all its messages, together at most
//! [`TRANSACTION_ITEMS_MAX`], and 4 MB: bodies are compressed, and the longest go to S3 ([`crate::blobs`]) when they do not
//! fit. A transaction that met another one is tried again; if it keeps meeting others, that is a conflict.
//!
//! **Messages are put once.** A transaction cannot skip an item that is there, so the outbox may hold a message twice; what
//! counts is what comes out: ids of sent messages are remembered for [`SENT_DAYS`] days, and the outbox never gives out
//! one of those, nor one message twice.
//!
//! **Sums always fit into 64 bits.** Each shard of a counter may hold its part of that and no more, which its own update
//! checks. An addition too large for one shard is spread over all of them.

use crate::blobs::S3Blobs;
use crate::bodies::{Bodies, MESSAGES, RECORDS};
use crate::place::Places;
use crate::table::{Item, Key, Source, Table, string};
use async_trait::async_trait;
use futures::future::try_join_all;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::Envelope;
use kintsugi_domain::id::{MessageId, ProjectId};
use kintsugi_domain::limits::PAGE_RECORDS_MAX;
use kintsugi_domain::ports::{Clock, Commit, PortError, Query, RawRecord, RecordKey, Store};
use kintsugi_domain::record::{IndexEntry, Kind};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

mod counters;
mod outbox;
mod transaction;

pub use counters::COUNTER_SHARDS;
pub use outbox::{OUTBOX_LANES, SENT_DAYS};
pub use transaction::{INDEX_ENTRIES_MAX, KEY_BYTES_MAX, TRANSACTION_ITEMS_MAX};

/// Partitions of each project's events and outcomes.
pub const LANES: u8 = 8;

const VERSION: &str = "version";
const FORMAT: &str = "format";
/// The attributes of index entries, and the names of their indexes.
const INDEXES: [&str; 2] = ["by1", "by2"];
/// The partition that names every project.
const PROJECTS: &str = "projects";

/// Records, counters and the outbox in a table. Clones share what they know of the outbox.
#[derive(Clone)]
pub struct DynamoStore {
    table: Table,
    records: Bodies,
    messages: Bodies,
    places: Places,
    listed: Arc<outbox::Listed>,
    /// Commits that lost since the last one that did not: who keeps losing gives way for longer.
    lost: Arc<AtomicU32>,
}

impl fmt::Debug for DynamoStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoStore")
            .field("table", &self.table.name)
            .finish_non_exhaustive()
    }
}

/// How many partitions a project's records of a kind have. **A change would hide records that are there.**
fn lanes(kind: Kind) -> u8 {
    match kind {
        Kind::Event
        | Kind::Batch
        | Kind::Outcome
        | Kind::Session
        | Kind::Visitor
        | Kind::Attachment
        | Kind::Logs => LANES,
        Kind::Project
        | Kind::Issue
        | Kind::Diagnosis
        | Kind::Fix
        | Kind::Job
        | Kind::Bundle
        | Kind::Release
        | Kind::Rollout
        | Kind::Head
        | Kind::Flag
        | Kind::Alert
        | Kind::Audit
        | Kind::Access
        | Kind::Request
        | Kind::Series
        | Kind::Feedback
        | Kind::Monitor
        | Kind::Quota => 1,
    }
}

/// The lane of a record.
fn lane(key: &RecordKey) -> u64 {
    Digest::of(key.key.as_bytes()).leading_u64() % u64::from(lanes(key.kind))
}

/// `infra/template.yaml` denies partitions of some kinds to functions by this form.
fn partition(project: ProjectId, kind: Kind, lane: u64) -> String {
    format!("record#{project}#{kind}#{lane}")
}

fn index_partition(project: ProjectId, kind: Kind, lane: u64, entry: &IndexEntry) -> String {
    format!("{project}#{kind}#{lane}#{}#{}", entry.index, entry.value)
}

/// Where a record lies.
fn place(key: &RecordKey) -> Key {
    Key::new(partition(key.project, key.kind, lane(key)), &key.key)
}

/// A number attribute of an item.
fn count<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

impl DynamoStore {
    /// The store of a table; bodies too long for it lie in `blobs`.
    pub fn new(table: Table, blobs: S3Blobs, clock: Arc<dyn Clock>) -> Self {
        Self {
            table,
            records: Bodies::new(blobs.clone(), RECORDS),
            messages: Bodies::new(blobs, MESSAGES),
            places: Places::new(clock),
            listed: Arc::default(),
            lost: Arc::default(),
        }
    }

    async fn record(&self, key: RecordKey, item: &Item) -> Result<RawRecord, PortError> {
        let what = format!("read {key}");
        let lacks = |name| PortError::broken(&what, format_args!("it has no {name}"));
        Ok(RawRecord {
            version: count(item, VERSION).ok_or_else(|| lacks(VERSION))?,
            format: count(item, FORMAT).ok_or_else(|| lacks(FORMAT))?,
            body: self.records.read(&what, item).await?,
            key,
        })
    }

    async fn records(
        &self,
        query: &Query,
        items: Vec<(Key, Item)>,
    ) -> Result<Vec<RawRecord>, PortError> {
        let records = items.iter().map(|(key, item)| {
            let key = RecordKey {
                project: query.project,
                kind: query.kind,
                key: key.sk.clone(),
            };
            self.record(key, item)
        });
        try_join_all(records).await
    }

    /// A page of the records of a project and kind.
    async fn page(&self, query: &Query, limit: usize) -> Result<Vec<RawRecord>, PortError> {
        let sources: Vec<Source> = (0..u64::from(lanes(query.kind)))
            .map(|lane| Source {
                index: None,
                partition: partition(query.project, query.kind, lane),
            })
            .collect();
        let after = query.after.as_deref().unwrap_or_default();
        let what = format!("list {}s of project {}", query.kind, query.project);
        let items = self.table.merged(&what, &sources, after, limit).await?;
        self.records(query, items).await
    }

    /// A page of those with an index entry. The index says which may have it; the records say which do.
    async fn indexed(
        &self,
        query: &Query,
        entry: &IndexEntry,
        limit: usize,
    ) -> Result<Vec<RawRecord>, PortError> {
        let what = format!("list {}s of project {}", query.kind, query.project);
        let mut sources = Vec::new();
        for lane in 0..u64::from(lanes(query.kind)) {
            let partition = index_partition(query.project, query.kind, lane, entry);
            sources.extend(INDEXES.map(|index| Source {
                index: Some(index),
                partition: partition.clone(),
            }));
        }
        let mut after = query.after.clone().unwrap_or_default();
        let mut found = Vec::new();
        while found.len() < limit {
            let want = limit.saturating_sub(found.len());
            let named = self.table.merged(&what, &sources, &after, want).await?;
            let Some((last, _)) = named.last() else {
                break;
            };
            after.clone_from(&last.sk);
            let keys: Vec<Key> = named.into_iter().map(|(key, _)| key).collect();
            let more = keys.len() == want;
            let mut items: HashMap<String, Item> = HashMap::new();
            for item in self.table.get_many(&what, &keys).await? {
                let stands = |name| {
                    string(&item, name).is_some_and(|at| sources.iter().any(|s| s.partition == at))
                };
                let sk = string(&item, crate::table::SK).map(str::to_owned);
                if let Some(sk) = sk.filter(|_| INDEXES.into_iter().any(stands)) {
                    items.insert(sk, item);
                }
            }
            let items = keys
                .into_iter()
                .filter_map(|key| items.remove(&key.sk).map(|item| (key, item)));
            found.extend(self.records(query, items.collect()).await?);
            if !more {
                break;
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl Store for DynamoStore {
    async fn get(&self, key: &RecordKey) -> Result<Option<RawRecord>, PortError> {
        let found = self.table.get(&format!("read {key}"), &place(key)).await?;
        match found {
            Some(item) => self.record(key.clone(), &item).await.map(Some),
            None => Ok(None),
        }
    }

    async fn get_all(&self, keys: &[RecordKey]) -> Result<Vec<Option<RawRecord>>, PortError> {
        try_join_all(keys.iter().map(|key| self.get(key))).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<RawRecord>, PortError> {
        let limit = query.limit.min(PAGE_RECORDS_MAX);
        match &query.index {
            None => self.page(query, limit).await,
            Some(entry) => self.indexed(query, entry, limit).await,
        }
    }

    async fn counter(
        &self,
        project: ProjectId,
        counter: &str,
    ) -> Result<BTreeMap<String, i64>, PortError> {
        counters::read(&self.table, project, counter).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), PortError> {
        if commit.is_empty() {
            return Ok(());
        }
        let plan = self.plan(commit)?;
        self.carry_out(plan).await
    }

    async fn projects(&self) -> Result<Vec<ProjectId>, PortError> {
        let source = Source {
            index: None,
            partition: PROJECTS.to_owned(),
        };
        let what = "list projects";
        let found = self.table.merged(what, &[source], "", usize::MAX).await?;
        let read = |(key, _): &(Key, Item)| {
            let number = key.sk.parse::<u32>();
            number
                .map(ProjectId)
                .map_err(|error| PortError::broken(what, error))
        };
        found.iter().map(read).collect()
    }

    async fn outbox(&self, limit: usize) -> Result<Vec<Envelope>, PortError> {
        self.waiting(limit).await
    }

    async fn own_outbox(&self, limit: usize) -> Result<Vec<Envelope>, PortError> {
        Ok(self.listed.own(limit))
    }

    async fn sent(&self, ids: &[MessageId]) -> Result<(), PortError> {
        self.mark_sent(ids).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The template denies these partitions to functions by name.
    #[test]
    fn what_only_the_admin_api_writes_has_partitions_of_its_own() {
        for (kind, partition) in [
            (Kind::Access, "record#0#access#0"),
            (Kind::Audit, "record#0#audit#0"),
            (Kind::Flag, "record#0#flag#0"),
            (Kind::Request, "record#0#request#0"),
        ] {
            let key = RecordKey {
                project: kintsugi_domain::audit::HOME,
                kind,
                key: "any".to_owned(),
            };
            assert_eq!(place(&key), Key::new(partition, "any"));
        }
    }

    #[test]
    fn the_records_of_a_flood_are_spread_over_every_lane() {
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..200 {
            let key = |kind| RecordKey {
                project: ProjectId(1),
                kind,
                key: format!("event-{number}"),
            };
            seen.insert(place(&key(Kind::Event)).pk);
            assert_eq!(place(&key(Kind::Issue)).pk, "record#1#issue#0");
        }
        assert_eq!(seen.len(), usize::from(LANES));
    }
}
