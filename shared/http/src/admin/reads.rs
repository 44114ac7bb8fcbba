//! What is looked at.

use super::problem::missing;
use super::{Actor, Answered, Asked, At, shown};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse as _;
use kintsugi_app::admin::{Admin, Part, ProjectViews};
use kintsugi_domain::Timestamp;
use kintsugi_domain::bundle::Bundle;
use kintsugi_domain::fix::Fix;
use kintsugi_domain::id::{
    BundleId, FixId, IssueId, JobId, ProjectId, ReleaseId, RequestId, RolloutId,
};
use kintsugi_domain::issue::IssueState;
use kintsugi_domain::release::Release;
use kintsugi_trust::token::Token;
use serde::Deserialize;

/// Which part of a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartAsked {
    after: Option<String>,
    limit: Option<usize>,
}

impl From<PartAsked> for Part {
    fn from(asked: PartAsked) -> Self {
        Self {
            after: asked.after,
            limit: asked.limit,
        }
    }
}

/// Which issues.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IssuesAsked {
    state: Option<IssueState>,
    after: Option<String>,
    limit: Option<usize>,
}

/// At which time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimeAsked {
    at: Option<Timestamp>,
}

async fn of<'a>(
    admin: &'a Admin,
    actor: &Token,
    project: ProjectId,
) -> Result<ProjectViews<'a>, Problem> {
    let found = admin.views(actor)?.project(project).await?;
    found.ok_or_else(|| missing("project.unknown", "project"))
}

pub(super) async fn projects(State(admin): State<Admin>, Actor(actor): Actor) -> Answered {
    Ok(shown(admin.views(&actor)?.projects().await?))
}

pub(super) async fn all_parked(State(admin): State<Admin>, Actor(actor): Actor) -> Answered {
    Ok(shown(admin.views(&actor)?.parked().await?))
}

pub(super) async fn home_stats(State(admin): State<Admin>, Actor(actor): Actor) -> Answered {
    Ok(shown(admin.views(&actor)?.stats().await?))
}

pub(super) async fn home_audit(
    State(admin): State<Admin>,
    Actor(actor): Actor,
    Asked(part): Asked<PartAsked>,
) -> Answered {
    Ok(shown(admin.views(&actor)?.audit(&part.into()).await?))
}

pub(super) async fn project(
    State(admin): State<Admin>,
    Actor(actor): Actor,
    At(project): At<ProjectId>,
) -> Answered {
    Ok(shown(of(&admin, &actor, project).await?.project()))
}

/// Things of a project that are shown whole.
macro_rules! whole {
    ($($name:ident),*) => {$(
        pub(super) async fn $name(
            State(admin): State<Admin>,
            Actor(actor): Actor,
            At(project): At<ProjectId>,
        ) -> Answered {
            Ok(shown(of(&admin, &actor, project).await?.$name().await?))
        }
    )*};
}

whole!(needs, parked, counters, stats);

pub(super) async fn signing(
    State(admin): State<Admin>,
    Actor(actor): Actor,
    At(project): At<ProjectId>,
) -> Answered {
    let found = of(&admin, &actor, project).await?.signing().await?;
    found
        .map(shown)
        .ok_or_else(|| missing("repository.none", "repository: nothing was published yet"))
}

/// Lists of a project that are shown page by page.
macro_rules! paged {
    ($($name:ident),*) => {$(
        pub(super) async fn $name(
            State(admin): State<Admin>,
            Actor(actor): Actor,
            At(project): At<ProjectId>,
            Asked(part): Asked<PartAsked>,
        ) -> Answered {
            Ok(shown(of(&admin, &actor, project).await?.$name(&part.into()).await?))
        }
    )*};
}

paged!(
    fixes,
    bundles,
    releases,
    rollouts,
    alerts,
    flags,
    requests,
    audit,
    health,
    performance,
    memory,
    usage,
    feedback,
    attachments,
    logs,
    monitors
);

pub(super) async fn trains(
    State(admin): State<Admin>,
    Actor(actor): Actor,
    At(project): At<ProjectId>,
    Asked(asked): Asked<TimeAsked>,
) -> Answered {
    Ok(shown(
        of(&admin, &actor, project).await?.trains(asked.at).await?,
    ))
}

pub(super) async fn issues(
    State(admin): State<Admin>,
    Actor(actor): Actor,
    At(project): At<ProjectId>,
    Asked(asked): Asked<IssuesAsked>,
) -> Answered {
    let part = Part {
        after: asked.after,
        limit: asked.limit,
    };
    Ok(shown(
        of(&admin, &actor, project)
            .await?
            .issues(asked.state, &part)
            .await?,
    ))
}

/// The content of an attachment. **A browser saves it and never shows it**: it is what a stranger sent.
pub(super) async fn attachment(
    State(admin): State<Admin>,
    Actor(actor): Actor,
    At((project, id)): At<(ProjectId, String)>,
) -> Answered {
    let found = admin.evidence(&actor)?.attachment(project, &id).await?;
    let (attachment, content) = found.ok_or_else(|| missing("attachment.unknown", "attachment"))?;
    // RFC 6266: a name of our own, since theirs may hold anything.
    let ending = if attachment.is_binary { "bin" } else { "txt" };
    let disposition = format!("attachment; filename=\"{id}.{ending}\"");
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "sandbox; default-src 'none'",
        ),
    ];
    let mut response = (headers, content).into_response();
    if let Ok(disposition) = HeaderValue::try_from(disposition) {
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

/// One thing of a project, by its id.
macro_rules! one {
    ($($name:ident, $id:ty, $code:literal, |$views:ident, $key:ident| $get:expr;)*) => {$(
        pub(super) async fn $name(
            State(admin): State<Admin>,
            Actor(actor): Actor,
            At((project, $key)): At<(ProjectId, $id)>,
        ) -> Answered {
            let $views = of(&admin, &actor, project).await?;
            match $get.await? {
                Some(found) => Ok(shown(found)),
                None => Err(missing($code, stringify!($name))),
            }
        }
    )*};
}

one! {
    issue, IssueId, "issue.unknown", |views, id| views.issue(&id);
    fix, FixId, "fix.unknown", |views, id| views.get::<Fix>(id.as_str());
    bundle, BundleId, "bundle.unknown", |views, id| views.get::<Bundle>(id.as_str());
    release, ReleaseId, "release.unknown", |views, id| views.get::<Release>(id.as_str());
    rollout, RolloutId, "rollout.unknown", |views, id| views.rollout(&id);
    job, JobId, "job.unknown", |views, id| views.job(&id);
    request, RequestId, "request.unknown", |views, id| views.request(&id);
}
