//! Records, counters and the outbox in SQLite.
//!
//! **Invariant: the id of a sent message is kept for [`SENT_DAYS`] days**, so that a stage that runs again, however late
//! its message was delivered, does not send again. Older ids go in small portions, whenever messages are marked as sent.
//!
//! **Invariant: what was reported ([`Kind::is_report`]) stays for [`REPORT_DAYS`] after it was last written**, and then until
//! [`SqliteStore::forget`] is called.

use crate::database::{Database, sqlite_error};
use async_trait::async_trait;
use kintsugi_domain::envelope::Envelope;
use kintsugi_domain::id::{MessageId, ProjectId};
use kintsugi_domain::limits::{COMMIT_WRITES_MAX, PAGE_RECORDS_MAX, REPORT_DAYS};
use kintsugi_domain::ports::{
    Add, Clock, Commit, PortError, Query, RawRecord, RecordKey, Store, Write, check_append_only,
};
use kintsugi_domain::record::Kind;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Days for which the id of a sent message is kept: as long as an event's id, the longest any cause lives.
pub const SENT_DAYS: i64 = kintsugi_domain::limits::EVENT_ID_DAYS;

/// Most that one transaction removes of what is old, so that nobody waits long for it.
const PURGE_MAX: i64 = 500;

const DAY_MILLISECONDS: i64 = 24 * 60 * 60 * 1_000;

/// Records, counters and the outbox in SQLite. Clones share the database.
#[derive(Clone)]
pub struct SqliteStore {
    database: Database,
    clock: Arc<dyn Clock>,
    handed: Arc<Handed>,
}

/// Whether looking into the outbox can find anything: reports, of which there are many, hand on nothing by it.
#[derive(Debug)]
struct Handed {
    /// Commits with messages, and one for whatever an earlier process left.
    commits: AtomicU64,
    /// How many of these there were before the outbox was last found empty.
    empty_after: AtomicU64,
}

impl Default for Handed {
    fn default() -> Self {
        Self {
            commits: AtomicU64::new(1),
            empty_after: AtomicU64::new(0),
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// The store of a database.
    pub fn new(database: &Database, clock: Arc<dyn Clock>) -> Self {
        Self {
            database: database.clone(),
            clock,
            handed: Arc::default(),
        }
    }

    /// Removes records of what was reported whose days are over, in transactions of up to 500 records, and says how many went.
    pub async fn forget(&self) -> Result<usize, PortError> {
        let mut gone = 0;
        loop {
            let now = self.clock.now().as_millisecond();
            let removed = self.database.write(move |connection| {
                forget(connection, now)
                    .map_err(|error| sqlite_error("forget what was reported", &error))
            });
            match removed.await? {
                0 => return Ok(gone),
                removed => gone += removed,
            }
        }
    }
}

/// Refuses what no home takes, before anything is tried.
fn check(commit: &Commit) -> Result<(), PortError> {
    check_append_only(commit)?;
    if commit.writes.len() > COMMIT_WRITES_MAX {
        let why = format!(
            "{} records where {COMMIT_WRITES_MAX} are allowed",
            commit.writes.len()
        );
        return Err(PortError::broken("commit", why));
    }
    let mut keys = BTreeSet::new();
    match commit.writes.iter().find(|write| !keys.insert(&write.key)) {
        Some(write) => Err(PortError::broken(&write.key, "written twice in one commit")),
        None => Ok(()),
    }
}

fn apply(connection: &Connection, commit: &Commit, now: i64) -> Result<(), PortError> {
    for write in &commit.writes {
        let written = write_record(connection, write, now);
        if !written.map_err(|error| sqlite_error(&format!("write {}", write.key), &error))? {
            let what = write.key.to_string();
            return Err(PortError::Conflict { what });
        }
    }
    for add in &commit.adds {
        let what = || format!("add to counter {} of project {}", add.counter, add.project);
        add_to_counter(connection, add).map_err(|error| sqlite_error(&what(), &error))?;
    }
    for envelope in &commit.messages {
        let body = serde_json::to_string(envelope)
            .map_err(|error| PortError::broken(format!("message {}", envelope.id), error))?;
        connection
            .prepare_cached(
                "INSERT INTO outbox (message, body) VALUES (?1, ?2) ON CONFLICT (message) DO NOTHING",
            )
            .and_then(|mut statement| statement.execute(params![envelope.id.as_str(), body]))
            .map_err(|error| sqlite_error(&format!("keep message {}", envelope.id), &error))?;
    }
    Ok(())
}

/// Writes a record and its index entries; `false` when its version is not the expected one.
fn write_record(connection: &Connection, write: &Write, now: i64) -> Result<bool, rusqlite::Error> {
    let RecordKey { project, kind, key } = &write.key;
    let place = (project.0, kind.name(), key);
    let expires = now.saturating_add(REPORT_DAYS * DAY_MILLISECONDS);
    let expires = kind.is_report().then_some(expires);
    let id: Option<i64> = if write.expected == 0 {
        connection
            .prepare_cached(
                "INSERT INTO records (project, kind, key, version, format, body, expires_at) \
                 VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6) ON CONFLICT DO NOTHING RETURNING id",
            )?
            .query_row(
                params![place.0, place.1, place.2, write.format, write.body, expires],
                |row| row.get(0),
            )
            .optional()?
    } else {
        // A version beyond 63 bits was never stored: it matches nothing.
        let expected = i64::try_from(write.expected).unwrap_or(-1);
        connection
            .prepare_cached(
                "UPDATE records SET version = version + 1, format = ?4, body = ?5, expires_at = ?7 \
                 WHERE project = ?1 AND kind = ?2 AND key = ?3 AND version = ?6 RETURNING id",
            )?
            .query_row(
                params![
                    place.0,
                    place.1,
                    place.2,
                    write.format,
                    write.body,
                    expected,
                    expires
                ],
                |row| row.get(0),
            )
            .optional()?
    };
    let Some(id) = id else {
        return Ok(false);
    };
    if write.expected > 0 {
        connection
            .prepare_cached("DELETE FROM index_entries WHERE record = ?1")?
            .execute([id])?;
    }
    for entry in &write.indexes {
        connection
            .prepare_cached(
                "INSERT INTO index_entries (project, kind, name, value, key, record) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                place.0,
                place.1,
                entry.index,
                entry.value,
                place.2,
                id
            ])?;
    }
    Ok(true)
}

fn add_to_counter(connection: &Connection, add: &Add) -> Result<usize, rusqlite::Error> {
    // A sum beyond 64 bits becomes a fraction, which the STRICT column refuses.
    connection
        .prepare_cached(
            "INSERT INTO counters (project, counter, field, value) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO UPDATE SET value = value + excluded.value",
        )?
        .execute(params![add.project.0, add.counter, add.field, add.by])
}

/// Reads `key, version, format, body`.
fn raw(project: ProjectId, kind: Kind, row: &Row<'_>) -> Result<RawRecord, rusqlite::Error> {
    Ok(RawRecord {
        key: RecordKey {
            project,
            kind,
            key: row.get(0)?,
        },
        version: row.get::<_, i64>(1)?.unsigned_abs(),
        format: row.get(2)?,
        body: row.get(3)?,
    })
}

fn one(connection: &Connection, key: &RecordKey) -> Result<Option<RawRecord>, rusqlite::Error> {
    connection
        .prepare_cached(
            "SELECT key, version, format, body FROM records \
             WHERE project = ?1 AND kind = ?2 AND key = ?3",
        )?
        .query_row(params![key.project.0, key.kind.name(), key.key], |row| {
            raw(key.project, key.kind, row)
        })
        .optional()
}

fn page(connection: &Connection, query: &Query) -> Result<Vec<RawRecord>, rusqlite::Error> {
    let (project, kind) = (query.project, query.kind);
    let limit = i64::try_from(query.limit.min(PAGE_RECORDS_MAX)).unwrap_or(0);
    let read = |row: &Row<'_>| raw(project, kind, row);
    // No key is empty, so "after the empty key" is the beginning.
    let after = query.after.as_deref().unwrap_or_default();
    match &query.index {
        None => connection
            .prepare_cached(
                "SELECT key, version, format, body FROM records \
                 WHERE project = ?1 AND kind = ?2 AND key > ?3 ORDER BY key LIMIT ?4",
            )?
            .query_map(params![project.0, kind.name(), after, limit], read)?
            .collect(),
        Some(entry) => connection
            .prepare_cached(
                "SELECT r.key, r.version, r.format, r.body FROM index_entries e \
                 JOIN records r ON r.id = e.record \
                 WHERE e.project = ?1 AND e.kind = ?2 AND e.name = ?3 AND e.value = ?4 AND e.key > ?5 \
                 ORDER BY e.key LIMIT ?6",
            )?
            .query_map(
                params![project.0, kind.name(), entry.index, entry.value, after, limit],
                read,
            )?
            .collect(),
    }
}

fn unsent(connection: &Connection, limit: usize) -> Result<Vec<String>, rusqlite::Error> {
    connection
        .prepare_cached("SELECT body FROM outbox WHERE sent_at IS NULL ORDER BY place LIMIT ?1")?
        .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| row.get(0))?
        .collect()
}

fn mark_sent(connection: &Connection, ids: &[MessageId], now: i64) -> Result<(), rusqlite::Error> {
    let mut mark = connection.prepare_cached(
        "UPDATE outbox SET sent_at = ?2, body = '' WHERE message = ?1 AND sent_at IS NULL",
    )?;
    for id in ids {
        mark.execute(params![id.as_str(), now])?;
    }
    let old = now.saturating_sub(SENT_DAYS * DAY_MILLISECONDS);
    connection
        .prepare_cached(
            "DELETE FROM outbox WHERE place IN \
             (SELECT place FROM outbox WHERE sent_at < ?1 ORDER BY sent_at LIMIT ?2)",
        )?
        .execute([old, PURGE_MAX])?;
    Ok(())
}

/// Removes what expired first, with its index entries.
fn forget(connection: &Connection, now: i64) -> Result<usize, rusqlite::Error> {
    connection
        .prepare_cached(
            "DELETE FROM records WHERE id IN \
             (SELECT id FROM records WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
        )?
        .execute([now, PURGE_MAX])
}

#[async_trait]
impl Store for SqliteStore {
    async fn get(&self, key: &RecordKey) -> Result<Option<RawRecord>, PortError> {
        let key = key.clone();
        let read = self.database.read(move |connection| {
            one(connection, &key).map_err(|error| sqlite_error("read a record", &error))
        });
        read.await
    }

    async fn get_all(&self, keys: &[RecordKey]) -> Result<Vec<Option<RawRecord>>, PortError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys = keys.to_vec();
        let read = self.database.read(move |connection| {
            let found: Result<_, _> = keys.iter().map(|key| one(connection, key)).collect();
            found.map_err(|error| sqlite_error("read records", &error))
        });
        read.await
    }

    async fn list(&self, query: &Query) -> Result<Vec<RawRecord>, PortError> {
        let query = query.clone();
        let read = self.database.read(move |connection| {
            page(connection, &query).map_err(|error| sqlite_error("list records", &error))
        });
        read.await
    }

    async fn counter(
        &self,
        project: ProjectId,
        counter: &str,
    ) -> Result<BTreeMap<String, i64>, PortError> {
        let counter = counter.to_owned();
        let query = move |connection: &Connection| {
            connection
                .prepare_cached(
                    "SELECT field, value FROM counters WHERE project = ?1 AND counter = ?2",
                )?
                .query_map(params![project.0, counter], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?
                .collect::<Result<BTreeMap<String, i64>, _>>()
        };
        let read = self.database.read(move |connection| {
            query(connection).map_err(|error| sqlite_error("read a counter", &error))
        });
        read.await
    }

    async fn commit(&self, commit: Commit) -> Result<(), PortError> {
        check(&commit)?;
        if commit.is_empty() {
            return Ok(());
        }
        let now = self.clock.now().as_millisecond();
        let hands_on = !commit.messages.is_empty();
        let write = self
            .database
            .write(move |connection| apply(connection, &commit, now));
        write.await?;
        if hands_on {
            self.handed.commits.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }

    async fn projects(&self) -> Result<Vec<ProjectId>, PortError> {
        let query = |connection: &Connection| {
            connection
                .prepare_cached(
                    "SELECT DISTINCT project FROM records WHERE kind = ?1 ORDER BY project",
                )?
                .query_map([Kind::Project.name()], |row| row.get(0).map(ProjectId))?
                .collect::<Result<Vec<ProjectId>, _>>()
        };
        let read = self.database.read(move |connection| {
            query(connection).map_err(|error| sqlite_error("list projects", &error))
        });
        read.await
    }

    async fn outbox(&self, limit: usize) -> Result<Vec<Envelope>, PortError> {
        let read = self.database.read(move |connection| {
            unsent(connection, limit).map_err(|error| sqlite_error("read the outbox", &error))
        });
        let bodies = read.await?;
        let parse = |body: &String| {
            serde_json::from_str(body).map_err(|error| PortError::broken("outbox", error))
        };
        bodies.iter().map(parse).collect()
    }

    async fn own_outbox(&self, limit: usize) -> Result<Vec<Envelope>, PortError> {
        let commits = self.handed.commits.load(Ordering::SeqCst);
        if self.handed.empty_after.load(Ordering::SeqCst) == commits {
            return Ok(Vec::new());
        }
        let found = self.outbox(limit).await?;
        if found.is_empty() {
            self.handed.empty_after.fetch_max(commits, Ordering::SeqCst);
        }
        Ok(found)
    }

    async fn sent(&self, ids: &[MessageId]) -> Result<(), PortError> {
        if ids.is_empty() {
            return Ok(());
        }
        let (ids, now) = (ids.to_vec(), self.clock.now().as_millisecond());
        let write = self.database.write(move |connection| {
            mark_sent(connection, &ids, now)
                .map_err(|error| sqlite_error("mark messages as sent", &error))
        });
        write.await
    }
}
