//! What can be asked of the admin stage, and what it answers.

use super::shown::ProjectView;
use kintsugi_domain::Timestamp;
use kintsugi_domain::cohort::Share;
use kintsugi_domain::config::{Config, TwoPerson};
use kintsugi_domain::envelope::Queue;
use kintsugi_domain::flag::Flag;
use kintsugi_domain::id::{BundleId, DsnKey, FixId, IssueId, ProjectId, RequestId, RolloutId};
use kintsugi_domain::signing::OnlineRole;
use kintsugi_domain::state::IllegalTransition;
use kintsugi_trust::access::{Issuer, TokenKey};
use kintsugi_trust::token::Role;
use semver::Version;
use serde::{Deserialize, Serialize};

/// What can be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Begin a new generation of the key that sealed batches are opened with. Older ones stay accepted.
    RotateBatchKey {
        /// The project.
        project: ProjectId,
        /// Why; may be empty.
        reason: String,
    },
    /// Accept no batches any more that are sealed to that generation or an older one.
    RetireBatchKey {
        /// The project.
        project: ProjectId,
        /// The generation.
        generation: u32,
        /// Why; may be empty.
        reason: String,
    },
    /// Begin a new key of an online role of the signed repository. The root that names it makes the former one worthless.
    RotateSigningKey {
        /// The project.
        project: ProjectId,
        /// The role.
        role: OnlineRole,
        /// Why.
        reason: String,
    },
    /// Bring a root that those who hold the root keys signed.
    BringRoot {
        /// The project.
        project: ProjectId,
        /// The root, as its file has it.
        root: String,
        /// Why; may be empty.
        reason: String,
    },
    /// After a restore: sign everything anew under numbers above those that clients have seen.
    SkipVersions {
        /// The project.
        project: ProjectId,
        /// The highest version of timestamp, snapshot or targets that may have been seen, as far as it is known.
        above: u64,
        /// The highest version of the root that may have been seen; 0 where the restored one is the newest.
        root: u64,
        /// Why.
        reason: String,
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
    /// Confirm an action that another person asked for: it is done.
    Confirm {
        /// The project.
        project: ProjectId,
        /// The request.
        request: RequestId,
    },
    /// Refuse an action that somebody asked for, or take back one's own.
    Refuse {
        /// The project.
        project: ProjectId,
        /// The request.
        request: RequestId,
        /// Why; may be empty.
        reason: String,
    },
    /// Make an admin token for somebody.
    IssueToken {
        /// Whom it names.
        subject: String,
        /// What it allows.
        role: Role,
        /// How long it lives, hours.
        hours: u32,
        /// Why; may be empty.
        reason: String,
    },
    /// Take one admin token back.
    RevokeToken {
        /// Its own name (`jti`).
        id: String,
        /// Why; may be empty.
        reason: String,
    },
    /// Take back every admin token of a subject that was made until now.
    RevokeSubject {
        /// Whom they name.
        subject: String,
        /// Why; may be empty.
        reason: String,
    },
    /// Sign admin tokens with a new key from now on. The former one verifies until its tokens have ended.
    RotateKeys {
        /// Why; may be empty.
        reason: String,
    },
    /// End an older key at once, and with it every token that it signed.
    RetireKey {
        /// Its id.
        kid: String,
        /// Why; may be empty.
        reason: String,
    },
    /// Take tokens of a foreign issuer, or change how.
    PutIssuer {
        /// The issuer.
        issuer: Issuer,
    },
    /// Take no tokens of a foreign issuer any more.
    RemoveIssuer {
        /// Its address.
        url: String,
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
            | Self::RotateBatchKey { .. }
            | Self::RetireBatchKey { .. }
            | Self::RotateSigningKey { .. }
            | Self::BringRoot { .. }
            | Self::SkipVersions { .. }
            | Self::Redrive { .. }
            | Self::IssueToken { .. }
            | Self::RevokeToken { .. }
            | Self::RevokeSubject { .. }
            | Self::RotateKeys { .. }
            | Self::RetireKey { .. }
            | Self::PutIssuer { .. }
            | Self::RemoveIssuer { .. } => Role::Admin,
            Self::OrderRelease { .. }
            | Self::PauseRollout { .. }
            | Self::ResumeRollout { .. }
            | Self::RollBack { .. }
            | Self::PutFlag { .. } => Role::Releaser,
            Self::ReviewFix { .. } | Self::MuteIssue { .. } | Self::UnmuteIssue { .. } => {
                Role::Triager
            }
            // The least that any of them needs; what the request is about may need more, which is checked with it.
            Self::Confirm { .. } | Self::Refuse { .. } => Role::Triager,
        }
    }

    /// Which of the actions that can be made to need two people it is, if any. What stops harm is none: pauses, rollbacks,
    /// refusals, and turning a flag off.
    pub fn two_person(&self) -> Option<TwoPerson> {
        match self {
            Self::OrderRelease { .. } => Some(TwoPerson::ReleaseOrder),
            Self::ResumeRollout { .. } => Some(TwoPerson::RolloutResume),
            Self::ReviewFix { approved: true, .. } => Some(TwoPerson::FixApprove),
            Self::PutFlag { flag } => {
                let is_off = !flag.enabled || flag.share == Share::NONE;
                (!is_off).then_some(TwoPerson::FlagPut)
            }
            // To add a product that is there already is to configure it.
            Self::UpdateConfig { .. } | Self::AddProject { .. } => {
                Some(TwoPerson::ProjectConfigure)
            }
            Self::AddKey { .. } => Some(TwoPerson::KeyAdd),
            Self::RemoveKey { .. } => Some(TwoPerson::KeyRemove),
            Self::RotateSigningKey { .. } => Some(TwoPerson::SigningKeyRotate),
            Self::BringRoot { .. } => Some(TwoPerson::RootBring),
            Self::SkipVersions { .. } => Some(TwoPerson::VersionsSkip),
            Self::ReviewFix {
                approved: false, ..
            }
            | Self::RotateBatchKey { .. }
            | Self::RetireBatchKey { .. }
            | Self::MuteIssue { .. }
            | Self::UnmuteIssue { .. }
            | Self::PauseRollout { .. }
            | Self::RollBack { .. }
            | Self::Redrive { .. }
            | Self::Confirm { .. }
            | Self::Refuse { .. }
            | Self::IssueToken { .. }
            | Self::RevokeToken { .. }
            | Self::RevokeSubject { .. }
            | Self::RotateKeys { .. }
            | Self::RetireKey { .. }
            | Self::PutIssuer { .. }
            | Self::RemoveIssuer { .. } => None,
        }
    }

    /// The name it has in the audit log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AddProject { .. } => "project.add",
            Self::UpdateConfig { .. } => "project.configure",
            Self::AddKey { .. } => "key.add",
            Self::RemoveKey { .. } => "key.remove",
            Self::RotateBatchKey { .. } => "batch_key.rotate",
            Self::RetireBatchKey { .. } => "batch_key.retire",
            Self::RotateSigningKey { .. } => "signing_key.rotate",
            Self::BringRoot { .. } => "root.bring",
            Self::SkipVersions { .. } => "versions.skip",
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
            Self::Confirm { .. } => "request.confirm",
            Self::Refuse { .. } => "request.refuse",
            Self::IssueToken { .. } => "token.issue",
            Self::RevokeToken { .. } => "token.revoke",
            Self::RevokeSubject { .. } => "subject.revoke",
            Self::RotateKeys { .. } => "token_key.rotate",
            Self::RetireKey { .. } => "token_key.retire",
            Self::PutIssuer { .. } => "issuer.put",
            Self::RemoveIssuer { .. } => "issuer.remove",
        }
    }
}

/// The text of a token: whoever has it is its subject. No log shows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenText(pub String);

impl std::fmt::Debug for TokenText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenText(..)")
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
    /// It waits for a second person.
    Asked {
        /// The request, by which they find it.
        request: RequestId,
        /// On what.
        on: String,
        /// Until when it waits.
        expires_at: Timestamp,
    },
    /// A new admin token. It is shown this once.
    Token {
        /// The token itself.
        token: TokenText,
        /// Its own name, by which it can be taken back.
        id: String,
        /// Whom it names.
        subject: String,
        /// What it allows.
        role: Role,
        /// When it ends.
        expires_at: Timestamp,
    },
    /// Tokens are signed with this key from now on.
    TokenKey {
        /// The key.
        key: TokenKey,
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
