//! Admin tokens: who may use the admin API, and for how much. JWT (RFC 7519) over [`crate::jws`].
//!
//! **A token is a bearer token (RFC 6750): whoever has it is its subject until it ends or is taken back.** A copy
//! is as good as the original, so it travels over TLS and lies in files that only their owner reads.
//!
//! Not here: which keys verify and what was taken back ([`crate::access`]), and tokens of others
//! (`openid`, with that feature).

use crate::access::TOKEN_LIFE_MAX;
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
    /// Made by somebody else.
    #[error("the token was made by {found:?}, who is not trusted here")]
    Issuer {
        /// What the token says.
        found: String,
    },
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
    /// Taken back before its end.
    #[error("the token was revoked")]
    Revoked,
    /// Made for longer than any token may live.
    #[error("the token lives longer than {} days", crate::access::TOKEN_DAYS_MAX)]
    Life,
    /// An issuer's token that allows nothing here.
    #[error("no value of the token's claim {claim:?} gives a role here")]
    NoRole {
        /// The claim.
        claim: String,
    },
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
            Self::Issuer { .. } => "token.issuer",
            Self::Audience { .. } => "token.audience",
            Self::Revoked => "token.revoked",
            Self::Life => "token.life",
            Self::NoRole { .. } => "token.no_role",
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

    fn check(
        &self,
        expected: Expected<'_>,
        now: Timestamp,
        skew: Duration,
    ) -> Result<(), TokenError> {
        if self.iss != expected.issuer {
            let found = self.iss.clone();
            return Err(TokenError::Issuer { found });
        }
        if self.aud != expected.audience {
            return Err(TokenError::Audience {
                expected: expected.audience.to_owned(),
                found: self.aud.clone(),
            });
        }
        check_times(self.iat, self.exp, now, skew)
    }
}

/// Who must have made a token, and for whom.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Who made it (`iss`).
    pub issuer: &'a str,
    /// The service it is for (`aud`).
    pub audience: &'a str,
}

/// Checks a token: signature, kind, maker, audience and times, with `skew` for clocks that differ.
pub fn verify(
    token: &str,
    keys: impl Fn(&str) -> Option<PublicKey>,
    expected: Expected<'_>,
    now: Timestamp,
    skew: Duration,
) -> Result<Token, TokenError> {
    let token: Token = jws::verify(token, TOKEN_TYP, keys)?;
    token.check(expected, now, skew)?;
    Ok(token)
}

/// The `typ` of an entry.
pub const ENTRY_TYP: &str = "kintsugi-entry+jws";

/// What lets somebody into the console once: it may stand in an address, where a token must not. Short-lived; whoever takes it
/// makes sure that it is taken once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Whom it lets in, with what role, and till when it may be used. For an audience of its own.
    pub token: Token,
    /// When the visit that it begins ends at the latest, seconds since 1970.
    pub until: i64,
}

impl Entry {
    /// What to sign with the key of that id.
    pub fn signing_input(&self, kid: &str) -> Result<String, TokenError> {
        Ok(jws::signing_input(kid, ENTRY_TYP, self)?)
    }
}

/// Checks an entry as [`verify`] checks a token. Not here: that it is taken once.
pub fn verify_entry(
    entry: &str,
    keys: impl Fn(&str) -> Option<PublicKey>,
    expected: Expected<'_>,
    now: Timestamp,
    skew: Duration,
) -> Result<Entry, TokenError> {
    let entry: Entry = jws::verify(entry, ENTRY_TYP, keys)?;
    entry.token.check(expected, now, skew)?;
    Ok(entry)
}

/// Whether a token that was made at `iat` and ends at `exp`, seconds since 1970, is in force.
pub(crate) fn check_times(
    iat: i64,
    exp: i64,
    now: Timestamp,
    skew: Duration,
) -> Result<(), TokenError> {
    let now = now.as_second();
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    let skew = seconds(skew);
    if exp.saturating_add(skew) <= now {
        return Err(TokenError::Expired);
    }
    if iat > now.saturating_add(skew) {
        return Err(TokenError::NotYet);
    }
    if exp.saturating_sub(iat) > seconds(TOKEN_LIFE_MAX) {
        return Err(TokenError::Life);
    }
    Ok(())
}
