//! The blobs of one job, as its runner reaches them: through the home, with the job's lease.

use super::pace::Pace;
use crate::client::Client;
use crate::error::Error;
use async_trait::async_trait;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::ports::{Blobs, Link, PortError};
use serde_json::json;

/// How often a transfer is tried before the job is given back: minutes of work may hang on it.
const TRIES_MAX: u32 = 6;

/// The blobs of one job.
pub(super) struct RemoteBlobs {
    client: Client,
    lease: String,
    pace: Pace,
}

impl RemoteBlobs {
    pub(super) fn new(client: Client, lease: String, pace: Pace) -> Self {
        Self {
            client,
            lease,
            pace,
        }
    }

    async fn send(&self, key: &str, content: Vec<u8>) -> Result<(), Error> {
        let body = json!({"lease": self.lease, "key": key, "length": content.len()});
        let link: Option<Link> = self.client.post("runner/uploads", &body).await?;
        self.client.store(&self.lease, key, link, content).await
    }
}

/// What a transfer's failure means to the engine. What broke on its way may be whole the next time.
pub(super) fn port_error(what: String, error: &Error) -> PortError {
    if matches!(error, Error::Home { .. }) || error.code() == "blob.digest" {
        PortError::unavailable(what, error)
    } else {
        PortError::broken(what, error)
    }
}

#[async_trait]
impl Blobs for RemoteBlobs {
    async fn put(&self, key: &str, content: Vec<u8>) -> Result<(), PortError> {
        let mut failures = 0;
        loop {
            let error = match self.send(key, content.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) => port_error(format!("send blob {key}"), &error),
            };
            failures += 1;
            if !error.is_transient() || failures >= TRIES_MAX {
                return Err(error);
            }
            self.pace.back_off(failures).await;
        }
    }

    async fn get(&self, key: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, PortError> {
        let mut failures = 0;
        loop {
            let error = match self.client.content(&self.lease, key, bytes_max).await {
                Ok(content) => return Ok(content),
                Err(error) => port_error(format!("get blob {key}"), &error),
            };
            failures += 1;
            if !error.is_transient() || failures >= TRIES_MAX {
                return Err(error);
            }
            self.pace.back_off(failures).await;
        }
    }

    async fn length(&self, key: &str) -> Result<Option<u64>, PortError> {
        let digest = self.digest(key).await?;
        Ok(digest.map(|(_, length)| length))
    }

    async fn digest(&self, key: &str) -> Result<Option<(Digest, u64)>, PortError> {
        let content = self.get(key, usize::MAX).await?;
        Ok(content.map(|content| (Digest::of(&content), content.len() as u64)))
    }
}
