//! What can be asked of the admin stage, and what it answers.

use super::shown::ProjectView;
use kintsugi_domain::config::Config;
use kintsugi_domain::envelope::Queue;
use kintsugi_domain::flag::Flag;
use kintsugi_domain::id::{BundleId, DsnKey, FixId, IssueId, ProjectId, RolloutId};
use kintsugi_domain::state::IllegalTransition;
use kintsugi_trust::token::Role;
use semver::Version;
use serde::{Deserialize, Serialize};

/// What can be done.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Take a product under care. The same repository and product name again is the same project; its
    /// configuration is brought up to date.
    AddProject {
        /// Its configuration.
        config: Box<Config>,
        /// Where its source lives; absent for a product that only reports.
        repository: Option<String>,
    },
    /// Replace a project's configuration.
    UpdateConfig {
        /// The project.
        project: ProjectId,
        /// The new configuration.
        config: Box<Config>,
    },
    /// Make one more reporting key.
    AddKey {
        /// The project.
        project: ProjectId,
    },
    /// Take a reporting key away.
    RemoveKey {
        /// The project.
        project: ProjectId,
        /// The key.
        key: DsnKey,
    },
    /// Approve or refuse a proven fix.
    ReviewFix {
        /// The project.
        project: ProjectId,
        /// The fix.
        fix: FixId,
        /// Whether it may depart.
        approved: bool,
        /// Why; may be empty.
        reason: String,
    },
    /// Stop hearing of an issue.
    MuteIssue {
        /// The project.
        project: ProjectId,
        /// The issue.
        issue: IssueId,
        /// Why; may be empty.
        reason: String,
    },
    /// Hear of an issue again.
    UnmuteIssue {
        /// The project.
        project: ProjectId,
        /// The issue.
        issue: IssueId,
        /// Why; may be empty.
        reason: String,
    },
    /// Build and publish a version from a commit, without a train.
    OrderRelease {
        /// The project.
        project: ProjectId,
        /// A branch, or a whole commit id.
        from: String,
        /// The version, above every version there is.
        version: Version,
        /// What people should know about it.
        notes: String,
    },
    /// Stop offering a release for now.
    PauseRollout {
        /// The project.
        project: ProjectId,
        /// The rollout.
        rollout: RolloutId,
        /// Why.
        reason: String,
    },
    /// Go on with a paused rollout.
    ResumeRollout {
        /// The project.
        project: ProjectId,
        /// The rollout.
        rollout: RolloutId,
        /// Why.
        reason: String,
    },
    /// Stop a rollout for good and bring devices back.
    RollBack {
        /// The project.
        project: ProjectId,
        /// The rollout.
        rollout: RolloutId,
        /// Why.
        reason: String,
    },
    /// Make or change a flag.
    PutFlag {
        /// The flag.
        flag: Flag,
    },
    /// Put everything that was parked back into its queue, for all projects of the home.
    Redrive {
        /// The queue.
        queue: Queue,
        /// Why; may be empty.
        reason: String,
    },
}

impl Action {
    /// The role it needs.
    pub fn role(&self) -> Role {
        match self {
            Self::AddProject { .. }
            | Self::UpdateConfig { .. }
            | Self::AddKey { .. }
            | Self::RemoveKey { .. }
            | Self::Redrive { .. } => Role::Admin,
            Self::OrderRelease { .. }
            | Self::PauseRollout { .. }
            | Self::ResumeRollout { .. }
            | Self::RollBack { .. }
            | Self::PutFlag { .. } => Role::Releaser,
            Self::ReviewFix { .. } | Self::MuteIssue { .. } | Self::UnmuteIssue { .. } => {
                Role::Triager
            }
        }
    }

    /// The name it has in the audit log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AddProject { .. } => "project.add",
            Self::UpdateConfig { .. } => "project.configure",
            Self::AddKey { .. } => "key.add",
            Self::RemoveKey { .. } => "key.remove",
            Self::ReviewFix { approved: true, .. } => "fix.approve",
            Self::ReviewFix {
                approved: false, ..
            } => "fix.refuse",
            Self::MuteIssue { .. } => "issue.mute",
            Self::UnmuteIssue { .. } => "issue.unmute",
            Self::OrderRelease { .. } => "release.order",
            Self::PauseRollout { .. } => "rollout.pause",
            Self::ResumeRollout { .. } => "rollout.resume",
            Self::RollBack { .. } => "rollout.roll_back",
            Self::PutFlag { .. } => "flag.put",
            Self::Redrive { .. } => "queue.redrive",
        }
    }
}

/// What came of an action that was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Answer {
    /// The project as it is now.
    Project {
        /// The project.
        project: Box<ProjectView>,
    },
    /// A new reporting key.
    Key {
        /// The key.
        key: DsnKey,
    },
    /// A bundle was cut and its build ordered.
    Bundle {
        /// The bundle.
        bundle: BundleId,
        /// The commit it starts from.
        commit: String,
        /// The version it makes.
        version: Version,
    },
    /// It is done.
    Changed {
        /// On what.
        on: String,
        /// How it stands now.
        now: String,
    },
    /// A stage was told; it does the rest.
    Ordered {
        /// On what.
        on: String,
    },
    /// Messages are back in their queue.
    Redriven {
        /// The queue.
        queue: Queue,
        /// How many.
        messages: usize,
    },
}

/// What kind of refusal it is, which decides how a protocol says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The role does not allow it.
    Forbidden,
    /// What it is about does not exist.
    NotFound,
    /// It does not fit how things stand.
    Conflict,
    /// What was given cannot be right.
    Invalid,
}

/// Why an action was not taken. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    /// What kind of refusal it is.
    pub kind: RefusalKind,
    /// A stable name for programs: `release.exists` …
    pub code: &'static str,
    /// What is wrong and, where there is something, what to do.
    pub why: String,
}

impl Refusal {
    pub(crate) fn new(kind: RefusalKind, code: &'static str, why: impl Into<String>) -> Self {
        Self {
            kind,
            code,
            why: why.into(),
        }
    }

    pub(crate) fn missing(code: &'static str, what: &str) -> Self {
        Self::new(
            RefusalKind::NotFound,
            code,
            format!("there is no such {what}"),
        )
    }
}

impl From<IllegalTransition> for Refusal {
    fn from(refused: IllegalTransition) -> Self {
        Self::new(RefusalKind::Conflict, "state.refused", refused.to_string())
    }
}
