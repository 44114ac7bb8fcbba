//! Real P-384 signatures with keys that anybody can compute.

use super::locked;
use async_trait::async_trait;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::ports::{KeyName, PortError, Signer};
use p384::ecdsa::signature::Signer as _;
use p384::ecdsa::{Signature, SigningKey};
use p384::pkcs8::{EncodePublicKey, LineEnding};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Signs with keys derived from a seed, by RFC 6979: the same seed, key and message give the same
/// signature. **Never for anything real: whoever knows the seed knows the keys.** Clones share the cache of
/// keys, so one signer for many test runs saves the work of deriving them.
#[derive(Debug, Clone)]
pub struct MemorySigner {
    seed: u64,
    keys: Arc<Mutex<BTreeMap<KeyName, SigningKey>>>,
}

impl MemorySigner {
    /// A signer named by its seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            keys: Arc::default(),
        }
    }

    fn derive(&self, what: &str, name: &KeyName, round: u64) -> Digest {
        Digest::of_parts(&[
            what.as_bytes(),
            &self.seed.to_be_bytes(),
            name.to_string().as_bytes(),
            &round.to_be_bytes(),
        ])
    }

    fn key(&self, name: &KeyName) -> Result<SigningKey, PortError> {
        let mut keys = locked(&self.keys);
        if let Some(key) = keys.get(name) {
            return Ok(key.clone());
        }
        // Nearly every 48 bytes are a P-384 scalar; eight rounds cannot all miss.
        for round in 0..8 {
            let high = self.derive("high", name, round);
            let low = self.derive("low", name, round);
            let scalar: Vec<u8> = high
                .as_bytes()
                .iter()
                .chain(low.as_bytes())
                .copied()
                .take(48)
                .collect();
            if let Ok(key) = SigningKey::from_slice(&scalar) {
                keys.insert(name.clone(), key.clone());
                return Ok(key);
            }
        }
        Err(PortError::broken(name, "no key could be derived"))
    }
}

#[async_trait]
impl Signer for MemorySigner {
    async fn sign(&self, key: &KeyName, message: &[u8]) -> Result<Vec<u8>, PortError> {
        let signature: Signature = self.key(key)?.sign(message);
        Ok(signature.to_der().as_bytes().to_vec())
    }

    async fn public_key(&self, key: &KeyName) -> Result<String, PortError> {
        self.key(key)?
            .verifying_key()
            .to_public_key_pem(LineEnding::LF)
            .map_err(|error| PortError::broken(key, error))
    }

    async fn secret(&self, key: &KeyName) -> Result<[u8; 32], PortError> {
        Ok(*self.derive("secret", key, 0).as_bytes())
    }
}
