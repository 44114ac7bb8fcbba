//! A whole home in memory: every port, and the handles that tests look into.

use super::{
    FixedClock, MemoryBlobs, MemoryForge, MemoryNotifier, MemoryQueues, MemorySigner, MemoryStore,
    MemoryWeb, SeededIds,
};
use kintsugi_domain::ports::Ports;
use std::sync::Arc;

/// Every port of a home. Clones share their content.
#[derive(Debug, Clone)]
pub struct MemoryHome {
    /// Records, counters and the outbox.
    pub store: MemoryStore,
    /// Queues.
    pub queues: MemoryQueues,
    /// Content by key.
    pub blobs: MemoryBlobs,
    /// Private keys.
    pub signer: MemorySigner,
    /// The products' source.
    pub forge: MemoryForge,
    /// Alerts to people.
    pub notifier: MemoryNotifier,
    /// Documents of other services.
    pub web: MemoryWeb,
    /// The clock.
    pub clock: FixedClock,
    /// Chance.
    pub ids: SeededIds,
}

impl MemoryHome {
    /// An empty home at the clock's first instant.
    pub fn new(seed: u64) -> Self {
        let clock = FixedClock::default();
        Self {
            store: MemoryStore::new(),
            queues: MemoryQueues::new(Arc::new(clock.clone())),
            blobs: MemoryBlobs::new(),
            signer: MemorySigner::new(seed),
            forge: MemoryForge::new(),
            notifier: MemoryNotifier::new(),
            web: MemoryWeb::new(),
            clock,
            ids: SeededIds::new(seed),
        }
    }

    /// The ports, as the stages take them.
    pub fn ports(&self) -> Ports {
        Ports {
            store: Arc::new(self.store.clone()),
            queues: Arc::new(self.queues.clone()),
            blobs: Arc::new(self.blobs.clone()),
            signer: Arc::new(self.signer.clone()),
            forge: Arc::new(self.forge.clone()),
            notifier: Arc::new(self.notifier.clone()),
            web: Arc::new(self.web.clone()),
            clock: Arc::new(self.clock.clone()),
            ids: Arc::new(self.ids.clone()),
        }
    }
}
