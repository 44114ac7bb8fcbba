//! Documents of other services, read over the network and remembered for a while.
//!
//! **Invariants: https only, save to this machine itself; no redirect is followed; nothing is read beyond its bound.** What was
//! read is remembered in the process, so that requests do not wait for another service each time.

use crate::files::blocking;
use async_trait::async_trait;
use kintsugi_domain::Timestamp;
use kintsugi_domain::address;
use kintsugi_domain::limits::WEB_DOCUMENT_BYTES_MAX;
use kintsugi_domain::ports::{Clock, PortError, Web};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use ureq::Agent;

/// How long reading one document may take as a whole.
const READ_TIME: Duration = Duration::from_secs(5);
/// Most documents that are remembered: a home trusts few issuers.
const KEPT_MAX: usize = 32;

/// Documents of other services. Clones share what was read.
#[derive(Clone)]
pub struct WebDocuments {
    agent: Agent,
    clock: Arc<dyn Clock>,
    kept: Arc<Mutex<BTreeMap<String, Kept>>>,
}

#[derive(Clone)]
struct Kept {
    read_at: Timestamp,
    content: Vec<u8>,
}

impl fmt::Debug for WebDocuments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebDocuments").finish_non_exhaustive()
    }
}

impl WebDocuments {
    /// A reader with connections of its own, by that clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(READ_TIME))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent("kintsugi")
            .build();
        Self {
            agent: Agent::new_with_config(config),
            clock,
            kept: Arc::default(),
        }
    }

    fn recall(&self, url: &str, age_max: Duration) -> Option<Vec<u8>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.get(url)?;
        let age = self.clock.now().duration_since(found.read_at);
        // A clock that went back makes nothing young again.
        let is_young = !age.is_negative() && age.unsigned_abs() <= age_max;
        is_young.then(|| found.content.clone())
    }

    fn keep(&self, url: &str, content: &[u8]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX && !kept.contains_key(url) {
            kept.clear();
        }
        let read = Kept {
            read_at: self.clock.now(),
            content: content.to_owned(),
        };
        kept.insert(url.to_owned(), read);
    }
}

fn read(agent: &Agent, url: &str) -> Result<Vec<u8>, PortError> {
    let answer = agent.get(url).header("accept", "application/json").call();
    let mut answer = answer.map_err(|error| PortError::unavailable(url, error))?;
    let status = answer.status().as_u16();
    if status != 200 {
        return Err(PortError::unavailable(url, format!("it answered {status}")));
    }
    let too_long = || {
        let why = format!("it is longer than {WEB_DOCUMENT_BYTES_MAX} bytes");
        PortError::broken(url, why)
    };
    // The client stops where its limit is reached, not where it is passed.
    let limit = u64::try_from(WEB_DOCUMENT_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let body = answer.body_mut().with_config().limit(limit).read_to_vec();
    let body = body.map_err(|error| {
        if matches!(error, ureq::Error::BodyExceedsLimit(_)) {
            return too_long();
        }
        PortError::unavailable(url, error)
    })?;
    if body.len() > WEB_DOCUMENT_BYTES_MAX {
        return Err(too_long());
    }
    Ok(body)
}

#[async_trait]
impl Web for WebDocuments {
    async fn document(&self, url: &str, age_max: Duration) -> Result<Vec<u8>, PortError> {
        if let Some(known) = self.recall(url, age_max) {
            return Ok(known);
        }
        address::check(url).map_err(|error| PortError::broken(url, error))?;
        let (agent, wanted) = (self.agent.clone(), url.to_owned());
        let content = blocking("a document", move || read(&agent, &wanted)).await?;
        self.keep(url, &content);
        Ok(content)
    }
}
