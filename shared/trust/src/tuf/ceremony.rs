//! A root on its way from hand to hand: made, signed by one key after the other, judged.
//!
//! **Invariants: a draft holds only signatures that fit it, of keys that it or the root before it names;
//! what a key signs is what [`RootDraft::root`] shows.** Not here: the private keys, and the order in which
//! people do this (`docs/runbooks.md`).

use crate::json;
use crate::key::{KeyError, KeyId, PublicKey, SCHEME};
use crate::tuf::envelope::{Parts, parts};
use crate::tuf::{
    Metadata as _, ROOT_BYTES_MAX, Role, RoleKeys, Root, TufError, assemble, canonical,
};
use kintsugi_domain::Timestamp as Time;
use serde_json::Value;
use sha2::{Digest as _, Sha384};
use std::collections::BTreeMap;

/// A root with the signatures that it has so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootDraft {
    root: Root,
    message: Vec<u8>,
    signatures: BTreeMap<KeyId, Vec<u8>>,
}

/// How many keys of a role signed, and how many must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Distinct keys that signed.
    pub signed: usize,
    /// How many must.
    pub threshold: usize,
}

impl Count {
    /// Whether it is enough.
    pub fn is_reached(self) -> bool {
        self.signed >= self.threshold
    }
}

/// Why a root cannot be made, read or signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CeremonyError {
    /// The root itself.
    #[error(transparent)]
    Root(#[from] TufError),
    /// It would not be read back as what it is: it has fields or keys that we do not know.
    #[error("this root says more than this program knows: sign it with the program that made it")]
    NotOurs,
    /// A key that it calls one on P-384 and that is none.
    #[error("key {id}: {error}")]
    Key {
        /// The id that it is listed under.
        id: KeyId,
        /// What it is.
        #[source]
        error: KeyError,
    },
    /// It does not follow the root before it.
    #[error("version {found} does not follow version {before}")]
    NotNext {
        /// The version before.
        before: u64,
        /// What it says.
        found: u64,
    },
    /// A key that neither this root nor the one before it names for the root role.
    #[error("key {id} is no root key, neither of this root nor of the one before it")]
    Stranger {
        /// The key.
        id: KeyId,
    },
    /// A signature that does not fit.
    #[error("signature of key {id}: {error}")]
    Signature {
        /// The key.
        id: KeyId,
        /// What does not fit.
        #[source]
        error: KeyError,
    },
}

impl CeremonyError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Root(error) => error.code(),
            Self::NotOurs => "ceremony.not_ours",
            Self::NotNext { .. } => "ceremony.not_next",
            Self::Stranger { .. } => "ceremony.stranger",
            Self::Key { error, .. } | Self::Signature { error, .. } => error.code(),
        }
    }
}

impl RootDraft {
    /// A root that nobody has signed yet.
    pub fn new(root: Root) -> Result<Self, CeremonyError> {
        Ok(Self {
            message: canonical(&root)?,
            root,
            signatures: BTreeMap::new(),
        })
    }

    /// Reads a root file, signed or not. Signatures that do not fit are refused, not passed over: in a
    /// ceremony they are a mistake. `before` is the root before it, whose keys may sign too.
    pub fn read(text: &[u8], before: Option<&Root>) -> Result<Self, CeremonyError> {
        let Parts { signed, signatures } = parts(Role::Root, text, ROOT_BYTES_MAX)?;
        let mut draft = Self::new(Root::from_signed(&signed)?)?;
        let error = |error| TufError::Json {
            role: Role::Root,
            error,
        };
        if json::canonical(&signed).map_err(error)? != draft.message {
            return Err(wrong_key(&signed).unwrap_or(CeremonyError::NotOurs));
        }
        draft.check_order(before)?;
        for (id, der) in signatures {
            draft.add(&KeyId::from(id), der, before)?;
        }
        Ok(draft)
    }

    fn check_order(&self, before: Option<&Root>) -> Result<(), CeremonyError> {
        match before {
            Some(before) if before.version.checked_add(1) != Some(self.root.version) => {
                Err(CeremonyError::NotNext {
                    before: before.version,
                    found: self.root.version,
                })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The root.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The bytes that each key signs: ECDSA P-384 over their SHA-384.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// SHA-384 of [`RootDraft::message`] as hex digits: what a key service is given to sign, and what people
    /// read to each other.
    pub fn digest(&self) -> String {
        hex::encode(Sha384::digest(&self.message))
    }

    /// Takes a signature (DER) by a key that this root or the one before it names for the root role.
    pub fn add(
        &mut self,
        id: &KeyId,
        der: Vec<u8>,
        before: Option<&Root>,
    ) -> Result<(), CeremonyError> {
        let named = |root: &Root| root.roles.root.keys().get(id).cloned();
        let key = named(&self.root).or_else(|| before.and_then(named));
        let key = key.ok_or_else(|| CeremonyError::Stranger { id: id.clone() })?;
        if !key.signed(&self.message, &der) {
            return Err(CeremonyError::Signature {
                id: id.clone(),
                error: KeyError::WrongSignature,
            });
        }
        self.signatures.insert(id.clone(), der);
        Ok(())
    }

    /// How many of a root's keys signed this one: of its own, or of the one before it. Devices ask for both.
    pub fn count(&self, by: &Root) -> Count {
        let keys = &by.roles.root;
        let signers = keys.keys().iter();
        let mut signed: Vec<_> = Vec::new();
        for (_, key) in signers.filter(|(id, _)| self.signatures.contains_key(*id)) {
            if !signed.contains(&key) {
                signed.push(key);
            }
        }
        Count {
            signed: signed.len(),
            threshold: keys.threshold(),
        }
    }

    /// The ids of the keys that signed.
    pub fn signers(&self) -> impl Iterator<Item = &KeyId> {
        self.signatures.keys()
    }

    /// The file, as it is handed on and served.
    pub fn to_text(&self) -> Result<String, CeremonyError> {
        let signatures: Vec<_> = self.signatures.clone().into_iter().collect();
        Ok(assemble(&self.root, &signatures)?)
    }
}

/// The first key that is written as one of ours and cannot be read as one.
fn wrong_key(signed: &Value) -> Option<CeremonyError> {
    let keys = signed.get("keys")?.as_object()?;
    keys.iter().find_map(|(id, key)| {
        if key.get("scheme")? != SCHEME {
            return None;
        }
        let pem = key.get("keyval")?.get("public")?.as_str()?;
        let error = PublicKey::from_pem(pem).err()?;
        let id = KeyId::from(id.clone());
        Some(CeremonyError::Key { id, error })
    })
}

/// A change of the keys of a role.
#[derive(Debug, Clone, Default)]
pub struct KeyChange {
    /// Keys that shall speak for it from now on.
    pub add: Vec<PublicKey>,
    /// Keys that shall not any more.
    pub drop: Vec<KeyId>,
    /// How many must sign from now on, where that changes.
    pub threshold: Option<usize>,
}

impl RoleKeys {
    /// These keys after a change. A key to be dropped must be there.
    pub fn changed(&self, role: Role, change: &KeyChange) -> Result<Self, TufError> {
        let mut keys = self.keys().clone();
        for id in &change.drop {
            if keys.remove(id).is_none() {
                return Err(TufError::Malformed {
                    role: Role::Root,
                    why: format!("role {role} has no key {id}"),
                });
            }
        }
        for key in &change.add {
            keys.insert(key.key_id(), super::RoleKey::P384(key.clone()));
        }
        let threshold = change.threshold.unwrap_or_else(|| self.threshold());
        Self::of(role, keys, threshold)
    }
}

impl Root {
    /// The root after this one, with a new end and the same keys until they are changed.
    #[must_use]
    pub fn next(&self, expires: Time) -> Self {
        Self {
            version: self.version.saturating_add(1),
            expires,
            ..self.clone()
        }
    }
}
