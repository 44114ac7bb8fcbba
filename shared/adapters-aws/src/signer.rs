//! Private keys in KMS, symmetric secrets in Secrets Manager.
//!
//! A key of a project is the KMS key behind the alias `alias/kintsugi-<prefix>-<project>-<use>`, on P-384, for signing; KMS
//! never gives it out, and signs a digest that is made here. A secret is `kintsugi/<prefix>/<project>/<use>`, 32 bytes.
//!
//! Both are made on first use. Of several first uses at once, one gives the name; the others' KMS keys are scheduled for
//! deletion at once and were never used. Public keys and secrets never change, so they are asked for once per process.
//!
//! **Deleting an alias or a secret makes the next use draw a new one**, which no client trusts: the template forbids both
//! to the functions.

use crate::failure::{failed, is};
use crate::lazy::Lazy;
use crate::table::pause;
use async_trait::async_trait;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeySpec, KeyUsageType, MessageType, SigningAlgorithmSpec, Tag};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kintsugi_domain::ports::{KeyName, KeyUse, PortError, Signer};
use kintsugi_trust::key::PublicKey;
use rand_core::{OsRng, RngCore};
use sha2::{Digest, Sha384};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Days before a KMS key that lost the race is deleted: the fewest that KMS takes.
const DELETION_DAYS: i32 = 7;
/// Times that a name which somebody else has just given is looked up: names spread within seconds.
const LOOKS_MAX: u32 = 8;
/// What KMS answers where there is no such key or alias.
const NO_KEY: &str = "NotFoundException";
/// What KMS answers where nothing allows the use of a key, or not yet.
const NOT_ALLOWED: &str = "AccessDeniedException";
/// Most letters of a prefix.
const PREFIX_CHARS_MAX: usize = 64;

/// Private keys in KMS and secrets in Secrets Manager. Clones share what was read.
#[derive(Clone)]
pub struct KmsSigner {
    kms: Lazy<aws_sdk_kms::Client>,
    secrets: Lazy<aws_sdk_secretsmanager::Client>,
    prefix: String,
    known: Arc<Known>,
}

#[derive(Default)]
struct Known {
    public_keys: Mutex<BTreeMap<KeyName, String>>,
    secrets: Mutex<BTreeMap<KeyName, [u8; 32]>>,
}

impl fmt::Debug for KmsSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsSigner")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

fn recall<T: Clone>(known: &Mutex<BTreeMap<KeyName, T>>, name: &KeyName) -> Option<T> {
    let known = known.lock().unwrap_or_else(PoisonError::into_inner);
    known.get(name).cloned()
}

fn keep<T>(known: &Mutex<BTreeMap<KeyName, T>>, name: &KeyName, value: T) {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    known.insert(name.clone(), value);
}

/// Whether the name is that of a secret and not that of a key pair.
fn is_symmetric(key_use: KeyUse) -> bool {
    match key_use {
        KeyUse::Tickets | KeyUse::Users | KeyUse::Leases | KeyUse::Batches(_) => true,
        KeyUse::Root(_)
        | KeyUse::Targets(_)
        | KeyUse::Snapshot(_)
        | KeyUse::Timestamp(_)
        | KeyUse::Tokens(_) => false,
    }
}

/// Refuses a key where a secret is, and the other way round.
fn check(name: &KeyName, symmetric: bool) -> Result<(), PortError> {
    if is_symmetric(name.key_use) == symmetric {
        return Ok(());
    }
    let why = "asked for a key where a secret is, or the other way round";
    Err(PortError::broken(name, why))
}

/// DER as PEM (RFC 7468), in our one form.
fn pem(what: &str, der: &[u8]) -> Result<String, PortError> {
    let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
    for (place, letter) in STANDARD.encode(der).chars().enumerate() {
        if place > 0 && place % 64 == 0 {
            pem.push('\n');
        }
        pem.push(letter);
    }
    pem.push_str("\n-----END PUBLIC KEY-----\n");
    let key = PublicKey::from_pem(&pem).map_err(|error| PortError::broken(what, error))?;
    Ok(key.pem().to_owned())
}

impl KmsSigner {
    /// Keys and secrets that are named after `prefix`: letters, digits, `-` and `_`.
    pub fn new(
        kms: Lazy<aws_sdk_kms::Client>,
        secrets: Lazy<aws_sdk_secretsmanager::Client>,
        prefix: &str,
    ) -> Result<Self, PortError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let length = 1..=PREFIX_CHARS_MAX;
        if !length.contains(&prefix.len()) || !prefix.chars().all(fits) {
            let why = "expected 1 to 64 letters, digits, '-' or '_'";
            return Err(PortError::broken(format!("key prefix {prefix:?}"), why));
        }
        Ok(Self {
            kms,
            secrets,
            prefix: prefix.to_owned(),
            known: Arc::default(),
        })
    }

    fn alias(&self, name: &KeyName) -> String {
        let name = name.to_string().replace('/', "-");
        format!("alias/kintsugi-{}-{name}", self.prefix)
    }

    /// The public key, DER, of a key id or an alias; nothing when KMS answers with one of `absent`.
    async fn der(
        &self,
        what: &str,
        id: &str,
        absent: &[&str],
    ) -> Result<Option<Vec<u8>>, PortError> {
        match self.kms.get_public_key().key_id(id).send().await {
            Ok(found) => Ok(found.public_key.map(Blob::into_inner)),
            Err(error) if is(&error, absent) => Ok(None),
            Err(error) => Err(failed(what, &error)),
        }
    }

    /// Makes a key and names it; returns its public key, or that of whoever named theirs first.
    async fn make(&self, what: &str, alias: &str) -> Result<Vec<u8>, PortError> {
        let tag = Tag::builder().tag_key("kintsugi:alias").tag_value(alias);
        let tag = tag
            .build()
            .map_err(|error| PortError::broken(what, error))?;
        let create = self
            .kms
            .create_key()
            .key_spec(KeySpec::EccNistP384)
            .key_usage(KeyUsageType::SignVerify)
            .tags(tag);
        let made = create.send().await.map_err(|error| failed(what, &error))?;
        let Some(made) = made.key_metadata else {
            return Err(PortError::unavailable(
                what,
                "KMS did not name the key it made",
            ));
        };
        let id = made.key_id();
        let name = self.kms.create_alias().alias_name(alias).target_key_id(id);
        match name.send().await {
            Ok(_) => self.await_der(what, id).await,
            Err(error) if is(&error, &["AlreadyExistsException"]) => {
                let delete = self.kms.schedule_key_deletion().key_id(id);
                let deleted = delete.pending_window_in_days(DELETION_DAYS).send().await;
                deleted.map_err(|error| failed(what, &error))?;
                self.await_der(what, alias).await
            }
            Err(error) => Err(failed(what, &error)),
        }
    }

    /// The public key of a key that was just made, here or by somebody else. What its tag and its alias allow counts only when
    /// all of KMS knows them, which may take minutes; what is not known within seconds comes back with its message.
    async fn await_der(&self, what: &str, id: &str) -> Result<Vec<u8>, PortError> {
        for look in 0..LOOKS_MAX {
            if let Some(der) = self.der(what, id, &[NO_KEY, NOT_ALLOWED]).await? {
                return Ok(der);
            }
            tokio::time::sleep(pause(look)).await;
        }
        Err(PortError::unavailable(
            what,
            "KMS does not know its new key yet, or does not allow its use yet",
        ))
    }

    async fn try_sign(&self, name: &KeyName, message: &[u8]) -> Result<Option<Vec<u8>>, PortError> {
        let what = || format!("sign with {name}");
        let sign = self
            .kms
            .sign()
            .key_id(self.alias(name))
            .message(Blob::new(Sha384::digest(message).to_vec()))
            .message_type(MessageType::Digest)
            .signing_algorithm(SigningAlgorithmSpec::EcdsaSha384);
        match sign.send().await {
            Ok(signed) => match signed.signature {
                Some(signature) => Ok(Some(signature.into_inner())),
                None => Err(PortError::unavailable(what(), "KMS gave no signature")),
            },
            Err(error) if is(&error, &[NO_KEY]) => Ok(None),
            Err(error) => Err(failed(what(), &error)),
        }
    }

    async fn read_secret(&self, what: &str, id: &str) -> Result<Option<[u8; 32]>, PortError> {
        match self.secrets.get_secret_value().secret_id(id).send().await {
            Ok(found) => {
                let bytes = found.secret_binary.map(Blob::into_inner);
                let secret = bytes.and_then(|bytes| bytes.try_into().ok());
                let damaged = || PortError::broken(what, "its content is not 32 bytes");
                secret.ok_or_else(damaged).map(Some)
            }
            Err(error) if is(&error, &["ResourceNotFoundException"]) => Ok(None),
            Err(error) => Err(failed(what, &error)),
        }
    }

    /// Draws a secret and stores it, unless somebody else was first.
    async fn make_secret(&self, what: &str, id: &str) -> Result<[u8; 32], PortError> {
        let mut secret = [0; 32];
        OsRng.fill_bytes(&mut secret);
        let create = self.secrets.create_secret().name(id);
        let create = create.secret_binary(Blob::new(secret));
        match create.send().await {
            Ok(_) => return Ok(secret),
            Err(error) if is(&error, &["ResourceExistsException"]) => {}
            Err(error) => return Err(failed(what, &error)),
        }
        for look in 0..LOOKS_MAX {
            if let Some(secret) = self.read_secret(what, id).await? {
                return Ok(secret);
            }
            tokio::time::sleep(pause(look)).await;
        }
        Err(PortError::unavailable(
            what,
            "its name is taken and holds nothing yet",
        ))
    }
}

#[async_trait]
impl Signer for KmsSigner {
    async fn sign(&self, key: &KeyName, message: &[u8]) -> Result<Vec<u8>, PortError> {
        check(key, false)?;
        if let Some(signature) = self.try_sign(key, message).await? {
            return Ok(signature);
        }
        self.public_key(key).await?;
        let signature = self.try_sign(key, message).await?;
        signature.ok_or_else(|| {
            PortError::unavailable(
                format!("sign with {key}"),
                "KMS does not know its new key yet",
            )
        })
    }

    async fn public_key(&self, key: &KeyName) -> Result<String, PortError> {
        check(key, false)?;
        if let Some(known) = recall(&self.known.public_keys, key) {
            return Ok(known);
        }
        let what = format!("public key of {key}");
        let alias = self.alias(key);
        let der = match self.der(&what, &alias, &[NO_KEY]).await? {
            Some(der) => der,
            None => self.make(&what, &alias).await?,
        };
        let pem = pem(&what, &der)?;
        keep(&self.known.public_keys, key, pem.clone());
        Ok(pem)
    }

    async fn secret(&self, key: &KeyName) -> Result<[u8; 32], PortError> {
        check(key, true)?;
        if let Some(known) = recall(&self.known.secrets, key) {
            return Ok(known);
        }
        let what = format!("secret {key}");
        let id = format!("kintsugi/{}/{key}", self.prefix);
        let secret = match self.read_secret(&what, &id).await? {
            Some(secret) => secret,
            None => self.make_secret(&what, &id).await?,
        };
        keep(&self.known.secrets, key, secret);
        Ok(secret)
    }
}
