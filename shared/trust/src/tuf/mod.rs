//! A small reader and writer of TUF 1.0 repositories (The Update Framework specification, 1.0.31).
//!
//! [`Root`], [`Targets`], [`Snapshot`] and [`Timestamp`] are the four roles; [`canonical`] and
//! [`assemble`] turn them into what is signed and served; [`Trusted`] is the client workflow of the
//! specification without its fetching, [`Search`] its way through delegations; [`TargetPath`] is the name of
//! a target.
//!
//! **Invariants: only a threshold of distinct keys makes metadata count; versions never go down; expired
//! metadata is never used; what is listed by snapshot and timestamp must be what is read.**
//!
//! We write ECDSA P-384 only. With the feature `foreign-keys` the reader also verifies RSA-PSS, ECDSA P-256
//! and Ed25519; every other key is skipped and counts towards no threshold. Not here: writing succinct hash bins
//! (TAP 15), and repository mirrors (TAP 4).

mod bins;
mod ceremony;
mod client;
mod delegation;
mod envelope;
#[cfg(feature = "foreign-keys")]
mod foreign;
mod hashes;
mod keys;
mod metadata;
mod path;
mod root;
mod search;
mod write;

pub use bins::{BIN_BITS_MAX, Shares};
pub use ceremony::{CeremonyError, Count, KeyChange, RootDraft};
pub use client::{Change, Trusted, Wanted};
pub use delegation::{DelegatedRole, Delegations, Scope};
#[cfg(feature = "foreign-keys")]
pub use foreign::ForeignKey;
pub use hashes::{Checking, Hashes, Sha512Digest};
pub use keys::{RoleKey, RoleKeys};
pub use metadata::{MetaFile, Metadata, Role, Snapshot, TargetInfo, Targets, Timestamp};
pub use path::{InvalidTargetPath, TargetPath};
pub use root::{Roles, Root};
pub use search::{DELEGATIONS_MAX, Search, SearchStep, quoted};
pub use write::{assemble, canonical, file_name};

use crate::json::JsonError;
use kintsugi_domain::Timestamp as Time;

/// The version of the specification that we write. We read every 1.x.
pub const SPEC_VERSION: &str = "1.0.31";
/// Largest root metadata that is read, bytes.
pub const ROOT_BYTES_MAX: usize = 512 * 1024;
/// Largest timestamp metadata that is read, bytes.
pub const TIMESTAMP_BYTES_MAX: usize = 16 * 1024;
/// Most new roots that are taken in one go.
pub const ROOT_UPDATES_MAX: u32 = 256;

/// Why metadata is not taken or cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TufError {
    /// Not JSON, or too long.
    #[error("{role}: {error}")]
    Json {
        /// The role that was read.
        role: Role,
        /// What is wrong.
        #[source]
        error: JsonError,
    },
    /// JSON, but not metadata of that role.
    #[error("{role}: {why}")]
    Malformed {
        /// The role that was read.
        role: Role,
        /// What is wrong.
        why: String,
    },
    /// Metadata of another role.
    #[error("{found:?} metadata where {expected} is needed")]
    WrongRole {
        /// The role that is needed.
        expected: Role,
        /// What it says.
        found: String,
    },
    /// A version of the specification that we do not read.
    #[error("{role}: specification version {found:?} is not 1.x")]
    SpecVersion {
        /// The role that was read.
        role: Role,
        /// What it says.
        found: String,
    },
    /// Too few valid signatures by distinct keys of the role.
    #[error("{role}: {valid} valid signatures of {threshold} needed")]
    Threshold {
        /// The role whose keys were asked for.
        role: Role,
        /// Distinct keys that signed.
        valid: usize,
        /// How many are needed.
        threshold: usize,
    },
    /// A role that no signatures could ever satisfy, or that none are needed for.
    #[error("{role}: threshold {threshold} of {keys} keys cannot be")]
    ImpossibleThreshold {
        /// The role.
        role: Role,
        /// How many signatures it asks for.
        threshold: usize,
        /// How many distinct keys it has.
        keys: usize,
    },
    /// A root that is not the next one.
    #[error("root version {found} where {expected} must come next")]
    RootOrder {
        /// The version that must come.
        expected: u64,
        /// What it says.
        found: u64,
    },
    /// More new roots than [`ROOT_UPDATES_MAX`].
    #[error("more than {ROOT_UPDATES_MAX} new roots at once")]
    TooManyRoots,
    /// A version below one that was trusted before, or a file that has vanished.
    #[error("rollback of {what}: version {found}, but {trusted} was trusted before")]
    Rollback {
        /// The metadata file.
        what: String,
        /// The version trusted before.
        trusted: u64,
        /// The version offered, 0 where the file is not listed any more.
        found: u64,
    },
    /// Over: nobody vouches for it any more.
    #[error("{role} metadata expired at {expires}")]
    Expired {
        /// The role.
        role: Role,
        /// When.
        expires: Time,
    },
    /// Another version than the listing says.
    #[error("{role} has version {found}, listed is {listed}")]
    VersionMismatch {
        /// The role.
        role: Role,
        /// What is listed.
        listed: u64,
        /// What it says.
        found: u64,
    },
    /// Another length than the listing says.
    #[error("{role} has {found} bytes, listed are {listed}")]
    LengthMismatch {
        /// The role.
        role: Role,
        /// What is listed.
        listed: u64,
        /// What came.
        found: u64,
    },
    /// Other content than the listing says.
    #[error("{role} is not the content that is listed")]
    DigestMismatch {
        /// The role.
        role: Role,
    },
    /// More delegated roles than [`DELEGATIONS_MAX`] on the way to one target.
    #[error("more than {DELEGATIONS_MAX} delegated roles for one target")]
    TooManyDelegations,
    /// Metadata of a delegated role that does not hold.
    #[error("delegated role {name:?}: {error}")]
    Delegated {
        /// The role.
        name: String,
        /// What does not hold.
        #[source]
        error: Box<TufError>,
    },
    /// Metadata given before the one that vouches for it.
    #[error("{needs} metadata must be read first")]
    OutOfOrder {
        /// What must be read first.
        needs: Role,
    },
}

impl TufError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json { .. } => "tuf.json",
            Self::Malformed { .. } => "tuf.malformed",
            Self::WrongRole { .. } => "tuf.wrong_role",
            Self::SpecVersion { .. } => "tuf.spec_version",
            Self::Threshold { .. } => "tuf.threshold",
            Self::ImpossibleThreshold { .. } => "tuf.impossible_threshold",
            Self::RootOrder { .. } => "tuf.root_order",
            Self::TooManyRoots => "tuf.too_many_roots",
            Self::Rollback { .. } => "tuf.rollback",
            Self::Expired { .. } => "tuf.expired",
            Self::VersionMismatch { .. } => "tuf.version_mismatch",
            Self::LengthMismatch { .. } => "tuf.length_mismatch",
            Self::DigestMismatch { .. } => "tuf.digest_mismatch",
            Self::TooManyDelegations => "tuf.too_many_delegations",
            Self::Delegated { error, .. } => error.code(),
            Self::OutOfOrder { .. } => "tuf.out_of_order",
        }
    }
}
