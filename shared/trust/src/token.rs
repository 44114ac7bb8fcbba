//! Admin tokens: who may use the admin API, and for how much. JWT (RFC 7519) over [`crate::jws`].
//!
//! Not here: revocation before expiry, which needs a store; tokens are short-lived.

use crate::jws::{self, JwsError};
use crate::key::PublicKey;
use kintsugi_domain::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The `typ` of an admin token.
pub const TOKEN_TYP: &str = "kintsugi-admin+jwt";

/// Why a token is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The token itself.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// Made for another service.
    #[error("the token is for {found:?}, not for {expected:?}")]
    Audience {
        /// This service.
        expected: String,
        /// What the token says.
        found: String,
    },
    /// Over.
    #[error("the token has expired")]
    Expired,
    /// Made in the future.
    #[error("the token was made in the future")]
    NotYet,
    /// It gives less than what is asked for.
    #[error("role {has} may not do what needs role {needs}")]
    Role {
        /// What the token gives.
        has: Role,
        /// What is needed.
        needs: Role,
    },
}

impl TokenError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Jws(error) => error.code(),
            Self::Audience { .. } => "token.audience",
            Self::Expired => "token.expired",
            Self::NotYet => "token.not_yet",
            Self::Role { .. } => "token.role",
        }
    }
}

/// What a person or program may do. Each role may do what those before it may, save that a [`Role::Runner`] does what it does
/// alone: it has no part in what people do, and they have none in its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Lease jobs, do them and report. The least role, so that no comparison lets it in anywhere.
    Runner,
    /// Look.
    Viewer,
    /// Sort issues, approve and refuse fixes.
    Triager,
    /// Cut, publish, halt and roll back releases.
    Releaser,
    /// Everything, keys and projects included.
    Admin,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Runner => "runner",
            Self::Viewer => "viewer",
            Self::Triager => "triager",
            Self::Releaser => "releaser",
            Self::Admin => "admin",
        })
    }
}

/// The claims of an admin token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Who made it.
    pub iss: String,
    /// The service it is for.
    pub aud: String,
    /// Whom it names; shown in the audit log.
    pub sub: String,
    /// What it allows.
    pub role: Role,
    /// When it was made, seconds since 1970.
    pub iat: i64,
    /// When it ends, seconds since 1970.
    pub exp: i64,
    /// Its own name.
    pub jti: String,
}

impl Token {
    /// What to sign with the key of that id.
    pub fn signing_input(&self, kid: &str) -> Result<String, TokenError> {
        Ok(jws::signing_input(kid, TOKEN_TYP, self)?)
    }

    /// Whether it allows what needs `role`.
    pub fn require(&self, role: Role) -> Result<(), TokenError> {
        let allows = match role {
            Role::Runner => self.role == Role::Runner,
            Role::Viewer | Role::Triager | Role::Releaser | Role::Admin => self.role >= role,
        };
        if allows {
            Ok(())
        } else {
            Err(TokenError::Role {
                has: self.role,
                needs: role,
            })
        }
    }
}

/// Checks a token: signature, kind, audience and time, with `skew` for clocks that differ.
pub fn verify(
    token: &str,
    keys: impl Fn(&str) -> Option<PublicKey>,
    audience: &str,
    now: Timestamp,
    skew: Duration,
) -> Result<Token, TokenError> {
    let token: Token = jws::verify(token, TOKEN_TYP, keys)?;
    if token.aud != audience {
        return Err(TokenError::Audience {
            expected: audience.to_owned(),
            found: token.aud,
        });
    }
    let now = now.as_second();
    let skew = i64::try_from(skew.as_secs()).unwrap_or(i64::MAX);
    if token.exp.saturating_add(skew) <= now {
        return Err(TokenError::Expired);
    }
    if token.iat > now.saturating_add(skew) {
        return Err(TokenError::NotYet);
    }
    Ok(token)
}
