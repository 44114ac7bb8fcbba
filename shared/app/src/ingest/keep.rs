//! Keeps what ingestion keeps itself, each kind in its one record or counter.
//!
//! Items are gathered into commits. **Each commit counts as received and as accepted (or dropped) exactly what it keeps**, so the
//! account is right over any crash between two of them. Items of ours may meet those of another process at the same record (two
//! words about one session): the loser is decided again on what is there.
//!
//! What has an id of its own (a session, feedback, an attachment, a check-in, a container of logs in one request) counts once however
//! often it comes. Durations and sessions that the client counted have none: a request that is sent again because its answer was
//! lost counts them again.

use super::COUNTER;
use crate::records;
use kintsugi_domain::accounting::{Category, Fate, ended};
use kintsugi_domain::health::{SESSIONS, Session, USERS, USERS_CRASHED, Visitor};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::kept::{Attachment, Check, Feedback, Logs, Monitor};
use kintsugi_domain::limits::{
    COMMIT_WRITES_MAX, CONFLICT_RETRIES_MAX, COUNTER_FIELDS_MAX, SERIES_MAX,
};
use kintsugi_domain::ports::{Blobs, Commit, PortError, RecordKey, Store};
use kintsugi_domain::record::{Record, Stored};
use kintsugi_domain::series::Series;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// The counter of how many series a project has.
const SERIES_COUNTER: &str = "series";
/// Most series remembered; they are read again where one is not.
const REMEMBERED_MAX: usize = 20_000;

/// One item that ingestion keeps itself.
#[derive(Debug, Clone)]
pub(super) enum Kept {
    /// Numbers that are added to those of a series: durations of an action, memory, sessions that the client counted.
    Sums {
        series: Series,
        category: Category,
        sums: BTreeMap<String, i64>,
    },
    /// A word about a session. The series of it is filled in here.
    Session { series: Series, session: Session },
    /// What a user said.
    Feedback(Feedback),
    /// A text and what it is.
    Attachment(Attachment, Vec<u8>),
    /// Entries of a log.
    Logs(Logs),
    /// A word of a job. The monitor is as it would be without any.
    Check { monitor: Monitor, check: Check },
}

impl Kept {
    /// Its category.
    pub(super) fn category(&self) -> Category {
        match self {
            Self::Sums { category, .. } => *category,
            Self::Session { .. } => Category::Session,
            Self::Feedback(_) => Category::Feedback,
            Self::Attachment(..) => Category::Attachment,
            Self::Logs(_) => Category::LogItem,
            Self::Check { .. } => Category::Monitor,
        }
    }

    /// How many items it counts as.
    pub(super) fn items(&self) -> usize {
        match self {
            Self::Logs(logs) => logs.entries.len(),
            Self::Sums { .. }
            | Self::Session { .. }
            | Self::Feedback(_)
            | Self::Attachment(..)
            | Self::Check { .. } => 1,
        }
    }
}

/// A commit in the making, and the items in it.
#[derive(Default)]
struct Batch<'k> {
    commit: Commit,
    written: BTreeSet<RecordKey>,
    /// By counter, its fields.
    counters: BTreeMap<String, BTreeSet<String>>,
    items: Vec<&'k Kept>,
}

impl<'k> Batch<'k> {
    /// Whether a draft may be in the same commit: no record twice, and within what a commit and an addition to a counter may hold.
    fn has_room(&self, draft: &Commit) -> bool {
        let places = self.commit.writes.len() + self.counters.len();
        let more = draft.writes.len() + draft.adds.len();
        let again = draft
            .writes
            .iter()
            .any(|write| self.written.contains(&write.key));
        let fits = draft.adds.iter().all(|add| {
            let fields = self.counters.get(&add.counter).map_or(0, BTreeSet::len);
            fields == 0 || fields + draft.adds.len() <= COUNTER_FIELDS_MAX
        });
        !again && fits && places + more <= COMMIT_WRITES_MAX
    }

    fn add(&mut self, item: &'k Kept, draft: Commit) {
        let keys = draft.writes.iter().map(|write| write.key.clone());
        self.written.extend(keys);
        for add in &draft.adds {
            let fields = self.counters.entry(add.counter.clone()).or_default();
            fields.insert(add.field.clone());
        }
        self.commit.writes.extend(draft.writes);
        self.commit.adds.extend(draft.adds);
        self.items.push(item);
    }
}

/// Series that are known to be there.
pub(super) type Remembered = Mutex<BTreeSet<(ProjectId, String)>>;

/// Keeps items of one project.
pub(super) struct Keeper<'s> {
    pub(super) store: &'s dyn Store,
    pub(super) blobs: &'s dyn Blobs,
    pub(super) series: &'s Remembered,
    pub(super) project: ProjectId,
}

impl Keeper<'_> {
    /// Keeps all of them. Where that fails, some are kept and counted, and the others neither.
    pub(super) async fn keep(&self, kept: &[Kept]) -> Result<(), PortError> {
        let mut batch = Batch::default();
        for item in kept {
            let mut draft = self.draft(item).await?;
            if !batch.has_room(&draft) {
                self.flush(&mut batch).await?;
                // Decided again: the batch may have written what it was decided on.
                draft = self.draft(item).await?;
            }
            batch.add(item, draft);
        }
        self.flush(&mut batch).await
    }

    /// What keeps all of them in one commit of the caller's, if they fit into one. Nothing is kept yet.
    pub(super) async fn together(&self, kept: &[Kept]) -> Result<Option<Commit>, PortError> {
        let mut batch = Batch::default();
        for item in kept {
            let draft = self.draft(item).await?;
            if !batch.has_room(&draft) {
                return Ok(None);
            }
            batch.add(item, draft);
        }
        Ok(Some(batch.commit))
    }

    async fn flush(&self, batch: &mut Batch<'_>) -> Result<(), PortError> {
        let Batch { commit, items, .. } = std::mem::take(batch);
        if commit.is_empty() {
            return Ok(());
        }
        match self.store.commit(commit).await {
            Err(PortError::Conflict { .. }) => {
                for item in items {
                    self.alone(item).await?;
                }
                Ok(())
            }
            done => done,
        }
    }

    /// Keeps one item in a commit of its own.
    async fn alone(&self, item: &Kept) -> Result<(), PortError> {
        let mut lost = 0;
        loop {
            let draft = self.draft(item).await?;
            match self.store.commit(draft).await {
                Err(PortError::Conflict { .. }) if lost < CONFLICT_RETRIES_MAX => lost += 1,
                done => return done,
            }
        }
    }

    /// What keeping an item changes, with its place in the account.
    async fn draft(&self, item: &Kept) -> Result<Commit, PortError> {
        let commit = Commit::new();
        let (commit, is_new) = match item {
            Kept::Sums { series, sums, .. } => {
                let (key, mut commit) = self.series(series).await?;
                for (field, by) in sums {
                    commit = commit.add(self.project, &Series::counter(&key), field, *by);
                }
                (commit, true)
            }
            Kept::Session { series, session } => (self.session(series, session).await?, true),
            Kept::Feedback(feedback) => self.once(commit, feedback).await?,
            Kept::Attachment(attachment, content) => {
                // Stored first, so that no record names what is not there. Named by its content: twice is once.
                self.blobs.put(&attachment.blob, content.clone()).await?;
                self.once(commit, attachment).await?
            }
            Kept::Logs(logs) => self.once(commit, logs).await?,
            Kept::Check { monitor, check } => (self.check(monitor, check).await?, true),
        };
        let fate = if is_new {
            Fate::Accepted
        } else {
            Fate::Dropped
        };
        let items = i64::try_from(item.items()).unwrap_or(i64::MAX);
        let field = ended(fate, item.category(), "duplicate");
        let received = kintsugi_domain::accounting::received(item.category());
        Ok(commit.add(self.project, COUNTER, &received, items).add(
            self.project,
            COUNTER,
            &field,
            items,
        ))
    }

    /// Creates a record, if it is not there.
    async fn once<T: Record>(
        &self,
        commit: Commit,
        record: &T,
    ) -> Result<(Commit, bool), PortError> {
        let known = records::get::<T>(self.store, self.project, &record.key()).await?;
        Ok(match known {
            Some(_) => (commit, false),
            None => (commit.create(record), true),
        })
    }

    /// The key of a series, and what makes it be there.
    async fn series(&self, series: &Series) -> Result<(String, Commit), PortError> {
        let key = series.key();
        if self.remembers(&key) {
            return Ok((key, Commit::new()));
        }
        if records::get::<Series>(self.store, self.project, &key)
            .await?
            .is_some()
        {
            self.remember(&key);
            return Ok((key, Commit::new()));
        }
        let counted = self.store.counter(self.project, SERIES_COUNTER).await?;
        let gathered = series.gathered();
        if counted.get("all").is_some_and(|all| *all >= SERIES_MAX) && *series != gathered {
            return Box::pin(self.series(&gathered)).await;
        }
        let commit = Commit::new()
            .create(series)
            .add(self.project, SERIES_COUNTER, "all", 1);
        Ok((key, commit))
    }

    fn remembers(&self, key: &str) -> bool {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.contains(&(self.project, key.to_owned()))
    }

    fn remember(&self, key: &str) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        if series.len() >= REMEMBERED_MAX {
            series.clear();
        }
        series.insert((self.project, key.to_owned()));
    }

    /// Joins a word about a session with what is known, and counts the difference.
    async fn session(&self, series: &Series, told: &Session) -> Result<Commit, PortError> {
        let known: Option<Stored<Session>> =
            records::get(self.store, self.project, &told.id).await?;
        let Some(known) = known else {
            let (series, mut commit) = self.series(series).await?;
            let session = Session {
                series,
                ..told.clone()
            };
            let counter = Series::counter(&session.series);
            commit = commit.add(self.project, &counter, SESSIONS, 1);
            if let Some(field) = session.ending().field() {
                commit = commit.add(self.project, &counter, field, 1);
            }
            return self.visitor(commit.create(&session), &session).await;
        };
        let mut joined = known.clone();
        joined.value.join(told);
        if joined == known {
            return Ok(Commit::new());
        }
        let counter = Series::counter(&joined.value.series);
        let mut commit = Commit::new().update(&joined);
        let (before, now) = (known.value.ending(), joined.value.ending());
        if before != now {
            for (ending, by) in [(before, -1), (now, 1)] {
                if let Some(field) = ending.field() {
                    commit = commit.add(self.project, &counter, field, by);
                }
            }
        }
        self.visitor(commit, &joined.value).await
    }

    /// Counts the user of a session once for its release, and once more when it crashes for them.
    async fn visitor(&self, commit: Commit, session: &Session) -> Result<Commit, PortError> {
        let Some(user) = &session.user else {
            return Ok(commit);
        };
        let counter = Series::counter(&session.series);
        let crashed = session.ending() == kintsugi_domain::health::Ending::Crashed;
        let name = Visitor::name(&session.series, user);
        let known: Option<Stored<Visitor>> = records::get(self.store, self.project, &name).await?;
        let mut commit = commit;
        let newly = match known {
            None => {
                commit = commit
                    .create(&Visitor {
                        project: self.project,
                        series: session.series.clone(),
                        user: user.clone(),
                        crashed,
                    })
                    .add(self.project, &counter, USERS, 1);
                crashed
            }
            Some(mut known) if crashed && !known.value.crashed => {
                known.value.crashed = true;
                commit = commit.update(&known);
                true
            }
            Some(_) => false,
        };
        if newly {
            commit = commit.add(self.project, &counter, USERS_CRASHED, 1);
        }
        Ok(commit)
    }

    async fn check(&self, fresh: &Monitor, check: &Check) -> Result<Commit, PortError> {
        let known: Option<Stored<Monitor>> =
            records::get(self.store, self.project, &fresh.key()).await?;
        let Some(mut known) = known else {
            let mut monitor = fresh.clone();
            monitor.join(check.clone());
            return Ok(Commit::new().create(&monitor));
        };
        let before = known.clone();
        known.value.join(check.clone());
        if fresh.schedule.is_some() {
            known.value.schedule.clone_from(&fresh.schedule);
        }
        if known == before {
            return Ok(Commit::new());
        }
        Ok(Commit::new().update(&known))
    }
}
