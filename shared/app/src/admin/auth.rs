//! Who is asking: admin tokens, signed by keys of the home itself.
//!
//! The keys are those of [`KeyUse::Tokens`] of [`HOME`]: a token is for the home, not for one project. Which of
//! them verify, and which tokens were taken back, says one record ([`Access`]), which is read for every token: so a
//! change holds from the next request on, in every function. The keys themselves come from the `Signer` port, which
//! keeps public keys, so that record is all that a request costs.

use crate::records;
use kintsugi_domain::Timestamp;
use kintsugi_domain::audit::HOME;
use kintsugi_domain::ports::{KeyName, KeyUse, PortError, Ports};
use kintsugi_domain::record::Stored;
use kintsugi_trust::access::Access;
use kintsugi_trust::jws::{self, JwsError};
use kintsugi_trust::key::PublicKey;
use kintsugi_trust::openid::{self, KeySet};
use kintsugi_trust::token::{Expected, Role, TOKEN_TYP, Token, TokenError, verify};
use std::time::Duration;

/// The service that admin tokens are for (`aud`).
pub const AUDIENCE: &str = "kintsugi-admin";
/// Who makes them (`iss`).
pub(super) const ISSUER: &str = "kintsugi";
/// How far clocks may differ.
pub(super) const SKEW: Duration = Duration::from_mins(1);

/// For how long the keys of an issuer are remembered: one that it withdrew is trusted no longer.
const KEYS_AGE_MAX: Duration = Duration::from_mins(5);
/// The same when a token names a key that is not among them.
const NEW_KEYS_AGE_MAX: Duration = Duration::from_secs(30);

/// Why nobody was recognised.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthError {
    /// The token is not taken.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The token could not be checked.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// The name of a key that signs tokens.
fn key_name(generation: u32) -> KeyName {
    KeyName {
        project: HOME,
        key_use: KeyUse::Tokens(generation),
    }
}

/// The public key of a generation. Makes the key if there is none yet.
pub(super) async fn public_key(ports: &Ports, generation: u32) -> Result<PublicKey, PortError> {
    let name = key_name(generation);
    let pem = ports.signer.public_key(&name).await?;
    PublicKey::from_pem(&pem).map_err(|error| PortError::broken(&name, error))
}

/// Who may use the home. A home that never changed it has its first key and nothing else; that record has
/// version 0, so writing it creates it.
pub(super) async fn access(ports: &Ports) -> Result<Stored<Access>, PortError> {
    if let Some(known) = records::get(ports.store.as_ref(), HOME, Access::KEY).await? {
        return Ok(known);
    }
    let kid = public_key(ports, 1).await?.key_id().to_string();
    Ok(Stored {
        value: Access::first(kid, Timestamp::UNIX_EPOCH),
        version: 0,
    })
}

/// Signs a token that is good for `ttl` from now. `subject` is the name that the audit log will show.
///
/// For programs that hold the ports of the home; the audit log hears of it only from
/// [`super::Action::IssueToken`].
pub async fn issue_token(
    ports: &Ports,
    subject: &str,
    role: Role,
    ttl: Duration,
) -> Result<String, PortError> {
    let access = access(ports).await?.value;
    Ok(sign_token(ports, &access, subject, role, ttl).await?.1)
}

pub(super) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// What this home says of a subject to a service, from `iat` (seconds since 1970) on, under a name of its own.
pub(super) fn claims(
    ports: &Ports,
    audience: &str,
    subject: &str,
    role: Role,
    iat: i64,
    ttl: Duration,
) -> Token {
    Token {
        iss: ISSUER.to_owned(),
        aud: audience.to_owned(),
        sub: subject.to_owned(),
        role,
        iat,
        exp: iat.saturating_add(seconds(ttl)),
        jti: ports.ids.fresh().short(32),
    }
}

/// Signs a token with the current key.
pub(super) async fn sign_token(
    ports: &Ports,
    access: &Access,
    subject: &str,
    role: Role,
    ttl: Duration,
) -> Result<(Token, String), PortError> {
    let broken = |error: &dyn std::fmt::Display| PortError::broken("an admin token", error);
    let iat = access.issue_time(subject, ports.now());
    let token = claims(ports, AUDIENCE, subject, role, iat, ttl);
    let input = token
        .signing_input(&access.current.kid)
        .map_err(|error| broken(&error))?;
    let text = sign_with(ports, access.current.generation, &input).await?;
    Ok((token, text))
}

/// Signs what is to be signed with the key of a generation.
pub(super) async fn sign_with(
    ports: &Ports,
    generation: u32,
    input: &str,
) -> Result<String, PortError> {
    let name = key_name(generation);
    let signature = ports.signer.sign(&name, input.as_bytes()).await?;
    jws::assemble(input, &signature).map_err(|error| PortError::broken("a signed token", error))
}

/// The claims of a token that this home signed, or an issuer that it trusts, that is in force and was not taken back.
pub async fn authenticate(ports: &Ports, token: &str) -> Result<Token, AuthError> {
    let kind = jws::kind(token).map_err(TokenError::from)?;
    let access = access(ports).await?.value;
    // What the token says it is chooses only by whose keys it is checked.
    let is_foreign = kind.as_deref() != Some(TOKEN_TYP) && !access.issuers.is_empty();
    let token = if is_foreign {
        of_issuer(ports, &access, token).await?
    } else {
        of_home(ports, &access, token).await?
    };
    if access.is_revoked(&token.jti, &token.sub, token.iat) {
        return Err(TokenError::Revoked.into());
    }
    Ok(token)
}

async fn of_home(ports: &Ports, access: &Access, token: &str) -> Result<Token, AuthError> {
    let kid = jws::key_id(token).map_err(TokenError::from)?;
    // A key that the record does not name is never asked for: asking would make it.
    let known = match access.key(&kid, ports.now()) {
        Some(key) => Some(public_key(ports, key.generation).await?),
        None => None,
    };
    let trusted = |kid: &str| known.clone().filter(|key| key.key_id().as_str() == kid);
    let expected = Expected {
        issuer: ISSUER,
        audience: AUDIENCE,
    };
    Ok(verify(token, trusted, expected, ports.now(), SKEW)?)
}

/// Nothing is fetched for an issuer that the home does not know.
async fn of_issuer(ports: &Ports, access: &Access, token: &str) -> Result<Token, AuthError> {
    let found = openid::unchecked_issuer(token).map_err(TokenError::from)?;
    let known = access.issuers.iter().find(|known| known.url == found);
    let issuer = known.ok_or(TokenError::Issuer { found })?;
    let check = async |age_max| {
        let document = ports.web.document(&issuer.keys, age_max).await?;
        let keys = KeySet::parse(&document)
            .map_err(|why| PortError::unavailable(format!("keys of {}", issuer.url), why))?;
        let checked = openid::verify(token, issuer, &keys, ports.now(), SKEW);
        checked.map_err(AuthError::from)
    };
    match check(KEYS_AGE_MAX).await {
        // It may have new keys. Strangers cannot have them fetched more often than that.
        Err(AuthError::Token(TokenError::Jws(JwsError::UnknownKey { .. }))) => {
            check(NEW_KEYS_AGE_MAX).await
        }
        ended => ended,
    }
}
