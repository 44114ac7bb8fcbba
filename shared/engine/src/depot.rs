//! Blobs of the home, for work on a thread of its own: older packages are fetched when they are needed, and let go after it.
//!
//! **Invariant: whoever asks holds one older package at a time**, however many versions are supported. Not here: storing what was built,
//! which waits until all has passed.

use kintsugi_domain::limits::PACKAGE_BYTES_MAX;
use kintsugi_domain::ports::{Blobs, PortError};
use std::sync::Arc;
use tokio::runtime::Handle;

/// Where older packages are.
pub(crate) struct Depot {
    blobs: Arc<dyn Blobs>,
    runtime: Handle,
}

impl Depot {
    /// Blobs that are reached by a runtime.
    pub(crate) fn new(blobs: Arc<dyn Blobs>, runtime: Handle) -> Self {
        Self { blobs, runtime }
    }

    /// A stored package, if it is still there. MUST be called where blocking is allowed.
    pub(crate) fn fetch(&self, key: &str) -> Result<Option<Vec<u8>>, PortError> {
        let bytes_max = usize::try_from(PACKAGE_BYTES_MAX).unwrap_or(usize::MAX);
        self.runtime.block_on(self.blobs.get(key, bytes_max))
    }
}
