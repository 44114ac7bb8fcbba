//! A crash before an effect leaves nothing of it; a crash after it leaves all of it and no answer.

#![expect(clippy::unwrap_used, reason = "test code")]

use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{Blobs, Commit, Store};
use kintsugi_testkit::fault::{Crashing, Faults};
use kintsugi_testkit::memory::{MemoryBlobs, MemoryStore};
use std::sync::Arc;

const PROJECT: ProjectId = ProjectId(1);

fn add() -> Commit {
    Commit::new().add(PROJECT, "tally", "n", 1)
}

async fn count(store: &MemoryStore) -> i64 {
    let fields = store.counter(PROJECT, "tally").await.unwrap();
    fields.get("n").copied().unwrap_or(0)
}

#[tokio::test]
async fn a_crash_before_the_third_effect_lets_two_through_and_then_nothing() {
    let (store, faults) = (MemoryStore::new(), Faults::new());
    let process = Crashing::new(Arc::new(store.clone()), &faults);
    faults.crash_before(3);
    assert!(process.commit(add()).await.is_ok());
    assert!(process.commit(add()).await.is_ok());
    let error = process.commit(add()).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(faults.crashed());
    assert!(process.counter(PROJECT, "tally").await.is_err());
    assert_eq!(count(&store).await, 2);
    assert_eq!(faults.effects(), 3);
}

#[tokio::test]
async fn a_crash_after_an_effect_applies_it_and_loses_the_answer() {
    let (store, faults) = (MemoryStore::new(), Faults::new());
    let process = Crashing::new(Arc::new(store.clone()), &faults);
    faults.crash_after(1);
    assert!(process.commit(add()).await.is_err());
    assert!(process.commit(add()).await.is_err());
    assert_eq!(count(&store).await, 1);
}

#[tokio::test]
async fn the_ports_of_one_process_die_together_and_live_again_together() {
    let faults = Faults::new();
    let store: Crashing<dyn Store> = Crashing::new(Arc::new(MemoryStore::new()), &faults);
    let blobs: Crashing<dyn Blobs> = Crashing::new(Arc::new(MemoryBlobs::new()), &faults);
    faults.crash_before(1);
    assert!(store.commit(add()).await.is_err());
    assert!(blobs.put("key", Vec::new()).await.is_err());
    faults.restart();
    assert!(blobs.put("key", Vec::new()).await.is_ok());
    assert!(store.commit(add()).await.is_ok());
    assert_eq!(faults.effects(), 2);
}
