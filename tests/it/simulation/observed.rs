//! A store that remembers every commit until the invariants have looked at it, and can be made to lie.

use async_trait::async_trait;
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::id::{MessageId, ProjectId};
use kintsugi_domain::ports::{Commit, PortError, Query, RawRecord, RecordKey, Store};
use kintsugi_testkit::memory::MemoryStore;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is broken on purpose, to see that the simulation notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sabotage {
    /// Nothing.
    None,
    /// Commits lose their orders to sign.
    LosesSignOrders,
    /// Commits forget which events were filed.
    ForgetsFiledEvents,
    /// Commits forget the versions that were read.
    OverwritesBlindly,
}

/// A store in memory that is watched. Clones share what was seen.
#[derive(Debug, Clone)]
pub(super) struct Observed {
    store: MemoryStore,
    seen: Arc<Mutex<Vec<Commit>>>,
    sabotage: Sabotage,
}

impl Observed {
    /// An empty store.
    pub(super) fn new(sabotage: Sabotage) -> Self {
        Self {
            store: MemoryStore::new(),
            seen: Arc::default(),
            sabotage,
        }
    }

    /// The commits since the last call, oldest first.
    pub(super) fn take(&self) -> Vec<Commit> {
        std::mem::take(&mut self.seen())
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Commit>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn sabotage(&self, commit: &mut Commit) -> Result<(), PortError> {
        match self.sabotage {
            Sabotage::None => {}
            Sabotage::LosesSignOrders => commit
                .messages
                .retain(|envelope| !matches!(envelope.message, Message::SignRelease { .. })),
            Sabotage::ForgetsFiledEvents => commit
                .writes
                .retain(|write| write.key.kind != kintsugi_domain::record::Kind::Event),
            Sabotage::OverwritesBlindly => {
                for write in &mut commit.writes {
                    let stored = self.store.get(&write.key).await?;
                    write.expected = stored.map_or(0, |record| record.version);
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Store for Observed {
    async fn get(&self, key: &RecordKey) -> Result<Option<RawRecord>, PortError> {
        self.store.get(key).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<RawRecord>, PortError> {
        self.store.list(query).await
    }

    async fn counter(
        &self,
        project: ProjectId,
        counter: &str,
    ) -> Result<BTreeMap<String, i64>, PortError> {
        self.store.counter(project, counter).await
    }

    async fn commit(&self, mut commit: Commit) -> Result<(), PortError> {
        self.sabotage(&mut commit).await?;
        self.store.commit(commit.clone()).await?;
        self.seen().push(commit);
        Ok(())
    }

    async fn projects(&self) -> Result<Vec<ProjectId>, PortError> {
        self.store.projects().await
    }

    async fn outbox(&self, limit: usize) -> Result<Vec<Envelope>, PortError> {
        self.store.outbox(limit).await
    }

    async fn sent(&self, ids: &[MessageId]) -> Result<(), PortError> {
        self.store.sent(ids).await
    }
}
