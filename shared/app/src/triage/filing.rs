//! One commit that files events of one project.

use crate::events::keep;
use crate::ingest::COUNTER;
use crate::news;
use crate::records;
use crate::stage::Stage;
use crate::triage::Triage;
use kintsugi_domain::accounting::{self, Category, Fate};
use kintsugi_domain::alert::{Alert, Urgency};
use kintsugi_domain::config::TriageRules;
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::event::{Body, Event, FiledEvent};
use kintsugi_domain::fix::{Fix, FixMove};
use kintsugi_domain::grouping::Fingerprint;
use kintsugi_domain::id::{EventId, IssueId, ProjectId};
use kintsugi_domain::issue::{Issue, IssueMove, IssueState};
use kintsugi_domain::limits::COMMIT_WRITES_MAX;
use kintsugi_domain::ports::{Commit, PortError, Ports};
use kintsugi_domain::project::Project;
use kintsugi_domain::record::Stored;
use kintsugi_domain::score;
use kintsugi_domain::trace::in_trace;
use kintsugi_domain::train::{self, Train};
use std::collections::{BTreeMap, BTreeSet};

/// Most records that a commit writes for an issue beside its events: the issue, and where it came back, its fix and an alert.
const ISSUE_WRITES_MAX: usize = 3;

/// Where the body of an event lies.
#[derive(Debug, Clone, Copy)]
pub(super) enum BodyIn<'m> {
    /// In its message, and in no batch yet.
    Message(&'m Body),
    /// In the batch of that key.
    Batch(&'m str),
}

/// An event with what it says for itself, whatever was filed before.
pub(super) struct Report<'m> {
    message: &'m Envelope,
    event: &'m Event,
    body: BodyIn<'m>,
    level: score::Level,
    /// Why it has this level.
    why: String,
    fingerprint: Fingerprint,
    issue: IssueId,
}

impl<'m> Report<'m> {
    pub(super) fn new(
        message: &'m Envelope,
        event: &'m Event,
        body: BodyIn<'m>,
        rules: &TriageRules,
    ) -> Self {
        let (level, why) = score::level(event, rules);
        let fingerprint = Fingerprint::of(event);
        Self {
            message,
            event,
            body,
            level,
            why,
            issue: fingerprint.issue(message.project),
            fingerprint,
        }
    }

    /// The event's id.
    pub(super) fn event(&self) -> &'m EventId {
        &self.event.id
    }
}

/// Cuts reports into parts that fit into a commit each, those of one issue beside each other, in the order in which they came. An
/// issue is in several parts only where its reports are too many for one.
pub(super) fn parts<'r, 'm>(reports: &'r mut [Report<'m>]) -> Vec<Vec<&'r Report<'m>>> {
    reports.sort_by(|one, other| one.issue.cmp(&other.issue));
    let mut parts: Vec<Vec<&Report<'_>>> = Vec::new();
    let mut writes = 0;
    for of_issue in reports.chunk_by(|one, other| one.issue == other.issue) {
        for piece in of_issue.chunks(COMMIT_WRITES_MAX - ISSUE_WRITES_MAX) {
            let more = ISSUE_WRITES_MAX + piece.len();
            match parts.last_mut() {
                Some(part) if writes + more <= COMMIT_WRITES_MAX => {
                    writes += more;
                    part.extend(piece);
                }
                _ => {
                    writes = more;
                    parts.push(piece.iter().collect());
                }
            }
        }
    }
    parts
}

/// Whether one part goes on with the issue that the other ends with: then the two write the same record.
pub(super) fn is_continued(part: &[&Report<'_>], next: &[&Report<'_>]) -> bool {
    match (part.last(), next.first()) {
        (Some(last), Some(first)) => last.issue == first.issue,
        _ => false,
    }
}

/// The commit in the making.
pub(super) struct Filing<'a> {
    ports: &'a Ports,
    project: &'a Project,
    bodies: &'a Bodies,
    filed: BTreeMap<EventId, &'a Report<'a>>,
    /// Issues as they were read; those that are touched move to `touched`.
    issues: BTreeMap<IssueId, Stored<Issue>>,
    /// Issues touched, with the version each was read at (0: new) and its latest event.
    touched: BTreeMap<IssueId, (Stored<Issue>, &'a Event)>,
    /// What is to be diagnosed, and the message that brought it about.
    diagnose: BTreeMap<IssueId, &'a Envelope>,
    alerts: Vec<(&'a Envelope, Alert)>,
    commit: Commit,
}

impl<'a> Filing<'a> {
    /// Reads the issues of a part: the sooner its commit follows, the fewer others come between. `bodies` tells which events were
    /// filed before, and where the bodies of the others lie.
    pub(super) async fn begin(
        ports: &'a Ports,
        project: &'a Project,
        part: &[&'a Report<'a>],
        bodies: &'a Bodies,
    ) -> Result<Self, PortError> {
        let store = ports.store.as_ref();
        let issues: BTreeSet<&str> = part.iter().map(|report| report.issue.as_str()).collect();
        let issues = records::get_all::<Issue>(store, project.id, issues).await?;
        let issues = issues.into_values();
        Ok(Self {
            ports,
            project,
            bodies,
            filed: BTreeMap::new(),
            issues: issues
                .map(|issue| (issue.value.id.clone(), issue))
                .collect(),
            touched: BTreeMap::new(),
            diagnose: BTreeMap::new(),
            alerts: Vec::new(),
            commit: Commit::new(),
        })
    }

    fn id(&self) -> ProjectId {
        self.project.id
    }

    fn rules(&self) -> &'a TriageRules {
        &self.project.config.triage
    }

    /// Adds an event, unless it was filed before.
    pub(super) async fn add(&mut self, report: &'a Report<'a>) -> Result<(), PortError> {
        let event = report.event;
        if self.bodies.known.contains(&event.id) {
            return Ok(());
        }
        self.filed.insert(event.id.clone(), report);
        let touched = self.touched.remove(&report.issue).map(|(issue, _)| issue);
        let mut issue = touched
            .or_else(|| self.issues.remove(&report.issue))
            .unwrap_or_else(|| Stored {
                value: Issue::open(event, report.fingerprint.clone(), report.level),
                version: 0,
            });
        issue.value.join(event);
        issue.value.raise(report.level, &self.project.config.sla);
        self.advance(&mut issue.value, report).await?;
        self.touched.insert(report.issue.clone(), (issue, event));
        Ok(())
    }

    /// What an event does to its issue's state.
    async fn advance(
        &mut self,
        issue: &mut Issue,
        report: &'a Report<'a>,
    ) -> Result<(), PortError> {
        let (at, event) = (self.ports.now(), report.event);
        if issue.state == IssueState::New {
            issue.score = score::priority(issue, event, self.rules(), self.rules().fleet);
            let why = format!(
                "{:?}: {}; score {}",
                issue.level, report.why, issue.score.value
            );
            // A new issue has this move.
            if issue.step(IssueMove::Triage, at, Triage::NAME, why).is_ok() {
                issue.start_clocks(&self.project.config.sla, at);
                self.diagnose.insert(issue.id.clone(), report.message);
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
            issue.start_clocks(&self.project.config.sla, at);
            // The next search starts from what the fix did not cover.
            issue.sample = event.id.clone();
            issue.critical_since = None;
            self.refute(issue, &why).await?;
            self.diagnose.insert(issue.id.clone(), report.message);
            let text = format!("“{}” is back: {why}", issue.title);
            let subject = format!("{}@{}", issue.id, event.id);
            let alert = Alert::new(
                self.id(),
                Urgency::Warning,
                "issue.regressed",
                &subject,
                text,
                at,
            );
            self.alerts.push((report.message, alert));
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

    /// Files what was added and returns it.
    pub(super) async fn commit(self) -> Result<Vec<EventId>, PortError> {
        if self.filed.is_empty() {
            return Ok(Vec::new());
        }
        let (project, rules) = (self.id(), self.rules());
        let mut commit = self.commit;
        for (id, report) in &self.filed {
            commit = commit.create(&FiledEvent {
                id: id.clone(),
                project,
                issue: report.issue.clone(),
                received_at: report.event.received_at,
                batch: match report.body {
                    BodyIn::Message(_) => self.bodies.batch.clone(),
                    BodyIn::Batch(batch) => batch.to_owned(),
                },
            });
        }
        for (mut issue, event) in self.touched.into_values() {
            issue.value.score = score::priority(&issue.value, event, rules, rules.fleet);
            let departs = train::score(&issue.value, &self.project.config.trains).train;
            if issue.value.critical_since.is_none() && departs == Train::Hotfix {
                issue.value.critical_since = Some(event.received_at);
            }
            commit = commit.update(&issue);
        }
        if self.project.repository.is_some() {
            for (issue, message) in self.diagnose {
                let diagnose = Message::Diagnose { issue };
                let mut envelope = Envelope::new(message.id.to_string(), project, diagnose);
                envelope.trace = message.trace;
                commit = commit.send(envelope);
            }
        }
        for (message, alert) in self.alerts {
            let raised = news::raise(self.ports, commit, message.id.as_str(), alert);
            commit = in_trace(message.trace, raised).await?;
        }
        let mut counts: BTreeMap<Category, i64> = BTreeMap::new();
        for report in self.filed.values() {
            *counts.entry(report.event.category).or_default() += 1;
        }
        for (category, count) in counts {
            let accepted = accounting::ended(Fate::Accepted, category, "");
            commit = commit
                .add(project, COUNTER, &accounting::received(category), count)
                .add(project, COUNTER, &accepted, count);
        }
        self.ports.store.commit(commit).await?;
        Ok(self.filed.into_keys().collect())
    }
}

/// Where the bodies of reports lie that are filed together.
pub(super) struct Bodies {
    /// Events that were filed before.
    known: BTreeSet<EventId>,
    /// The batch of the others' bodies, as far as these lie in none yet.
    batch: String,
}

impl Bodies {
    /// Stores the bodies of events that were not filed before and lie in no batch yet. `reports` are of an event each.
    pub(super) async fn keep(
        ports: &Ports,
        project: ProjectId,
        reports: &[Report<'_>],
    ) -> Result<Self, PortError> {
        let events = reports.iter().map(|report| report.event().as_str());
        let filed = records::get_all::<FiledEvent>(ports.store.as_ref(), project, events).await?;
        let known = filed.into_values().map(|filed| filed.value.id).collect();
        let batch = batch_of(ports, project, &known, reports).await?;
        Ok(Self { known, batch })
    }
}

/// The key of the batch in which it stored those that are not known and lie in none yet.
async fn batch_of(
    ports: &Ports,
    project: ProjectId,
    known: &BTreeSet<EventId>,
    reports: &[Report<'_>],
) -> Result<String, PortError> {
    let bare = reports.iter().filter_map(|report| match report.body {
        BodyIn::Message(body) if !known.contains(report.event()) => Some(body),
        BodyIn::Message(_) | BodyIn::Batch(_) => None,
    });
    let bare: Vec<&Body> = bare.collect();
    if bare.is_empty() {
        return Ok(String::new());
    }
    let json = Body::list(bare);
    keep(ports.blobs.as_ref(), project, json.as_bytes()).await
}
