//! Tells every queue's task that there may be something to do.

use kintsugi_domain::envelope::Queue;
use std::collections::BTreeMap;
use tokio::sync::Notify;

/// One [`Notify`] per queue: a ring that comes while a task is busy is kept until it looks again.
#[derive(Debug)]
pub(super) struct Bell(BTreeMap<&'static str, Notify>);

impl Bell {
    pub(super) fn new() -> Self {
        let named = |queue: Queue| (queue.name(), Notify::new());
        Self(Queue::ALL.into_iter().map(named).collect())
    }

    /// Wakes the task of every queue.
    pub(super) fn ring(&self) {
        for notify in self.0.values() {
            notify.notify_one();
        }
    }

    /// Waits for the next ring.
    pub(super) async fn rung(&self, queue: Queue) {
        match self.0.get(queue.name()) {
            Some(notify) => notify.notified().await,
            None => std::future::pending().await,
        }
    }
}
