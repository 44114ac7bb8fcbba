//! SQLite and files keep the promises of their ports.

#![expect(clippy::unwrap_used, reason = "test code")]

use kintsugi_adapters_local::{
    Database, FileBlobs, KeyFiles, RandomIds, SqliteQueues, SqliteStore,
};
use kintsugi_domain::ports::{Blobs, Clock, Queues, Signer, Store};
use kintsugi_testkit::contract;
use kintsugi_testkit::memory::FixedClock;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// A new folder for each port that a suite asks for, all removed at the end.
struct Folders {
    root: TempDir,
    next: AtomicU32,
}

impl Folders {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            next: AtomicU32::new(0),
        }
    }

    fn fresh(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.root.path().join(number.to_string())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_sqlite_store_keeps_its_promises() {
    let folders = Folders::new();
    let clock: Arc<dyn Clock> = Arc::new(FixedClock::default());
    let fresh = async || {
        let database = Database::open(&folders.fresh()).unwrap();
        Arc::new(SqliteStore::new(&database, Arc::clone(&clock))) as Arc<dyn Store>
    };
    contract::store::all(fresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_sqlite_queues_keep_their_promises() {
    let folders = Folders::new();
    let clock = FixedClock::default();
    let fresh = async || {
        let database = Database::open(&folders.fresh()).unwrap();
        Arc::new(SqliteQueues::new(&database, Arc::new(clock.clone()))) as Arc<dyn Queues>
    };
    contract::queues::all(fresh, async |time| clock.advance(time)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_file_blobs_keep_their_promises() {
    let folders = Folders::new();
    let fresh = async || Arc::new(FileBlobs::open(&folders.fresh()).unwrap()) as Arc<dyn Blobs>;
    contract::blobs::all(fresh).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_key_files_keep_their_promises() {
    let folders = Folders::new();
    let fresh =
        async || Arc::new(KeyFiles::open(&folders.fresh(), None).unwrap()) as Arc<dyn Signer>;
    contract::signer::all(fresh).await;
}

#[test]
fn the_random_ids_keep_their_promises() {
    contract::ids::all(|| Box::new(RandomIds));
}
