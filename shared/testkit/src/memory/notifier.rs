//! A notifier that remembers.

use super::locked;
use async_trait::async_trait;
use kintsugi_domain::alert::Alert;
use kintsugi_domain::config::AlertChannel;
use kintsugi_domain::ports::{Notifier, PortError};
use std::sync::{Arc, Mutex};

/// Remembers every delivery, in order. Clones share what was delivered.
#[derive(Debug, Clone, Default)]
pub struct MemoryNotifier {
    delivered: Arc<Mutex<Vec<(String, Alert)>>>,
}

impl MemoryNotifier {
    /// A notifier that has delivered nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was delivered: the channel's name and the alert, oldest first.
    pub fn delivered(&self) -> Vec<(String, Alert)> {
        locked(&self.delivered).clone()
    }
}

#[async_trait]
impl Notifier for MemoryNotifier {
    async fn notify(&self, channel: &AlertChannel, alert: &Alert) -> Result<(), PortError> {
        locked(&self.delivered).push((channel.name(), alert.clone()));
        Ok(())
    }
}
