//! The keys that speak for a role.
//!
//! **Invariant: a key that we cannot verify with counts towards no threshold and harms nothing else.**

use crate::key::{KeyId, PublicKey};
use crate::tuf::{Role, TufError};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

#[cfg(feature = "foreign-keys")]
use crate::tuf::foreign::ForeignKey;

/// A public key of metadata that we can verify with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleKey {
    /// ECDSA on P-384: the one that we write.
    P384(PublicKey),
    /// A kind that only foreign repositories use.
    #[cfg(feature = "foreign-keys")]
    Foreign(ForeignKey),
}

impl RoleKey {
    /// The key of a metadata entry, or nothing where type, scheme or key is one that we do not take.
    pub(super) fn from_value(value: &Value) -> Option<Self> {
        let own = PublicKey::from_value(value).map(Self::P384);
        #[cfg(feature = "foreign-keys")]
        let own = own.or_else(|| ForeignKey::from_value(value).map(Self::Foreign));
        own
    }

    /// The key as metadata writes it.
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::P384(key) => key.to_value(),
            #[cfg(feature = "foreign-keys")]
            Self::Foreign(key) => key.to_value(),
        }
    }

    /// Whether this key made the signature over the message.
    pub(super) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::P384(key) => key.verify(message, signature).is_ok(),
            #[cfg(feature = "foreign-keys")]
            Self::Foreign(key) => key.signed(message, signature),
        }
    }

    /// The key, where it is one on P-384.
    pub fn p384(&self) -> Option<&PublicKey> {
        match self {
            Self::P384(key) => Some(key),
            #[cfg(feature = "foreign-keys")]
            Self::Foreign(_) => None,
        }
    }
}

/// The keys that speak for a role, and how many of them it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleKeys {
    keys: BTreeMap<KeyId, RoleKey>,
    threshold: usize,
}

impl RoleKeys {
    /// `threshold` of these keys. It must be from 1 to the number of distinct keys.
    pub fn new(role: Role, keys: &[PublicKey], threshold: usize) -> Result<Self, TufError> {
        let keys: BTreeMap<KeyId, RoleKey> = keys
            .iter()
            .map(|key| (key.key_id(), RoleKey::P384(key.clone())))
            .collect();
        Self::of(role, keys, threshold)
    }

    pub(super) fn of(
        role: Role,
        keys: BTreeMap<KeyId, RoleKey>,
        threshold: usize,
    ) -> Result<Self, TufError> {
        if threshold == 0 || threshold > keys.len() {
            return Err(TufError::ImpossibleThreshold {
                role,
                threshold,
                keys: keys.len(),
            });
        }
        Ok(Self { keys, threshold })
    }

    /// The usable ones of the listed keys. `role` is who lists them, `name` whose they are.
    pub(super) fn listed(
        role: Role,
        name: &str,
        all: &BTreeMap<String, Value>,
        (ids, threshold): (&[KeyId], usize),
    ) -> Result<Self, TufError> {
        if threshold == 0 {
            return Err(TufError::ImpossibleThreshold {
                role,
                threshold,
                keys: ids.len(),
            });
        }
        let distinct: BTreeSet<&KeyId> = ids.iter().collect();
        if distinct.len() != ids.len() {
            return Err(TufError::Malformed {
                role,
                why: format!("role {name} names a key twice"),
            });
        }
        let usable = |id: &KeyId| {
            let key = RoleKey::from_value(all.get(id.as_str())?)?;
            Some((id.clone(), key))
        };
        Ok(Self {
            keys: ids.iter().filter_map(usable).collect(),
            threshold,
        })
    }

    /// The keys by id. Keys of unknown type are not among them.
    pub fn keys(&self) -> &BTreeMap<KeyId, RoleKey> {
        &self.keys
    }

    /// How many distinct keys must sign.
    pub fn threshold(&self) -> usize {
        self.threshold
    }
}
