//! ECDSA keys on P-384 and their ids.
//!
//! **Invariant: a key is named by its content.** The id is computed as securesystemslib does it, over
//! the key in one written form, so the same key has the same id on every side.
//!
//! Not here: other algorithms. Where private keys live is the business of the `Signer` port;
//! [`SecretKey`] is for the adapters that hold a key themselves.

use crate::{json, kind};
use p384::ecdsa::signature::{Signer as _, Verifier as _};
use p384::ecdsa::{Signature, SigningKey, VerifyingKey};
use p384::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
    LineEnding, SecretDocument,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::borrow::Borrow;
use std::fmt;

/// The key type that we write in TUF metadata.
pub const KEY_TYPE: &str = "ecdsa";
/// The scheme that we write in TUF metadata: ECDSA on P-384 over SHA-384, signature as DER.
pub const SCHEME: &str = "ecdsa-sha2-nistp384";
/// Length of `r ‖ s` as JOSE writes a signature, bytes.
pub const RAW_SIGNATURE_BYTES: usize = 96;

/// What is wrong with a key or a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a P-384 public key in PEM.
    #[error("not a P-384 public key in PEM (SubjectPublicKeyInfo)")]
    NotAPublicKey,
    /// Not a P-384 private key in PKCS#8.
    #[error("not a P-384 private key in PKCS#8")]
    NotASecretKey,
    /// A key on an elliptic curve, but another one.
    #[error("a key on the curve {found}, where one on P-384 (1.3.132.0.34) is needed")]
    WrongCurve {
        /// Its curve, with the object identifier.
        found: String,
    },
    /// A key of another algorithm.
    #[error("a key for {found}, where one for ECDSA on P-384 is needed")]
    WrongAlgorithm {
        /// Its algorithm, with the object identifier.
        found: String,
    },
    /// Random bytes that are no scalar of the curve: draw again.
    #[error("the random bytes are outside the order of the curve; draw again")]
    OutOfRange,
    /// The key could not be written.
    #[error("the key cannot be encoded")]
    Encoding,
    /// Bytes that are not an ECDSA signature on P-384.
    #[error("not a P-384 signature")]
    NotASignature,
    /// The signature was not made by this key over this message.
    #[error("the signature does not fit the key and the message")]
    WrongSignature,
}

impl KeyError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAPublicKey => "key.not_a_public_key",
            Self::NotASecretKey => "key.not_a_secret_key",
            Self::WrongCurve { .. } => "key.wrong_curve",
            Self::WrongAlgorithm { .. } => "key.wrong_algorithm",
            Self::OutOfRange => "key.out_of_range",
            Self::Encoding => "key.encoding",
            Self::NotASignature => "key.not_a_signature",
            Self::WrongSignature => "key.wrong_signature",
        }
    }
}

/// The name of a key: for our own keys 64 hex digits, in foreign metadata any text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    /// The id as text, which is also the `kid` of a token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for KeyId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl Borrow<str> for KeyId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A public key on P-384.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    pem: String,
}

impl PublicKey {
    /// Reads PEM `SubjectPublicKeyInfo` (RFC 5280, RFC 7468). A key of another curve or algorithm is refused with
    /// the one that it names.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        // Empty lines after the last one mean nothing, and editors leave some.
        let pem = pem.trim_end();
        let key = VerifyingKey::from_public_key_pem(pem).map_err(|_| kind::of_public_pem(pem))?;
        Self::from_key(key)
    }

    fn from_key(key: VerifyingKey) -> Result<Self, KeyError> {
        let pem = key
            .to_public_key_pem(LineEnding::LF)
            .map_err(|_| KeyError::Encoding)?;
        Ok(Self { key, pem })
    }

    /// The key as PEM, always in the same form whatever form was read.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 over the canonical JSON of the key, as securesystemslib names keys.
    pub fn key_id(&self) -> KeyId {
        // A value of three texts always has a canonical form.
        let text = json::canonical(&self.to_value()).unwrap_or_default();
        KeyId(hex::encode(Sha256::digest(text)))
    }

    /// The key as TUF metadata writes it.
    pub fn to_value(&self) -> Value {
        json!({"keytype": KEY_TYPE, "scheme": SCHEME, "keyval": {"public": self.pem}})
    }

    /// The key of a TUF metadata entry, or nothing where type, scheme or key is one that we do not
    /// take. Such a key cannot count towards a threshold, and harms nothing else.
    pub fn from_value(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        // The second name is an older spelling that securesystemslib still reads.
        let is_known_type = matches!(text("keytype"), Some(KEY_TYPE | SCHEME));
        if !is_known_type || text("scheme") != Some(SCHEME) {
            return None;
        }
        let pem = value.get("keyval")?.get("public")?.as_str()?;
        Self::from_pem(pem).ok()
    }

    /// Checks a DER signature (X9.62, RFC 3279) over SHA-384 of the message.
    pub fn verify(&self, message: &[u8], der: &[u8]) -> Result<(), KeyError> {
        let signature = Signature::from_der(der).map_err(|_| KeyError::NotASignature)?;
        self.check(message, &signature)
    }

    /// Checks a signature written as `r ‖ s` (RFC 7518 §3.4) over SHA-384 of the message.
    pub fn verify_raw(&self, message: &[u8], raw: &[u8]) -> Result<(), KeyError> {
        let signature = Signature::from_slice(raw).map_err(|_| KeyError::NotASignature)?;
        self.check(message, &signature)
    }

    fn check(&self, message: &[u8], signature: &Signature) -> Result<(), KeyError> {
        self.key
            .verify(message, signature)
            .map_err(|_| KeyError::WrongSignature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.key_id())
    }
}

/// A signature as `r ‖ s`, from DER.
pub fn raw_signature(der: &[u8]) -> Result<[u8; RAW_SIGNATURE_BYTES], KeyError> {
    let signature = Signature::from_der(der).map_err(|_| KeyError::NotASignature)?;
    signature
        .to_bytes()
        .as_slice()
        .try_into()
        .map_err(|_| KeyError::NotASignature)
}

/// A private key on P-384, for adapters that hold keys themselves. Wiped when dropped, never shown.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// A key from 48 random bytes. Bytes outside the order of the curve are refused
    /// ([`KeyError::OutOfRange`]), so that every key is equally likely: draw again.
    pub fn from_random(random: &[u8; 48]) -> Result<Self, KeyError> {
        SigningKey::from_slice(random)
            .map(Self)
            .map_err(|_| KeyError::OutOfRange)
    }

    /// Reads PKCS#8 DER (RFC 5958).
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        SigningKey::from_pkcs8_der(der)
            .map(Self)
            .map_err(|_| kind::of_secret_der(der))
    }

    /// The key as PKCS#8 DER, wiped when dropped.
    pub fn to_pkcs8_der(&self) -> Result<SecretDocument, KeyError> {
        self.0.to_pkcs8_der().map_err(|_| KeyError::Encoding)
    }

    /// The public key.
    pub fn public_key(&self) -> Result<PublicKey, KeyError> {
        PublicKey::from_key(*self.0.verifying_key())
    }

    /// A signature as DER over SHA-384 of the message. Deterministic (RFC 6979): needs no randomness.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature: Signature = self
            .0
            .try_sign(message)
            .map_err(|_| KeyError::NotASignature)?;
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}
