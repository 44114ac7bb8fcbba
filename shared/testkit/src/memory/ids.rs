//! Chance that repeats itself.

use kintsugi_domain::digest::Digest;
use kintsugi_domain::ports::Ids;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Digests drawn from a seed: the n-th draw of a seed is always the same. Clones share the count.
#[derive(Debug, Clone)]
pub struct SeededIds {
    seed: u64,
    drawn: Arc<AtomicU64>,
}

impl SeededIds {
    /// A source named by its seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            drawn: Arc::default(),
        }
    }
}

impl Ids for SeededIds {
    fn fresh(&self) -> Digest {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        Digest::of_parts(&[b"id", &self.seed.to_be_bytes(), &number.to_be_bytes()])
    }
}
