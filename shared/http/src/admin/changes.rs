//! What is changed: each request is one action of the admin stage.

use super::{Actor, Answered, At, Body, take};
use axum::extract::State;
use kintsugi_app::admin::{Action, Admin};
use kintsugi_domain::cohort::Share;
use kintsugi_domain::config::Config;
use kintsugi_domain::envelope::Queue;
use kintsugi_domain::flag::Flag;
use kintsugi_domain::id::{DsnKey, FixId, IssueId, ProjectId, RequestId, RolloutId};
use kintsugi_domain::signing::OnlineRole;
use semver::Version;
use serde::Deserialize;

/// What a configuration is called in errors.
const CONFIG_FILE: &str = "kintsugi.toml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewProject {
    config: String,
    repository: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewConfig {
    config: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Review {
    approved: bool,
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSigningKey {
    role: OnlineRole,
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRoot {
    root: String,
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    #[serde(default)]
    above: u64,
    #[serde(default)]
    root: u64,
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRelease {
    r#ref: String,
    version: Version,
    #[serde(default)]
    notes: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewFlag {
    enabled: bool,
    percent: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Again {
    queue: Queue,
    #[serde(default)]
    reason: String,
}

pub(super) async fn add_project(
    admin: State<Admin>,
    Actor(actor): Actor,
    Body(body): Body<NewProject>,
) -> Answered {
    let action = Action::AddProject {
        config: Box::new(Config::parse(CONFIG_FILE, &body.config)?),
        repository: body.repository,
    };
    take(admin, actor, action).await
}

pub(super) async fn configure(
    admin: State<Admin>,
    Actor(actor): Actor,
    At(project): At<ProjectId>,
    Body(body): Body<NewConfig>,
) -> Answered {
    let config = Box::new(Config::parse(CONFIG_FILE, &body.config)?);
    take(admin, actor, Action::UpdateConfig { project, config }).await
}

pub(super) async fn add_key(
    admin: State<Admin>,
    Actor(actor): Actor,
    At(project): At<ProjectId>,
) -> Answered {
    take(admin, actor, Action::AddKey { project }).await
}

pub(super) async fn rotate_batch_key(
    admin: State<Admin>,
    Actor(actor): Actor,
    At(project): At<ProjectId>,
    Body(body): Body<Reason>,
) -> Answered {
    let reason = body.reason;
    take(admin, actor, Action::RotateBatchKey { project, reason }).await
}

pub(super) async fn retire_batch_key(
    admin: State<Admin>,
    Actor(actor): Actor,
    At((project, generation)): At<(ProjectId, u32)>,
    Body(body): Body<Reason>,
) -> Answered {
    let action = Action::RetireBatchKey {
        project,
        generation,
        reason: body.reason,
    };
    take(admin, actor, action).await
}

pub(super) async fn rotate_signing_key(
    admin: State<Admin>,
    Actor(actor): Actor,
    At(project): At<ProjectId>,
    Body(NewSigningKey { role, reason }): Body<NewSigningKey>,
) -> Answered {
    let action = Action::RotateSigningKey {
        project,
        role,
        reason,
    };
    take(admin, actor, action).await
}

pub(super) async fn bring_root(
    admin: State<Admin>,
    Actor(actor): Actor,
    At(project): At<ProjectId>,
    Body(NewRoot { root, reason }): Body<NewRoot>,
) -> Answered {
    let action = Action::BringRoot {
        project,
        root,
        reason,
    };
    take(admin, actor, action).await
}

pub(super) async fn skip_versions(
    admin: State<Admin>,
    Actor(actor): Actor,
    At(project): At<ProjectId>,
    Body(Seen {
        above,
        root,
        reason,
    }): Body<Seen>,
) -> Answered {
    let action = Action::SkipVersions {
        project,
        above,
        root,
        reason,
    };
    take(admin, actor, action).await
}

pub(super) async fn remove_key(
    admin: State<Admin>,
    Actor(actor): Actor,
    At((project, key)): At<(ProjectId, DsnKey)>,
) -> Answered {
    take(admin, actor, Action::RemoveKey { project, key }).await
}

pub(super) async fn review(
    admin: State<Admin>,
    Actor(actor): Actor,
    At((project, fix)): At<(ProjectId, FixId)>,
    Body(body): Body<Review>,
) -> Answered {
    let action = Action::ReviewFix {
        project,
        fix,
        approved: body.approved,
        reason: body.reason,
    };
    take(admin, actor, action).await
}

/// Actions on one thing that take nothing but a reason.
macro_rules! with_reason {
    ($($name:ident, $action:ident { $thing:ident: $id:ty };)*) => {$(
        pub(super) async fn $name(
            admin: State<Admin>,
            Actor(actor): Actor,
            At((project, $thing)): At<(ProjectId, $id)>,
            Body(Reason { reason }): Body<Reason>,
        ) -> Answered {
            take(admin, actor, Action::$action { project, $thing, reason }).await
        }
    )*};
}

with_reason! {
    mute, MuteIssue { issue: IssueId };
    unmute, UnmuteIssue { issue: IssueId };
    pause, PauseRollout { rollout: RolloutId };
    resume, ResumeRollout { rollout: RolloutId };
    roll_back, RollBack { rollout: RolloutId };
    refuse, Refuse { request: RequestId };
}

/// Takes no body: what is confirmed is what was asked for.
pub(super) async fn confirm(
    admin: State<Admin>,
    Actor(actor): Actor,
    At((project, request)): At<(ProjectId, RequestId)>,
) -> Answered {
    take(admin, actor, Action::Confirm { project, request }).await
}

pub(super) async fn release(
    admin: State<Admin>,
    Actor(actor): Actor,
    At(project): At<ProjectId>,
    Body(body): Body<NewRelease>,
) -> Answered {
    let action = Action::OrderRelease {
        project,
        from: body.r#ref,
        version: body.version,
        notes: body.notes,
    };
    take(admin, actor, action).await
}

pub(super) async fn put_flag(
    admin: State<Admin>,
    Actor(actor): Actor,
    At((project, key)): At<(ProjectId, String)>,
    Body(body): Body<NewFlag>,
) -> Answered {
    let flag = Flag {
        project,
        key,
        enabled: body.enabled,
        share: Share::from_percent(body.percent),
    };
    take(admin, actor, Action::PutFlag { flag }).await
}

pub(super) async fn redrive(
    admin: State<Admin>,
    Actor(actor): Actor,
    Body(body): Body<Again>,
) -> Answered {
    let action = Action::Redrive {
        queue: body.queue,
        reason: body.reason,
    };
    take(admin, actor, action).await
}
