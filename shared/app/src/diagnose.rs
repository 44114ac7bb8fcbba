//! Diagnosis: what is wrong and where, on the commit that a fix will stand on.
//!
//! Not here: models and their consensus, profile and trace data (ledger D).

use crate::events::sample;
use crate::news;
use crate::records;
use crate::stage::{Done, Stage, Wake, not_mine, step};
use async_trait::async_trait;
use kintsugi_domain::diagnosis::{self, Diagnosis, Suspect};
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::id::IssueId;
use kintsugi_domain::issue::{Issue, IssueMove};
use kintsugi_domain::ports::{Commit, PortError, Ports, check_source_path};
use kintsugi_domain::record::Stored;

/// Most places that a search looks at.
const SUSPECTS_MAX: usize = 8;

/// The diagnose stage.
#[derive(Debug, Clone)]
pub struct Diagnose {
    ports: Ports,
}

impl Diagnose {
    /// The stage of a home.
    pub fn new(ports: Ports) -> Self {
        Self { ports }
    }

    async fn diagnose(&self, cause: &Envelope, id: &IssueId) -> Result<Done, PortError> {
        let (store, at) = (self.ports.store.as_ref(), self.ports.now());
        let Some(issue) = records::get::<Issue>(store, cause.project, id.as_str()).await? else {
            return Ok(Done::nothing("the issue does not exist"));
        };
        // Asked before the work, which a late message must not repeat.
        if let Err(refused) = issue.value.state.next(IssueMove::Diagnose) {
            return Ok(refused.into());
        }
        let Some((project, repository)) = records::sourced(store, cause.project).await? else {
            return Ok(Done::nothing("the project names no repository"));
        };
        let config = project.value.config;
        let event = sample(&self.ports, cause.project, &issue.value.sample).await?;
        let branch = &config.product.branch;
        let commit = self.ports.forge.head(&repository, branch).await?;
        let suspects = self
            .in_source(&repository, &commit, diagnosis::suspects(&event))
            .await?;
        let mut issue = records::issue_again(store, &issue).await?;
        let Some(first) = suspects.first() else {
            let why = "no frame of the event is a file of the product's source";
            return news::give_up(&self.ports, cause, issue, (Self::NAME, why)).await;
        };
        let pattern = event
            .raised()
            .and_then(|raised| diagnosis::pattern(&raised.kind));
        let meaning = pattern
            .as_ref()
            .map_or("not a known pattern", |pattern| pattern.meaning.as_str());
        let why = format!("{}:{}: {meaning}", first.file, first.function);
        step!(issue.value, IssueMove::Diagnose, at, Self::NAME, why);
        let known = records::get::<Diagnosis>(store, cause.project, id.as_str()).await?;
        let diagnosis = Stored {
            version: known.map_or(0, |known| known.version),
            value: Diagnosis {
                issue: id.clone(),
                project: cause.project,
                at,
                commit,
                pattern,
                suspects,
            },
        };
        let message = Message::FindFix { issue: id.clone() };
        // Named by this decision, not by the message: an old message that comes again after the issue
        // came back must be able to hand on anew.
        let decision = format!("issue/{id}@{}", issue.version);
        let envelope = Envelope::new(decision, cause.project, message);
        let commit = Commit::new()
            .update(&issue)
            .update(&diagnosis)
            .send(envelope);
        self.ports.store.commit(commit).await?;
        Ok(Done::did(format!("issue {id} is diagnosed")))
    }

    /// Keeps the suspects whose file is in the source, under the path it has there.
    async fn in_source(
        &self,
        repository: &str,
        commit: &str,
        suspects: Vec<Suspect>,
    ) -> Result<Vec<Suspect>, PortError> {
        let mut found = Vec::new();
        for suspect in suspects.into_iter().take(SUSPECTS_MAX) {
            // Paths come from the event: hostile.
            if check_source_path(&suspect.file).is_ok()
                && self
                    .ports
                    .forge
                    .file(repository, commit, &suspect.file)
                    .await?
                    .is_some()
            {
                found.push(suspect);
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl Stage for Diagnose {
    const NAME: &'static str = "diagnose";
    type Command = Wake;
    type Done = Done;

    async fn run(&self, wake: Wake) -> Result<Done, PortError> {
        match wake.message() {
            Some((envelope, Message::Diagnose { issue })) => self.diagnose(envelope, issue).await,
            _ => Err(not_mine(Self::NAME, &wake)),
        }
    }
}

#[cfg(test)]
mod tests;
