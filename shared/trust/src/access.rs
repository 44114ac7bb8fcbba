//! Who may use a home: the keys that its admin tokens are signed with, what was taken back, and the
//! foreign issuers that it trusts. One small record of the home, read once per request.
//!
//! **Invariants: one key is current and signs; an older one only verifies, and only until the tokens that it
//! can have signed have ended; the number of a key is never used again. What was taken back stays so for
//! longer than any token lives.** The record names keys and does not hold them: public keys come from the
//! `Signer` port, so that who can write to the store cannot make tokens.
//!
//! Not here: reading and writing the record, and signing (`kintsugi_app::admin`).

use crate::token::Role;
use kintsugi_domain::Timestamp;
use kintsugi_domain::address;
use kintsugi_domain::audit::HOME;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::record::{Kind, Record};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest life of a token, days: for so long an older key verifies, and what was taken back is remembered.
pub const TOKEN_DAYS_MAX: u32 = 90;
/// Most keys that verify at once, the current one included.
pub const TOKEN_KEYS_MAX: usize = 8;
/// Most tokens, and most subjects, that are remembered as taken back.
pub const REVOKED_MAX: usize = 1_000;
/// Most foreign issuers.
pub const ISSUERS_MAX: usize = 10;

/// Most values of a claim that give a role, of one issuer.
pub const ISSUER_ROLES_MAX: usize = 50;

/// How long a token may live.
pub const TOKEN_LIFE_MAX: Duration = Duration::from_hours(24 * TOKEN_DAYS_MAX as u64);
/// How long what was taken back is remembered: a day longer than any token lives, so that no difference of
/// clocks matters.
const MEMORY: Duration = Duration::from_hours(24 * (TOKEN_DAYS_MAX as u64 + 1));

/// Why a change of the record is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// There are [`TOKEN_KEYS_MAX`] keys.
    #[error("{TOKEN_KEYS_MAX} keys verify tokens already: retire one of them first")]
    TooManyKeys,
    /// No key with that id verifies tokens.
    #[error("there is no such key")]
    UnknownKey,
    /// The current key cannot go: nothing would sign.
    #[error("it is the current key: rotate first, then retire it")]
    CurrentKey,
    /// There are [`REVOKED_MAX`] entries.
    #[error(
        "{REVOKED_MAX} are remembered as taken back already: retire the key that signed them instead"
    )]
    TooManyRevoked,
    /// There are [`ISSUERS_MAX`] issuers.
    #[error("a home trusts at most {ISSUERS_MAX} issuers: remove one first")]
    TooManyIssuers,
}

impl AccessError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooManyKeys => "token_key.too_many",
            Self::UnknownKey => "token_key.unknown",
            Self::CurrentKey => "token_key.current",
            Self::TooManyRevoked => "token.too_many_revoked",
            Self::TooManyIssuers => "issuer.too_many",
        }
    }
}

/// A key that admin tokens are signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenKey {
    /// Which, from 1.
    pub generation: u32,
    /// Its id, the `kid` of tokens.
    pub kid: String,
    /// When it became the current one.
    pub since: Timestamp,
    /// When it stops to verify; absent for the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A token that was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedToken {
    /// The token's own name (`jti`).
    pub id: String,
    /// When this can be forgotten.
    pub until: Timestamp,
}

/// A subject whose tokens were taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedSubject {
    /// Whom the tokens name (`sub`).
    pub subject: String,
    /// Tokens that were made up to here are worthless.
    pub up_to: Timestamp,
    /// When this can be forgotten.
    pub until: Timestamp,
}

/// A foreign issuer of OpenID Connect whose tokens are taken (OpenID Connect Core 1.0).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Its address, exactly as its tokens say (`iss`).
    pub url: String,
    /// What its tokens for this home are for (`aud`).
    pub audience: String,
    /// Where its keys are (its `jwks_uri`).
    pub keys: String,
    /// The claim that says what a person may do; dots lead into objects (`realm_access.roles`).
    #[serde(default = "groups")]
    pub claim: String,
    /// Which role a value of that claim gives. The greatest of several counts.
    pub roles: BTreeMap<String, Role>,
}

impl Issuer {
    /// What is wrong with it, if anything. Keys come over TLS, or from this machine for tests.
    pub fn check(&self) -> Result<(), String> {
        let https = |url: &str| address::check(url).is_ok();
        let clean = |text: &str| !text.chars().any(|c| c.is_control() || c.is_whitespace());
        let fits = |text: &str, most| !text.is_empty() && text.len() <= most && clean(text);
        if !fits(&self.url, 300) || !https(&self.url) {
            return Err("url: expected an https address of at most 300 characters".to_owned());
        }
        if !fits(&self.keys, 300) || !https(&self.keys) {
            return Err("keys: expected an https address of at most 300 characters".to_owned());
        }
        if !fits(&self.audience, 200) {
            return Err("audience: expected 1 to 200 characters without spaces".to_owned());
        }
        if !fits(&self.claim, 200) {
            return Err("claim: expected the name of a claim, such as groups".to_owned());
        }
        let values_fit = self
            .roles
            .keys()
            .all(|value| (1..=200).contains(&value.len()));
        if self.roles.is_empty() || self.roles.len() > ISSUER_ROLES_MAX || !values_fit {
            return Err(format!(
                "roles: expected 1 to {ISSUER_ROLES_MAX} values of the claim, each with a role"
            ));
        }
        Ok(())
    }
}

fn groups() -> String {
    "groups".to_owned()
}

/// Who may use the home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The key that signs.
    pub current: TokenKey,
    /// Keys that only verify, oldest first.
    #[serde(default)]
    pub older: Vec<TokenKey>,
    /// Tokens that were taken back.
    #[serde(default)]
    pub tokens: Vec<RevokedToken>,
    /// Subjects whose tokens were taken back.
    #[serde(default)]
    pub subjects: Vec<RevokedSubject>,
    /// Foreign issuers whose tokens are taken.
    #[serde(default)]
    pub issuers: Vec<Issuer>,
}

impl Access {
    /// A home whose first key has that id.
    pub fn first(kid: String, now: Timestamp) -> Self {
        let current = TokenKey {
            generation: 1,
            kid,
            since: now,
            until: None,
        };
        Self {
            current,
            older: Vec::new(),
            tokens: Vec::new(),
            subjects: Vec::new(),
            issuers: Vec::new(),
        }
    }

    /// The number of the next key.
    pub fn next_generation(&self) -> u32 {
        self.current.generation.saturating_add(1)
    }

    /// Makes the key of [`Access::next_generation`] the current one. The former one verifies until every
    /// token that it can have signed has ended.
    pub fn rotate(&mut self, kid: String, now: Timestamp) -> Result<(), AccessError> {
        self.forget(now);
        if self.older.len() + 1 >= TOKEN_KEYS_MAX {
            return Err(AccessError::TooManyKeys);
        }
        let next = TokenKey {
            generation: self.next_generation(),
            kid,
            since: now,
            until: None,
        };
        let mut former = std::mem::replace(&mut self.current, next);
        former.until = Some(later(now));
        self.older.push(former);
        Ok(())
    }

    /// Ends an older key at once: every token that it signed is worthless.
    pub fn retire(&mut self, kid: &str) -> Result<(), AccessError> {
        if self.current.kid == kid {
            return Err(AccessError::CurrentKey);
        }
        let before = self.older.len();
        self.older.retain(|key| key.kid != kid);
        if self.older.len() == before {
            return Err(AccessError::UnknownKey);
        }
        Ok(())
    }

    /// The key of that id, if it verifies now.
    pub fn key(&self, kid: &str, now: Timestamp) -> Option<&TokenKey> {
        let lives = |key: &&TokenKey| key.kid == kid && key.until.is_none_or(|until| now < until);
        std::iter::once(&self.current)
            .chain(&self.older)
            .find(lives)
    }

    /// Takes one token back.
    pub fn revoke_token(&mut self, id: &str, now: Timestamp) -> Result<(), AccessError> {
        self.remember(id, later(now), now)
    }

    /// Notes that what is good for one use was used. It ends at `end`, and is remembered for an hour longer.
    pub fn use_up(&mut self, id: &str, end: Timestamp, now: Timestamp) -> Result<(), AccessError> {
        let until = end.checked_add(Duration::from_hours(1));
        self.remember(id, until.unwrap_or(Timestamp::MAX), now)
    }

    fn remember(&mut self, id: &str, until: Timestamp, now: Timestamp) -> Result<(), AccessError> {
        self.forget(now);
        self.tokens.retain(|known| known.id != id);
        if self.tokens.len() >= REVOKED_MAX {
            return Err(AccessError::TooManyRevoked);
        }
        self.tokens.push(RevokedToken {
            id: id.to_owned(),
            until,
        });
        Ok(())
    }

    /// Takes back every token of a subject that was made until now.
    pub fn revoke_subject(&mut self, subject: &str, now: Timestamp) -> Result<(), AccessError> {
        self.forget(now);
        self.subjects.retain(|known| known.subject != subject);
        if self.subjects.len() >= REVOKED_MAX {
            return Err(AccessError::TooManyRevoked);
        }
        self.subjects.push(RevokedSubject {
            subject: subject.to_owned(),
            up_to: now,
            until: later(now),
        });
        Ok(())
    }

    /// Whether a token was taken back. `made` is its time of issue, seconds since 1970: times of tokens have
    /// no fractions, so one of the very second counts as made before.
    pub fn is_revoked(&self, id: &str, subject: &str, made: i64) -> bool {
        let by_id = self.tokens.iter().any(|known| known.id == id);
        by_id
            || self
                .subjects
                .iter()
                .any(|known| known.subject == subject && made <= known.up_to.as_second())
    }

    /// The time of issue of a token that is made now, seconds since 1970: after the subject's last taking back.
    pub fn issue_time(&self, subject: &str, now: Timestamp) -> i64 {
        let revoked = self.subjects.iter().find(|known| known.subject == subject);
        let first_free = revoked.map(|known| known.up_to.as_second().saturating_add(1));
        first_free.unwrap_or(i64::MIN).max(now.as_second())
    }

    /// Trusts an issuer, in place of what was known of the same address.
    pub fn trust(&mut self, issuer: Issuer) -> Result<(), AccessError> {
        let of_url = |known: &&mut Issuer| known.url == issuer.url;
        if let Some(known) = self.issuers.iter_mut().find(of_url) {
            *known = issuer;
            return Ok(());
        }
        if self.issuers.len() >= ISSUERS_MAX {
            return Err(AccessError::TooManyIssuers);
        }
        self.issuers.push(issuer);
        Ok(())
    }

    /// Drops what time has made void.
    fn forget(&mut self, now: Timestamp) {
        self.older
            .retain(|key| key.until.is_none_or(|until| now < until));
        self.tokens.retain(|known| now < known.until);
        self.subjects.retain(|known| now < known.until);
    }
}

fn later(now: Timestamp) -> Timestamp {
    now.checked_add(MEMORY).unwrap_or(Timestamp::MAX)
}

impl Record for Access {
    const KIND: Kind = Kind::Access;

    fn project(&self) -> ProjectId {
        HOME
    }

    fn key(&self) -> String {
        Self::KEY.to_owned()
    }
}

impl Access {
    /// The key of the one record of a home.
    pub const KEY: &str = "access";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn an_older_key_verifies_until_its_last_token_has_ended_and_its_number_never_returns() {
        let mut access = Access::first("k1".into(), at(0));
        access.rotate("k2".into(), at(1_000)).unwrap();
        assert_eq!(access.current.generation, 2);
        let last_token = at(1_000).checked_add(TOKEN_LIFE_MAX).unwrap();
        assert_eq!(
            access.key("k1", last_token).map(|key| key.generation),
            Some(1)
        );
        let over = at(1_000).checked_add(MEMORY).unwrap();
        assert_eq!(access.key("k1", over), None);
        assert!(access.key("k2", over).is_some());
        access.retire("k1").unwrap();
        assert_eq!(access.retire("k1"), Err(AccessError::UnknownKey));
        assert_eq!(access.retire("k2"), Err(AccessError::CurrentKey));
        assert_eq!(access.next_generation(), 3);
    }

    #[test]
    fn the_number_of_keys_is_bounded_and_ended_ones_make_room() {
        let mut access = Access::first("k1".into(), at(0));
        for number in 2..=TOKEN_KEYS_MAX {
            access.rotate(format!("k{number}"), at(0)).unwrap();
        }
        let full = access.clone();
        assert_eq!(
            access.rotate("more".into(), at(0)),
            Err(AccessError::TooManyKeys)
        );
        assert_eq!(access, full);
        let over = at(0).checked_add(MEMORY).unwrap();
        access.rotate("more".into(), over).unwrap();
        assert_eq!(access.older.len(), 1, "only the one that was current");
    }

    #[test]
    fn what_was_taken_back_is_remembered_for_longer_than_any_token_lives() {
        let mut access = Access::first("k1".into(), at(0));
        access.revoke_token("t1", at(10)).unwrap();
        access.revoke_subject("ada", at(10)).unwrap();
        assert!(access.is_revoked("t1", "bob", 0));
        assert!(access.is_revoked("t2", "ada", 10));
        assert!(!access.is_revoked("t2", "ada", 11));
        assert_eq!(access.issue_time("ada", at(10)), 11);
        assert_eq!(access.issue_time("bob", at(10)), 10);
        let last = at(11).checked_add(TOKEN_LIFE_MAX).unwrap();
        access.revoke_token("t3", last).unwrap();
        assert!(
            access.is_revoked("t1", "", 0),
            "a token of then may still live"
        );
        let over = at(10).checked_add(MEMORY).unwrap();
        access.revoke_token("t4", over).unwrap();
        assert!(!access.is_revoked("t1", "", 0) && access.is_revoked("t3", "", 0));
    }

    #[test]
    fn the_memory_is_bounded_and_says_so() {
        let mut access = Access::first("k1".into(), at(0));
        for number in 0..REVOKED_MAX {
            access.revoke_token(&number.to_string(), at(0)).unwrap();
        }
        access.revoke_token("0", at(1)).unwrap();
        assert_eq!(
            access.revoke_token("one more", at(1)),
            Err(AccessError::TooManyRevoked)
        );
    }
}
