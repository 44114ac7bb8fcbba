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
        let mut told = 0;
        for channel in &project.value.config.alerts {
            let name = channel.name();
            if alert.value.delivered.contains(&name) {
                continue;
            }
            match self.ports.notifier.notify(channel, &alert.value).await {
                // Written down at once: a function that dies over the next channel tells nobody twice for it.
                Ok(()) => {
                    alert.value.delivered.push(name);
                    store.commit(Commit::new().update(&alert)).await?;
                    alert.version += 1;
                    told += 1;
                }
                // One dead channel keeps no alert from the others.
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) => Err(error),
            None if told == 0 => Ok(Done::nothing("no channel waits for it")),
            None => Ok(Done::did(format!("told {told} channels"))),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{PROJECT, all};
    use futures::FutureExt;
    use futures::executor::block_on;
    use kintsugi_domain::Timestamp;
    use kintsugi_domain::alert::Urgency;
    use kintsugi_domain::config::AlertChannel;
    use kintsugi_domain::ports::Notifier;
    use kintsugi_testkit::memory::{MemoryHome, MemoryNotifier};
    use kintsugi_testkit::product;
    use std::sync::Arc;

    const CHANNELS: &str = "[[alerts]]\nkind = \"mail\"\n\n\
                            [[alerts]]\nkind = \"webhook\"\nurl = \"https://chat.example.org/\"\n";

    /// Tells all but the webhook, whose answer never comes.
    struct Hanging(MemoryNotifier);

    #[async_trait]
    impl Notifier for Hanging {
        async fn notify(&self, channel: &AlertChannel, alert: &Alert) -> Result<(), PortError> {
            match channel {
                AlertChannel::Mail | AlertChannel::Topic => self.0.notify(channel, alert).await,
                AlertChannel::Webhook { .. } => std::future::pending().await,
            }
        }
    }

    fn alert() -> Alert {
        let at = Timestamp::UNIX_EPOCH;
        Alert::new(
            PROJECT,
            Urgency::Page,
            "rollout.halted",
            &"r",
            "halted: 4 of 5",
            at,
        )
    }

    fn wake() -> Wake {
        let alert = alert().id;
        let message = Message::Alert { alert };
        Wake::Message(Arc::new(Envelope::new("test", PROJECT, message)))
    }

    #[test]
    fn a_stage_that_dies_over_one_channel_tells_no_other_twice() {
        let home = MemoryHome::new(1);
        let mut ports = home.ports();
        let project = product::project(PROJECT, product::config(CHANNELS));
        let made = Commit::new().create(&project).create(&alert());
        block_on(ports.store.commit(made)).unwrap();
        let told = MemoryNotifier::new();
        let names = || -> Vec<String> { told.delivered().into_iter().map(|it| it.0).collect() };

        ports.notifier = Arc::new(Hanging(told.clone()));
        let died = Notify::new(ports.clone()).run(wake()).now_or_never();
        assert!(died.is_none(), "it waits for the webhook");
        assert_eq!(names(), ["mail"]);

        ports.notifier = Arc::new(told.clone());
        let done = block_on(Notify::new(ports.clone()).run(wake())).unwrap();
        assert!(matches!(done, Done::Did(_)), "{done:?}");
        assert_eq!(names(), ["mail", "webhook chat.example.org"]);
        let again = block_on(Notify::new(ports.clone()).run(wake())).unwrap();
        assert!(matches!(again, Done::Nothing(_)), "{again:?}");
        assert_eq!(names().len(), 2);
        let stored: Vec<Alert> = all(ports.store.as_ref());
        assert_eq!(stored[0].delivered, names());
    }
}
