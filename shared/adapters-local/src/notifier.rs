//! Alerts to people's channels.

use crate::files::blocking;
use async_trait::async_trait;
use kintsugi_domain::alert::Alert;
use kintsugi_domain::config::AlertChannel;
use kintsugi_domain::ports::{Notifier, PortError};
use std::fmt;
use std::time::Duration;
use ureq::Agent;

/// How long one delivery may take as a whole.
const DELIVERY_TIME: Duration = Duration::from_secs(15);
/// How long connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Posts alerts as JSON to webhooks, over http or https and nothing else; redirects are not followed.
///
/// The header `Idempotency-Key` is the alert's id, so a receiver can tell a second delivery of the same alert. Errors name
/// the channel without its path, which often is a secret.
#[derive(Clone)]
pub struct WebhookNotifier {
    agent: Agent,
}

impl fmt::Debug for WebhookNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookNotifier").finish_non_exhaustive()
    }
}

impl Default for WebhookNotifier {
    fn default() -> Self {
        Self::new()
    }
}

impl WebhookNotifier {
    /// A notifier with connections of its own.
    pub fn new() -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(DELIVERY_TIME))
            .timeout_connect(Some(CONNECT_TIME))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent("kintsugi")
            .build();
        Self {
            agent: Agent::new_with_config(config),
        }
    }
}

fn post(agent: &Agent, name: &str, url: &str, alert: &Alert) -> Result<(), PortError> {
    if !(url.starts_with("https://") || url.starts_with("http://")) {
        return Err(PortError::broken(
            name,
            "expected an address with http:// or https://",
        ));
    }
    let answer = agent
        .post(url)
        .header("Idempotency-Key", alert.id.as_str())
        .send_json(alert)
        .map_err(|error| {
            if matches!(error, ureq::Error::BadUri(_) | ureq::Error::Http(_)) {
                return PortError::broken(name, "its address is not a web address");
            }
            PortError::unavailable(name, error)
        })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let why = format!("it answered {}", status.as_u16());
    // 408 and 429 ask for another try; everything else below 500 will not get better by itself.
    if status.is_server_error() || matches!(status.as_u16(), 408 | 429) {
        return Err(PortError::unavailable(name, why));
    }
    Err(PortError::broken(name, why))
}

#[async_trait]
impl Notifier for WebhookNotifier {
    async fn notify(&self, channel: &AlertChannel, alert: &Alert) -> Result<(), PortError> {
        let name = channel.name();
        let url = match channel {
            AlertChannel::Webhook { url } => url.clone(),
            AlertChannel::Topic => {
                return Err(PortError::broken(name, "only a home in AWS has a topic"));
            }
            AlertChannel::Mail => {
                return Err(PortError::broken(name, "only a home in AWS mails"));
            }
        };
        let (agent, alert) = (self.agent.clone(), alert.clone());
        blocking("webhook", move || post(&agent, &name, &url, &alert)).await
    }
}
