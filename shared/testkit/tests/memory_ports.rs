//! The memory ports keep the promises of their ports.

use kintsugi_domain::ports::{Blobs, Forge, Queues, Signer, Store};
use kintsugi_testkit::contract;
use kintsugi_testkit::memory::{
    FixedClock, MemoryBlobs, MemoryForge, MemoryQueues, MemorySigner, MemoryStore, SeededIds,
};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_memory_store_keeps_its_promises() {
    contract::store::all(async || Arc::new(MemoryStore::new()) as Arc<dyn Store>).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_memory_queues_keep_their_promises() {
    let clock = FixedClock::default();
    let fresh = async || Arc::new(MemoryQueues::new(Arc::new(clock.clone()))) as Arc<dyn Queues>;
    contract::queues::all(fresh, async |time| clock.advance(time)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_memory_blobs_keep_their_promises() {
    contract::blobs::all(async || Arc::new(MemoryBlobs::new()) as Arc<dyn Blobs>).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_memory_signer_keeps_its_promises() {
    contract::signer::all(async || Arc::new(MemorySigner::new(7)) as Arc<dyn Signer>).await;
}

#[tokio::test]
async fn the_memory_forge_keeps_its_promises() {
    let fresh = async || {
        let forge = MemoryForge::new();
        forge.push("product", "main", &[("app.py", "print('hello')\n")]);
        contract::forge::Subject {
            forge: Arc::new(forge) as Arc<dyn Forge>,
            repository: "product".to_owned(),
        }
    };
    contract::forge::all(fresh).await;
}

#[test]
fn the_seeded_ids_keep_their_promises() {
    contract::ids::all(|| Box::new(SeededIds::new(1)));
}
