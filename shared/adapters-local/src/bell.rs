//! Tells who works a queue off that a message came.

use kintsugi_domain::envelope::Queue;
use std::collections::BTreeMap;
use tokio::sync::Notify;

/// One [`Notify`] per queue: a ring that comes while its worker is busy is kept until it looks again.
pub(crate) struct Bell(BTreeMap<&'static str, Notify>);

impl Bell {
    pub(crate) fn new() -> Self {
        let named = |queue: Queue| (queue.name(), Notify::new());
        Self(Queue::ALL.into_iter().map(named).collect())
    }

    /// Wakes the worker of a queue.
    pub(crate) fn ring(&self, queue: Queue) {
        if let Some(notify) = self.0.get(queue.name()) {
            notify.notify_one();
        }
    }

    /// Waits for the next ring of a queue.
    pub(crate) async fn rung(&self, queue: Queue) {
        match self.0.get(queue.name()) {
            Some(notify) => notify.notified().await,
            None => std::future::pending().await,
        }
    }
}
