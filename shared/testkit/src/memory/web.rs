//! Documents of other services that a test puts there.

use super::locked;
use async_trait::async_trait;
use kintsugi_domain::ports::{PortError, Web};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Documents in memory. Remembers nothing: what a test puts is there at once. Clones share their content.
#[derive(Debug, Clone, Default)]
pub struct MemoryWeb {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    documents: BTreeMap<String, Vec<u8>>,
    asked: Vec<String>,
}

impl MemoryWeb {
    /// No documents.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a document at an address, in place of what was there.
    pub fn put(&self, url: &str, content: impl Into<Vec<u8>>) {
        let mut state = locked(&self.state);
        state.documents.insert(url.to_owned(), content.into());
    }

    /// What was asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        locked(&self.state).asked.clone()
    }
}

#[async_trait]
impl Web for MemoryWeb {
    async fn document(&self, url: &str, _age_max: Duration) -> Result<Vec<u8>, PortError> {
        let mut state = locked(&self.state);
        state.asked.push(url.to_owned());
        let found = state.documents.get(url).cloned();
        found.ok_or_else(|| PortError::unavailable(url, "there is no such document"))
    }
}
