//! What people look at. How it is shown is in [`super::shown`].
//!
//! Nothing here changes anything. Pages are in the order of keys; [`Page::next`] is the key to go on from.

use super::shown::{
    FixLine, IssueLine, IssueView, JobView, Needs, Page, ParkedView, Part, ProjectView,
    RequestView, RolloutView, TallyView,
};
use super::signing::SigningView;
use super::{auth, requests};
use crate::events::filed;
use crate::ingest::COUNTER;
use crate::records;
use crate::schedule::Plan;
use kintsugi_domain::Timestamp;
use kintsugi_domain::alert::Alert;
use kintsugi_domain::audit::{Audit, HOME};
use kintsugi_domain::bundle::Bundle;
use kintsugi_domain::channel::Head;
use kintsugi_domain::envelope::{Message, Queue};
use kintsugi_domain::fix::Fix;
use kintsugi_domain::flag::Flag;
use kintsugi_domain::guard::{Tally, tally_counter};
use kintsugi_domain::id::{IssueId, JobId, ProjectId, RequestId, RolloutId};
use kintsugi_domain::issue::{Issue, IssueState};
use kintsugi_domain::job::Job;
use kintsugi_domain::ports::{PortError, Ports};
use kintsugi_domain::project::Project;
use kintsugi_domain::record::{IndexEntry, Record, Stored};
use kintsugi_domain::release::Release;
use kintsugi_domain::request::Request;
use kintsugi_domain::rollout::{Rollout, RolloutState, Step, plan};
use kintsugi_trust::access::Access;
use kintsugi_trust::token::Role;
use serde::Serialize;
use std::collections::BTreeMap;

/// Releases that an overview shows.
const LAST_RELEASES: usize = 5;

/// What a person may look at in a home.
#[derive(Debug, Clone, Copy)]
pub struct Views<'a> {
    pub(super) ports: &'a Ports,
    role: Role,
}

impl<'a> Views<'a> {
    pub(super) fn new(ports: &'a Ports, role: Role) -> Self {
        Self { ports, role }
    }

    /// Every project, in the order of their numbers.
    pub async fn projects(&self) -> Result<Vec<ProjectView>, PortError> {
        let store = self.ports.store.as_ref();
        let mut found = Vec::new();
        for id in store.projects().await? {
            if let Some(project) = records::project(store, id).await? {
                found.push(ProjectView::of(&project.value, self.role == Role::Admin));
            }
        }
        Ok(found)
    }

    /// One project, or nothing.
    pub async fn project(&self, id: ProjectId) -> Result<Option<ProjectViews<'a>>, PortError> {
        let found = records::project(self.ports.store.as_ref(), id).await?;
        Ok(found.map(|project| ProjectViews {
            ports: self.ports,
            role: self.role,
            project: project.value,
        }))
    }

    /// Messages of every project that nobody could handle, queue by queue.
    pub async fn parked(&self) -> Result<Vec<ParkedView>, PortError> {
        parked(self.ports, None).await
    }

    /// Who may use the home: keys, what was taken back, issuers. None of it is a secret.
    pub async fn access(&self) -> Result<Access, PortError> {
        Ok(auth::access(self.ports).await?.value)
    }

    /// What was done to the home as a whole, the newest first.
    pub async fn audit(&self, part: &Part) -> Result<Page<Audit>, PortError> {
        page(self.ports, HOME, None, part).await
    }
}

/// What a person may look at in a project.
#[derive(Debug, Clone)]
pub struct ProjectViews<'a> {
    pub(super) ports: &'a Ports,
    role: Role,
    pub(super) project: Project,
}

impl ProjectViews<'_> {
    /// The project itself.
    pub fn project(&self) -> ProjectView {
        ProjectView::of(&self.project, self.role == Role::Admin)
    }

    /// Issues, all or those in one state.
    pub async fn issues(
        &self,
        state: Option<IssueState>,
        part: &Part,
    ) -> Result<Page<IssueLine>, PortError> {
        let index = state.map(|state| IndexEntry::new("state", &name_of(&state)));
        let found: Page<Issue> = self.page(index, part).await?;
        Ok(found.map(IssueLine::from))
    }

    /// One issue with all that is known of it.
    pub async fn issue(&self, id: &IssueId) -> Result<Option<IssueView>, PortError> {
        let Some(issue) = self.get::<Issue>(id.as_str()).await? else {
            return Ok(None);
        };
        let index = Some(IndexEntry::new("issue", id));
        let fixes: Page<Fix> = self.page(index, &Part::default()).await?;
        Ok(Some(IssueView {
            sample: filed(self.ports, self.project.id, &issue.sample).await?,
            diagnosis: self.get(id.as_str()).await?,
            fixes: fixes.map(FixLine::from).items,
            issue,
        }))
    }

    /// Fixes.
    pub async fn fixes(&self, part: &Part) -> Result<Page<FixLine>, PortError> {
        let found: Page<Fix> = self.page(None, part).await?;
        Ok(found.map(FixLine::from))
    }

    /// Rollouts with their numbers.
    pub async fn rollouts(&self, part: &Part) -> Result<Page<RolloutView>, PortError> {
        let found: Page<Rollout> = self.page(None, part).await?;
        let mut items = Vec::with_capacity(found.items.len());
        for rollout in found.items {
            items.push(self.rollout_view(rollout).await?);
        }
        Ok(Page {
            items,
            next: found.next,
        })
    }

    /// One rollout with its numbers.
    pub async fn rollout(&self, id: &RolloutId) -> Result<Option<RolloutView>, PortError> {
        match self.get::<Rollout>(id.as_str()).await? {
            Some(rollout) => Ok(Some(self.rollout_view(rollout).await?)),
            None => Ok(None),
        }
    }

    /// One job of the build engine.
    pub async fn job(&self, id: &JobId) -> Result<Option<JobView>, PortError> {
        Ok(self.get::<Job>(id.as_str()).await?.map(JobView::from))
    }

    /// Actions that wait for a second person, and those that waited.
    pub async fn requests(&self, part: &Part) -> Result<Page<RequestView>, PortError> {
        let found: Page<Request> = self.page(None, part).await?;
        let now = self.ports.now();
        Ok(found.map(|request| RequestView::of(request, self.role, now)))
    }

    /// One of them.
    pub async fn request(&self, id: &RequestId) -> Result<Option<RequestView>, PortError> {
        let found = self.get::<Request>(id.as_str()).await?;
        let now = self.ports.now();
        Ok(found.map(|request| RequestView::of(request, self.role, now)))
    }

    /// Bundles.
    pub async fn bundles(&self, part: &Part) -> Result<Page<Bundle>, PortError> {
        self.page(None, part).await
    }

    /// Releases.
    pub async fn releases(&self, part: &Part) -> Result<Page<Release>, PortError> {
        self.page(None, part).await
    }

    /// Alerts.
    pub async fn alerts(&self, part: &Part) -> Result<Page<Alert>, PortError> {
        self.page(None, part).await
    }

    /// Flags.
    pub async fn flags(&self, part: &Part) -> Result<Page<Flag>, PortError> {
        self.page(None, part).await
    }

    /// What people did, the newest first.
    pub async fn audit(&self, part: &Part) -> Result<Page<Audit>, PortError> {
        self.page(None, part).await
    }

    /// Messages of the project that nobody could handle.
    pub async fn parked(&self) -> Result<Vec<ParkedView>, PortError> {
        parked(self.ports, Some(self.project.id)).await
    }

    /// What would depart at a time, now if none is given; nothing is changed.
    pub async fn trains(&self, at: Option<Timestamp>) -> Result<Plan, PortError> {
        let at = at.unwrap_or_else(|| self.ports.now());
        crate::schedule::plan(self.ports, &self.project, at).await
    }

    /// How the repository is signed: keys, numbers, what waits for whom; nothing before the first publication.
    pub async fn signing(&self) -> Result<Option<SigningView>, PortError> {
        let head = self.get::<Head>("head").await?;
        Ok(head.map(|head| SigningView::of(&head)))
    }

    /// What became of reports, by reason.
    pub async fn counters(&self) -> Result<BTreeMap<String, i64>, PortError> {
        self.ports.store.counter(self.project.id, COUNTER).await
    }

    /// One record by its key: a fix, a release, a bundle.
    pub async fn get<T: Record>(&self, key: &str) -> Result<Option<T>, PortError> {
        let found = records::get::<T>(self.ports.store.as_ref(), self.project.id, key).await?;
        Ok(found.map(|stored| stored.value))
    }

    /// What the project needs from a person now, and how it is doing.
    pub async fn needs(&self) -> Result<Needs, PortError> {
        let waiting = Some(IndexEntry::new("waiting", &"review"));
        let fixes: Page<Fix> = self.page(waiting, &Part::default()).await?;
        let part = Part::default();
        let requests: Page<Request> = self.page(Some(requests::waiting()), &part).await?;
        let now = self.ports.now();
        let open = requests.items.into_iter().filter(|it| it.is_open(now));
        let requests = open.map(|it| RequestView::of(it, self.role, now)).collect();
        let issues = self.issues(Some(IssueState::NeedsHuman), &part).await?;
        let open = Some(IndexEntry::new("open", &"rollout"));
        let running: Page<Rollout> = self.page(open, &part).await?;
        let mut rollouts = Vec::new();
        for rollout in running.items {
            if rollout.state != RolloutState::Finalised {
                rollouts.push(self.rollout_view(rollout).await?);
            }
        }
        let releases = records::all(self.ports.store.as_ref(), self.project.id, None).await?;
        let mut releases: Vec<Release> = values(releases);
        releases.sort_by(|a, b| b.version.cmp(&a.version));
        releases.truncate(LAST_RELEASES);
        Ok(Needs {
            fixes_to_review: fixes.map(FixLine::from).items,
            requests,
            issues_for_people: issues.items,
            parked: self.parked().await?,
            rollouts,
            releases,
        })
    }

    async fn rollout_view(&self, rollout: Rollout) -> Result<RolloutView, PortError> {
        let rules = &self.project.config.rollout;
        let store = self.ports.store.as_ref();
        let fields = store
            .counter(self.project.id, &tally_counter(&rollout.id))
            .await?;
        let tally = Tally::from_fields(&fields);
        let next = match plan(&rollout, &tally, rules, self.ports.now()) {
            Step::Hold { why } => format!("hold: {why}"),
            Step::Widen { share, why } => format!("widen to {share}: {why}"),
            Step::Finalise { why } => format!("offer to everybody: {why}"),
            Step::Halt { why } => format!("halt: {why}"),
        };
        Ok(RolloutView {
            rollout,
            tally: TallyView {
                new: [tally.new_started, tally.new_healthy, tally.new_failed],
                control: [
                    tally.control_started,
                    tally.control_healthy,
                    tally.control_failed,
                ],
                evidence: tally.evidence(),
                evidence_to_halt: 100.0 / rules.guard_alpha_percent,
            },
            next,
        })
    }

    pub(super) async fn page<T: Record>(
        &self,
        index: Option<IndexEntry>,
        part: &Part,
    ) -> Result<Page<T>, PortError> {
        page(self.ports, self.project.id, index, part).await
    }
}

async fn page<T: Record>(
    ports: &Ports,
    project: ProjectId,
    index: Option<IndexEntry>,
    part: &Part,
) -> Result<Page<T>, PortError> {
    let limit = part.limit();
    let store = ports.store.as_ref();
    let found = records::page::<T>(store, project, index, part.after.clone(), limit).await?;
    let items = values(found);
    let is_full = items.len() == limit;
    let next = items.last().filter(|_| is_full).map(Record::key);
    Ok(Page { items, next })
}

fn values<T>(stored: Vec<Stored<T>>) -> Vec<T> {
    stored.into_iter().map(|stored| stored.value).collect()
}

async fn parked(ports: &Ports, project: Option<ProjectId>) -> Result<Vec<ParkedView>, PortError> {
    let mut found = Vec::new();
    for queue in Queue::ALL {
        for parked in ports.queues.parked(queue).await? {
            let of = parked.envelope.as_ref().map(|envelope| envelope.project);
            if project.is_none_or(|project| of == Some(project)) {
                let message = parked.envelope.map(|envelope| envelope.message);
                found.push(ParkedView {
                    id: parked.id,
                    queue,
                    project: of,
                    kind: message.as_ref().map_or_else(unreadable, kind_of),
                    cause: parked.cause,
                });
            }
        }
    }
    Ok(found)
}

/// What stands for the name of a message where there is none.
fn unreadable() -> String {
    "unreadable".to_owned()
}

/// The name of a message as it is written.
fn kind_of(message: &Message) -> String {
    let value = serde_json::to_value(message).unwrap_or_default();
    let kind = value.get("type").and_then(|kind| kind.as_str());
    kind.unwrap_or_default().to_owned()
}

/// The name of a state as it is written.
fn name_of(state: &impl Serialize) -> String {
    let value = serde_json::to_value(state).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
