//! What the stages work with: one value that every stage is made from.

use kintsugi_domain::Timestamp;
use kintsugi_domain::ports::{Blobs, Clock, Forge, Ids, Notifier, Queues, Signer, Store};
use std::fmt;
use std::sync::Arc;

/// The ports of one home. Cloning is cheap and gives the same home.
///
/// Not here: the build engine, which only [`crate::work`] needs.
#[derive(Clone)]
pub struct Ports {
    /// Records, counters and the outbox.
    pub store: Arc<dyn Store>,
    /// Queues.
    pub queues: Arc<dyn Queues>,
    /// Content by key.
    pub blobs: Arc<dyn Blobs>,
    /// Private keys.
    pub signer: Arc<dyn Signer>,
    /// The products' source.
    pub forge: Arc<dyn Forge>,
    /// Alerts to people.
    pub notifier: Arc<dyn Notifier>,
    /// The one clock.
    pub clock: Arc<dyn Clock>,
    /// The one source of chance.
    pub ids: Arc<dyn Ids>,
}

impl Ports {
    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}
