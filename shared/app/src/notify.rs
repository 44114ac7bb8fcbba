//! Telling people: each alert once to each channel of its project.
//!
//! Not here yet: escalation and acknowledgement (ledger K).

use crate::records;
use crate::stage::{Done, Stage, Wake, not_mine};
use async_trait::async_trait;
use kintsugi_domain::alert::Alert;
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::id::AlertId;
use kintsugi_domain::ports::{Commit, PortError, Ports};

/// The notify stage.
#[derive(Debug, Clone)]
pub struct Notify {
    ports: Ports,
}

impl Notify {
    /// The stage of a home.
    pub fn new(ports: Ports) -> Self {
        Self { ports }
    }

    async fn deliver(&self, cause: &Envelope, id: &AlertId) -> Result<Done, PortError> {
        let store = self.ports.store.as_ref();
        let Some(mut alert) = records::get::<Alert>(store, cause.project, id.as_str()).await?
        else {
            return Ok(Done::nothing("the alert does not exist"));
        };
        let Some(project) = records::project(store, cause.project).await? else {
            return Ok(Done::nothing("the project does not exist"));
        };
        let mut failed = None;
        let before = alert.value.delivered.len();
        for channel in &project.value.config.alerts {
            let name = channel.name();
            if alert.value.delivered.contains(&name) {
                continue;
            }
            match self.ports.notifier.notify(channel, &alert.value).await {
                Ok(()) => alert.value.delivered.push(name),
                // One dead channel keeps no alert from the others.
                Err(error) => failed = Some(error),
            }
        }
        let delivered = alert.value.delivered.len() - before;
        if delivered > 0 {
            store.commit(Commit::new().update(&alert)).await?;
        }
        match failed {
            Some(error) => Err(error),
            None if delivered == 0 => Ok(Done::nothing("no channel waits for it")),
            None => Ok(Done::did(format!("told {delivered} channels"))),
        }
    }
}

#[async_trait]
impl Stage for Notify {
    const NAME: &'static str = "notify";
    type Command = Wake;
    type Done = Done;

    async fn run(&self, wake: Wake) -> Result<Done, PortError> {
        match wake.message() {
            Some((envelope, Message::Alert { alert })) => self.deliver(envelope, alert).await,
            _ => Err(not_mine(Self::NAME, &wake)),
        }
    }
}
