//! Root metadata: which keys speak for which role.

use crate::key::KeyId;
use crate::tuf::TufError;
use crate::tuf::keys::RoleKeys;
use crate::tuf::metadata::{Metadata, Role, instant, read, write};
use kintsugi_domain::Timestamp as Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Who speaks for each role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    /// Keys of the root role.
    pub root: RoleKeys,
    /// Keys of the targets role.
    pub targets: RoleKeys,
    /// Keys of the snapshot role.
    pub snapshot: RoleKeys,
    /// Keys of the timestamp role.
    pub timestamp: RoleKeys,
}

impl Roles {
    /// The keys of a role.
    pub fn of(&self, role: Role) -> &RoleKeys {
        match role {
            Role::Root => &self.root,
            Role::Targets => &self.targets,
            Role::Snapshot => &self.snapshot,
            Role::Timestamp => &self.timestamp,
        }
    }
}

/// Root metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Its version; each root is one more than the one before.
    pub version: u64,
    /// When it expires.
    pub expires: Time,
    /// Whether files are served under names with version or digest. We always write true.
    pub consistent_snapshot: bool,
    /// Who speaks for each role.
    pub roles: Roles,
}

impl Root {
    /// A root that names these roles.
    pub fn new(version: u64, expires: Time, roles: Roles) -> Self {
        Self {
            version,
            expires,
            consistent_snapshot: true,
            roles,
        }
    }

    /// Whether timestamp or snapshot have other keys than in the root before it. Then what those reached binds no
    /// more (§5.3.11): forget the stored timestamp and snapshot, and only then store this root.
    pub fn replaces_online_keys(&self, before: &Self) -> bool {
        let is_other = |role| self.roles.of(role) != before.roles.of(role);
        is_other(Role::Timestamp) || is_other(Role::Snapshot)
    }
}

/// The written form of a root.
#[derive(Serialize, Deserialize)]
struct RootWire {
    version: u64,
    #[serde(with = "instant")]
    expires: Time,
    #[serde(default)]
    consistent_snapshot: bool,
    keys: BTreeMap<String, Value>,
    roles: BTreeMap<String, RoleWire>,
}

#[derive(Serialize, Deserialize)]
struct RoleWire {
    keyids: Vec<KeyId>,
    threshold: usize,
}

impl Metadata for Root {
    const ROLE: Role = Role::Root;

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> Time {
        self.expires
    }

    fn to_signed(&self) -> Result<Value, TufError> {
        let mut wire = RootWire {
            version: self.version,
            expires: self.expires,
            consistent_snapshot: self.consistent_snapshot,
            keys: BTreeMap::new(),
            roles: BTreeMap::new(),
        };
        for role in Role::ALL {
            let of_role = self.roles.of(role);
            for (id, key) in of_role.keys() {
                wire.keys.insert(id.to_string(), key.to_value());
            }
            let of_role = RoleWire {
                keyids: of_role.keys().keys().cloned().collect(),
                threshold: of_role.threshold(),
            };
            wire.roles.insert(role.name().to_owned(), of_role);
        }
        write(Self::ROLE, &wire)
    }

    fn from_signed(signed: &Value) -> Result<Self, TufError> {
        let wire: RootWire = read(Self::ROLE, signed)?;
        let roles = Roles {
            root: wire.role(Role::Root)?,
            targets: wire.role(Role::Targets)?,
            snapshot: wire.role(Role::Snapshot)?,
            timestamp: wire.role(Role::Timestamp)?,
        };
        Ok(Self {
            version: wire.version,
            expires: wire.expires,
            consistent_snapshot: wire.consistent_snapshot,
            roles,
        })
    }
}

impl RootWire {
    /// The usable keys of a role. Keys of unknown type are left out: they cannot count, and the role
    /// stands or falls with the others.
    fn role(&self, role: Role) -> Result<RoleKeys, TufError> {
        let wire = self
            .roles
            .get(role.name())
            .ok_or_else(|| TufError::Malformed {
                role: Role::Root,
                why: format!("role {role} is missing"),
            })?;
        let listed = (wire.keyids.as_slice(), wire.threshold);
        RoleKeys::listed(role, role.name(), &self.keys, listed)
    }
}
