//! Triage: events become issues, with a level, a score and the reasons for both.
//!
//! An event is filed once: its record is created together with what it changes, so an event that comes
//! again changes nothing. One commit files up to [`FILED_EVENTS_MAX`] events.
//!
//! Not here: similarity between groups, anomalies, SLA clocks, ownership (ledger C).

use crate::news;
use crate::records;
use crate::stage::{Done, Stage, Wake, not_mine};
use async_trait::async_trait;
use kintsugi_domain::alert::{Alert, Urgency};
use kintsugi_domain::config::TriageRules;
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::event::{Event, FiledEvent};
use kintsugi_domain::fix::{Fix, FixMove};
use kintsugi_domain::grouping::Fingerprint;
use kintsugi_domain::id::{EventId, IssueId, ProjectId};
use kintsugi_domain::issue::{Issue, IssueMove, IssueState};
use kintsugi_domain::limits::{FILED_EVENTS_MAX, REQUEST_DECODED_BYTES_MAX};
use kintsugi_domain::ports::{Commit, PortError, Ports};
use kintsugi_domain::project::Project;
use kintsugi_domain::record::Stored;
use kintsugi_domain::score;
use std::collections::{BTreeMap, BTreeSet};

/// A batch is at most what one request decodes to, written anew; JSON grows a little when rewritten.
const BATCH_BYTES_MAX: usize = 2 * REQUEST_DECODED_BYTES_MAX;

/// The triage stage.
#[derive(Debug, Clone)]
pub struct Triage {
    ports: Ports,
}

impl Triage {
    /// The stage of a home.
    pub fn new(ports: Ports) -> Self {
        Self { ports }
    }

    async fn batch(&self, blob: &str) -> Result<Vec<Event>, PortError> {
        let what = || format!("batch {blob}");
        match self.ports.blobs.get(blob, BATCH_BYTES_MAX).await? {
            Some(content) => {
                serde_json::from_slice(&content).map_err(|error| PortError::broken(what(), error))
            }
            None => Err(PortError::broken(what(), "it is not stored")),
        }
    }

    async fn file_batch(&self, cause: &Envelope, blob: &str) -> Result<Done, PortError> {
        let Some(project) = self.project(cause).await? else {
            return Ok(Done::nothing("the project does not exist"));
        };
        let events = self.batch(blob).await?;
        self.file(cause, &project, &events).await
    }

    async fn file_inline(&self, cause: &Envelope, events: &[Event]) -> Result<Done, PortError> {
        match self.project(cause).await? {
            Some(project) => self.file(cause, &project, events).await,
            None => Ok(Done::nothing("the project does not exist")),
        }
    }

    async fn project(&self, cause: &Envelope) -> Result<Option<Project>, PortError> {
        let project = records::project(self.ports.store.as_ref(), cause.project).await?;
        Ok(project.map(|stored| stored.value))
    }

    async fn file(
        &self,
        cause: &Envelope,
        project: &Project,
        events: &[Event],
    ) -> Result<Done, PortError> {
        let mut filed = 0;
        for part in events.chunks(FILED_EVENTS_MAX) {
            let mut filing = Filing::new(&self.ports, project, cause);
            for event in part {
                filing.add(event).await?;
            }
            filed += filing.filed.len();
            let commit = filing.commit().await?;
            if !commit.is_empty() {
                self.ports.store.commit(commit).await?;
            }
        }
        let known = events.len() - filed;
        Ok(match filed {
            0 => Done::nothing(format!("{known} events were filed before")),
            _ => Done::did(format!("filed {filed} events, {known} were filed before")),
        })
    }
}

#[async_trait]
impl Stage for Triage {
    const NAME: &'static str = "triage";
    type Command = Wake;
    type Done = Done;

    async fn run(&self, wake: Wake) -> Result<Done, PortError> {
        match wake.message() {
            Some((envelope, Message::Reported { events })) => {
                self.file_inline(envelope, events).await
            }
            Some((envelope, Message::ReportedBatch { blob })) => {
                self.file_batch(envelope, blob).await
            }
            _ => Err(not_mine(Self::NAME, &wake)),
        }
    }
}

/// One commit in the making.
struct Filing<'a> {
    ports: &'a Ports,
    project: &'a Project,
    cause: &'a Envelope,
    filed: BTreeSet<EventId>,
    /// Issues touched, with the version each was read at (0: new) and its latest event.
    issues: BTreeMap<IssueId, (Stored<Issue>, Event)>,
    diagnose: BTreeSet<IssueId>,
    alerts: Vec<Alert>,
    commit: Commit,
}

impl<'a> Filing<'a> {
    fn new(ports: &'a Ports, project: &'a Project, cause: &'a Envelope) -> Self {
        Self {
            ports,
            project,
            cause,
            filed: BTreeSet::new(),
            issues: BTreeMap::new(),
            diagnose: BTreeSet::new(),
            alerts: Vec::new(),
            commit: Commit::new(),
        }
    }

    fn id(&self) -> ProjectId {
        self.project.id
    }

    fn rules(&self) -> &TriageRules {
        &self.project.config.triage
    }

    async fn add(&mut self, event: &Event) -> Result<(), PortError> {
        let store = self.ports.store.as_ref();
        let known = records::get::<FiledEvent>(store, self.id(), event.id.as_str()).await?;
        if known.is_some() || !self.filed.insert(event.id.clone()) {
            return Ok(());
        }
        let (level, why) = score::level(event, self.rules());
        let fingerprint = Fingerprint::of(event);
        let id = fingerprint.issue(self.id());
        let mut issue = match self.issues.remove(&id) {
            Some((issue, _)) => issue,
            None => match records::get::<Issue>(store, self.id(), id.as_str()).await? {
                Some(issue) => issue,
                None => Stored {
                    value: Issue::open(event, fingerprint, level),
                    version: 0,
                },
            },
        };
        issue.value.join(event);
        issue.value.level = issue.value.level.max(level);
        self.advance(&mut issue.value, event, &why).await?;
        let filed = FiledEvent {
            event: event.clone(),
            issue: id.clone(),
        };
        self.commit = std::mem::take(&mut self.commit).create(&filed);
        self.issues.insert(id, (issue, event.clone()));
        Ok(())
    }

    /// What an event does to its issue's state.
    async fn advance(
        &mut self,
        issue: &mut Issue,
        event: &Event,
        why: &str,
    ) -> Result<(), PortError> {
        let at = self.ports.now();
        if issue.state == IssueState::New {
            issue.score = score::priority(issue, event, self.rules(), self.rules().fleet);
            let why = format!("{:?}: {why}; score {}", issue.level, issue.score.value);
            // A new issue has this move.
            if issue.step(IssueMove::Triage, at, Triage::NAME, why).is_ok() {
                self.diagnose.insert(issue.id.clone());
            }
        } else if issue.is_recurrence(event) {
            let seen = event.release.as_deref().unwrap_or_default();
            let why = format!("event {} came from {seen}, which has the fix", event.id);
            if issue
                .step(IssueMove::Recur, at, Triage::NAME, &why)
                .is_err()
            {
                return Ok(());
            }
            // The next search starts from what the fix did not cover.
            issue.sample = event.id.clone();
            self.refute(issue, &why).await?;
            self.diagnose.insert(issue.id.clone());
            let text = format!("“{}” is back: {why}", issue.title);
            let subject = format!("{}@{}", issue.id, event.id);
            self.alerts.push(Alert::new(
                self.id(),
                Urgency::Warning,
                "issue.regressed",
                &subject,
                text,
                at,
            ));
        }
        Ok(())
    }

    async fn refute(&mut self, issue: &Issue, why: &str) -> Result<(), PortError> {
        let Some(fix) = &issue.fix else {
            return Ok(());
        };
        let mut fix: Stored<Fix> =
            records::need(self.ports.store.as_ref(), self.id(), fix.as_str()).await?;
        let at = self.ports.now();
        if fix
            .value
            .step(FixMove::Refute, at, Triage::NAME, why)
            .is_ok()
        {
            self.commit = std::mem::take(&mut self.commit).update(&fix);
        }
        Ok(())
    }

    async fn commit(mut self) -> Result<Commit, PortError> {
        let mut commit = std::mem::take(&mut self.commit);
        for (mut issue, event) in std::mem::take(&mut self.issues).into_values() {
            let rules = self.rules();
            issue.value.score = score::priority(&issue.value, &event, rules, rules.fleet);
            commit = commit.update(&issue);
        }
        if self.project.repository.is_some() {
            for issue in std::mem::take(&mut self.diagnose) {
                let message = Message::Diagnose { issue };
                let cause = self.cause.id.to_string();
                commit = commit.send(Envelope::new(cause, self.id(), message));
            }
        }
        for alert in std::mem::take(&mut self.alerts) {
            commit = news::raise(self.ports, commit, self.cause.id.as_str(), alert).await?;
        }
        Ok(commit)
    }
}
