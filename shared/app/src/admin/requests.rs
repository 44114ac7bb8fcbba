//! Actions that need two people: asked for by one, done when another confirms. The rule is
//! [`kintsugi_domain::request`].
//!
//! An action is decided twice, when it is asked for and when it is confirmed, and both must have read the same versions of
//! the same records; orders about the signed repository are about a key or a root, whatever else was published since.
//! Only the second decision is committed.

use super::{
    Action, Answer, Call, Change, Decided, Decision, Refusal, RefusalKind, Stop, check_role, reason,
};
use crate::{news, records};
use kintsugi_domain::alert::{Alert, Urgency};
use kintsugi_domain::config::TwoPerson;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::id::{ProjectId, RequestId};
use kintsugi_domain::limits::{REQUESTS_EXPIRED_MAX, REQUESTS_OPEN_MAX};
use kintsugi_domain::ports::{Commit, PortError};
use kintsugi_domain::record::{IndexEntry, Stored};
use kintsugi_domain::request::{Asked, Request, RequestError};

/// How many people an action needs.
pub(super) enum Needs {
    /// Who orders it.
    One,
    /// Another one too: this asks for them.
    Two(Box<Change>),
    /// Another one too, and they were asked before.
    Asked(Answer),
}

impl From<RequestError> for Stop {
    fn from(error: RequestError) -> Self {
        let kind = match error {
            RequestError::SamePerson { .. } => RefusalKind::Forbidden,
            RequestError::Ended(_) | RequestError::Expired { .. } | RequestError::Changed => {
                RefusalKind::Conflict
            }
        };
        Refusal::new(kind, error.code(), error.to_string()).into()
    }
}

/// The entry of the index that holds what waits.
pub(super) fn waiting() -> IndexEntry {
    IndexEntry::new("waiting", &"second")
}

/// Names what a change was decided on: the records that it writes, as they were read.
///
/// Orders about the signed repository write its head, as every publication does: they are decided on what they name, a
/// role's next key or the next root. Numbers to stay above are only ever raised.
fn basis(action: &Action, change: &Change) -> Digest {
    let is_key_or_root = matches!(
        action,
        Action::RotateSigningKey { .. } | Action::BringRoot { .. }
    );
    if is_key_or_root || matches!(action, Action::SkipVersions { .. }) {
        let named = if is_key_or_root { &change.on } else { "" };
        return Digest::of_parts(&[action.name().as_bytes(), named.as_bytes()]);
    }
    let mut parts = Vec::new();
    for write in &change.commit.writes {
        parts.push(write.key.to_string());
        parts.push(write.expected.to_string());
    }
    let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
    Digest::of_parts(&parts)
}

/// How many people the action needs, by the project's configuration.
pub(super) async fn needs(
    call: &Call<'_>,
    action: &Action,
    change: &Change,
) -> Result<Needs, Stop> {
    let Some(what) = action.two_person() else {
        return Ok(Needs::One);
    };
    let project = records::project(call.ports.store.as_ref(), change.project).await?;
    let listed = project.is_some_and(|it| it.value.config.approval.two_person.contains(&what));
    if !listed {
        return Ok(Needs::One);
    }
    ask(call, action, what, change).await
}

async fn ask(
    call: &Call<'_>,
    action: &Action,
    what: TwoPerson,
    change: &Change,
) -> Result<Needs, Stop> {
    let body = serde_json::to_value(action)
        .map_err(|error| PortError::broken("an action as it waits", error))?;
    let store = call.ports.store.as_ref();
    let known = records::all::<Request>(store, change.project, Some(waiting())).await?;
    let mut commit = Commit::new();
    let mut open = 0;
    let mut over = 0;
    for mut request in known {
        if request.value.is_open(call.now) {
            open += 1;
            if request.value.action == body && request.value.basis == basis(action, change) {
                return Ok(Needs::Asked(answer(&request.value)));
            }
        } else if over < REQUESTS_EXPIRED_MAX && request.value.expire(call.now) {
            over += 1;
            commit = commit.update(&request);
        }
    }
    if open >= REQUESTS_OPEN_MAX {
        let why = format!("{REQUESTS_OPEN_MAX} actions wait already: confirm or refuse some first");
        return Err(Refusal::new(RefusalKind::Conflict, "request.too_many", why).into());
    }
    let asked = Asked {
        project: change.project,
        what,
        action: body,
        on: change.on.clone(),
        why: change.why.clone(),
        basis: basis(action, change),
    };
    let request = Request::new(asked, call.by(), call.now);
    let told = format!("{} on {}: {}", what.name(), change.on, change.why);
    let alert = Alert::new(
        change.project,
        Urgency::Notice,
        "request.waiting",
        &request.id,
        format!("{} asks for a second person: {told}", call.by()),
        call.now,
    );
    let commit = commit.create(&request);
    Ok(Needs::Two(Box::new(Change {
        project: change.project,
        on: format!("request {}", request.id),
        why: told,
        commit: news::raise(call.ports, commit, &call.cause, alert).await?,
        answer: answer(&request),
    })))
}

fn answer(request: &Request) -> Answer {
    Answer::Asked {
        request: request.id.clone(),
        on: request.on.clone(),
        expires_at: request.expires_at,
    }
}

async fn find(
    call: &Call<'_>,
    project: ProjectId,
    id: &RequestId,
) -> Result<(Stored<Request>, Action), Stop> {
    let store = call.ports.store.as_ref();
    let found = records::get::<Request>(store, project, id.as_str()).await?;
    let request = found.ok_or_else(|| Refusal::missing("request.unknown", "request"))?;
    let action: Action = serde_json::from_value(request.value.action.clone())
        .map_err(|error| PortError::broken(format!("request {id}"), error))?;
    check_role(call.actor, action.role())?;
    Ok((request, action))
}

/// Does what somebody else asked for.
pub(super) async fn confirm(call: &Call<'_>, project: ProjectId, id: &RequestId) -> Decision {
    let (mut request, action) = find(call, project, id).await?;
    request.value.may_confirm(&call.actor.sub, call.now)?;
    let asked_by = request.value.asked_by.clone();
    let both = Call {
        by: format!("{asked_by} and {}", call.actor.sub),
        cause: call.cause.clone(),
        ..*call
    };
    let mut change = match both.decide(&action).await? {
        Decided::Change(change) => change,
        // Everything is so already: what was asked for is not what would happen.
        Decided::AsItWas(_) | Decided::Confirmed { .. } => return Err(RequestError::Changed.into()),
    };
    let now = basis(&action, &change);
    request.value.confirm(&call.actor.sub, call.now, now)?;
    change.commit = change.commit.update(&request);
    Ok(Decided::Confirmed {
        what: request.value.what.name(),
        change,
        asked_by,
    })
}

pub(super) async fn refuse(
    call: &Call<'_>,
    project: ProjectId,
    id: &RequestId,
    why: &str,
) -> Decision {
    let why = reason(why, false)?;
    let (mut request, _) = find(call, project, id).await?;
    request.value.refuse(call.by(), call.now, &why)?;
    let on = format!("request {id}");
    let told = format!("{} on {}", request.value.what.name(), request.value.on);
    Ok(Decided::Change(Box::new(Change {
        project,
        on: on.clone(),
        why: if why.is_empty() {
            told
        } else {
            format!("{told}: {why}")
        },
        commit: Commit::new().update(&request),
        answer: Answer::Changed {
            on,
            now: "refused".to_owned(),
        },
    })))
}
