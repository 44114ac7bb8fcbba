//! A home in memory that is empty for every execution, although its stage stays: what the stage remembers (the project and its keys) is
//! the same every time, and deriving it again would cost more than all the rest.

use async_trait::async_trait;
use futures::executor::block_on;
use kintsugi_app::events;
use kintsugi_app::ingest::{COUNTER, Ingest};
use kintsugi_domain::Timestamp;
use kintsugi_domain::accounting::Account;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::{Envelope, Message, Queue};
use kintsugi_domain::event::Event;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{
    Blobs, Commit, PortError, Ports, Query, Queues, RawRecord, RecordKey, Store,
};
use kintsugi_domain::project::Project;
use kintsugi_testkit::memory::{MemoryBlobs, MemoryHome, MemoryQueues, MemoryStore};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The key that reports.
pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";
/// The project.
pub(crate) const PROJECT: ProjectId = ProjectId(1);
/// Items a minute that are let in: more than an execution can bring.
const PER_MINUTE: u32 = 1_000_000_000;

/// When everything arrives.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A port that can be emptied. Clones share their content.
#[derive(Clone, Default)]
struct Fresh<T>(Arc<Mutex<T>>);

impl<T: Clone + Default> Fresh<T> {
    fn now(&self) -> T {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clone()
    }

    fn empty(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = T::default();
    }
}

#[async_trait]
impl Store for Fresh<MemoryStore> {
    async fn get(&self, key: &RecordKey) -> Result<Option<RawRecord>, PortError> {
        self.now().get(key).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<RawRecord>, PortError> {
        self.now().list(query).await
    }

    async fn counter(
        &self,
        project: ProjectId,
        counter: &str,
    ) -> Result<BTreeMap<String, i64>, PortError> {
        self.now().counter(project, counter).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), PortError> {
        self.now().commit(commit).await
    }

    async fn projects(&self) -> Result<Vec<ProjectId>, PortError> {
        self.now().projects().await
    }

    async fn outbox(&self, limit: usize) -> Result<Vec<Envelope>, PortError> {
        self.now().outbox(limit).await
    }

    async fn sent(&self, ids: &[kintsugi_domain::id::MessageId]) -> Result<(), PortError> {
        self.now().sent(ids).await
    }
}

#[async_trait]
impl Blobs for Fresh<MemoryBlobs> {
    async fn put(&self, key: &str, content: Vec<u8>) -> Result<(), PortError> {
        self.now().put(key, content).await
    }

    async fn get(&self, key: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, PortError> {
        self.now().get(key, bytes_max).await
    }

    async fn length(&self, key: &str) -> Result<Option<u64>, PortError> {
        self.now().length(key).await
    }

    async fn digest(&self, key: &str) -> Result<Option<(Digest, u64)>, PortError> {
        self.now().digest(key).await
    }
}

/// The home.
pub(crate) struct Home {
    pub(crate) ingest: Ingest,
    store: Fresh<MemoryStore>,
    blobs: Fresh<MemoryBlobs>,
    queues: MemoryQueues,
}

thread_local! {
    static HOME: Home = Home::new();
}

/// Does something with an empty home.
pub(crate) fn with_home<T>(act: impl FnOnce(&Home) -> T) -> T {
    HOME.with(|home| {
        home.empty();
        act(home)
    })
}

impl Home {
    fn new() -> Self {
        let memory = MemoryHome::new(1);
        let (store, blobs) = (Fresh::default(), Fresh::default());
        let ports = Ports {
            store: Arc::new(Fresh::clone(&store)),
            blobs: Arc::new(Fresh::clone(&blobs)),
            ..memory.ports()
        };
        Self {
            ingest: Ingest::new(&ports),
            store,
            blobs,
            queues: memory.queues,
        }
    }

    /// Nothing but the project.
    fn empty(&self) {
        self.store.empty();
        self.blobs.empty();
        let left = self.queues.receive(Queue::Events, 100, Duration::ZERO);
        for delivery in block_on(left).unwrap() {
            block_on(self.queues.done(&delivery.receipt)).unwrap();
        }
        let project = Commit::new().create(project());
        block_on(self.store.commit(project)).unwrap();
    }

    /// The events that were handed on, and that their message can be written and read again.
    pub(crate) fn events(&self) -> Vec<Event> {
        let messages = self.queues.waiting(Queue::Events);
        assert!(messages.len() <= 1, "{} messages", messages.len());
        let mut found = Vec::new();
        for envelope in messages {
            if let Message::Reported { events } = envelope.message {
                found.extend(events.iter().map(|body| body.event().unwrap()));
                continue;
            }
            let Message::ReportedBatch { blob } = envelope.message else {
                panic!("{envelope:?}");
            };
            let batch = block_on(events::batch(&self.blobs, &blob)).unwrap();
            found.extend(batch.unwrap());
        }
        found
    }

    /// What is counted. **Whatever arrived has an end, but for what triage counts.**
    pub(crate) fn account(&self) -> Account {
        let counters = block_on(self.store.counter(PROJECT, COUNTER)).unwrap();
        let account = Account::of(&counters);
        assert!(account.adds_up(), "{account:?}");
        assert!(
            counters.values().all(|by| *by >= 0),
            "counted down: {counters:?}"
        );
        account
    }
}

/// The project, made once.
fn project() -> &'static Project {
    static MADE: std::sync::OnceLock<Project> = std::sync::OnceLock::new();
    MADE.get_or_init(|| {
        serde_json::from_value(json!({
            "id": PROJECT,
            "config": {
                "product": {"name": "till", "language": "python"},
                "test": {"command": ["python3", "-m", "unittest"]},
                "package": {"include": ["till"]},
                "health": {"command": ["python3", "-m", "till", "health"]},
                "quota": {"per_minute": PER_MINUTE},
            },
            "keys": [KEY],
            "repository": null,
            "added_at": "2026-01-01T00:00:00Z",
        }))
        .unwrap()
    })
}

/// The headers of a request, with the reporting key.
pub(crate) fn headers(more: &[(&str, &str)]) -> Vec<(String, String)> {
    let key = (
        "X-Sentry-Auth".to_owned(),
        format!("Sentry sentry_key={KEY}"),
    );
    let more = more.iter();
    let more = more.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    std::iter::once(key).chain(more).collect()
}
