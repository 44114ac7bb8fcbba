//! Signed statements: what a release is, and the permission to go down.
//!
//! A signature over bytes alone lets whoever serves them say what they are: another product, another
//! channel, an old version. **Invariant: a statement binds everything that a device relies on**, and
//! `check` names the first thing that does not fit. Statements are compact JWS ([`crate::jws`]), signed
//! by a key of the TUF targets role.
//!
//! A check of `issued_at` against the device's clock is deliberately not made: clocks of devices run
//! slow, and a statement from the future does no harm.

use crate::jws::{self, JwsError};
use crate::key::PublicKey;
use crate::tuf::TargetPath;
use kintsugi_domain::Timestamp;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::id::ProjectId;
use semver::Version;
use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// The version of the written form of both statements.
pub const STATEMENT_FORMAT: u16 = 1;
/// The `typ` of a [`ReleaseStatement`].
pub const RELEASE_TYP: &str = "kintsugi-release+jws";
/// The `typ` of a [`RollbackGrant`].
pub const ROLLBACK_TYP: &str = "kintsugi-rollback+jws";

/// Why a statement is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The token that carries it.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// A form that this version does not read.
    #[error("statement of format {found}, this program reads {STATEMENT_FORMAT}")]
    Format {
        /// What it says.
        found: u16,
    },
    /// It is about something else.
    #[error("the statement's {field} is {stated}, expected {expected}")]
    Mismatch {
        /// The field that does not fit.
        field: &'static str,
        /// What the statement says.
        stated: String,
        /// What was expected.
        expected: String,
    },
    /// Over.
    #[error("the statement expired at {expires}")]
    Expired {
        /// When.
        expires: Timestamp,
    },
}

impl StatementError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Jws(error) => error.code(),
            Self::Format { .. } => "statement.format",
            Self::Mismatch { .. } => "statement.mismatch",
            Self::Expired { .. } => "statement.expired",
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a release is, for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseStatement {
    /// [`STATEMENT_FORMAT`].
    pub format: u16,
    /// The project.
    pub project: ProjectId,
    /// The product's name.
    pub app: String,
    /// The channel.
    pub channel: String,
    /// `linux`, `windows`, `darwin` or `any`.
    pub platform: String,
    /// `x86_64`, `aarch64` or `any`.
    pub arch: String,
    /// The version.
    pub version: Version,
    /// The build number: higher than that of every build before it. 0 where it was not counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub build: u64,
    /// The target path of the full package.
    pub target: TargetPath,
    /// The digest of the full package.
    pub digest: Digest,
    /// The length of the full package, bytes.
    pub length: u64,
    /// The digest of what a device has after unpacking or patching.
    pub content_digest: Digest,
    /// Its length, bytes.
    pub content_length: u64,
    /// Whether devices must pass through this version.
    pub required_stop: bool,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it ends; refreshed by the clock.
    pub expires: Timestamp,
}

/// What a device expects of a release statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseExpectation<'a> {
    /// The project.
    pub project: ProjectId,
    /// The product's name.
    pub app: &'a str,
    /// The channel.
    pub channel: &'a str,
    /// The device's platform; a statement for `any` fits too.
    pub platform: &'a str,
    /// The device's processor; a statement for `any` fits too.
    pub arch: &'a str,
    /// The version that is offered.
    pub version: &'a Version,
}

impl ReleaseStatement {
    /// What to sign with the key of that id.
    pub fn signing_input(&self, kid: &str) -> Result<String, StatementError> {
        Ok(jws::signing_input(kid, RELEASE_TYP, self)?)
    }

    /// Reads a statement and checks its signature and form; [`Self::check`] comes next.
    pub fn verify(
        token: &str,
        keys: impl Fn(&str) -> Option<PublicKey>,
    ) -> Result<Self, StatementError> {
        let statement: Self = jws::verify(token, RELEASE_TYP, keys)?;
        check_format(statement.format)?;
        Ok(statement)
    }

    /// Whether the statement is about what is expected, and still holds.
    pub fn check(
        &self,
        expected: &ReleaseExpectation<'_>,
        now: Timestamp,
    ) -> Result<(), StatementError> {
        same("project", &self.project, &expected.project)?;
        same("app", &self.app.as_str(), &expected.app)?;
        same("channel", &self.channel.as_str(), &expected.channel)?;
        if self.platform != "any" {
            same("platform", &self.platform.as_str(), &expected.platform)?;
        }
        if self.arch != "any" {
            same("arch", &self.arch.as_str(), &expected.arch)?;
        }
        same("version", &&self.version, &expected.version)?;
        check_expiry(self.expires, now)
    }

    /// Whether the statement names this package: path, digest and length of the archive, digest and
    /// length of its content. For readers of a channel document.
    pub fn check_package(
        &self,
        package: &kintsugi_domain::channel::Package,
    ) -> Result<(), StatementError> {
        same("target", &self.target.as_str(), &package.full.path.as_str())?;
        same("digest", &self.digest, &package.full.digest)?;
        same("length", &self.length, &package.full.length)?;
        same(
            "content_digest",
            &self.content_digest,
            &package.content.digest,
        )?;
        same(
            "content_length",
            &self.content_length,
            &package.content.length,
        )
    }
}

/// The permission for devices to go down from one version to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackGrant {
    /// [`STATEMENT_FORMAT`].
    pub format: u16,
    /// The project.
    pub project: ProjectId,
    /// The product's name.
    pub app: String,
    /// The channel.
    pub channel: String,
    /// The version to leave.
    pub from: Version,
    /// The version to go to.
    pub to: Version,
    /// Why, for people.
    pub reason: String,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

/// What a device expects of a rollback grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollbackExpectation<'a> {
    /// The project.
    pub project: ProjectId,
    /// The product's name.
    pub app: &'a str,
    /// The channel.
    pub channel: &'a str,
    /// The version that the device has.
    pub from: &'a Version,
    /// The version that is offered.
    pub to: &'a Version,
}

impl RollbackGrant {
    /// What to sign with the key of that id.
    pub fn signing_input(&self, kid: &str) -> Result<String, StatementError> {
        Ok(jws::signing_input(kid, ROLLBACK_TYP, self)?)
    }

    /// Reads a grant and checks its signature and form; [`Self::check`] comes next.
    pub fn verify(
        token: &str,
        keys: impl Fn(&str) -> Option<PublicKey>,
    ) -> Result<Self, StatementError> {
        let grant: Self = jws::verify(token, ROLLBACK_TYP, keys)?;
        check_format(grant.format)?;
        Ok(grant)
    }

    /// Whether the grant is for this step, and still holds.
    pub fn check(
        &self,
        expected: &RollbackExpectation<'_>,
        now: Timestamp,
    ) -> Result<(), StatementError> {
        same("project", &self.project, &expected.project)?;
        same("app", &self.app.as_str(), &expected.app)?;
        same("channel", &self.channel.as_str(), &expected.channel)?;
        same("from", &&self.from, &expected.from)?;
        same("to", &&self.to, &expected.to)?;
        check_expiry(self.expires, now)
    }
}

fn check_format(found: u16) -> Result<(), StatementError> {
    if found == STATEMENT_FORMAT {
        Ok(())
    } else {
        Err(StatementError::Format { found })
    }
}

fn check_expiry(expires: Timestamp, now: Timestamp) -> Result<(), StatementError> {
    if expires > now {
        Ok(())
    } else {
        Err(StatementError::Expired { expires })
    }
}

fn same<T: PartialEq + Display>(
    field: &'static str,
    stated: &T,
    expected: &T,
) -> Result<(), StatementError> {
    if stated == expected {
        Ok(())
    } else {
        Err(StatementError::Mismatch {
            field,
            stated: stated.to_string(),
            expected: expected.to_string(),
        })
    }
}
