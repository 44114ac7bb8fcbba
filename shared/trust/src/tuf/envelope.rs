//! A metadata file: what is signed, and the signatures over it.

use crate::json;
use crate::tuf::{Metadata, Role, RoleKey, RoleKeys, TufError};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// A metadata file as read. **Nothing of it counts before [`File::check`].**
pub(super) struct File<T> {
    signed: Value,
    /// What the signatures cover.
    canonical: Vec<u8>,
    /// Signatures by key id.
    signatures: BTreeMap<String, Vec<u8>>,
    of: PhantomData<T>,
}

#[derive(Deserialize)]
struct Wire {
    signed: Value,
    signatures: Vec<SignatureWire>,
}

#[derive(Deserialize)]
struct SignatureWire {
    keyid: String,
    sig: String,
}

/// What is signed, and signatures by key id.
pub(super) struct Parts {
    pub(super) signed: Value,
    pub(super) signatures: BTreeMap<String, Vec<u8>>,
}

/// Splits a file of at most `bytes_max` bytes into its parts.
pub(super) fn parts(role: Role, text: &[u8], bytes_max: usize) -> Result<Parts, TufError> {
    let malformed = |why: String| TufError::Malformed { role, why };
    let value = json::parse(text, bytes_max).map_err(|error| TufError::Json { role, error })?;
    let wire = Wire::deserialize(&value).map_err(|error| malformed(error.to_string()))?;
    let mut signatures = BTreeMap::new();
    for SignatureWire { keyid, sig } in wire.signatures {
        // What is not hex is no signature; others may be enough.
        let signature = hex::decode(&sig).unwrap_or_default();
        if signatures.insert(keyid.clone(), signature).is_some() {
            return Err(malformed(format!("two signatures of key {keyid:?}")));
        }
    }
    Ok(Parts {
        signed: wire.signed,
        signatures,
    })
}

impl<T: Metadata> File<T> {
    /// Reads a file of at most `bytes_max` bytes.
    pub(super) fn read(text: &[u8], bytes_max: usize) -> Result<Self, TufError> {
        let role = T::ROLE;
        let Parts { signed, signatures } = parts(role, text, bytes_max)?;
        let canonical = json::canonical(&signed).map_err(|error| TufError::Json { role, error })?;
        Ok(Self {
            canonical,
            signed,
            signatures,
            of: PhantomData,
        })
    }

    /// Whether enough distinct keys of a role signed. Keys are told apart by what they are, not by what
    /// they are called: one key under two ids counts once.
    pub(super) fn check(&self, by: Role, keys: &RoleKeys) -> Result<(), TufError> {
        let mut valid: Vec<&RoleKey> = Vec::new();
        for (id, key) in keys.keys() {
            let Some(signature) = self.signatures.get(id.as_str()) else {
                continue;
            };
            if !valid.contains(&key) && key.signed(&self.canonical, signature) {
                valid.push(key);
            }
        }
        if valid.len() >= keys.threshold() {
            Ok(())
        } else {
            Err(TufError::Threshold {
                role: by,
                valid: valid.len(),
                threshold: keys.threshold(),
            })
        }
    }

    /// What was signed. Call [`File::check`] first, except for a root, which names its own keys.
    pub(super) fn metadata(&self) -> Result<T, TufError> {
        T::from_signed(&self.signed)
    }
}
