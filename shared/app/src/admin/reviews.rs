//! What triagers decide: fixes and issues.

use super::projects;
use super::{Answer, Call, Change, Decided, Decision, Refusal, RefusalKind, Stop, reason};
use crate::records;
use kintsugi_domain::envelope::Message;
use kintsugi_domain::fix::{Fix, FixMove, FixState};
use kintsugi_domain::id::{FixId, IssueId, ProjectId};
use kintsugi_domain::issue::{Issue, IssueMove, IssueState};
use kintsugi_domain::ports::Commit;
use kintsugi_domain::record::Stored;

/// Tells the fix stage, which owns the fix.
pub(super) async fn fix(
    call: &Call<'_>,
    project: ProjectId,
    id: &FixId,
    approved: bool,
    why: &str,
) -> Decision {
    let why = reason(why, false)?;
    let store = call.ports.store.as_ref();
    let found = records::get::<Fix>(store, project, id.as_str()).await?;
    let fix = found.ok_or_else(|| Refusal::missing("fix.unknown", "fix"))?;
    let state = fix.value.state;
    if !approved && state == FixState::Bundled {
        let why = "it is on a train: let its release come, then roll it back";
        return Err(Refusal::new(RefusalKind::Conflict, "fix.departed", why).into());
    }
    let event = if approved {
        FixMove::Approve
    } else {
        FixMove::Reject
    };
    state.next(event).map_err(Refusal::from)?;
    let message = Message::FixReviewed {
        fix: id.clone(),
        approved,
        by: call.by().to_owned(),
    };
    let on = format!("fix {id}");
    Ok(Decided::Change(Box::new(Change {
        project,
        on: on.clone(),
        why,
        commit: Commit::new().send(call.envelope(project, message)),
        answer: Answer::Ordered { on },
    })))
}

pub(super) async fn mute(call: &Call<'_>, project: ProjectId, id: &IssueId, why: &str) -> Decision {
    let why = reason(why, false)?;
    let mut issue = issue(call, project, id).await?;
    let told = told(&why, "muted by a person");
    issue
        .value
        .step(IssueMove::Mute, call.now, call.by(), told)?;
    Ok(changed(&issue, why, Commit::new()))
}

/// A muted issue may never have been diagnosed; it starts again from there.
pub(super) async fn unmute(
    call: &Call<'_>,
    project: ProjectId,
    id: &IssueId,
    why: &str,
) -> Decision {
    let why = reason(why, false)?;
    let mut issue = issue(call, project, id).await?;
    if issue.value.state != IssueState::Muted {
        let why = "the issue is not muted";
        return Err(Refusal::new(RefusalKind::Conflict, "issue.not_muted", why).into());
    }
    let told = told(&why, "unmuted by a person");
    issue
        .value
        .step(IssueMove::Unmute, call.now, call.by(), told)?;
    let owner = projects::need(call, project).await?.value;
    issue.value.start_clocks(&owner.config.sla, call.now);
    let mut commit = Commit::new();
    if owner.repository.is_some() {
        let message = Message::Diagnose { issue: id.clone() };
        commit = commit.send(call.envelope(project, message));
    }
    Ok(changed(&issue, why, commit))
}

async fn issue(call: &Call<'_>, project: ProjectId, id: &IssueId) -> Result<Stored<Issue>, Stop> {
    let found = records::get::<Issue>(call.ports.store.as_ref(), project, id.as_str()).await?;
    Ok(found.ok_or_else(|| Refusal::missing("issue.unknown", "issue"))?)
}

fn told(why: &str, otherwise: &str) -> String {
    if why.is_empty() { otherwise } else { why }.to_owned()
}

fn changed(issue: &Stored<Issue>, why: String, commit: Commit) -> Decided {
    let on = format!("issue {}", issue.value.id);
    Decided::Change(Box::new(Change {
        project: issue.value.project,
        on: on.clone(),
        why,
        commit: commit.update(issue),
        answer: Answer::Changed {
            on,
            now: format!("{:?}", issue.value.state).to_lowercase(),
        },
    }))
}
