//! Every port in memory: cheap to clone (clones share their content), deterministic, no real time.
//!
//! **Invariant: a memory port keeps the same promises as the real adapters**; the suites of
//! [`crate::contract`] run on both. Not here: durability. Dropping the last clone drops the content.

mod blobs;
mod clock;
mod forge;
mod home;
mod ids;
mod notifier;
mod queues;
mod signer;
mod store;
mod web;

pub use blobs::MemoryBlobs;
pub use clock::FixedClock;
pub use forge::MemoryForge;
pub use home::MemoryHome;
pub use ids::SeededIds;
pub use notifier::MemoryNotifier;
pub use queues::MemoryQueues;
pub use signer::MemorySigner;
pub use store::MemoryStore;
pub use web::MemoryWeb;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after another thread panicked: a failing test should report its own failure.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
