//! How people enter the console: by an address with a code that is good once and for a quarter of an hour. A token never
//! stands in an address, where histories and logs keep it.
//!
//! **Invariant: of two who bring the same code, one gets in**: that it was used is written in the record that both read.

use super::auth::{ISSUER, SKEW, access, claims, public_key, seconds, sign_token, sign_with};
use super::{AUDIENCE, AuthError, trail};
use kintsugi_domain::Timestamp;
use kintsugi_domain::audit::{Audit, HOME};
use kintsugi_domain::limits::CONFLICT_RETRIES_MAX;
use kintsugi_domain::ports::{Commit, PortError, Ports};
use kintsugi_trust::jws;
use kintsugi_trust::token::{Entry, Expected, Token, TokenError, verify_entry};
use std::time::Duration;

/// The service that codes are for (`aud`).
const CONSOLE: &str = "kintsugi-console";
/// How long a code is good.
const ENTRY_LIFE: Duration = Duration::from_mins(15);
/// How long a visit lasts at most.
const VISIT_LIFE: Duration = Duration::from_hours(12);

/// A code that lets the holder of a checked token into the console, once. The visit ends with the token at the latest.
pub async fn issue_entry(ports: &Ports, actor: &Token) -> Result<String, PortError> {
    let access = access(ports).await?.value;
    let iat = access.issue_time(&actor.sub, ports.now());
    let entry = Entry {
        token: claims(ports, CONSOLE, &actor.sub, actor.role, iat, ENTRY_LIFE),
        until: actor.exp.min(iat.saturating_add(seconds(VISIT_LIFE))),
    };
    let input = entry
        .signing_input(&access.current.kid)
        .map_err(|error| PortError::broken("a code for the console", error))?;
    sign_with(ports, access.current.generation, &input).await
}

/// Uses a code up, and gives the token of the visit that begins.
pub async fn redeem_entry(ports: &Ports, code: &str) -> Result<String, AuthError> {
    let mut lost = 0;
    loop {
        match redeem(ports, code).await {
            // Somebody else entered, perhaps with this very code: look again.
            Err(AuthError::Port(PortError::Conflict { .. })) if lost < CONFLICT_RETRIES_MAX => {
                lost += 1;
            }
            ended => return ended,
        }
    }
}

async fn redeem(ports: &Ports, code: &str) -> Result<String, AuthError> {
    let now = ports.now();
    let kid = jws::key_id(code).map_err(TokenError::from)?;
    let mut access = access(ports).await?;
    let known = match access.value.key(&kid, now) {
        Some(key) => Some(public_key(ports, key.generation).await?),
        None => None,
    };
    let trusted = |kid: &str| known.clone().filter(|key| key.key_id().as_str() == kid);
    let expected = Expected {
        issuer: ISSUER,
        audience: CONSOLE,
    };
    let Entry {
        token: entry,
        until,
    } = verify_entry(code, trusted, expected, now, SKEW)?;
    if access.value.is_revoked(&entry.jti, &entry.sub, entry.iat) {
        return Err(TokenError::Revoked.into());
    }
    let left = u64::try_from(until.saturating_sub(now.as_second())).unwrap_or(0);
    if left == 0 {
        return Err(TokenError::Expired.into());
    }
    let visit = Duration::from_secs(left).min(VISIT_LIFE);
    let signed = sign_token(ports, &access.value, &entry.sub, entry.role, visit).await?;
    let (token, text) = signed;
    let end = Timestamp::from_second(entry.exp).unwrap_or(Timestamp::MAX);
    access
        .value
        .use_up(&entry.jti, end, now)
        .map_err(|error| PortError::unavailable("enter the console", error))?;
    let line = Audit {
        by: entry.sub,
        token: token.jti,
        what: "console.enter".to_owned(),
        on: AUDIENCE.to_owned(),
        why: format!("with code {}", entry.jti),
        ..trail::next(ports.store.as_ref(), HOME, now).await?
    };
    let commit = Commit::new().update(&access).create(&line);
    ports.store.commit(commit).await?;
    trail::written(&line);
    Ok(text)
}
