//! Targets, snapshot and timestamp metadata as values, and what all four roles have in common.
//!
//! Unknown fields are ignored when reading, as the specification asks: signatures are checked over the
//! whole text that was signed, before any of it is taken into these types.

use crate::tuf::delegation::Delegations;
use crate::tuf::hashes::Hashes;
use crate::tuf::{SPEC_VERSION, TargetPath, TufError};
use kintsugi_domain::Timestamp as Time;
use kintsugi_domain::digest::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// A top-level role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Says which keys speak for the roles.
    Root,
    /// Lists the targets.
    Targets,
    /// Lists the versions of targets metadata.
    Snapshot,
    /// Says which snapshot is the newest.
    Timestamp,
}

impl Role {
    /// Every top-level role.
    pub const ALL: [Self; 4] = [Self::Root, Self::Targets, Self::Snapshot, Self::Timestamp];

    /// The name in metadata and file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::tuf::Root {}
    impl Sealed for super::Targets {}
    impl Sealed for super::Snapshot {}
    impl Sealed for super::Timestamp {}
}

/// What the four roles have in common.
pub trait Metadata: sealed::Sealed + Sized {
    /// The role.
    const ROLE: Role;
    /// Grows with each publication of the role.
    fn version(&self) -> u64;
    /// When nobody vouches for it any more.
    fn expires(&self) -> Time;
    /// The `signed` part as JSON.
    fn to_signed(&self) -> Result<Value, TufError>;
    /// Reads the `signed` part. The signatures were checked before.
    fn from_signed(signed: &Value) -> Result<Self, TufError>;
}

/// Targets metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    /// Its version.
    pub version: u64,
    /// When it expires.
    #[serde(with = "instant")]
    pub expires: Time,
    /// The targets. When reading, a target with an unsafe path or without a digest that we know is left out.
    #[serde(deserialize_with = "usable_targets")]
    pub targets: BTreeMap<TargetPath, TargetInfo>,
    /// Who else speaks for targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Delegations>,
}

/// A target: a file and what is known about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetInfo {
    /// Its length, bytes.
    pub length: u64,
    /// Its digests.
    pub hashes: Hashes,
    /// What else the repository says about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Value>,
}

impl TargetInfo {
    /// A target with that length and SHA-256.
    pub fn new(length: u64, digest: Digest) -> Self {
        Self {
            length,
            hashes: Hashes::sha256(digest),
            custom: None,
        }
    }
}

/// Snapshot metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its version.
    pub version: u64,
    /// When it expires.
    #[serde(with = "instant")]
    pub expires: Time,
    /// The targets metadata files, by name.
    pub meta: BTreeMap<String, MetaFile>,
}

/// Timestamp metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    /// Its version.
    pub version: u64,
    /// When it expires.
    #[serde(with = "instant")]
    pub expires: Time,
    /// The snapshot metadata file, by name.
    pub meta: BTreeMap<String, MetaFile>,
}

/// What a listing says about a metadata file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaFile {
    /// Its version.
    pub version: u64,
    /// Its length in bytes, where stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// Its digest, where stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashes: Option<Hashes>,
}

impl MetaFile {
    /// The entry for a file with that version and content.
    pub fn of(version: u64, content: &[u8]) -> Self {
        Self {
            version,
            length: Some(content.len() as u64),
            hashes: Some(Hashes::sha256(Digest::of(content))),
        }
    }
}

impl Snapshot {
    /// A snapshot that lists this targets metadata.
    pub fn new(version: u64, expires: Time, targets: MetaFile) -> Self {
        Self {
            version,
            expires,
            meta: BTreeMap::from([("targets.json".to_owned(), targets)]),
        }
    }
}

impl Timestamp {
    /// A timestamp that lists this snapshot.
    pub fn new(version: u64, expires: Time, snapshot: MetaFile) -> Self {
        Self {
            version,
            expires,
            meta: BTreeMap::from([("snapshot.json".to_owned(), snapshot)]),
        }
    }
}

macro_rules! plain_metadata {
    ($type:ident) => {
        impl Metadata for $type {
            const ROLE: Role = Role::$type;

            fn version(&self) -> u64 {
                self.version
            }

            fn expires(&self) -> Time {
                self.expires
            }

            fn to_signed(&self) -> Result<Value, TufError> {
                write(Self::ROLE, self)
            }

            fn from_signed(signed: &Value) -> Result<Self, TufError> {
                read(Self::ROLE, signed)
            }
        }
    };
}

plain_metadata!(Targets);
plain_metadata!(Snapshot);
plain_metadata!(Timestamp);

/// A role's own fields, with its type and the version of the specification.
pub(super) fn write(role: Role, fields: &impl Serialize) -> Result<Value, TufError> {
    let mut signed = Map::new();
    signed.insert("_type".to_owned(), json!(role.name()));
    signed.insert("spec_version".to_owned(), json!(SPEC_VERSION));
    let malformed = |why: String| TufError::Malformed { role, why };
    match serde_json::to_value(fields).map_err(|error| malformed(error.to_string()))? {
        Value::Object(fields) => signed.extend(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Err(malformed("not an object".to_owned()));
        }
    }
    Ok(Value::Object(signed))
}

/// Checks what every role has, then reads the rest.
pub(super) fn read<T: DeserializeOwned>(role: Role, signed: &Value) -> Result<T, TufError> {
    let text = |name: &str| signed.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("_type") != role.name() {
        return Err(TufError::WrongRole {
            expected: role,
            found: text("_type").to_owned(),
        });
    }
    let spec_version = text("spec_version");
    if spec_version.split('.').next() != Some("1") {
        return Err(TufError::SpecVersion {
            role,
            found: spec_version.to_owned(),
        });
    }
    let malformed = |why: String| TufError::Malformed { role, why };
    if signed.get("version").and_then(Value::as_u64) == Some(0) {
        return Err(malformed("version 0".to_owned()));
    }
    T::deserialize(signed).map_err(|error| malformed(error.to_string()))
}

/// Reads the targets that a client can use.
fn usable_targets<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<TargetPath, TargetInfo>, D::Error> {
    let all = BTreeMap::<String, Value>::deserialize(deserializer)?;
    let usable = |(path, info): (String, Value)| {
        let path = path.parse().ok()?;
        let info = TargetInfo::deserialize(&info).ok()?;
        info.hashes.is_known().then_some((path, info))
    };
    Ok(all.into_iter().filter_map(usable).collect())
}

/// Times as TUF writes them: UTC, whole seconds, `YYYY-MM-DDTHH:MM:SSZ`.
pub(super) mod instant {
    use super::{Deserialize as _, Deserializer, Serializer, Time};
    use serde::de::Error as _;

    const FORM: &str = "%Y-%m-%dT%H:%M:%SZ";

    pub(crate) fn serialize<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&time.strftime(FORM))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Time, D::Error> {
        let text = String::deserialize(deserializer)?;
        let has_form = text.len() == 20 && text.ends_with('Z');
        match text.parse::<Time>() {
            Ok(time) if has_form && time.strftime(FORM).to_string() == text => Ok(time),
            Ok(_) | Err(_) => Err(D::Error::custom(format!(
                "time {text:?} is not of the form YYYY-MM-DDTHH:MM:SSZ"
            ))),
        }
    }
}
