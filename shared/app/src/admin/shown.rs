//! How people see records: as they are, put together, or cut to a line.
//!
//! Not here: reading them ([`super::views`]).

use super::action::Action;
use kintsugi_domain::Timestamp;
use kintsugi_domain::config::{Config, TwoPerson};
use kintsugi_domain::diagnosis::Diagnosis;
use kintsugi_domain::envelope::Queue;
use kintsugi_domain::event::Event;
use kintsugi_domain::fix::{Fix, FixState};
use kintsugi_domain::id::{DsnKey, FixId, IssueId, JobId, ProjectId, RequestId};
use kintsugi_domain::issue::{Issue, IssueState};
use kintsugi_domain::job::{FixClass, Gate, Job, JobState, Order, Report};
use kintsugi_domain::limits::PAGE_RECORDS_MAX;
use kintsugi_domain::project::Project;
use kintsugi_domain::release::Release;
use kintsugi_domain::request::{Request, RequestState};
use kintsugi_domain::rollout::Rollout;
use kintsugi_domain::score::Level;
use kintsugi_trust::token::Role;
use semver::Version;
use serde::{Deserialize, Serialize};

/// Some of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// What was found, in the order of keys.
    pub items: Vec<T>,
    /// Where to go on (`after`), if there may be more.
    pub next: Option<String>,
}

impl<T> Page<T> {
    pub(super) fn map<U>(self, as_shown: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(as_shown).collect(),
            next: self.next,
        }
    }
}

/// Which part of a list.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// After this key.
    pub after: Option<String>,
    /// At most so many; absent: [`Part::LIMIT`].
    pub limit: Option<usize>,
}

impl Part {
    /// How many items a page has where nobody said.
    pub const LIMIT: usize = 100;

    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(Self::LIMIT).clamp(1, PAGE_RECORDS_MAX)
    }
}

/// A project, as its people see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectView {
    /// Its id.
    pub id: ProjectId,
    /// Its product's name.
    pub name: String,
    /// Where its source lives.
    pub repository: Option<String>,
    /// The branch that releases are made from.
    pub branch: String,
    /// The channel that trains go to.
    pub channel: String,
    /// Keys that may report for it; not secrets.
    pub keys: Vec<DsnKey>,
    /// When it was added.
    pub added_at: Timestamp,
    /// All of its configuration: for admins only, since addresses of alert channels are secrets.
    pub config: Option<Config>,
}

impl ProjectView {
    /// A project as an admin or another person sees it.
    pub fn of(project: &Project, is_admin: bool) -> Self {
        Self {
            id: project.id,
            name: project.config.product.name.clone(),
            repository: project.repository.clone(),
            branch: project.config.product.branch.clone(),
            channel: project.config.trains.channel.clone(),
            keys: project.keys.clone(),
            added_at: project.added_at,
            config: is_admin.then(|| project.config.clone()),
        }
    }
}

/// An issue, in a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IssueLine {
    /// Its id.
    pub id: IssueId,
    /// Where it stands.
    pub state: IssueState,
    /// A line that names it. Event text: hostile.
    pub title: String,
    /// Where it was raised. Event text: hostile.
    pub culprit: Option<String>,
    /// How bad it is.
    pub level: Level,
    /// How urgent it is, 0 to 1000.
    pub score: u32,
    /// Events so far.
    pub events: u64,
    /// Users seen, as far as they are counted.
    pub users: usize,
    /// Last seen.
    pub last_seen: Timestamp,
    /// The fix that is meant to end it.
    pub fix: Option<FixId>,
    /// The version that has the fix.
    pub fixed_in: Option<Version>,
}

impl From<Issue> for IssueLine {
    fn from(issue: Issue) -> Self {
        Self {
            users: issue.users.len(),
            id: issue.id,
            state: issue.state,
            title: issue.title,
            culprit: issue.culprit,
            level: issue.level,
            score: issue.score.value,
            events: issue.events,
            last_seen: issue.last_seen,
            fix: issue.fix,
            fixed_in: issue.fixed_in,
        }
    }
}

/// An issue with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IssueView {
    /// The issue.
    pub issue: Issue,
    /// The event that diagnosis works from. Hostile.
    pub sample: Option<Event>,
    /// What is wrong, as far as it is known.
    pub diagnosis: Option<Diagnosis>,
    /// Fixes for it.
    pub fixes: Vec<FixLine>,
}

/// A fix, in a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FixLine {
    /// Its id.
    pub id: FixId,
    /// The issue it should end.
    pub issue: IssueId,
    /// Where it stands.
    pub state: FixState,
    /// The line for commit and changelog.
    pub title: String,
    /// The rule that made it.
    pub rule: String,
    /// What kind of change it is.
    pub class: FixClass,
    /// Its commit in the product's repository.
    pub commit: Option<String>,
}

impl From<Fix> for FixLine {
    fn from(fix: Fix) -> Self {
        Self {
            id: fix.id,
            issue: fix.issue,
            state: fix.state,
            title: fix.title,
            rule: fix.rule,
            class: fix.class,
            commit: fix.commit,
        }
    }
}

/// The numbers of a rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TallyView {
    /// Devices of the new version that began, ended healthy, failed.
    pub new: [u64; 3],
    /// The same for the version before.
    pub control: [u64; 3],
    /// The evidence that the new version fails more often; 1 is none.
    pub evidence: f64,
    /// The evidence that halts the rollout.
    pub evidence_to_halt: f64,
}

/// A rollout with its numbers and what comes next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutView {
    /// The rollout.
    pub rollout: Rollout,
    /// Its numbers.
    pub tally: TallyView,
    /// What the plan says now, in a sentence.
    pub next: String,
}

/// A candidate that a search tried.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tried {
    /// The rule that made it.
    pub rule: String,
    /// What kind of change it is.
    pub class: FixClass,
    /// The change as a unified diff.
    pub diff: String,
    /// The gates, in the order they were tried.
    pub gates: Vec<Gate>,
}

/// A job of the build engine, without the product's configuration and the files it wrote.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// `search` or `build`.
    pub order: &'static str,
    /// Where it stands.
    pub state: JobState,
    /// When it was ordered.
    pub ordered_at: Timestamp,
    /// Gates of the whole job.
    pub gates: Vec<Gate>,
    /// Candidates of a search.
    pub candidates: Vec<Tried>,
    /// Why it gave nothing, if so.
    pub failure: Option<String>,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        let mut view = Self {
            id: job.id,
            order: match job.order {
                Order::Search(_) => "search",
                Order::Build(_) => "build",
            },
            state: job.state,
            ordered_at: job.ordered_at,
            gates: Vec::new(),
            candidates: Vec::new(),
            failure: None,
        };
        match job.report {
            Some(Report::Search(report)) => {
                view.gates = report.base;
                view.failure = report.refused;
                let tried = report.candidates.into_iter().map(|candidate| Tried {
                    rule: candidate.rule,
                    class: candidate.class,
                    diff: candidate.diff,
                    gates: candidate.gates,
                });
                view.candidates = tried.collect();
            }
            Some(Report::Build(report)) => {
                view.gates = report.gates;
                let failure = report.built.err();
                view.failure = failure.map(|failure| format!("{}: {}", failure.code, failure.why));
            }
            None => {}
        }
        view
    }
}

/// A message that nobody could handle. Its content is not shown: it may be a report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParkedView {
    /// The message; where there is none, the queue's own name for what came.
    pub id: String,
    /// The queue that it came by.
    pub queue: Queue,
    /// Its project; nothing where there is no message.
    pub project: Option<ProjectId>,
    /// What it asks for: `sign_release` …; `unreadable` where there is no message.
    pub kind: String,
    /// Why it was parked.
    pub cause: String,
}

/// An action that waits for a second person, or waited.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RequestView {
    /// Its id.
    pub id: RequestId,
    /// Where it stands.
    pub state: RequestState,
    /// What it asks for: `release.order` …
    pub what: TwoPerson,
    /// On what.
    pub on: String,
    /// Why, and what it amounts to.
    pub why: String,
    /// The action as it was asked for: for who may confirm it only, since a configuration holds secrets.
    pub action: Option<serde_json::Value>,
    /// Who asked.
    pub asked_by: String,
    /// When.
    pub asked_at: Timestamp,
    /// When it stops waiting.
    pub expires_at: Timestamp,
    /// Who ended it.
    pub ended_by: Option<String>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it was refused.
    pub ended_why: String,
}

impl RequestView {
    pub(super) fn of(mut request: Request, role: Role, now: Timestamp) -> Self {
        // Nobody has to look for it to be over.
        request.expire(now);
        let action: Option<Action> = serde_json::from_value(request.action.clone()).ok();
        let may_see = action.is_some_and(|action| role >= action.role());
        Self {
            id: request.id,
            state: request.state,
            what: request.what,
            on: request.on,
            why: request.why,
            action: may_see.then_some(request.action),
            asked_by: request.asked_by,
            asked_at: request.asked_at,
            expires_at: request.expires_at,
            ended_by: request.ended_by,
            ended_at: request.ended_at,
            ended_why: request.ended_why,
        }
    }
}

/// What a project needs from a person now, and how it is doing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Needs {
    /// Proven fixes that wait for a review.
    pub fixes_to_review: Vec<FixLine>,
    /// Actions that wait for a second person.
    pub requests: Vec<RequestView>,
    /// Issues that the pipeline cannot help.
    pub issues_for_people: Vec<IssueLine>,
    /// Messages that were parked.
    pub parked: Vec<ParkedView>,
    /// Rollouts under way, the paused ones among them.
    pub rollouts: Vec<RolloutView>,
    /// The newest releases, the highest version first.
    pub releases: Vec<Release>,
}
