//! Who is asking: admin tokens, signed by a key of the home itself.
//!
//! The key is that of [`KeyUse::Tokens`] of [`HOME`]: a token is for the home, not for one project.
//! Not here: revocation before expiry; tokens are short-lived (`kintsugi_trust::token`).

use kintsugi_domain::audit::HOME;
use kintsugi_domain::ports::{KeyName, KeyUse, PortError, Ports};
use kintsugi_trust::jws;
use kintsugi_trust::key::PublicKey;
use kintsugi_trust::token::{Role, Token, TokenError, verify};
use std::time::Duration;

/// The service that admin tokens are for (`aud`).
pub const AUDIENCE: &str = "kintsugi-admin";
/// Who makes them (`iss`).
const ISSUER: &str = "kintsugi";
/// How far clocks may differ.
const SKEW: Duration = Duration::from_mins(1);
/// The key that signs them.
const KEY: KeyName = KeyName {
    project: HOME,
    key_use: KeyUse::Tokens,
};

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

/// Signs a token that is good for `ttl` from now. `subject` is the name that the audit log will show.
pub async fn issue_token(
    ports: &Ports,
    subject: &str,
    role: Role,
    ttl: Duration,
) -> Result<String, PortError> {
    let broken = |error: &dyn std::fmt::Display| PortError::broken("an admin token", error);
    let now = ports.now().as_second();
    let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
    let token = Token {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: subject.to_owned(),
        role,
        iat: now,
        exp: now.saturating_add(seconds),
        jti: ports.ids.fresh().short(32),
    };
    let kid = public_key(ports).await?.key_id();
    let input = token
        .signing_input(kid.as_str())
        .map_err(|error| broken(&error))?;
    let signature = ports.signer.sign(&KEY, input.as_bytes()).await?;
    jws::assemble(&input, &signature).map_err(|error| broken(&error))
}

/// The claims of a token that this home signed and that is in force.
pub async fn authenticate(ports: &Ports, token: &str) -> Result<Token, AuthError> {
    let key = public_key(ports).await?;
    let id = key.key_id();
    let trusted = |kid: &str| (kid == id.as_str()).then(|| key.clone());
    Ok(verify(token, trusted, AUDIENCE, ports.now(), SKEW)?)
}

async fn public_key(ports: &Ports) -> Result<PublicKey, PortError> {
    let pem = ports.signer.public_key(&KEY).await?;
    PublicKey::from_pem(&pem).map_err(|error| PortError::broken(&KEY, error))
}
