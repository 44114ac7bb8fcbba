//! Admin: what people and their tools change and look at.
//!
//! Changes go through [`Admin::run`]: one [`Action`], taken or refused, with a line of the audit log in
//! the commit that did it. Looking goes through [`Admin::views`] and changes nothing.
//!
//! **Invariants: nothing changes without a token whose role allows it, and nothing changes without a
//! line of the audit log. What another stage owns is not changed here but ordered from it by a message**
//! (a fix's review, a build, a rollback); what nobody else decides (a project, a flag, a pause, a mute)
//! is changed here.
//!
//! Not here: HTTP and pages (`kintsugi-http`).

mod action;
mod auth;
mod entry;
mod identity;
mod measured;
mod orders;
mod projects;
mod requests;
mod reviews;
mod shown;
mod signing;
mod trail;
mod views;

#[cfg(test)]
mod tests;

pub use action::{Action, Answer, Refusal, RefusalKind, TokenText};
pub use auth::{AUDIENCE, AuthError, authenticate, issue_token};
pub use entry::{issue_entry, redeem_entry};
pub use identity::{FIRST_TOKEN_HOURS_MAX, FirstToken};
pub use measured::{
    AttachmentView, DurationView, Evidence, HealthView, MemoryView, StatsView, UsageView,
};
pub use shown::{
    FixLine, IssueLine, IssueView, JobView, Needs, Page, ParkedView, Part, ProjectView,
    RequestView, RolloutView, TallyView, Tried,
};
pub use signing::{KeyState, SigningView};
pub use views::{ProjectViews, Views};

use crate::stage::Stage;
use async_trait::async_trait;
use kintsugi_domain::Timestamp;
use kintsugi_domain::audit::Audit;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::limits::{CONFLICT_RETRIES_MAX, REASON_CHARS_MAX};
use kintsugi_domain::ports::{Commit, PortError, Ports};
use kintsugi_domain::state::IllegalTransition;
use kintsugi_trust::token::{Role, Token};

/// What someone wants done.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Who, by a token that was checked ([`authenticate`]).
    pub actor: Token,
    /// What.
    pub action: Action,
}

/// How an action ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Done {
    /// It was taken.
    Answer(Answer),
    /// It was not.
    Refused(Refusal),
}

/// Why deciding ended early.
#[derive(Debug)]
enum Stop {
    Refused(Refusal),
    Failed(PortError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<IllegalTransition> for Stop {
    fn from(refused: IllegalTransition) -> Self {
        Self::Refused(refused.into())
    }
}

impl From<PortError> for Stop {
    fn from(error: PortError) -> Self {
        Self::Failed(error)
    }
}

/// What an action changes.
struct Change {
    /// The project whose audit log tells it.
    project: ProjectId,
    /// On what, for the audit log.
    on: String,
    /// Why, for the audit log.
    why: String,
    /// Records and messages.
    commit: Commit,
    /// What to answer.
    answer: Answer,
}

/// What an action comes to: a change, or an answer where everything is already so.
enum Decided {
    Change(Box<Change>),
    /// What another person asked for, and this one confirmed.
    Confirmed {
        change: Box<Change>,
        what: &'static str,
        asked_by: String,
    },
    AsItWas(Answer),
}

type Decision = Result<Decided, Stop>;

/// One command under way.
struct Call<'a> {
    ports: &'a Ports,
    actor: &'a Token,
    now: Timestamp,
    cause: String,
    /// Who does it, as stories tell it.
    by: String,
}

impl Call<'_> {
    fn envelope(&self, project: ProjectId, message: Message) -> Envelope {
        Envelope::new(self.cause.clone(), project, message)
    }

    fn by(&self) -> &str {
        &self.by
    }

    #[expect(
        clippy::too_many_lines,
        reason = "one arm for each action, and nothing else"
    )]
    async fn decide(&self, action: &Action) -> Decision {
        match action {
            Action::AddProject { config, repository } => {
                projects::add(self, config, repository.as_deref()).await
            }
            Action::UpdateConfig { project, config } => {
                projects::configure(self, *project, config).await
            }
            Action::AddKey { project } => projects::add_key(self, *project).await,
            Action::RemoveKey { project, key } => projects::remove_key(self, *project, key).await,
            Action::RotateBatchKey { project, reason } => {
                projects::rotate_batch_key(self, *project, reason).await
            }
            Action::RetireBatchKey {
                project,
                generation,
                reason,
            } => projects::retire_batch_key(self, *project, *generation, reason).await,
            Action::RotateSigningKey {
                project,
                role,
                reason,
            } => signing::rotate(self, *project, *role, reason).await,
            Action::BringRoot {
                project,
                root,
                reason,
            } => signing::bring(self, *project, root, reason).await,
            Action::SkipVersions {
                project,
                above,
                root,
                reason,
            } => signing::skip(self, *project, (*above, *root), reason).await,
            Action::ReviewFix {
                project,
                fix,
                approved,
                reason,
            } => reviews::fix(self, *project, fix, *approved, reason).await,
            Action::MuteIssue {
                project,
                issue,
                reason,
            } => reviews::mute(self, *project, issue, reason).await,
            Action::UnmuteIssue {
                project,
                issue,
                reason,
            } => reviews::unmute(self, *project, issue, reason).await,
            Action::OrderRelease {
                project,
                from,
                version,
                notes,
            } => orders::release(self, *project, from, version, notes).await,
            Action::PauseRollout {
                project,
                rollout,
                reason,
            } => orders::pause(self, *project, rollout, reason).await,
            Action::ResumeRollout {
                project,
                rollout,
                reason,
            } => orders::resume(self, *project, rollout, reason).await,
            Action::RollBack {
                project,
                rollout,
                reason,
            } => orders::roll_back(self, *project, rollout, reason).await,
            Action::PutFlag { flag } => orders::put_flag(self, flag).await,
            Action::Redrive { queue, reason } => orders::redrive(self, *queue, reason).await,
            Action::Confirm { project, request } => {
                Box::pin(requests::confirm(self, *project, request)).await
            }
            Action::Refuse {
                project,
                request,
                reason,
            } => requests::refuse(self, *project, request, reason).await,
            Action::IssueToken {
                subject,
                role,
                hours,
                reason,
            } => identity::issue(self, subject, *role, *hours, reason).await,
            Action::RevokeToken { id, reason } => identity::revoke_token(self, id, reason).await,
            Action::RevokeSubject { subject, reason } => {
                identity::revoke_subject(self, subject, reason).await
            }
            Action::RotateKeys { reason } => identity::rotate(self, reason).await,
            Action::RetireKey { kid, reason } => identity::retire(self, kid, reason).await,
            Action::PutIssuer { issuer } => identity::put_issuer(self, issuer).await,
            Action::RemoveIssuer { url } => identity::remove_issuer(self, url).await,
        }
    }
}

/// The admin stage.
#[derive(Debug, Clone)]
pub struct Admin {
    ports: Ports,
}

impl Admin {
    /// The stage of a home.
    pub fn new(ports: Ports) -> Self {
        Self { ports }
    }

    /// The ports it works with.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// What that person may look at.
    pub fn views(&self, actor: &Token) -> Result<Views<'_>, Refusal> {
        check_role(actor, Role::Viewer)?;
        Ok(Views::new(&self.ports, actor.role))
    }

    /// What came with events, for triagers.
    pub fn evidence(&self, actor: &Token) -> Result<Evidence<'_>, Refusal> {
        check_role(actor, Role::Triager)?;
        Ok(Evidence::new(&self.ports))
    }

    async fn attempt(&self, call: &Call<'_>, action: &Action) -> Result<Answer, Stop> {
        let (change, what, asked_by) = match call.decide(action).await? {
            Decided::Change(change) => match requests::needs(call, action, &change).await? {
                requests::Needs::One => (change, action.name(), None),
                requests::Needs::Two(asking) => (asking, "request.ask", None),
                requests::Needs::Asked(answer) => return Ok(answer),
            },
            Decided::Confirmed {
                change,
                what,
                asked_by,
            } => (change, what, Some(asked_by)),
            Decided::AsItWas(answer) => return Ok(answer),
        };
        let store = self.ports.store.as_ref();
        let line = Audit {
            by: call.actor.sub.clone(),
            token: call.actor.jti.clone(),
            what: what.to_owned(),
            on: change.on,
            why: change.why,
            asked_by,
            ..trail::next(store, change.project, call.now).await?
        };
        store.commit(change.commit.create(&line)).await?;
        trail::written(&line);
        Ok(change.answer)
    }

    /// What has to happen outside of the store, after it holds what was decided.
    async fn follow_up(&self, answer: Answer) -> Result<Answer, PortError> {
        match answer {
            Answer::Redriven { queue, .. } => {
                let messages = self.ports.queues.redrive(queue).await?;
                Ok(Answer::Redriven { queue, messages })
            }
            Answer::Project { .. }
            | Answer::Key { .. }
            | Answer::Bundle { .. }
            | Answer::Changed { .. }
            | Answer::Ordered { .. }
            | Answer::Asked { .. }
            | Answer::Token { .. }
            | Answer::TokenKey { .. } => Ok(answer),
        }
    }
}

#[async_trait]
impl Stage for Admin {
    const NAME: &'static str = "admin";
    type Command = Command;
    type Done = Done;

    async fn run(&self, command: Command) -> Result<Done, PortError> {
        let Command { actor, action } = command;
        if let Err(refusal) = check_role(&actor, action.role()) {
            return Ok(Done::Refused(refusal));
        }
        let now = self.ports.now();
        let call = Call {
            ports: &self.ports,
            cause: cause(&actor, &action, now),
            by: actor.sub.clone(),
            actor: &actor,
            now,
        };
        let mut lost = 0;
        loop {
            match self.attempt(&call, &action).await {
                Ok(answer) => return Ok(Done::Answer(self.follow_up(answer).await?)),
                Err(Stop::Refused(refusal)) => return Ok(Done::Refused(refusal)),
                // There is no queue behind a person that would bring the command back: decide again.
                Err(Stop::Failed(PortError::Conflict { .. })) if lost < CONFLICT_RETRIES_MAX => {
                    lost += 1;
                }
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
    }
}

fn check_role(actor: &Token, role: Role) -> Result<(), Refusal> {
    actor
        .require(role)
        .map_err(|error| Refusal::new(RefusalKind::Forbidden, error.code(), error.to_string()))
}

/// What messages name as their cause: two deliberate orders differ by their time.
fn cause(actor: &Token, action: &Action, now: Timestamp) -> String {
    // Actions are made of strings, numbers and maps with string keys: they serialise.
    let body = serde_json::to_vec(action).unwrap_or_default();
    let digest = Digest::of_parts(&[&body, now.to_string().as_bytes()]);
    format!("admin/{}/{}", actor.jti, digest.short(32))
}

/// A reason as it is kept: trimmed, within its bound, and there where it is needed.
fn reason(text: &str, is_needed: bool) -> Result<String, Refusal> {
    let text = text.trim();
    if is_needed && text.is_empty() {
        return Err(Refusal::new(
            RefusalKind::Invalid,
            "reason.missing",
            "say why: it is kept and shown",
        ));
    }
    if text.chars().count() > REASON_CHARS_MAX {
        return Err(Refusal::new(
            RefusalKind::Invalid,
            "reason.too_long",
            format!("a reason has at most {REASON_CHARS_MAX} characters"),
        ));
    }
    Ok(text.to_owned())
}
