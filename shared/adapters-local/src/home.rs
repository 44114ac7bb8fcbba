//! Everything of one data folder, opened together.

use crate::{
    Database, FileBlobs, KeyFiles, RandomIds, SqliteQueues, SqliteStore, SystemClock, WebDocuments,
    WebhookNotifier,
};
use jiff::SignedDuration;
use kintsugi_adapters_git::Forges;
use kintsugi_domain::limits::{REPORT_DAYS, REPORTS_FOLDER};
use kintsugi_domain::ports::{Clock, PortError, Ports};
use std::path::Path;
use std::sync::Arc;

/// The ports of one data folder. The folder belongs to this process until the last clone of `store` and `queues` is gone.
///
/// Below the folder: `home.db` (records, counters, outbox, queues), `home.lock`, `blobs/`, `keys/`.
#[derive(Debug, Clone)]
pub struct Home {
    /// Records, counters and the outbox.
    pub store: SqliteStore,
    /// Queues.
    pub queues: SqliteQueues,
    /// Content by key.
    pub blobs: FileBlobs,
    /// Private keys.
    pub signer: KeyFiles,
    /// The products' source.
    pub forge: Forges,
    /// Alerts to people.
    pub notifier: WebhookNotifier,
    /// Documents of other services.
    pub web: WebDocuments,
    /// The machine's clock.
    pub clock: SystemClock,
    /// The machine's randomness.
    pub ids: RandomIds,
}

impl Home {
    /// Opens a data folder, makes it on first use, and shows again every message that a dead process held.
    ///
    /// Keys are sealed with the passphrase, if there is one; see [`crate::signer`].
    pub async fn open(folder: &Path, passphrase: Option<&str>) -> Result<Self, PortError> {
        let clock = SystemClock;
        // First: it takes the lock of the folder, without which nothing else may be touched.
        let database = Database::open(folder)?;
        let home = Self {
            store: SqliteStore::new(&database, Arc::new(clock)),
            queues: SqliteQueues::new(&database, Arc::new(clock)),
            blobs: FileBlobs::open(&folder.join("blobs"))?,
            signer: KeyFiles::open(&folder.join("keys"), passphrase)?,
            forge: Forges::with_credential_file(None),
            notifier: WebhookNotifier::new(),
            web: WebDocuments::new(Arc::new(clock)),
            clock,
            ids: RandomIds,
        };
        home.queues.release_leases().await?;
        Ok(home)
    }

    /// The same home with a forge that has credentials for hosts.
    #[must_use]
    pub fn with_forge(self, forge: Forges) -> Self {
        Self { forge, ..self }
    }

    /// Removes what was reported and has been here for its days ([`REPORT_DAYS`]): records and content. What follows from it, issues and
    /// numbers, stays. Says how many records and how much content went.
    pub async fn forget(&self) -> Result<(usize, usize), PortError> {
        let records = self.store.forget().await?;
        let before = self.clock.now() - SignedDuration::from_hours(24 * REPORT_DAYS);
        let content = self.blobs.forget(REPORTS_FOLDER, before.into()).await?;
        Ok((records, content))
    }

    /// All of them as the stages take them.
    pub fn ports(self) -> Ports {
        Ports {
            store: Arc::new(self.store),
            queues: Arc::new(self.queues),
            blobs: Arc::new(self.blobs),
            signer: Arc::new(self.signer),
            forge: Arc::new(self.forge),
            notifier: Arc::new(self.notifier),
            web: Arc::new(self.web),
            clock: Arc::new(self.clock),
            ids: Arc::new(self.ids),
        }
    }
}
