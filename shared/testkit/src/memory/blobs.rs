//! Content in a map.

use super::locked;
use async_trait::async_trait;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::ports::{Blobs, PortError, check_blob_key};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Content in a map. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryBlobs {
    content: Arc<Mutex<BTreeMap<String, Arc<[u8]>>>>,
}

impl MemoryBlobs {
    /// Nothing stored yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every key, sorted.
    pub fn keys(&self) -> Vec<String> {
        locked(&self.content).keys().cloned().collect()
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn put(&self, key: &str, content: Vec<u8>) -> Result<(), PortError> {
        check_blob_key(key)?;
        locked(&self.content).insert(key.to_owned(), content.into());
        Ok(())
    }

    async fn get(&self, key: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, PortError> {
        check_blob_key(key)?;
        let found = locked(&self.content).get(key).cloned();
        match found {
            Some(content) if content.len() > bytes_max => {
                let why = format!(
                    "{} bytes where at most {bytes_max} are allowed",
                    content.len()
                );
                Err(PortError::broken(format!("blob {key}"), why))
            }
            Some(content) => Ok(Some(content.to_vec())),
            None => Ok(None),
        }
    }

    async fn length(&self, key: &str) -> Result<Option<u64>, PortError> {
        check_blob_key(key)?;
        Ok(locked(&self.content)
            .get(key)
            .map(|content| content.len() as u64))
    }

    async fn digest(&self, key: &str) -> Result<Option<(Digest, u64)>, PortError> {
        check_blob_key(key)?;
        Ok(locked(&self.content)
            .get(key)
            .map(|content| (Digest::of(content), content.len() as u64)))
    }
}
