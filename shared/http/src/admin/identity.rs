//! Tokens, the keys that sign them, and foreign issuers.

use super::{Actor, Answered, At, Body, shown, take};
use crate::problem::Problem;
use axum::extract::State;
use axum::http::StatusCode;
use kintsugi_app::admin::{Action, Admin, issue_entry};
use kintsugi_domain::Timestamp;
use kintsugi_trust::access::Issuer;
use kintsugi_trust::token::Role;
use serde::{Deserialize, Serialize};

/// Whom a token names.
#[derive(Debug, Serialize)]
struct Me {
    subject: String,
    role: Role,
    /// The token's own name.
    id: String,
    expires_at: Timestamp,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    subject: String,
    role: Role,
    hours: u32,
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Revoked {
    id: Option<String>,
    subject: Option<String>,
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Of {
    url: String,
}

pub(super) async fn me(State(admin): State<Admin>, Actor(actor): Actor) -> Answered {
    // Who may look at nothing is told no more than that.
    admin.views(&actor)?;
    Ok(shown(Me {
        subject: actor.sub,
        role: actor.role,
        id: actor.jti,
        expires_at: Timestamp::from_second(actor.exp).unwrap_or(Timestamp::MAX),
    }))
}

/// A code for the console's address.
#[derive(Debug, Serialize)]
struct Code {
    code: String,
}

pub(super) async fn console(State(admin): State<Admin>, Actor(actor): Actor) -> Answered {
    admin.views(&actor)?;
    let code = issue_entry(admin.ports(), &actor).await?;
    Ok(shown(Code { code }))
}

pub(super) async fn access(State(admin): State<Admin>, Actor(actor): Actor) -> Answered {
    Ok(shown(admin.views(&actor)?.access().await?))
}

pub(super) async fn issue(
    admin: State<Admin>,
    Actor(actor): Actor,
    Body(body): Body<NewToken>,
) -> Answered {
    let action = Action::IssueToken {
        subject: body.subject,
        role: body.role,
        hours: body.hours,
        reason: body.reason,
    };
    take(admin, actor, action).await
}

pub(super) async fn revoke(
    admin: State<Admin>,
    Actor(actor): Actor,
    Body(body): Body<Revoked>,
) -> Answered {
    let reason = body.reason;
    let action = match (body.id, body.subject) {
        (Some(id), None) => Action::RevokeToken { id, reason },
        (None, Some(subject)) => Action::RevokeSubject { subject, reason },
        (Some(_), Some(_)) | (None, None) => {
            let why = "give the id of a token, or a subject";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "body.invalid", why));
        }
    };
    take(admin, actor, action).await
}

pub(super) async fn rotate(
    admin: State<Admin>,
    Actor(actor): Actor,
    Body(Why { reason }): Body<Why>,
) -> Answered {
    take(admin, actor, Action::RotateKeys { reason }).await
}

pub(super) async fn retire(
    admin: State<Admin>,
    Actor(actor): Actor,
    At(kid): At<String>,
    Body(Why { reason }): Body<Why>,
) -> Answered {
    take(admin, actor, Action::RetireKey { kid, reason }).await
}

pub(super) async fn put_issuer(
    admin: State<Admin>,
    Actor(actor): Actor,
    Body(issuer): Body<Issuer>,
) -> Answered {
    take(admin, actor, Action::PutIssuer { issuer }).await
}

pub(super) async fn remove_issuer(
    admin: State<Admin>,
    Actor(actor): Actor,
    Body(Of { url }): Body<Of>,
) -> Answered {
    take(admin, actor, Action::RemoveIssuer { url }).await
}
