//! Tokens, the keys that sign them, and foreign issuers.
//!
//! **Whoever may deploy a home may enter it** ([`Admin::first_token`]): who can replace its functions and keys
//! needs no token to be stopped by. Everybody else gets a token from an admin.

use super::auth::{access, public_key, sign_token};
use super::{
    Action, Admin, Answer, Call, Change, Command, Decided, Decision, Done, Refusal, RefusalKind,
    Stop, TokenText, reason,
};
use crate::stage::Stage as _;
use kintsugi_domain::Timestamp;
use kintsugi_domain::audit::HOME;
use kintsugi_domain::ports::{Commit, PortError};
use kintsugi_domain::record::Stored;
use kintsugi_trust::access::{Access, AccessError, Issuer, TOKEN_DAYS_MAX};
use kintsugi_trust::token::{Role, Token};
use serde::Deserialize;
use std::time::Duration;

/// Longest subject of a token, characters.
const SUBJECT_CHARS_MAX: usize = 100;
/// Stands between name and issuer in the subjects of foreign tokens, so in no subject of ours.
pub(super) const OF_ISSUER: char = '|';
/// Longest life of a token that was ordered past the admin API, hours.
pub const FIRST_TOKEN_HOURS_MAX: u32 = 24;
/// Who orders such a token, in the audit log.
const DEPLOYER: &str = "whoever deploys the home";

/// An order for an admin's token that did not come through the admin API: from somebody who may invoke the function
/// itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstToken {
    /// Whom the token names.
    pub subject: String,
    /// How long it lives, hours, at most [`FIRST_TOKEN_HOURS_MAX`].
    #[serde(default = "first_hours")]
    pub hours: u32,
}

fn first_hours() -> u32 {
    12
}

impl From<AccessError> for Stop {
    fn from(error: AccessError) -> Self {
        let kind = match error {
            AccessError::UnknownKey => RefusalKind::NotFound,
            AccessError::TooManyKeys
            | AccessError::CurrentKey
            | AccessError::TooManyRevoked
            | AccessError::TooManyIssuers => RefusalKind::Conflict,
        };
        Refusal::new(kind, error.code(), error.to_string()).into()
    }
}

impl Admin {
    /// Makes an admin's token for whoever deploys the home. **The caller has made sure that it is they**: nothing
    /// here can.
    pub async fn first_token(&self, order: &FirstToken) -> Result<Done, PortError> {
        if order.hours > FIRST_TOKEN_HOURS_MAX {
            let why = format!("such a token lives at most {FIRST_TOKEN_HOURS_MAX} hours");
            return Ok(Done::Refused(invalid("token.hours", why)));
        }
        let now = self.ports().now().as_second();
        let actor = Token {
            iss: super::auth::ISSUER.to_owned(),
            aud: super::AUDIENCE.to_owned(),
            sub: DEPLOYER.to_owned(),
            role: Role::Admin,
            iat: now,
            exp: now,
            jti: "none".to_owned(),
        };
        let action = Action::IssueToken {
            subject: order.subject.clone(),
            role: Role::Admin,
            hours: order.hours,
            reason: String::new(),
        };
        self.run(Command { actor, action }).await
    }
}

fn invalid(code: &'static str, why: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Invalid, code, why)
}

/// A name that can stand in the audit log and is nobody else's by accident.
fn subject(text: &str) -> Result<&str, Refusal> {
    let text = text.trim();
    let fits = |c: char| !c.is_control() && c != OF_ISSUER;
    let count = text.chars().count();
    if (1..=SUBJECT_CHARS_MAX).contains(&count) && text.chars().all(fits) {
        return Ok(text);
    }
    let why = format!(
        "a subject has 1 to {SUBJECT_CHARS_MAX} characters, none of them {OF_ISSUER:?} or a control character"
    );
    Err(invalid("token.subject", why))
}

pub(super) async fn issue(
    call: &Call<'_>,
    name: &str,
    role: Role,
    hours: u32,
    why: &str,
) -> Decision {
    let why = reason(why, false)?;
    let name = subject(name)?;
    let hours_max = 24 * TOKEN_DAYS_MAX;
    if !(1..=hours_max).contains(&hours) {
        let why = format!("a token lives 1 to {hours_max} hours");
        return Err(invalid("token.hours", why).into());
    }
    let access = access(call.ports).await?;
    let life = Duration::from_hours(u64::from(hours));
    let (token, text) = sign_token(call.ports, &access.value, name, role, life).await?;
    let expires_at = Timestamp::from_second(token.exp).unwrap_or(Timestamp::MAX);
    let told = format!("role {role}, token {}, until {expires_at}", token.jti);
    Ok(Decided::Change(Box::new(Change {
        project: HOME,
        on: format!("subject {name}"),
        why: with(&told, &why),
        commit: Commit::new(),
        answer: Answer::Token {
            token: TokenText(text),
            id: token.jti,
            subject: token.sub,
            role,
            expires_at,
        },
    })))
}

pub(super) async fn revoke_token(call: &Call<'_>, id: &str, why: &str) -> Decision {
    let why = reason(why, false)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !(1..=64).contains(&id.len()) || !id.chars().all(fits) {
        return Err(invalid("token.id", "that is not the id of a token (its `jti`)").into());
    }
    let mut access = access(call.ports).await?;
    access.value.revoke_token(id, call.now)?;
    Ok(changed(&access, format!("token {id}"), "revoked", &why))
}

pub(super) async fn revoke_subject(call: &Call<'_>, name: &str, why: &str) -> Decision {
    let why = reason(why, false)?;
    let name = name.trim();
    // Subjects of foreign issuers too: longer, and with their mark.
    if name.is_empty() || name.len() > 1_000 {
        return Err(invalid("token.subject", "that is not a subject").into());
    }
    let mut access = access(call.ports).await?;
    access.value.revoke_subject(name, call.now)?;
    let told = format!("tokens made up to {} are revoked", call.now);
    Ok(changed(&access, format!("subject {name}"), &told, &why))
}

pub(super) async fn rotate(call: &Call<'_>, why: &str) -> Decision {
    let why = reason(why, false)?;
    let mut access = access(call.ports).await?;
    // Made before it is named: a commit that fails leaves a key that the next rotation finds.
    let next = access.value.next_generation();
    let kid = public_key(call.ports, next).await?.key_id().to_string();
    access.value.rotate(kid, call.now)?;
    let key = access.value.current.clone();
    let on = format!("key {}", key.kid);
    let told = format!("generation {next} signs from now on");
    Ok(Decided::Change(Box::new(Change {
        project: HOME,
        on,
        why: with(&told, &why),
        commit: Commit::new().update(&access),
        answer: Answer::TokenKey { key },
    })))
}

pub(super) async fn retire(call: &Call<'_>, kid: &str, why: &str) -> Decision {
    let why = reason(why, false)?;
    let mut access = access(call.ports).await?;
    access.value.retire(kid)?;
    Ok(changed(&access, format!("key {kid}"), "retired", &why))
}

pub(super) async fn put_issuer(call: &Call<'_>, issuer: &Issuer) -> Decision {
    issuer
        .check()
        .map_err(|why| invalid("issuer.invalid", why))?;
    let mut access = access(call.ports).await?;
    let on = format!("issuer {}", issuer.url);
    if access.value.issuers.contains(issuer) {
        let now = "trusted".to_owned();
        return Ok(Decided::AsItWas(Answer::Changed { on, now }));
    }
    access.value.trust(issuer.clone())?;
    let why = format!("audience {}", issuer.audience);
    Ok(changed(&access, on, "trusted", &why))
}

pub(super) async fn remove_issuer(call: &Call<'_>, url: &str) -> Decision {
    let mut access = access(call.ports).await?;
    let before = access.value.issuers.len();
    access.value.issuers.retain(|known| known.url != url);
    if access.value.issuers.len() == before {
        return Err(Refusal::missing("issuer.unknown", "issuer").into());
    }
    Ok(changed(&access, format!("issuer {url}"), "removed", ""))
}

/// A change of the record of the home.
fn changed(access: &Stored<Access>, on: String, now: &str, why: &str) -> Decided {
    Decided::Change(Box::new(Change {
        project: HOME,
        on: on.clone(),
        why: with(now, why),
        commit: Commit::new().update(access),
        answer: Answer::Changed {
            on,
            now: now.to_owned(),
        },
    }))
}

fn with(told: &str, why: &str) -> String {
    if why.is_empty() {
        told.to_owned()
    } else {
        format!("{told}: {why}")
    }
}
