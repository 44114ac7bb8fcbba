//! What forms do: each is one action of the admin stage. The answer is the page of the thing.

use super::frame::{Outcome, address};
use super::session::Visitor;
use super::{Home, Trouble};
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{Form, Path, State};
use axum::response::Redirect;
use kintsugi_app::admin::{Action, Answer, Command, Done};
use kintsugi_app::stage::Stage as _;
use kintsugi_domain::envelope::Queue;
use kintsugi_domain::id::{FixId, IssueId, ProjectId, RequestId, RolloutId};
use serde::Deserialize;

type Sent = Result<Redirect, Trouble>;
type At<T> = Result<Path<(ProjectId, T)>, PathRejection>;
type Filled<T> = Result<Form<T>, FormRejection>;

#[derive(Debug, Deserialize)]
pub(super) struct Review {
    form: String,
    approved: bool,
    reason: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Reason {
    form: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Confirmed {
    form: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Again {
    form: String,
    queue: Queue,
    reason: String,
}

/// Has an action taken, then shows `page`.
async fn take(home: &Home, visitor: Visitor, action: Action, page: &str) -> Sent {
    let actor = visitor.token;
    match home.admin.run(Command { actor, action }).await? {
        Done::Refused(refusal) => Err(refusal.into()),
        Done::Answer(answer) => {
            let outcome = match answer {
                Answer::Bundle { .. } | Answer::Ordered { .. } => Outcome::Ordered,
                Answer::Asked { .. } => Outcome::Asked,
                Answer::Redriven { .. } => Outcome::Redriven,
                Answer::Project { .. }
                | Answer::Key { .. }
                | Answer::Changed { .. }
                | Answer::Token { .. }
                | Answer::TokenKey { .. } => Outcome::Changed,
            };
            Ok(Redirect::to(&format!("{page}?done={}", outcome.name())))
        }
    }
}

pub(super) async fn review(
    State(home): State<Home>,
    visitor: Visitor,
    path: At<FixId>,
    form: Filled<Review>,
) -> Sent {
    let (Path((project, fix)), Form(form)) = (path?, form?);
    visitor.check(&form.form)?;
    let page = address(project, "fixes", &fix);
    let action = Action::ReviewFix {
        project,
        fix,
        approved: form.approved,
        reason: form.reason,
    };
    take(&home, visitor, action, &page).await
}

/// Actions on one thing that take nothing but a reason.
macro_rules! with_reason {
    ($($name:ident, $action:ident { $thing:ident: $id:ty }, $part:literal;)*) => {$(
        pub(super) async fn $name(
            State(home): State<Home>,
            visitor: Visitor,
            path: At<$id>,
            form: Filled<Reason>,
        ) -> Sent {
            let (Path((project, $thing)), Form(Reason { form, reason })) = (path?, form?);
            visitor.check(&form)?;
            let page = address(project, $part, &$thing);
            take(&home, visitor, Action::$action { project, $thing, reason }, &page).await
        }
    )*};
}

with_reason! {
    mute, MuteIssue { issue: IssueId }, "issues";
    unmute, UnmuteIssue { issue: IssueId }, "issues";
    pause, PauseRollout { rollout: RolloutId }, "rollouts";
    resume, ResumeRollout { rollout: RolloutId }, "rollouts";
    roll_back, RollBack { rollout: RolloutId }, "rollouts";
    refuse, Refuse { request: RequestId }, "requests";
}

pub(super) async fn confirm(
    State(home): State<Home>,
    visitor: Visitor,
    path: At<RequestId>,
    form: Filled<Confirmed>,
) -> Sent {
    let (Path((project, request)), Form(form)) = (path?, form?);
    visitor.check(&form.form)?;
    let page = address(project, "requests", &request);
    take(&home, visitor, Action::Confirm { project, request }, &page).await
}

pub(super) async fn redrive(
    State(home): State<Home>,
    visitor: Visitor,
    form: Filled<Again>,
) -> Sent {
    let Form(form) = form?;
    visitor.check(&form.form)?;
    let action = Action::Redrive {
        queue: form.queue,
        reason: form.reason,
    };
    take(&home, visitor, action, "/console/parked").await
}
